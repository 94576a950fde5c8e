"""Thresholds of profiles and rules as arrays by device model, for the detectors of limits."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analytics.alarms.rules import SHIPPED, Rules, read
from analytics.detectors.rows import Fleet, Floats, Ints
from devices.alarm import Alarm
from devices.family import Family, Metric
from devices.profile import PROFILES

MODELS: tuple[str, ...] = tuple(PROFILES)
"""Profiles by the number that a fleet gives them; -1 is a profile that is not known here."""


class Arrays(NamedTuple):
    """Of one family and severity, models × judged metrics; the last row is of models without any limit.

    Limits that are not there are infinite, so that no value is beyond them. States are bits by their number.
    """

    high_raise: Floats
    high_clear: Floats
    high_for_s: Floats
    low_raise: Floats
    low_clear: Floats
    low_for_s: Floats
    state_raise: Ints
    state_clear: Ints
    states: bool
    native: int  # the model of a fleet that does not say

    def models(self, fleet: Fleet) -> Ints:
        """By slot."""
        return fleet.model if fleet.model is not None else np.full(fleet.size, self.native, np.int16)


class Limits:
    """Which alarms each model has: those of its profile, but a rule's in place of one with the same code."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._own: dict[str, dict[str, Alarm]] = {}
        self._judged: dict[tuple[str, str], list[int]] = {}
        for rule in rules.limits():
            made = rule.alarm()
            self._own.setdefault(rule.family, {})[made.code] = made

    def alarms(self, family: Family, model: str) -> Iterator[Alarm]:
        """Those of a model, each code once."""
        own = self._own.get(family.name, {})
        yield from own.values()
        for alarm in PROFILES[model].alarms:
            if alarm.code not in own:
                yield alarm

    def judged(self, family: Family, severity: str) -> list[int]:
        """Places of the metrics that have a limit of a severity in any model of the family."""
        key = (family.name, severity)
        if key not in self._judged:
            alarms = (alarm for model in models_of(family.name) for alarm in self.alarms(family, model))
            found = {family.index[alarm.metric.name] for alarm in alarms if alarm.severity == severity}
            self._judged[key] = sorted(found)
        return self._judged[key]

    def of(self, family: Family, severity: str, judged: Sequence[int]) -> Arrays:
        """The arrays for metrics at these places."""
        size, columns = (
            (len(MODELS) + 1, len(judged)),
            {family.metrics[place].name: n for n, place in enumerate(judged)},
        )
        native = f"native-{family.name.replace('_', '-')}"
        arrays = Arrays(
            *(np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size)),
            *(np.full(size, -np.inf), np.full(size, np.inf), np.zeros(size)),
            *(np.zeros(size, np.int64), np.zeros(size, np.int64)),
            any(family.metrics[place].kind == "state" for place in judged),
            MODELS.index(native) if native in MODELS else -1,
        )
        for model in models_of(family.name):
            for alarm in self.alarms(family, model):
                if alarm.severity == severity and alarm.metric.name in columns:
                    put(arrays, MODELS.index(model), columns[alarm.metric.name], alarm)
        return arrays

    def alarm_of(self, family: Family, model: str, metric: str, side: str, severity: str) -> Alarm | None:
        """The alarm that a finding of a limit is of."""
        if model not in PROFILES:
            return None
        code = f"{metric}-{side}-{severity}"
        return next((alarm for alarm in self.alarms(family, model) if alarm.code == code), None)


def put(arrays: Arrays, model: int, column: int, alarm: Alarm) -> None:
    """Write an alarm of a model where it belongs."""
    at = (model, column)
    if alarm.when == "in":
        arrays.state_raise[at], arrays.state_clear[at] = (
            bits(alarm.metric, alarm.raise_states),
            bits(alarm.metric, alarm.clear_states),
        )
        arrays.high_for_s[at] = alarm.for_s
        return
    high = alarm.when == ">"
    columns = (
        (arrays.high_raise, arrays.high_clear, arrays.high_for_s)
        if high
        else (arrays.low_raise, arrays.low_clear, arrays.low_for_s)
    )
    assert alarm.raise_at is not None  # of a comparison
    assert alarm.clear_at is not None
    for column_of, value in zip(columns, (alarm.raise_at, alarm.clear_at, alarm.for_s), strict=True):
        column_of[at] = value


def bits(metric: Metric, states: frozenset[str]) -> int:
    """Of the places of states; at most 63 of a metric."""
    return sum(1 << metric.states.index(state) for state in states)


@cache
def models_of(family: str) -> tuple[str, ...]:
    """Profiles of a family that have alarms, or could have those of rules."""
    return tuple(name for name, profile in PROFILES.items() if profile.family.name == family)


_chosen: list[Path] = []


def use(path: Path | None) -> Limits:
    """Let the rules of a file hold in this process; None: those that come along. Raises RulesRefused."""
    made = Limits(read(path or SHIPPED))
    _chosen[:] = [] if path is None else [path]
    _made.cache_clear()
    return made


@cache
def _made() -> Limits:
    return Limits(read(_chosen[0] if _chosen else SHIPPED))


def in_use() -> Limits:
    """Those of the rules in use."""
    return _made()
