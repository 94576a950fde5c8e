"""What a query answers, as Grafana's panels see it: named columns, and one column per series where it is about time."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from dashboards.macros import Range, seconds

Kind = Literal["number", "string", "time", "boolean", "other"]
FILL = re.compile(r"\$__timeGroup(?:Alias)?\([^)]*?,([^),]*),([^),]*)\)")


@dataclass(frozen=True, slots=True)
class Field:
    """One column; `labels` tell the series of a long answer apart."""

    name: str
    values: list[Any]
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """By the first value that is there; a column of nothing is taken for numbers, as Grafana does for NULL."""
        known = next((value for value in self.values if value is not None), None)
        match known:
            case bool():
                return "boolean"
            case None | int() | float():
                return "number"
            case datetime():
                return "time"
            case str():
                return "string"
        return "other"


@dataclass(frozen=True, slots=True)
class Frame:
    """Columns of equal length."""

    fields: list[Field]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.fields[0].values) if self.fields else 0

    def named(self, name: str) -> Field | None:
        """The column of that name, if there is one."""
        return next((one for one in self.fields if one.name == name), None)


def plain(value: Any) -> Any:
    """A value of the database as a panel sees it: decimals are floats, days and seconds of an interval are seconds."""
    match value:
        case Decimal():
            value = float(value)
        case timedelta():
            value = value.total_seconds()
        case datetime() if value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        case date() if not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case list() | tuple() | dict() | memoryview() | bytes():
            return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def frame_of(names: Sequence[str], rows: Iterable[Sequence[Any]], form: str) -> Frame:
    """The frame of an answer, without columns where it has no rows; `form` is the query's, `table` or `time_series`."""
    columns = [[plain(value) for value in column] for column in zip(*rows, strict=True)]
    frame = Frame([Field(name, column) for name, column in zip(names, columns, strict=False)])
    return wide(frame) if form == "time_series" else frame


def wide(frame: Frame) -> Frame:
    """One column per series from rows of (time, labels …, values …), in order of time."""
    clock = next((one for one in frame.fields if one.name == "time"), None)
    labels = [one for one in frame.fields if one.kind == "string"]
    values = [one for one in frame.fields if one is not clock and one not in labels]
    if clock is None or not labels:
        return frame
    times = sorted(set(clock.values))
    place = {moment: at for at, moment in enumerate(times)}
    series: dict[tuple[str, tuple[Any, ...]], list[Any]] = {}
    for row, moment in enumerate(clock.values):
        of = tuple(label.values[row] for label in labels)
        for value in values:
            column = series.setdefault((value.name, of), [None] * len(times))
            column[place[moment]] = value.values[row]
    made = [
        Field(name, column, {label.name: str(text) for label, text in zip(labels, of, strict=True)})
        for (name, of), column in series.items()
    ]
    if len(frame.fields) == 3 and labels[0].name == "metric":
        made = [Field(one.labels["metric"], one.values) for one in made]
    return Frame([Field("time", times), *made])


def filled(frame: Frame, sql: str, time: Range, interval_ms: int) -> Frame:
    """A time series with the rows that `$__timeGroup(…, …, fill)` asks for: NULL or a number where no row is."""
    asked = FILL.search(sql)
    clock = frame.named("time")
    if not asked or clock is None or not clock.values:
        return frame
    wish, size = asked[2].strip(), asked[1].strip()
    step_s = interval_ms / 1000 if size == "$__interval" else seconds(size)
    missing = missing_times(set(clock.values), time, step_s)
    fill = [None if wish in ("NULL", "previous") else float(wish)] * len(missing)
    columns = [Field("time", [*clock.values, *missing])]
    columns += [Field(one.name, [*one.values, *fill], one.labels) for one in frame.fields[1:]]
    order = sorted(range(len(columns[0].values)), key=columns[0].values.__getitem__)
    return Frame([Field(one.name, [one.values[at] for at in order], one.labels) for one in columns])


def missing_times(known: set[datetime], time: Range, step_s: float) -> list[datetime]:
    """The beginnings of buckets of a time range that no row has."""
    first = math.floor(time.start.timestamp() / step_s) * step_s
    number = int((time.end.timestamp() - first) // step_s) + 1
    due = (datetime.fromtimestamp(first + n * step_s, UTC) for n in range(number))
    return [moment for moment in due if moment not in known]
