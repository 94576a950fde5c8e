"""What becomes of messages, as it happens: stored rows, quarantine and the brokers' doors, read from the database.

The cost is bounded: each look reads some rows of a few batches, however many there are; what is left out is counted.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from devices.family import FAMILIES
from dothi.settled import Counts, Settled

Kind = Literal["stored", "partial", "rejected", "unknown", "door", "note", "more"]
Connection = psycopg.Connection[Any]

MOST_ROWS = 1_000
"""Of one look and source, read."""
MOST_SHOWN = 20
"""Of one look and source, of all devices together: people read no faster."""
MOST_BATCHES = 5_000
MOST_OPENED = 50
COUNT_EVERY_S = 1.0
LATE = timedelta(minutes=2)
"""So long after its receipt a row may be committed and still be shown."""
HOLD_S = 10.0
"""Numbers are given before transactions end: so long a later one is waited for."""
DOOR = ("refused", "denied", "flood", "taken", "spoof")
OWN = frozenset(("time", "device", "area", "seq", "received", "extra", "boot", "batch"))


class Verdict(NamedTuple):
    """One line. `at`: of receipt; `where`: the family it is stored in, or the topic; `said`: values or the reason.

    `stands_for`: readings; of a line `more` those that are not shown.
    """

    at: datetime
    kind: Kind
    device: str | None
    where: str | None
    said: str
    stands_for: int = 1


class Batch(NamedTuple):
    """A stored batch of one family; times of its readings."""

    batch: int
    family: str
    first: datetime
    last: datetime


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
select batch, family, time_min, time_max from ops.batch
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
ROWS = """
select * from {} where batch = any(%(batches)s) and time between %(first)s and %(last)s
  and (%(device)s::text is null or device = %(device)s) and (not %(partial)s or extra ? 'rejected') limit %(most)s
"""
FAMILY = """
select p.family from registry.device d join registry.profile p on p.id = d.profile where d.device = %s
"""


class Watch:
    """Follows all three sources from now on. What is not shown is counted, by the ledger."""

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self._batches, self._quarantine, self._events = Follower(), Follower(), Follower()
        # By the database's clock: ours may be another one.
        self._since = self._looked = self._clock()
        self._family = self._family_of(wanted.device)
        self._settled = None if wanted.device or wanted.unknown else Settled(connection, self._since)
        self._told = Counts()
        self._told_at = float("-inf")

    def look(self, now: float, last: bool = False) -> list[Verdict]:
        """What came since the last look, oldest first; `now`: seconds of any clock that does not jump. What is left out
        is counted once a second, and at the `last` look."""
        clock = self._clock()
        since = max(self._since, self._looked - LATE)
        settled = self._settled.look(clock) if self._settled else None
        found = [*self._refused(since, now), *self._heard(since, now)]
        if not self._wanted.unknown:
            found += self._stored(since, now)
        self._looked = clock
        found.sort(key=lambda one: one.at)
        self._told = self._told.plus(counted(found))
        if settled and (last or now - self._told_at >= COUNT_EVERY_S):
            self._told_at = now
            found += self._left(clock, settled)
        return found

    def _left(self, clock: datetime, settled: Counts) -> Iterator[Verdict]:
        """What came and was not shown."""
        left = settled.minus(self._told)
        if self._wanted.rejected:
            left = left._replace(stored=left.partial)
        self._told = self._told.plus(left)
        if left.stored or left.quarantined:
            what = "stored in part" if self._wanted.rejected else "stored"
            said = (
                f"… {left.stored:,} more readings {what}, {left.quarantined:,} more rejected; --device shows one device"
            )
            yield Verdict(clock, "more", None, None, said, left.stored + left.quarantined)

    def _clock(self) -> datetime:
        row = self._connection.execute("select clock_timestamp()").fetchone()
        assert row is not None  # a select of a function always gives a row
        moment: datetime = row[0]
        return moment

    def _family_of(self, device: str | None) -> str | None:
        """The family of the one device that is followed; None for all, or while nobody knows it."""
        row = self._connection.execute(FAMILY, (device,)).fetchone() if device else None
        return row[0] if row else None

    def _stored(self, since: datetime, now: float) -> list[Verdict]:
        if self._wanted.device and self._family is None:
            self._family = self._family_of(self._wanted.device)
        if self._wanted.device and self._family is None:
            return []
        wanted = {"after": self._batches.after, "since": since, "family": self._family, "most": MOST_BATCHES}
        rows = [Batch(*row) for row in self._connection.execute(BATCHES, wanted).fetchall()]
        fresh = self._batches.new([one.batch for one in rows], now)
        new = [one for one in rows if one.batch in fresh and one.family in FAMILIES]
        if self._wanted.device:
            return self._rows(new, MOST_ROWS) if new else []
        found: list[Verdict] = []
        for one in new[:MOST_OPENED]:
            if len(found) >= MOST_SHOWN:
                break
            found += self._rows([one], max(MOST_SHOWN // len(new), 2))
        return found

    def _rows(self, batches: list[Batch], most: int) -> list[Verdict]:
        """Rows of batches of one family."""
        family = batches[0].family
        statement = sql.SQL(ROWS).format(sql.Identifier("city", family))
        wanted: dict[str, Any] = {
            "batches": [one.batch for one in batches],
            "device": self._wanted.device,
            "most": most,
        }
        wanted |= {"first": min(one.first for one in batches), "last": max(one.last for one in batches)}
        wanted["partial"] = self._wanted.rejected
        found = self._connection.cursor(row_factory=dict_row).execute(statement, wanted).fetchall()
        shown = [stored(family, row) for row in found]
        if self._wanted.device and len(found) == most:
            shown.append(Verdict(found[-1]["received"], "more", None, None, f"… more than {most} readings at once"))
        return shown

    def _refused(self, since: datetime, now: float) -> Iterator[Verdict]:
        wanted = {"after": self._quarantine.after, "since": since, "most": MOST_ROWS}
        wanted |= {"device": self._wanted.device, "unknown": self._wanted.unknown}
        rows = self._connection.execute(QUARANTINE, wanted).fetchall()
        fresh = self._quarantine.new([row[0] for row in rows], now)
        new = [row for row in rows if row[0] in fresh]
        most = MOST_ROWS if self._wanted.device else MOST_SHOWN
        yield from (refused(*row[1:]) for row in new[:most])
        if self._settled is None and (len(new) > most or len(new) == MOST_ROWS):
            yield Verdict(new[-1][1], "more", None, None, f"… {len(new) - most:,} or more others rejected")

    def _heard(self, since: datetime, now: float) -> Iterator[Verdict]:
        wanted = {"after": self._events.after, "since": since, "device": self._wanted.device, "most": MOST_ROWS}
        rows = self._connection.execute(EVENTS, wanted).fetchall()
        fresh = self._events.new([row[0] for row in rows], now)
        for number, at, kind, device, message in rows:
            if number in fresh and (kind in DOOR or not (self._wanted.rejected or self._wanted.unknown)):
                yield Verdict(at, "door" if kind in DOOR else "note", device, kind, message)


def counted(found: list[Verdict]) -> Counts:
    """What is shown, as the ledger counts it."""
    kinds = Counter(one.kind for one in found)
    return Counts(kinds["stored"] + kinds["partial"], kinds["partial"], kinds["rejected"] + kinds["unknown"])


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
