"""Compare the ledger with the tables, and name every minute in which they differ.

Three comparisons, in one snapshot of the database, so that ingest need not stop:
- stored: the ledger's stored readings of a minute and inbox, and the rows received in it;
- quarantined: the ledger's quarantined less what the quota cut, and the messages kept and not replayed;
- batch: the rows that each line of ops.batch speaks of, and the rows that carry its number.
"""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from devices.family import FAMILIES
from devices.profile import PROFILES

Connection = psycopg.Connection[Any]


class Difference(NamedTuple):
    """Two accounts that differ. `what`: stored, quarantined or batch; `where`: the inbox, or the family of a batch;
    `ledger`: what the ledger or ops.batch says; `table`: what is there."""

    what: str
    minute: datetime
    where: str
    ledger: int
    table: int
    batch: int | None = None


class Audit(NamedTuple):
    """What was compared and how it came out. `rows`: readings counted; `seconds`: how long it took."""

    since: datetime
    rows: int
    seconds: float
    differences: list[Difference]


def audit(connection: Connection, since: datetime) -> Audit:
    """Compare all that was received from the minute of `since` on, as dothi_writer or better. What retention has
    dropped is missed like anything else: ask for less than that."""
    began = time.monotonic()
    start = since.astimezone(UTC).replace(second=0, microsecond=0)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        minutes: Counter[datetime] = Counter()
        differences = quarantined(connection, start)
        for family in FAMILIES:
            counted, wrong = count_family(connection, family, start)
            minutes += counted
            differences += wrong
        differences += stored(connection, start, minutes)
    return Audit(start, minutes.total(), time.monotonic() - began, sorted(differences, key=lambda one: one[:3]))


def count_family(connection: Connection, family: str, start: datetime) -> tuple[Counter[datetime], list[Difference]]:
    """One pass over a family's rows: how many of each minute, and the batches whose rows are not as many as they say.

    Every batch committed since has its rows at or after the earliest time it names; only those chunks are read.
    """
    cursor = connection.execute(
        sql.SQL(COUNT_FAMILY).format(table=sql.Identifier("reading", family)), {"family": family, "start": start}
    )
    minutes: Counter[datetime] = Counter()
    wrong = []
    for batch, minute, said, found in cursor:
        if batch is None:
            minutes[minute] = found
        else:
            wrong.append(Difference("batch", minute, family, said, found, batch))
    return minutes, wrong


COUNT_FAMILY = """
with said as materialized (
    select batch, committed, rows, time_min from ops.batch where family = %(family)s and committed >= %(start)s
), bounds as (
    select coalesce(min(batch), 9223372036854775807) as batch,
           -- Retention forgets batches after days: then nothing names the earliest time, and every chunk is read.
           case when exists (select from ops.batch where committed < %(start)s)
           then least(min(time_min), %(start)s - interval '1 hour') else '-infinity' end as time
    from said
), counted as materialized (
    select batch, date_bin('1 minute', received, 'epoch') as minute, count(*) as rows,
           grouping(batch) = 1 as by_minute
    from {table}
    where time >= (select time from bounds) and (received >= %(start)s or batch >= (select batch from bounds))
    group by grouping sets ((batch), (date_bin('1 minute', received, 'epoch')))
)
select null::bigint, minute, 0::bigint, rows from counted where by_minute and minute >= %(start)s
union all
select s.batch, date_trunc('minute', s.committed), s.rows, coalesce(c.rows, 0)
from said s left join counted c on c.batch = s.batch and not c.by_minute
where s.rows is distinct from c.rows
union all
select c.batch, %(start)s, 0, c.rows
from counted c
where not c.by_minute and c.batch >= (select batch from bounds)
  and not exists (select from ops.batch b where b.batch = c.batch and b.family = %(family)s)
"""


def stored(connection: Connection, start: datetime, minutes: Counter[datetime]) -> list[Difference]:
    """Minutes in which the ledger's stored readings are not the rows there are, by inbox."""
    ledger = dict(
        connection.execute(
            "select minute, sum(stored)::int8 from ops.ledger where minute >= %s group by 1", (start,)
        ).fetchall()
    )
    wrong = sorted(minute for minute in ledger.keys() | minutes.keys() if ledger.get(minute, 0) != minutes[minute])
    return [difference for minute in wrong for difference in stored_by_inbox(connection, minute)]


def stored_by_inbox(connection: Connection, minute: datetime) -> list[Difference]:
    """The inboxes in which a minute differs. Rows do not carry their inbox: it is their area, or their profile's
    route."""
    routes = {name: profile.route for name, profile in PROFILES.items() if profile.route}
    rows = sql.SQL(" union all ").join(
        sql.SQL(
            "select device, area from {} where received >= %(minute)s and received < %(minute)s + interval '1 minute'"
            " and time >= %(minute)s - interval '400 days'"
        ).format(sql.Identifier("reading", family))
        for family in FAMILIES
    )
    cursor = connection.execute(
        sql.SQL(
            "with there as (select coalesce(t.route, a.code) as inbox, count(*) as n from ({}) r"
            " join registry.device d on d.id = r.device join registry.profile p on p.id = d.profile"
            " join registry.area a on a.id = r.area"
            " left join unnest(%(profiles)s::text[], %(routes)s::text[]) t (profile, route) on t.profile = p.profile"
            " group by 1), said as (select inbox, stored from ops.ledger where minute = %(minute)s)"
            " select inbox, coalesce(s.stored, 0), coalesce(t.n, 0) from said s full join there t using (inbox)"
            " where coalesce(s.stored, 0) <> coalesce(t.n, 0) order by inbox"
        ).format(rows),
        {"minute": minute, "profiles": list(routes), "routes": list(routes.values())},
    )
    return [Difference("stored", minute, *row) for row in cursor]


def quarantined(connection: Connection, start: datetime) -> list[Difference]:
    """Minutes and inboxes in which the ledger's quarantined, less those cut, are not the messages kept."""
    cursor = connection.execute(
        "with there as (select date_bin('1 minute', received, 'epoch') as minute, inbox, count(*) as n"
        "  from ops.quarantine where received >= %(start)s and replayed is null group by 1, 2),"
        " said as (select minute, inbox, quarantined - cut as n from ops.ledger where minute >= %(start)s)"
        " select minute, inbox, coalesce(s.n, 0), coalesce(t.n, 0) from said s full join there t using (minute, inbox)"
        " where coalesce(s.n, 0) <> coalesce(t.n, 0)",
        {"start": start},
    )
    return [Difference("quarantined", *row) for row in cursor]
