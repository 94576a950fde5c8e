"""What a device measures at a moment: the `behaviour` section of its profile, drawn for many devices at once.

Every value is a function of (seed, device, time) alone: it can be asked for any moment, in any order. A metric's curve:

    {curve: day, mean: 21, swing: 5, peak: 14, noise: 1.5}   mean + a wave highest at local hour `peak` + noise
    {curve: count, rate: 0.8, swing: 0.6, peak: 19}          a counter: `rate` per hour, more around `peak`
    {curve: choice, weights: {ok: 98, fault: 2}, hold: 600}  a word or number by weight, kept for `hold` seconds

`decimals` may say how finely a metric is reported. Devices report the metrics that have a section; those of a profile
without any report its whole family, each metric by a default that stays inside its range.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.family import Metric
from devices.profile import Profile
from simulators import draw
from simulators.draw import Floats, Keys, salt

Column = NDArray[Any]
Curve = Callable[[Keys, Floats], Column]
"""(device keys, seconds since 1970) → one value per pair."""

LOCAL_OFFSET_S = 7 * 3600
"""Asia/Ho_Chi_Minh is UTC+7 all year."""
COUNTED_FROM_S = 1_735_664_400.0
"""Counters began at 2025-01-01 00:00 local time."""

MEMORY_STEP_S, MEMORY, MEMORY_TERMS = 300.0, 0.7, 8
"""AR(1) noise: step in seconds, share kept from one step to the next, terms that count (0.7 ** 8 = 6 % is left out)."""
FRESH = (1.0 - MEMORY**2) ** 0.5
TURNS = np.arange(1, -MEMORY_TERMS, -1, dtype=np.int64)
WEIGHTS = MEMORY ** np.arange(MEMORY_TERMS, dtype=np.float64)


class BehaviourError(Exception):
    """A profile's `behaviour` section cannot be followed; the message names profile, metric and the reason."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How one metric moves and how finely it is written: `decimals` of a number, None for a word."""

    metric: Metric
    curve: Curve
    decimals: int | None


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


def values(parts: tuple[Voice, ...], keys: Keys, seconds: Floats) -> dict[str, Column]:
    """Per metric one column of values for devices `keys` at `seconds` since 1970: numbers, or indices of states."""
    return {voice.metric.name: voice.curve(keys, seconds) for voice in parts}


def day_curve(metric: Metric, section: Mapping[str, Any]) -> Curve:
    """`mean` + `swing` · cos(local hour − `peak`) + AR(1) noise of deviation `noise`, kept inside the legal range."""
    mean, swing, noise = (float(section.get(name, 0.0)) for name in ("mean", "swing", "noise"))
    peak = float(section.get("peak", 14.0))
    places, own = decimals_of(metric, section) or 0, salt("own", metric.name)

    def curve(keys: Keys, seconds: Floats) -> Column:
        level = mean + 0.5 * noise * draw.normal(keys, own)
        moving = level + swing * _wave(seconds, peak) + noise * memory(keys, seconds, metric.name)
        return _keep_inside(np.round(moving, places), metric, places)

    return curve


def count_curve(metric: Metric, section: Mapping[str, Any]) -> Curve:
    """A counter that grows by `rate` per hour, faster around `peak`; devices differ in rate and start."""
    rate, swing = float(section.get("rate", 1.0)), min(float(section.get("swing", 0.5)), 0.95)
    peak, start = (
        float(section.get("peak", 19.0)),
        float(section.get("start", 1000.0 * float(section.get("rate", 1.0)))),
    )
    places, own, begun = decimals_of(metric, section) or 0, salt("rate", metric.name), salt("start", metric.name)

    def curve(keys: Keys, seconds: Floats) -> Column:
        hours = (seconds - COUNTED_FROM_S) / 3600.0
        turn = 2.0 * np.pi / 24.0
        grown = hours + swing / turn * np.sin(
            (hours - peak) * turn
        )  # the integral of 1 + swing·cos, which is never below 0
        mine = rate * (0.5 + draw.uniform(keys, own))
        counted = start * draw.uniform(keys, begun) + mine * (grown + 24.0)
        return _keep_inside(np.floor(counted * 10**places) / 10**places, metric, places)

    return curve


def choice_curve(metric: Metric, section: Mapping[str, Any]) -> Curve:
    """One of the weighted words or numbers, drawn anew every `hold` seconds, each device at its own moment."""
    options = list(section["weights"])
    chances = np.array([float(section["weights"][option]) for option in options], dtype=np.float64)
    hold, purpose, moment = float(section.get("hold", 600.0)), salt("choice", metric.name), salt("moment", metric.name)
    unknown = [option for option in options if metric.states and option not in metric.states]
    if unknown:
        raise ValueError(f"{unknown[0]} is no state; expected {', '.join(metric.states)}")
    chosen = np.array([metric.states.index(option) if metric.states else float(option) for option in options])

    def curve(keys: Keys, seconds: Floats) -> Column:
        turn = np.floor(seconds / hold + draw.uniform(keys, moment)).astype(np.int64)
        return chosen[draw.pick(keys, purpose, turn, chances)]

    return curve


CURVES: Mapping[str, Callable[[Metric, Mapping[str, Any]], Curve]] = {
    "day": day_curve,
    "count": count_curve,
    "choice": choice_curve,
}


def memory(keys: Keys, seconds: Floats, name: str) -> Floats:
    """AR(1) noise of deviation about 1: it remembers the steps before, and runs straight from one step to the next."""
    step = np.floor(seconds / MEMORY_STEP_S)
    part, turn = seconds / MEMORY_STEP_S - step, step.astype(np.int64)
    drawn = FRESH * draw.normal(keys, salt("noise", name), turn + TURNS[:, np.newaxis])
    here = (WEIGHTS[:, np.newaxis] * drawn[1:]).sum(axis=0)
    following = MEMORY * here + drawn[0]
    return np.asarray(here + part * (following - here), dtype=np.float64)


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


def decimals_of(metric: Metric, section: Mapping[str, Any]) -> int | None:
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


def _voice(profile: Profile, metric: Metric, section: Mapping[str, Any] | None) -> Voice:
    chosen = section or default_section(metric)
    try:
        curve = CURVES[chosen["curve"]](metric, chosen)
        return Voice(metric, curve, decimals_of(metric, chosen))
    except (KeyError, ValueError, TypeError) as error:
        raise BehaviourError(f"profile {profile.name}: behaviour of {metric.name}: {error!r}") from error


def _wave(seconds: Floats, peak: float) -> Floats:
    hour = (seconds + LOCAL_OFFSET_S) / 3600.0
    return np.asarray(np.cos((hour - peak) * (2.0 * np.pi / 24.0)), dtype=np.float64)


def _keep_inside(moving: Floats, metric: Metric, places: int) -> Floats:
    """Cut to the legal range; the edge itself is rounded inwards, so that what is written is legal too."""
    scale = 10.0**places
    low, high = np.ceil(metric.low * scale - 1e-6) / scale, np.floor(metric.high * scale + 1e-6) / scale
    return np.asarray(np.clip(moving, low, high), dtype=np.float64)
