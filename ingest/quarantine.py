"""Quarantine: what could not become a reading, kept with its reason, within bounds.

Of one payload 64 KiB are kept; of one device and day 1,000 payloads. A day is a day in Asia/Ho_Chi_Minh, as it is for
everyone who works with the platform. What the quota cuts is counted: in the ledger (quarantined, cut), and by device
and day. Ids that are not enrolled have a quota too, but only the first hundred of a day one each; all others share one,
so that inventing ids does not fill the disk.
"""

from collections import Counter
from datetime import date, timedelta, timezone
from typing import Any, NamedTuple

import psycopg

from devices.rejected import Reason
from ingest.batch import Ledger, ledger_key
from ingest.batch import Quarantined as Entry
from ingest.copies import Copy, copy_one
from ingest.pack_refused import STATEMENT, pack_refused, printable
from ingest.parameters import integers, texts

QUOTA = 1_000
"""Payloads kept of one device and day."""
UNKNOWN_IDS = 100
"""Ids that are not enrolled and have a quota of their own, per day."""
LONGEST_ID = 64
OTHERS = ""
"""Stands for all ids without a quota of their own."""
DAYS = 30
"""Retention."""
LOCAL = timezone(timedelta(hours=7))  # Asia/Ho_Chi_Minh, without daylight saving since 1975
DAY_US, AHEAD_US = 86_400_000_000, 7 * 3_600_000_000
ENROLLED = frozenset((Reason.WRONG_AREA, Reason.RETIRED_DEVICE))
"""Refused before a profile was asked, and yet of devices that somebody enrolled."""

Connection = psycopg.AsyncConnection[Any]


class Line(NamedTuple):
    """What one quota is counted on. `day`: days since 1970 in Asia/Ho_Chi_Minh."""

    day: int
    claimed: str


async def quarantine(connection: Connection, entries: list[Entry], number: int, ledger: Ledger) -> None:
    """Keep what the quotas let be kept; book the rest as cut."""
    if not entries:
        return
    lines = lines_of(entries)
    doubtful = {line for entry, line in zip(entries, lines, strict=True) if may_be_stranger(entry) and line.claimed}
    strangers: set[Line] = set()
    if doubtful:
        strangers, others = await sort_out(connection, doubtful)
        lines = [Line(line.day, OTHERS) if line in others else line for line in lines]
    short = await take_quota(connection, Counter(lines), strangers)
    await keep(connection, within(entries, lines, short, ledger) if short else entries, number)


def lines_of(entries: list[Entry]) -> list[Line]:
    """The line that each entry counts on; one object for each line."""
    made: dict[tuple[int, str], Line] = {}
    lines, arrival, day = [], None, 0
    for entry in entries:
        if entry.origin.arrival is not arrival:
            arrival = entry.origin.arrival
            day = local_day(arrival.received)
        key = (day, claimed(entry.device))
        lines.append(made.get(key) or made.setdefault(key, Line(*key)))
    return lines


def within(entries: list[Entry], lines: list[Line], short: dict[Line, int], ledger: Ledger) -> list[Entry]:
    """The entries to keep. `short`: lines that have not room for all, and for how many they have; `ledger` takes in
    what is cut."""
    kept = []
    for entry, line in zip(entries, lines, strict=True):
        room = short.get(line)
        if room is None:
            kept.append(entry)
        elif room > 0:
            short[line] = room - 1
            kept.append(entry)
        else:
            ledger[ledger_key(entry.origin.arrival)].cut += 1
    return kept


# Told is who has a line of its own: enrolled after all, known as a stranger, or among the first strangers of the day.
SORT_OUT = """
with asked as (
    select i.claimed, exists (select from registry.device d where d.device = i.claimed) as enrolled, q.stranger
    from unnest(%(ids)s::text[]) as i (claimed)
    left join ops.quarantine_quota q on q.day = %(day)s and q.claimed = i.claimed
), ranked as (
    select claimed, enrolled, stranger is not null as known,
        row_number() over (partition by enrolled order by stranger is not null desc, claimed) as place
    from asked
)
select claimed, enrolled from ranked
where enrolled or known
    or place + (select count(*) from ops.quarantine_quota s where s.day = %(day)s and s.stranger) <= %(most)s
"""


async def sort_out(connection: Connection, lines: set[Line]) -> tuple[set[Line], set[Line]]:
    """Of lines whose id may not be enrolled: the strangers with a quota of their own, and those who share one."""
    strangers, others = set[Line](), set(lines)
    for day in sorted({line.day for line in lines}):
        names = [line.claimed for line in lines if line.day == day]
        cursor = await connection.execute(SORT_OUT, {"ids": texts(names), "day": day_of(day), "most": UNKNOWN_IDS})
        for name, enrolled in await cursor.fetchall():
            others.discard(Line(day, name))
            if not enrolled:
                strangers.add(Line(day, name))
    return strangers, others


TAKE_QUOTA = """
with taken as (
    insert into ops.quarantine_quota as q (day, claimed, total, kept, stranger)
    select date '1970-01-01' + day::int, claimed, n, least(n, %(quota)s), stranger > 0
    from unnest(%(days)s, %(claimed)s, %(counts)s, %(strangers)s) as w (day, claimed, n, stranger)
    on conflict (day, claimed) do update set total = q.total + excluded.total,
        kept = q.kept + greatest(0, least(excluded.total, %(quota)s - q.total))
    returning day, claimed, total
)
select day - date '1970-01-01', claimed, total from taken where total > %(quota)s
"""


async def take_quota(connection: Connection, wanted: Counter[Line], strangers: set[Line]) -> dict[Line, int]:
    """Count on each line; returns those that have not room for all payloads, and for how many they have. In order, so
    that workers never wait for each other crosswise."""
    lines = sorted(wanted)
    cursor = await connection.execute(
        TAKE_QUOTA,
        {
            "days": integers([line.day for line in lines]),
            "claimed": texts([line.claimed for line in lines]),
            "counts": integers([wanted[line] for line in lines]),
            "strangers": integers([line in strangers for line in lines]),
            "quota": QUOTA,
        },
    )
    spent = {Line(day, name): total for day, name, total in await cursor.fetchall()}
    return {line: max(0, wanted[line] - (total - QUOTA)) for line, total in spent.items()}


async def keep(connection: Connection, entries: list[Entry], number: int) -> None:
    """Store entries with their reasons."""
    if entries:
        await copy_one(connection, Copy(STATEMENT, pack_refused(entries, number)))


def may_be_stranger(entry: Entry) -> bool:
    """Whether nobody may have enrolled it."""
    return entry.profile is None and entry.rejected.reason not in ENROLLED


def claimed(device: str | None) -> str:
    """The id that was claimed, as far as it can be an id."""
    name = printable(device) if device else OTHERS
    return name if len(name) <= LONGEST_ID else OTHERS


def local_day(received_us: int) -> int:
    """The day of receipt.

    >>> local_day(1_763_657_999_999_999), local_day(1_763_658_000_000_000)  # 2025-11-20 and 21, at midnight in Vietnam
    (20412, 20413)
    """
    return (received_us + AHEAD_US) // DAY_US


def day_of(days: int) -> date:
    """A day as a date."""
    return date(1970, 1, 1) + timedelta(days=days)


def purge(connection: psycopg.Connection[Any], days: int = DAYS) -> dict[str, int]:
    """Forget what is older than so many days, as the owner; returns how many chunks and rows went, by what they were.

    Quarantine goes chunk by chunk (seven days each), when the newest reading in the chunk is that old.
    """
    gone = {"quarantine_chunks": len(connection.execute(DROP_CHUNKS, (days,)).fetchall())}
    for name, statement in FORGET.items():
        gone[name] = connection.execute(statement, (days,)).rowcount
    return gone


DROP_CHUNKS = "select drop_chunks('ops.quarantine', older_than => make_interval(days => %s))"
FORGET = {
    "quota_lines": "delete from ops.quarantine_quota where day < current_date - %s",
    "settled_lines": "delete from ops.settled where at < now() - make_interval(days => %s)",
    # Batches that some consumer has still to take stay, however old.
    "batches": "delete from ops.batch b where b.committed < now() - make_interval(days => %s)"
    " and b.xid <= coalesce((select c.xid from ops.consumer c order by c.xid limit 1), b.xid)",
}
