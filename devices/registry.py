"""The registry in the database: devices and their foreign names, and what changed since a worker last looked."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg

from devices.enroll import Row

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


def enroll(connection: Connection, rows: Iterable[Row]) -> Enrolled:
    """Enrol checked rows, all or none; a row that is there already is brought up to date.

    Raises ProfileChange when a known device would change its family: its readings would be torn in two.
    """
    with connection.transaction(), connection.cursor() as cursor:
        stage_rows(cursor, rows)
        # From here on one enrolment after the other: two that share devices would wait for each other.
        cursor.execute("select registry.lock_counts()")
        refuse_other_family(cursor)
        result = upsert_devices(cursor)
        cursor.execute(
            "insert into registry.alias (route, foreign_id, device) "
            "select s.route, s.foreign_id, d.id from enrolling s join registry.device d using (device) "
            "where s.route is not null on conflict (route, foreign_id) do update "
            "set device = excluded.device, changed = default where registry.alias.device <> excluded.device"
        )
        cursor.execute("drop table enrolling")
        return result


def stage_rows(cursor: psycopg.Cursor[Any], rows: Iterable[Row]) -> None:
    """COPY the rows where SQL can look at all of them at once."""
    cursor.execute(
        "create temporary table enrolling (device text, profile text, area text, name text, "
        "lat double precision, lon double precision, route text, foreign_id text) on commit drop"
    )
    with cursor.copy("copy enrolling from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    cursor.execute("analyze enrolling")


class ProfileChange(Exception):
    """A device is enrolled under a family already and the file names a profile of another one."""


def refuse_other_family(cursor: psycopg.Cursor[Any]) -> None:
    """Name the first device whose new profile belongs to another family than its old one."""
    clash = cursor.execute(
        "select s.device, old.profile, new.profile from enrolling s join registry.device d using (device) "
        "join registry.profile old on old.id = d.profile join registry.profile new on new.profile = s.profile "
        "where old.family <> new.family order by s.device limit 1"
    ).fetchone()
    if clash:
        device, old, new = clash
        raise ProfileChange(
            f"device {device}: profile {new} is of another family than {old}, under which it is enrolled; "
            "enrol it under a new id"
        )


def upsert_devices(cursor: psycopg.Cursor[Any]) -> Enrolled:
    """Update what differs, insert what is new; the rest stays as it is.

    Not one statement with "on conflict": that would use up an id for every device that is there already, and ids are
    places in arrays elsewhere.
    """
    changed = cursor.execute(
        "update registry.device d set (profile, area, name, lat, lon, state, changed) ="
        " (p.id, a.id, s.name, s.lat, s.lon, case when d.state = 'retired' then 'enrolled' else d.state end,"
        "  pg_current_xact_id())"
        " from enrolling s join registry.profile p on p.profile = s.profile join registry.area a on a.code = s.area"
        " where d.device = s.device and (d.profile, d.area, d.name, d.lat, d.lon, d.state = 'retired')"
        "  is distinct from (p.id, a.id, s.name, s.lat, s.lon, false)"
    ).rowcount
    new = cursor.execute(
        "insert into registry.device (device, profile, area, name, lat, lon)"
        " select s.device, p.id, a.id, s.name, s.lat, s.lon from enrolling s"
        " join registry.profile p on p.profile = s.profile join registry.area a on a.code = s.area"
        " where not exists (select from registry.device d where d.device = s.device)"
    ).rowcount
    row = cursor.execute("select count(*) from enrolling").fetchone()
    assert row is not None  # an aggregate always gives a row
    return Enrolled(new, changed, row[0] - new - changed)


def known_areas(connection: Connection) -> list[str]:
    """Codes of the zones that enrol accepts, as city.plan lists them."""
    return [code for (code,) in connection.execute("select area from city.plan order by area")]


async def changed_since(connection: AsyncConnection, xmin: str) -> tuple[str, list[Change], list[AliasChange]]:
    """What changed in transactions from `xmin` on, and the xmin to ask with next time; "0" asks for everything.

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
        cursor = await connection.execute(CHANGED_ALIASES, (xmin,))
        aliases = [AliasChange(*fields) for fields in await cursor.fetchall()]
    return row[0], devices, aliases


CHANGED_DEVICES = (
    "select d.id, d.device, p.profile, a.code, a.id, d.state = 'retired' from registry.device d "
    "join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area where d.changed >= %s::xid8"
)
CHANGED_ALIASES = (
    "select l.route, l.foreign_id, d.device from registry.alias l join registry.device d on d.id = l.device "
    "where l.changed >= %s::xid8"
)


def list_devices(connection: Connection, like: str | None, limit: int) -> Sequence[tuple[Any, ...]]:
    """Devices as city.device shows them, by id; `like` is a part of the id or of the name."""
    pattern = f"%{like}%" if like else "%"
    return connection.execute(
        "select device, profile, family, area, name, lat, lon, state, last_seen, last_seq from city.device "
        "where device like %s or name ilike %s order by device limit %s",
        (pattern, pattern, limit),
    ).fetchall()
