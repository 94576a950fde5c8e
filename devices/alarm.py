"""Default alarms of a profile: when one is raised, and when it may clear again. Nothing here watches a reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from devices.family import Family, Label, Metric

When = Literal[">", "<", "in"]
Severity = Literal["critical", "major", "minor", "warning"]
SIDE: dict[When, str] = {">": "high", "<": "low", "in": "state"}
ALARM_KEYS = frozenset(("metric", "when", "raise", "clear", "for_s", "severity", "title"))


@dataclass(frozen=True, slots=True)
class Alarm:
    """Raised when the metric has been above (`>`) or below (`<`) `raise_at`, or `in` one of `raise_states`, for
    `for_s` seconds; cleared when it is back past `clear_at`, or in one of `clear_states`. Units are the metric's.

    The distance from `raise_at` to `clear_at` is the hysteresis that keeps an alarm from coming and going
    (IEC 62682, deadband). A state that is in neither list changes nothing. Severities are those of ITU-T X.733.
    """

    metric: Metric
    when: When
    raise_at: float | None
    clear_at: float | None
    raise_states: frozenset[str]
    clear_states: frozenset[str]
    for_s: float
    severity: Severity
    title: Label

    @property
    def code(self) -> str:
        """What tells it from the profile's other alarms, as `pm25-high-major`."""
        return f"{self.metric.name}-{SIDE[self.when]}-{self.severity}"


def alarms_from(family: Family, entries: list[dict[str, Any]]) -> tuple[Alarm, ...]:
    """The alarms of a profile. Raises KeyError, TypeError, ValueError on a faulty or a repeated one."""
    alarms = tuple(alarm_from(family, entry) for entry in entries)
    codes = [alarm.code for alarm in alarms]
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise ValueError(f"two alarms are {repeated[0]}; expected one per metric, side and severity")
    return alarms


def alarm_from(family: Family, entry: dict[str, Any]) -> Alarm:
    """The alarm that an entry of a profile describes. Raises KeyError, TypeError, ValueError on a faulty one."""
    name = entry["metric"]
    if name not in family.index:
        raise ValueError(f"alarm on {name}: {family.name} has no such metric; expected {', '.join(family.index)}")
    metric, when, severity = family.metrics[family.index[name]], entry["when"], entry["severity"]
    unknown = sorted(entry.keys() - ALARM_KEYS)
    if unknown:
        raise ValueError(f"alarm on {name}: unknown key {unknown[0]}; expected {', '.join(sorted(ALARM_KEYS))}")
    if when not in whens(metric):
        raise ValueError(f"alarm on {name}: when is {when}; expected {' or '.join(whens(metric))} for a {metric.kind}")
    if severity not in get_args(Severity):
        raise ValueError(f"alarm on {name}: severity is {severity}; expected {', '.join(get_args(Severity))}")
    for_s = number(name, "for_s", entry.get("for_s", 0))
    if for_s < 0:
        raise ValueError(f"alarm on {name}: for_s is {for_s:g}; expected seconds from 0")
    raised, cleared = words(metric, entry) if when == "in" else (frozenset[str](), frozenset[str]())
    return Alarm(
        metric=metric,
        when=when,
        raise_at=None if when == "in" else number(name, "raise", entry["raise"]),
        clear_at=None if when == "in" else number(name, "clear", entry["clear"]),
        raise_states=raised,
        clear_states=cleared,
        for_s=for_s,
        severity=severity,
        title={"vi": entry["title"]["vi"], "en": entry["title"]["en"]},
    )


def whens(metric: Metric) -> tuple[When, ...]:
    """The comparisons that a metric's kind allows; a counter only grows, so that no limit can clear again."""
    return {"state": ("in",), "gauge": (">", "<"), "counter": ()}[metric.kind]  # type: ignore[return-value]


def words(metric: Metric, entry: dict[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The states that raise and those that clear: all others unless the entry names them."""
    raised = frozenset(listed(metric, "raise", entry["raise"]))
    rest = [state for state in metric.states if state not in raised]
    return raised, frozenset(listed(metric, "clear", entry.get("clear", rest)))


def listed(metric: Metric, key: str, states: Any) -> list[str]:
    """A list of states of the metric. Raises ValueError."""
    if not isinstance(states, list) or not states or not all(state in metric.states for state in states):
        raise ValueError(f"alarm on {metric.name}: {key} is {states}; expected a list of {', '.join(metric.states)}")
    return states


def number(name: str, key: str, value: Any) -> float:
    """A number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"alarm on {name}: {key} is {value}; expected a number")
    return float(value)


def alarm_problems(alarm: Alarm) -> Iterator[str]:
    """Why an alarm could never be raised, never clear, or would come and go with every reading."""
    metric, up, down = alarm.metric, alarm.raise_at, alarm.clear_at
    for language, text in alarm.title.items():
        if not str(text).strip():
            yield f"{alarm.code}: title.{language} is empty"
    if up is None or down is None:
        if alarm.raise_states & alarm.clear_states or not alarm.clear_states:
            yield f"{alarm.code}: clear needs a state, and none that raises"
        return
    for key, limit in (("raise", up), ("clear", down)):
        if not metric.low < limit < metric.high:
            yield f"{alarm.code}: {key} {limit:g} is not inside {metric.low:g} to {metric.high:g} {metric.unit}"
    if (down >= up) if alarm.when == ">" else (down <= up):
        side = "below" if alarm.when == ">" else "above"
        yield f"{alarm.code}: clear {down:g} must lie {side} raise {up:g}, or it comes and goes with every reading"
