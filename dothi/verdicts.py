"""What becomes of messages, as it happens: stored rows, quarantine and the brokers' doors, read from the database.

The cost is bounded: each look reads the newest rows of a few batches, however many there are; what is left out is
counted.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from devices.family import FAMILIES

Kind = Literal["stored", "partial", "rejected", "unknown", "door", "note", "more"]
Connection = psycopg.Connection[Any]

MOST_ROWS = 500
"""Of one look and source."""
MOST_BATCHES = 50
ROWS_OF_BATCH = 20
HOLD_S = 10.0
"""Numbers are given before transactions end: so long a later one is waited for."""
DOOR = ("refused", "denied", "flood", "taken")
OWN = frozenset(("time", "device", "area", "seq", "received", "extra", "boot", "batch"))


class Verdict(NamedTuple):
    """One line. `at`: of receipt; `where`: the family it is stored in, or the topic; `said`: values or the reason."""

    at: datetime
    kind: Kind
    device: str | None
    where: str | None
    said: str


class Wanted(NamedTuple):
    """What is shown. `device`: of one device only; `rejected`: only what was not stored, or not all of it; `unknown`:
    only of devices that nobody enrolled."""

    device: str | None = None
    rejected: bool = False
    unknown: bool = False


class Follower:
    """Numbers of one sequence that are new, each once, though transactions end in another order than they began."""

    def __init__(self) -> None:
        self.after = 0
        self._seen: dict[int, float] = {}

    def new(self, numbers: list[int], now: float) -> set[int]:
        """Those that were not there before; `now`: seconds of any clock."""
        fresh = {number for number in numbers if number not in self._seen}
        self._seen |= dict.fromkeys(fresh, now)
        settled = [number for number, at in self._seen.items() if now - at > HOLD_S]
        if settled:
            self.after = max(self.after, *settled)
            self._seen = {number: at for number, at in self._seen.items() if number > self.after}
        return fresh


BATCHES = """
select batch, family, rows, time_min, time_max from ops.batch
where batch > %(after)s and committed >= %(since)s and (%(family)s::text is null or family = %(family)s)
order by batch desc limit %(most)s
"""
QUARANTINE = """
select id, received, device, topic, reason, field, value, detail from ops.quarantine
where id > %(after)s and received >= %(since)s and (%(device)s::text is null or device = %(device)s)
  and (not %(unknown)s or reason = 'unknown_device')
order by received desc limit %(most)s
"""
EVENTS = """
select id, time, kind, device, message from ops.event
where id > %(after)s and time >= %(since)s and device is not null and (%(device)s::text is null or device = %(device)s)
order by time desc limit %(most)s
"""
FAMILY = """
select p.family from registry.device d join registry.profile p on p.id = d.profile where d.device = %s
"""


class Watch:
    """Follows all three sources from now on."""

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self._batches, self._quarantine, self._events = Follower(), Follower(), Follower()
        # By the database's clock: ours may be another one.
        self._since = connection.execute("select clock_timestamp()").fetchone()[0]  # type: ignore[index]  # one row
        self._family = self._family_of(wanted.device)

    def look(self, now: float) -> list[Verdict]:
        """What came since the last look, oldest first; `now`: seconds of any clock that does not jump."""
        since = max(self._since, self._clock() - timedelta(minutes=2))
        found = [*self._refused(since, now), *self._heard(since, now)]
        if not self._wanted.unknown:
            found += self._stored(since, now)
        return sorted(found, key=lambda one: one.at)

    def _clock(self) -> datetime:
        row = self._connection.execute("select clock_timestamp()").fetchone()
        assert row is not None  # a select of a function always gives a row
        moment: datetime = row[0]
        return moment

    def _family_of(self, device: str | None) -> str | None:
        """The family of the one device that is followed; None for all, or while nobody knows it."""
        row = self._connection.execute(FAMILY, (device,)).fetchone() if device else None
        return row[0] if row else None

    def _stored(self, since: datetime, now: float) -> Iterator[Verdict]:
        wanted = {"after": self._batches.after, "since": since, "family": self._family, "most": MOST_ROWS}
        rows = self._connection.execute(BATCHES, wanted).fetchall()
        fresh = self._batches.new([row[0] for row in rows], now)
        new = [row for row in rows if row[0] in fresh]
        for _, *batch in [(0, *row) for row in new[:MOST_BATCHES]]:
            yield from self._rows(*batch)
        left = sum(row[2] for row in new[MOST_BATCHES:])
        if left and not self._wanted.device:
            yield more(self._clock(), left)

    def _rows(self, batch: int, family: str, rows: int, first: datetime, last: datetime) -> Iterator[Verdict]:
        if family not in FAMILIES:
            return
        statement = sql.SQL(
            "select * from {} where batch = %(batch)s and time between %(first)s and %(last)s"
            " and (%(device)s::text is null or device = %(device)s)"
            " and (not %(partial)s or extra ? 'rejected') limit %(most)s"
        ).format(sql.Identifier("city", family))
        wanted = {"batch": batch, "first": first, "last": last, "device": self._wanted.device}
        wanted |= {"partial": self._wanted.rejected, "most": ROWS_OF_BATCH}
        found = self._connection.cursor(row_factory=dict_row).execute(statement, wanted).fetchall()
        yield from (stored(family, row) for row in found)
        if rows > len(found) == ROWS_OF_BATCH and not self._wanted.device and not self._wanted.rejected:
            yield more(found[-1]["received"], rows - len(found))

    def _refused(self, since: datetime, now: float) -> Iterator[Verdict]:
        wanted = {"after": self._quarantine.after, "since": since, "most": MOST_ROWS}
        wanted |= {"device": self._wanted.device, "unknown": self._wanted.unknown}
        rows = self._connection.execute(QUARANTINE, wanted).fetchall()
        fresh = self._quarantine.new([row[0] for row in rows], now)
        yield from (refused(*row[1:]) for row in rows if row[0] in fresh)

    def _heard(self, since: datetime, now: float) -> Iterator[Verdict]:
        wanted = {"after": self._events.after, "since": since, "device": self._wanted.device, "most": MOST_ROWS}
        rows = self._connection.execute(EVENTS, wanted).fetchall()
        fresh = self._events.new([row[0] for row in rows], now)
        for number, at, kind, device, message in rows:
            if number in fresh and (kind in DOOR or not (self._wanted.rejected or self._wanted.unknown)):
                yield Verdict(at, "door" if kind in DOOR else "note", device, kind, message)


def stored(family: str, row: dict[str, Any]) -> Verdict:
    """A stored row in words: its metrics, then what was refused of it."""
    values = ", ".join(f"{name} {shown(value)}" for name, value in row.items() if name not in OWN and value is not None)
    extra = row["extra"] or {}
    reasons = extra.get("reasons", {})
    bad = ", ".join(f"{name} {extra.get('rejected', {}).get(name)!r} {reason}" for name, reason in reasons.items())
    said = f"{values}; not taken: {bad}" if bad else values
    return Verdict(row["received"], "partial" if bad else "stored", row["device"], family, said)


def shown(value: object) -> str:
    """A value without digits that nobody measured."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def refused(
    at: datetime, device: str | None, topic: str, reason: str, _field: str | None, _value: str | None, detail: str
) -> Verdict:
    """A quarantined message in words."""
    if reason == "unknown_device":
        return Verdict(at, "unknown", device, topic, f"{detail}; or: dothi devices pending")
    return Verdict(at, "rejected", device, topic, f"{reason}: {detail}")


def more(at: datetime, rows: int) -> Verdict:
    """Rows that are not shown."""
    return Verdict(at, "more", None, None, f"… and {rows:,} more stored readings; --device shows those of one device")
