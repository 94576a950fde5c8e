"""The registry in the database: devices and their foreign names, and what changed since a worker last looked."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from devices.enroll import Row
from devices.enroll_stage import Staged, stage_rows

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]


class Enrolled(NamedTuple):
    """What an enrolment did, in devices."""

    new: int
    changed: int
    unchanged: int


class Change(NamedTuple):
    """A device as ingest needs it."""

    id: int
    device: str
    profile: str
    area: str
    area_id: int
    retired: bool


class AliasChange(NamedTuple):
    """A foreign name and the device it stands for."""

    route: str
    foreign_id: str
    device: str


class NotEnrolled(Exception):
    """An enrolment was refused, nothing of it was kept. The message says what the first mistake was."""


class ProfileChange(NotEnrolled):
    """A device is enrolled under a family already and a row names a profile of another one: its readings would be torn
    in two."""


def enroll(connection: Connection, rows: Iterable[Row]) -> Enrolled:
    """Enrol checked rows, all or none; a row that is there already is brought up to date. Raises NotEnrolled."""
    with connection.transaction(), connection.cursor() as cursor:
        return settle_all(cursor, stage_rows(cursor, rows, lock_registry))


def settle_all(cursor: psycopg.Cursor[Any], found: Staged) -> Enrolled:
    """Take over what was staged, all or none. Raises NotEnrolled."""
    if found.mistakes:
        first = found.mistakes[0]
        refusal = ProfileChange if first.column == "profile" else NotEnrolled
        raise refusal(f"{first.column} {first.value}: {first.detail}")
    result = settle(cursor, found.devices)
    cursor.execute("drop table enrolling, finding")
    return result


def lock_registry(cursor: psycopg.Cursor[Any]) -> None:
    """One enrolment after the other from here on: two that share devices would wait for each other."""
    cursor.execute("select registry.lock_counts()")


def settle(cursor: psycopg.Cursor[Any], staged: int) -> Enrolled:
    """Take over what was staged and has no mistakes.

    Not one statement with "on conflict": that would use up an id for every device that is there already, and ids are
    places in arrays elsewhere.
    """
    prepare(cursor)
    cursor.execute("select set_config('dothi.reason', 'enrolled from a file', true)")
    cursor.execute(RELEASE)
    changed = cursor.execute(UPDATE).rowcount
    new = cursor.execute(INSERT).rowcount
    cursor.execute(ALIASES)
    cursor.execute("select set_config('dothi.reason', '', true)")
    return Enrolled(new, changed, staged - new - changed)


def prepare(cursor: psycopg.Cursor[Any]) -> None:
    """The words of new names go to the index in large pieces, and many rows are joined in memory."""
    cursor.execute("set local gin_pending_list_limit = '64MB'; set local work_mem = '256MB'")


RELEASE = """
update registry.device d set eui = null, changed = pg_current_xact_id() from enrolling e
where d.eui = e.eui and d.device <> e.device and d.state = 'retired'
"""
STANDING = """
p.id, a.id,
case when e.given & 1 > 0 then e.name else d.name end, case when e.given & 2 > 0 then e.lat else d.lat end,
case when e.given & 2 > 0 then e.lon else d.lon end, case when e.given & 4 > 0 then e.owner else d.owner end,
case when e.given & 8 > 0 then e.installed else d.installed end,
case when e.given & 16 > 0 then e.serial else d.serial end,
case when e.given & 32 > 0 then e.firmware else d.firmware end,
case when e.given & 64 > 0 then e.tags else d.tags end, case when e.given & 128 > 0 then e.eui else d.eui end,
case when d.state = 'retired' then e.state when d.state = 'planned' then e.state else d.state end
"""
"""What a device that is there will be. Only an enrolment brings back what is retired; nothing else is taken back."""
WHOLE = """
profile, area, name, lat, lon, owner, installed, serial, firmware, tags, eui, state
"""
KNOWN = "enrolling e join registry.profile p on p.profile = e.profile join registry.area a on a.code = e.area"
UPDATE = sql.SQL("""
update registry.device d set ({columns}, changed) = ({standing}, pg_current_xact_id()) from {known}
where d.device = e.device and ({old}) is distinct from ({standing})
""").format(
    columns=sql.SQL(WHOLE),
    standing=sql.SQL(STANDING),
    known=sql.SQL(KNOWN),
    old=sql.SQL(", ").join(sql.Identifier("d", column.strip()) for column in WHOLE.split(",")),
)
INSERT = sql.SQL("""
insert into registry.device (device, family, {columns})
select e.device, p.family, p.id, a.id, e.name, e.lat, e.lon, e.owner, e.installed, e.serial, e.firmware, e.tags, e.eui,
       e.state
from {known} where not exists (select from registry.device d where d.device = e.device) order by e.line
""").format(columns=sql.SQL(WHOLE), known=sql.SQL(KNOWN))
ALIASES = """
insert into registry.alias (route, foreign_id, device)
select e.route, f, d.id from enrolling e cross join unnest(e.foreign_ids) f join registry.device d using (device)
on conflict (route, foreign_id) do update set device = excluded.device, changed = default
where registry.alias.device <> excluded.device
"""


def known_areas(connection: Connection) -> list[str]:
    """Codes of the zones that enrol accepts, as city.plan lists them."""
    return [code for (code,) in connection.execute("select area from city.plan order by area")]


async def changed_since(connection: AsyncConnection, xmin: str) -> tuple[str, list[Change], list[AliasChange]]:
    """What changed in transactions from `xmin` on, and the xmin to ask with next time; "0" asks for everything.

    Of a device that changed all foreign names are told: those that are not among them lead to it no more.

    Every transaction below the returned xmin has ended, so nothing that commits late is missed; a change may come
    twice.
    """
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read")
        cursor = await connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text")
        row = await cursor.fetchone()
        assert row is not None  # a select of a function always gives a row
        cursor = await connection.execute(CHANGED_DEVICES, (xmin,))
        devices = [Change(*fields) for fields in await cursor.fetchall()]
        cursor = await connection.execute(CHANGED_ALIASES, {"xmin": xmin})
        aliases = [AliasChange(*fields) for fields in await cursor.fetchall()]
    return row[0], devices, aliases


CHANGED_DEVICES = (
    "select d.id, d.device, p.profile, a.code, a.id, d.state = 'retired' from registry.device d "
    "join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area where d.changed >= %s::xid8"
)
# All names of a device that changed: one that was taken away is missing among them.
CHANGED_ALIASES = """
select l.route, l.foreign_id, d.device from registry.alias l join registry.device d on d.id = l.device
where l.changed >= %(xmin)s::xid8
union all
select l.route, l.foreign_id, d.device from registry.device d join registry.alias l on d.id = l.device
where d.changed >= %(xmin)s::xid8 and l.changed < %(xmin)s::xid8
"""
