"""What a device measures at a moment: the `behaviour` section of its profile, drawn for many devices at once.

Every value is a function of (device, time, place) alone: it can be asked for any moment, in any order, in any slice.
What a section may say is told by `devices.behaviour`. Devices report the metrics that have a section; those of a
profile without any report its whole family, each metric by a default that stays inside its range.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import floor, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.behaviour import CURVES, misspelt
from devices.family import Metric
from devices.profile import Profile
from simulators.behaviour_around import CENTRE, Around
from simulators.behaviour_count import Counter
from simulators.behaviour_gauge import Battery, Gauges
from simulators.behaviour_state import Choice, Draws, Steps
from simulators.draw import Floats, Keys

Column = NDArray[Any]
Section = Mapping[str, Any]


class BehaviourError(Exception):
    """A profile's `behaviour` section cannot be followed; the message names profile, metric and the reason."""


@dataclass(frozen=True, slots=True, eq=False)  # compared as what it is, so that what is made of several can be kept
class Voice:
    """How one metric moves and how finely it is written: `decimals` of a number, None for a word."""

    metric: Metric
    section: Section
    decimals: int | None

    def alone(self) -> "Part | None":
        """What moves this metric apart from the others; None for a gauge, which goes with the other gauges."""
        match self.section["curve"]:
            case "day":
                return None
            case "count":
                return Counter(self.metric, self.section, self.decimals or 0)
            case "battery":
                return Battery(self.metric, self.section, self.decimals or 0)
            case "step":
                return Steps(self.metric, self.section)
            case "choice":
                return Choice(self.metric, self.section)
            case curve:
                raise ValueError(f"curve {curve}; expected one of {', '.join(CURVES)}")


Part = Battery | Choice | Counter | Steps


def voices(profile: Profile) -> tuple[Voice, ...]:
    """One voice per metric that the profile's devices report: those of its behaviour, else all of the family."""
    sections = profile.behaviour
    unknown = [name for name in sections if name not in profile.family.index]
    if unknown:
        raise BehaviourError(
            f"profile {profile.name}: behaviour names {unknown[0]}, family {profile.family.name} has no such metric"
        )
    spoken = [metric for metric in profile.family.metrics if metric.name in sections or not sections]
    return tuple(_voice(profile, metric, sections.get(metric.name)) for metric in spoken)


def values(
    parts: tuple[Voice, ...], keys: Keys, seconds: Floats, lat: Any = CENTRE[0], lon: Any = CENTRE[1]
) -> dict[str, Column]:
    """Per metric one column of values for devices `keys` at `seconds` since 1970: numbers, or indices of states.

    `lat`, `lon`: where the devices stand, degrees, one each or one for all; Bắc Giang city unless stated.
    """
    together = _together(parts)
    columns = together.at(Around(keys, seconds, _each(lat, keys), _each(lon, keys), together.drivers))
    return {voice.metric.name: columns[voice.metric.name] for voice in parts}


class Together:
    """The metrics of a profile, arranged so that what is alike is worked out at once."""

    def __init__(self, parts: tuple[Voice, ...]) -> None:
        made = [(voice, voice.alone()) for voice in parts]
        self.drivers = sorted({driver for voice in parts for driver in voice.section.get("follows", {})})
        self._gauges = Gauges([(voice.metric, voice.section, voice.decimals or 0) for voice, part in made if not part])
        self._counts = {voice.metric.name: part for voice, part in made if isinstance(part, Counter | Battery)}
        self._states = {voice.metric.name: part for voice, part in made if isinstance(part, Choice | Steps)}
        drawn = [voice for voice in parts if voice.metric.name in self._states]
        self._draws = Draws([(voice.metric, voice.section) for voice in drawn if self._states[voice.metric.name].draws])

    def at(self, around: Around) -> dict[str, Column]:
        """A column per metric."""
        columns: dict[str, Column] = dict(zip(self._gauges.names, self._gauges.at(around), strict=True))
        columns |= {name: part.at(around) for name, part in self._counts.items()}
        words = iter(self._draws.at(around))
        return columns | {
            name: part.at(around, next(words) if part.draws else None) for name, part in self._states.items()
        }


_together = lru_cache(maxsize=1024)(Together)


def _each(degrees: Any, keys: Keys) -> Floats:
    if isinstance(degrees, np.ndarray):
        return degrees.astype(np.float64)
    return np.full(len(keys), degrees, dtype=np.float64)


def default_section(metric: Metric) -> dict[str, Any]:
    """How a metric moves that nothing is said about: in the middle of its range, or mostly in its first state."""
    if metric.kind == "state":
        weights = dict.fromkeys(metric.states, 1.0)
        weights[metric.states[0]] = 9.0 * len(metric.states)
        return {"curve": "choice", "weights": weights}
    if metric.kind == "counter":
        return {"curve": "count", "rate": 1.0}
    width = metric.high - metric.low
    return {"curve": "day", "mean": metric.low + width / 2, "swing": width / 10, "noise": width / 50}


def decimals_of(metric: Metric, section: Section) -> int | None:
    """Digits behind the point: what the section says, or enough to see the noise move; None for a state."""
    if metric.kind == "state":
        return None
    if "decimals" in section:
        return int(section["decimals"])
    if section["curve"] == "choice":
        return 0 if all(float(option).is_integer() for option in section["weights"]) else 2
    scale = abs(
        float(section.get("noise") or section.get("swing") or section.get("rate") or section.get("mean") or 1.0)
    )
    return min(max(1 - floor(log10(scale)), 0), 4) if scale else 0


def _voice(profile: Profile, metric: Metric, section: Section | None) -> Voice:
    chosen = section or default_section(metric)
    for problem in misspelt(metric, chosen):
        raise BehaviourError(f"profile {profile.name}: behaviour of {metric.name}: {problem}")
    return Voice(metric, chosen, decimals_of(metric, chosen))
