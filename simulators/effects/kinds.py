"""The kinds of happenings: what a scenario's entry may say, and which alarms an operations centre should then see."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from simulators.effects.event import Event
from simulators.fleet import Fleet
from simulators.scenario import Alarm, Effect

SECONDS = "s"
"""The unit of a parameter that is written as a duration: `90 s`, `10 min`, `2 h`, `25 %` of the run."""

MOST_S = 30 * 86_400.0
"""The longest duration of a parameter, s."""


class Parameter(NamedTuple):
    """A parameter of a kind. `unit`: UCUM, `s` for a duration, a word's kind otherwise.

    `default`: None where it must be said. `low`, `high`: allowed, both included. `words`: the allowed words.
    """

    unit: str
    default: Any
    low: float
    high: float
    meaning: str
    words: tuple[str, ...] = ()


Expected = Callable[[Mapping[str, Any]], tuple[Alarm, ...]]


class Sort(NamedTuple):
    """A kind of happening. `families`: those it is about unless an entry says otherwise, None for all.

    `holds`: what no two events may hold of one device at a time, None where they may. `few`: how many devices it is
    about unless the entry says, None for all of the place.
    """

    meaning: str
    families: tuple[str, ...] | None
    parameters: Mapping[str, Parameter]
    alarms: Expected
    make: Callable[[Event, Fleet], Effect]
    holds: str | None = None
    few: int | None = None


def always(*alarms: Alarm) -> Expected:
    """The same alarms whatever the parameters."""
    return lambda _given: alarms


def number(unit: str, default: float | None, low: float, high: float, meaning: str) -> Parameter:
    """A number."""
    return Parameter(unit, default, low, high, meaning)


def share(default: float, meaning: str) -> Parameter:
    """A number from 0 to 1."""
    return Parameter("1", default, 0.0, 1.0, meaning)


def duration(default: str, meaning: str, *, least: float = 0.0) -> Parameter:
    """A time in seconds, or as a text."""
    return Parameter(SECONDS, default, least, MOST_S, meaning)
