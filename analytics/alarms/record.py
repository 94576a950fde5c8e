"""The record of alarms as the engine sees it: the functions of the database, or their law in memory for a rehearsal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg.types.json import Jsonb

from analytics.alarms.rules import SEVERITIES, Severity

RAISE = "select key, id, happened from ops.raise_alarms(%s)"
CLEAR = "select key from ops.clear_alarms(%s, array(select to_timestamp(u / 1e6) from unnest(%s::float8[]) u))"
LEAVE = "select ops.leave_alarm(%s, %s, to_timestamp(%s / 1e6::float8))"
EVIDENCE = "select ops.add_evidence(%s, %s)"
SPREAD = "select ops.spread_alarm(%s, %s::smallint, %s, %s, to_timestamp(%s / 1e6::float8))"


class Call(NamedTuple):
    """An alarm to be raised, or to be told that it lasts. `at`: µs since 1970 UTC; `members`: devices that come."""

    key: str
    kind: str
    severity: Severity
    rule: str
    device: int | None
    area: int | None
    family: str | None
    at: int
    value: float | None
    message: str
    message_en: str
    cool_down_s: float
    members: Sequence[int] = ()


class Answer(NamedTuple):
    """What became of a call: raised, repeated, grown, reopened or ignored."""

    key: str
    id: int
    happened: str


class Record(Protocol):
    """What the engine asks of it."""

    def call(self, calls: Sequence[Call]) -> list[Answer]:
        """Raise alarms, each key once."""
        ...

    def leave(self, alarm: int, devices: Sequence[int], at: int) -> None:
        """Devices are members no more."""
        ...

    def clear(self, over: Sequence[tuple[str, int]]) -> None:
        """Alarms are over, by key and time."""
        ...

    def evidence(self, alarm: int, pieces: Sequence[dict[str, Any]]) -> None:
        """Add evidence to an alarm, `at` as RFC 3339."""
        ...

    def spread(self, alarm: int, call: Call) -> None:
        """An alarm is about another area than it was, and says so."""
        ...


class Kept:
    """The record in the database, within the caller's transaction."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def call(self, calls: Sequence[Call]) -> list[Answer]:
        """As `Record` says."""
        if not calls:
            return []
        document = [one._asdict() | {"at": instant(one.at), "members": list(one.members) or None} for one in calls]
        return [Answer(*row) for row in self._connection.execute(RAISE, (Jsonb(document),))]

    def leave(self, alarm: int, devices: Sequence[int], at: int) -> None:
        """As `Record` says."""
        self._connection.execute(LEAVE, (alarm, list(devices), at))

    def clear(self, over: Sequence[tuple[str, int]]) -> None:
        """As `Record` says."""
        if over:
            self._connection.execute(CLEAR, ([key for key, _ in over], [float(at) for _, at in over]))

    def evidence(self, alarm: int, pieces: Sequence[dict[str, Any]]) -> None:
        """As `Record` says."""
        self._connection.execute(EVIDENCE, (alarm, Jsonb(list(pieces))))

    def spread(self, alarm: int, call: Call) -> None:
        """As `Record` says."""
        self._connection.execute(SPREAD, (alarm, call.area, call.message, call.message_en, float(call.at)))


def instant(at_us: int) -> str:
    """µs since 1970 as RFC 3339, exactly.

    >>> instant(1_767_225_600_000_001)
    '2026-01-01T00:00:00.000001+00:00'
    """
    from datetime import UTC, datetime, timedelta

    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()


@dataclass
class Rung:
    """An alarm of a rehearsal. `cleared`: None while it lasts."""

    id: int
    call: Call
    severity: Severity
    raised: int
    last: int
    cleared: int | None = None
    devices: set[int] = field(default_factory=set)
    evidence: list[dict[str, Any]] = field(default_factory=list)


class Rehearsed:
    """The record's law in memory: what `dothi alarms check` and the tests of folding raise alarms in."""

    def __init__(self) -> None:
        self.alarms: list[Rung] = []
        self._newest: dict[str, Rung] = {}

    def call(self, calls: Sequence[Call]) -> list[Answer]:
        """As `Record` says."""
        return [self._one(call) for call in calls]

    def _one(self, call: Call) -> Answer:
        known = self._newest.get(call.key)
        if known is None or (known.cleared is not None and call.at >= known.cleared + call.cool_down_s * 1e6):
            known = Rung(len(self.alarms) + 1, call, call.severity, call.at, call.at)
            self.alarms.append(known)
            self._newest[call.key] = known
            happened = "raised"
        elif known.cleared is not None and call.at <= known.cleared:
            return Answer(call.key, known.id, "ignored")
        else:
            grown = SEVERITIES.index(call.severity) > SEVERITIES.index(known.severity)
            happened = "reopened" if known.cleared is not None else "grown" if grown else "repeated"
            known.cleared, known.last = None, max(known.last, call.at)
            if grown:
                known.severity, known.call = call.severity, call
        known.devices |= set(call.members)
        return Answer(call.key, known.id, happened)

    def leave(self, alarm: int, devices: Sequence[int], at: int) -> None:
        """As `Record` says; who was a member is remembered."""

    def clear(self, over: Sequence[tuple[str, int]]) -> None:
        """As `Record` says."""
        for key, at in over:
            known = self._newest.get(key)
            if known is not None and known.cleared is None and at >= known.last:
                known.cleared = at

    def evidence(self, alarm: int, pieces: Sequence[dict[str, Any]]) -> None:
        """As `Record` says."""
        self.alarms[alarm - 1].evidence += pieces

    def spread(self, alarm: int, call: Call) -> None:
        """As `Record` says."""
        known = self.alarms[alarm - 1]
        known.call = known.call._replace(area=call.area, message=call.message, message_en=call.message_en)
