"""How scenario files say things: durations, moments, numbers, words; and the one way in which they are refused."""

import math
import re
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from simulators.effects.kinds import SECONDS, Parameter
from simulators.plan import PlanError

LOCAL = timezone(timedelta(hours=7))
"""Asia/Ho_Chi_Minh is UTC+7 all year."""
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
DURATION = re.compile(r"(-?\d+(?:\.\d+)?)\s*(s|min|h|d|%)")
CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
DURATIONS = "90 s, 10 min, 2 h, 1 d or 25 % of the run"


class ScenarioError(PlanError):
    """A scenario cannot be played; the message names file, entry, value and what is allowed."""


class Entry(NamedTuple):
    """Where in which file something stands, for whoever reads the refusal."""

    file: str
    name: str | None = None

    def wrong(self, key: str, value: Any, allowed: str) -> ScenarioError:
        """The refusal of a value."""
        place = f"{self.file}: " + (f"event {self.name}: " if self.name else "")
        return ScenarioError(f"{place}{key}{'' if value is None else ' ' + shown(value)}; allowed: {allowed}")


class Run(NamedTuple):
    """When a city speaks. `start`: s since 1970; `seconds`: how long, None without end; `speed`: as the city's."""

    start: float
    seconds: float | None
    speed: float = 1.0

    @property
    def end(self) -> float:
        """s since 1970."""
        return math.inf if self.seconds is None else self.start + self.seconds


def seconds_in(entry: Entry, key: str, value: Any, run: Run) -> float:
    """A duration in seconds. Raises ScenarioError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    found = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise entry.wrong(key, value, DURATIONS)
    if found[2] != "%":
        return float(found[1]) * UNITS[found[2]]
    if run.seconds is None:
        raise entry.wrong(key, value, "a share only of a run that ends; say s, min, h or d")
    return float(found[1]) / 100.0 * run.seconds


def moment_in(entry: Entry, value: Any, run: Run) -> float:
    """When an event starts, s since 1970: so long after the start of the run, or at the next such local time."""
    clock = CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if not clock:
        after = seconds_in(entry, "start", value, run)
        if after < 0:
            raise entry.wrong("start", value, f"from 0; {DURATIONS}, or a local time as 17:30")
        return run.start + after
    begins = datetime.fromtimestamp(run.start, LOCAL)
    moment = begins.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
    return (moment if moment >= begins else moment + timedelta(days=1)).timestamp()


def parameter_in(entry: Entry, key: str, asked: Parameter, value: Any, run: Run) -> Any:
    """A parameter as its kind takes it: a number, s, a word, or a list of numbers. Raises ScenarioError."""
    if asked.unit in ("metric", "word"):
        if not isinstance(value, str) or (asked.words and value not in asked.words):
            raise entry.wrong(key, value, " or ".join(asked.words) or "the name of a metric")
        return value
    if isinstance(asked.default, tuple):
        return levels_in(entry, key, asked, value)
    number = seconds_in(entry, key, value, run) if asked.unit == SECONDS else value
    return number_in(entry, key, asked, number, value)


def number_in(entry: Entry, key: str, asked: Parameter, number: Any, said: Any) -> float:
    """A number within its limits; one that must be said must also do something, so it is not 0."""
    wrong = isinstance(number, bool) or not isinstance(number, int | float) or not asked.low <= number <= asked.high
    if wrong or (number == 0 and asked.default is None):
        but = ", but not 0" if asked.default is None else ""
        raise entry.wrong(key, said, f"{asked.low:g} to {asked.high:g} {asked.unit}{but}")
    return float(number)


def levels_in(entry: Entry, key: str, asked: Parameter, value: Any) -> list[float]:
    """As many numbers as the default has, each above the one before."""
    count = len(asked.default)
    listed = list(value) if isinstance(value, list | tuple) else []
    plain = all(isinstance(one, int | float) and not isinstance(one, bool) for one in listed)
    if len(listed) != count or not plain or sorted(set(listed)) != listed:
        raise entry.wrong(key, value, f"{count} numbers in {asked.unit}, each above the one before")
    return [number_in(entry, key, asked, one, value) for one in listed]


def known_keys(entry: Entry, document: Any, allowed: set[str], what: str = "key") -> dict[str, Any]:
    """The mapping if it has no key beyond those allowed. Raises ScenarioError."""
    if not isinstance(document, dict):
        raise entry.wrong(what, document, f"a mapping of {', '.join(sorted(allowed))}")
    for key in document:
        if key not in allowed:
            raise entry.wrong(what, key, ", ".join(sorted(allowed)))
    return document


def shown(value: Any) -> str:
    """A value on one line, however long or odd it is."""
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else text[:79] + "…"
