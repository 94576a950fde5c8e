"""Quarantine: what could not become a reading, kept with its reason, within bounds.

Of one payload 64 KiB are kept; of one device and day 1,000 payloads. A day is a day in Asia/Ho_Chi_Minh, as it is for
everyone who works with the platform. What the quota cuts is counted: in the ledger (quarantined, cut), and by device
and day. Ids that are not enrolled have a quota too, but only the first hundred of a day one each; all others share one,
so that inventing ids does not fill the disk.
"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any, NamedTuple

import psycopg

from ingest.batch import Ledger, Origin, ledger_key
from ingest.batch import Quarantined as Entry
from ingest.settle import timestamp

KEPT_PAYLOAD = 65_536
QUOTA = 1_000
"""Payloads kept of one device and day."""
UNKNOWN_IDS = 100
"""Ids that are not enrolled and have a quota of their own, per day."""
LONGEST_ID = 64
KEPT_NAME = 200
"""Characters of a name: foreign ones may have thousands, and what is indexed must fit a page."""
OTHERS = ""
"""Stands for all ids without a quota of their own."""
DAYS = 30
"""Retention."""
LOCAL = timezone(timedelta(hours=7))  # Asia/Ho_Chi_Minh, without daylight saving since 1975

Connection = psycopg.AsyncConnection[Any]


class Line(NamedTuple):
    """What one quota is counted on."""

    day: date
    claimed: str


async def quarantine(connection: Connection, entries: list[Entry], number: int, ledger: Ledger) -> None:
    """Keep what the quotas let be kept; book the rest as cut."""
    if not entries:
        return
    lines = [Line(local_day(entry.origin), claimed(entry)) for entry in entries]
    doubtful = {line for entry, line in zip(entries, lines, strict=True) if entry.profile is None and line.claimed}
    strangers, others = await sort_out(connection, doubtful)
    lines = [Line(line.day, OTHERS) if line in others else line for line in lines]
    room = await take_quota(connection, Counter(lines), strangers)
    kept = []
    for entry, line in zip(entries, lines, strict=True):
        if room[line] > 0:
            room[line] -= 1
            kept.append(entry)
        else:
            ledger[ledger_key(entry.origin.arrival)].cut += 1
    await keep(connection, kept, number)


async def sort_out(connection: Connection, lines: set[Line]) -> tuple[set[Line], set[Line]]:
    """Of lines whose id may not be enrolled: the strangers with a quota of their own, and those who share one."""
    strangers: set[Line] = set()
    others: set[Line] = set()
    for day in sorted({line.day for line in lines}):
        cursor = await connection.execute(
            "select i.claimed, q.stranger is not null,"
            " (select count(*) from ops.quarantine_quota s where s.day = %(day)s and s.stranger)"
            " from unnest(%(ids)s::text[]) as i (claimed)"
            " left join ops.quarantine_quota q on q.day = %(day)s and q.claimed = i.claimed"
            " where not exists (select from registry.device d where d.device = i.claimed) order by 2 desc, 1",
            {"day": day, "ids": [line.claimed for line in lines if line.day == day]},
        )
        for place, (name, there, known) in enumerate(await cursor.fetchall()):
            own = there or known + place < UNKNOWN_IDS
            (strangers if own else others).add(Line(day, name))
    return strangers, others


async def take_quota(connection: Connection, wanted: Counter[Line], strangers: set[Line]) -> dict[Line, int]:
    """Count on each line; returns how many payloads it still has room for. In order, so that workers never wait for
    each other crosswise."""
    lines = sorted(wanted)
    cursor = await connection.execute(
        "insert into ops.quarantine_quota as q (day, claimed, total, kept, stranger)"
        " select day, claimed, n, least(n, %(quota)s), stranger"
        " from unnest(%(days)s::date[], %(claimed)s::text[], %(counts)s::int8[], %(strangers)s::bool[])"
        "  as w (day, claimed, n, stranger)"
        " on conflict (day, claimed) do update set total = q.total + excluded.total,"
        "  kept = q.kept + greatest(0, least(excluded.total, %(quota)s - q.total))"
        " returning day, claimed, total",
        {
            "days": [line.day for line in lines],
            "claimed": [line.claimed for line in lines],
            "counts": [wanted[line] for line in lines],
            "strangers": [line in strangers for line in lines],
            "quota": QUOTA,
        },
    )
    before = {Line(day, name): total - wanted[Line(day, name)] for day, name, total in await cursor.fetchall()}
    return {line: max(0, min(wanted[line], QUOTA - before[line])) for line in lines}


async def keep(connection: Connection, entries: list[Entry], number: int) -> None:
    """Store entries with their reasons."""
    if not entries:
        return
    statement = (
        "copy ops.quarantine (received, batch, inbox, topic, payload, sha256, size, device, profile, "
        "layer, reason, field, value, detail) from stdin (format binary)"
    )
    async with connection.cursor() as cursor, cursor.copy(statement) as stdin:
        stdin.set_types(["timestamptz", "int8", "text", "text", "bytea", "bytea", "int4"] + ["text"] * 7)
        for entry in entries:
            await stdin.write_row(row_of(entry, number))


def row_of(entry: Entry, number: int) -> tuple[object, ...]:
    """One row of ops.quarantine; text fields without what PostgreSQL cannot hold."""
    origin, device, profile, rejected = entry
    payload = origin.payload
    return (
        timestamp(origin.arrival.received),
        number,
        origin.arrival.source.inbox,
        printable(origin.topic.decode(errors="backslashreplace")),
        payload[:KEPT_PAYLOAD],
        sha256(payload).digest(),
        len(payload),
        printable(device[:KEPT_NAME]) if device else device,
        profile,
        rejected.layer,
        rejected.reason.value,
        printable(rejected.field),
        printable(rejected.value),
        printable(rejected.detail),
    )


def claimed(entry: Entry) -> str:
    """The id that was claimed, as far as it can be an id."""
    name = printable(entry.device) or OTHERS
    return name if len(name) <= LONGEST_ID else OTHERS


def local_day(origin: Origin) -> date:
    """The day of receipt."""
    return datetime.fromtimestamp(origin.arrival.received / 1e6, UTC).astimezone(LOCAL).date()


def printable(text: str | None) -> str | None:
    """Without NUL and lone surrogates, which are not text to PostgreSQL."""
    if text is None:
        return None
    return text.replace("\0", "␀").encode(errors="replace").decode()


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
