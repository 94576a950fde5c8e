"""The rounds behind the map and the counts of connectivity: who is online, what is worst where.

A round reads no table but what changed in the registry: a few numbers of each device are kept in memory (`fleet.py`),
and only cells that look different than before are written. At 3.7 million devices a round takes 0.5 s of CPU here and
up to 1 s in the database; as one SQL statement over the newest values it took 12 s.
"""

import time
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of, copy_text
from analytics.columns import Columns
from analytics.fleet import (
    COARSEST,
    FINEST,
    NO_CELLS,
    NOTHING,
    Cells,
    Fleet,
    Floats,
    Ints,
    Models,
    Newest,
    changed,
    coarser,
)
from analytics.newest_rows import highest_device, newest_table
from devices.family import FAMILIES, Family

EVERY_S = 5.0
SHARE_OF_TIME = 0.05
"""A round may keep the analyst busy this much of the time: with many devices rounds are further apart."""
RATE_OVER, MOMENT = timedelta(minutes=1), timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = list(FAMILIES)
SLICE = 250_000
ALL = (0, 2**31 - 1)
SIGN = np.array([-1.0 if family.worse == "low" else 1.0 for family in FAMILIES.values()])

# Zones' centroids and profiles' families come from files: with new ones the analyst is started again.
PLACES = sql.SQL("""
select d.id, case when d.state = 'retired' then -1 else
         rollup.cell_x(case when d.lat is null or d.lon is null then a.lon else d.lon end) * 65536::bigint
         + rollup.cell_y(case when d.lat is null or d.lon is null then a.lat else d.lat end) end,
       d.area, d.profile, (d.state in ('enrolled', 'active'))::int::smallint
from registry.device d join registry.area a on a.id = d.area join registry.profile p on p.id = d.profile
where d.changed >= {}::xid8 and p.family = any({}) and d.id >= {} and d.id < {}
""")
NEWEST = sql.SQL("""
select device, (extract(epoch from received) * 1e6)::bigint, (extract(epoch from time) * 1e6)::bigint,
       coalesce({}, 'NaN'::double precision)
from {} where device >= {} and device < {}
""")
STAGE = """
create temporary table if not exists cell_round
(level smallint, x integer, y integer, family smallint, online integer, worst double precision) on commit delete rows
"""
WRITE_CELLS = """
insert into rollup.cell_newest (level, x, y, family, online, worst)
select level, x, y, (%s::text[])[family + 1], online, nullif(worst, 'NaN') from cell_round
on conflict (level, x, y, family) do update set online = excluded.online, worst = excluded.worst
"""
WRITE_CONNECTIVITY = """
insert into rollup.connectivity (area, family, online, late, silent)
select area, (%s::text[])[family + 1], online, late, silent
from unnest(%s::smallint[], %s::integer[], %s::integer[], %s::integer[], %s::integer[])
     u (area, family, online, late, silent)
"""
WRITE_NEWEST = """
insert into rollup.newest_time (area, family, time, device)
select area, %s, timestamptz 'epoch' + us * interval '1 us', device
from unnest(%s::smallint[], %s::bigint[], %s::integer[]) u (area, us, device)
"""
WRITE_ROUND = "insert into rollup.round (as_of) values (%s) on conflict (one) do update set as_of = excluded.as_of"
WRITE_RATE = """
insert into rollup.rate (family, per_minute) select * from unnest(%s::text[], %s::double precision[])
on conflict (family) do update set per_minute = excluded.per_minute
"""


def sync_headlines(connection: psycopg.Connection) -> None:
    """Tell the database by which metric each family is judged on the map; safe to run twice."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from rollup.headline where family <> all(%s)", (NAMES,))
        cursor.executemany(
            "insert into rollup.headline (family, metric, worse) values (%s, %s, %s) on conflict (family) "
            "do update set (metric, worse) = (excluded.metric, excluded.worse) "
            "where (rollup.headline.metric, rollup.headline.worse) is distinct from (excluded.metric, excluded.worse)",
            [(family.name, family.headline, family.worse) for family in FAMILIES.values()],
        )


class MapCells:
    """A follower of the stream (analytics/analyst.py): keeps rollup.cell_newest, connectivity, rate and round."""

    name = "cells"

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._fleet = Fleet()
        self._models = Models(np.ones(0), np.zeros(0, np.int64), np.ones(0))
        self._xmin = "0"
        self._written: dict[int, Cells] = {}
        self._newest = {name: Newest() for name in NAMES}
        self._rows = Counter(dict.fromkeys(NAMES, 0))
        self._rounds: deque[tuple[datetime, Counter[str]]] = deque()
        self._next = 0.0
        self._whole = False

    def reset(self, connection: psycopg.Connection) -> None:
        """Begin anew. All cells are written again in the next round."""
        self._forget()
        connection.execute("delete from rollup.cell_newest")
        self._follow_registry(connection)
        self._hear_newest(connection)

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Note who was heard and what the headline metric says."""
        family = columns.family
        self._rows[family.name] += len(columns.device)
        nothing = np.full(len(columns.device), np.nan)
        value = columns.values[:, family.index[family.headline]] if family.headline else nothing
        self._fleet.hear(columns.device, columns.received, columns.time, value)
        self._newest[family.name].hear(columns.area, columns.time, columns.device)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Make a round when one is due."""
        begun = time.monotonic()
        if begun < self._next or not self._hear_newest(connection):
            return
        self._follow_registry(connection)
        self._write_connectivity(connection, micros(now))
        self._write_cells(connection, micros(now))
        self._write_rate(connection, now)
        self._write_newest(connection)
        connection.execute(WRITE_ROUND, (now,))
        self._next = begun + max(EVERY_S, (time.monotonic() - begun) / SHARE_OF_TIME)

    def _hear_newest(self, connection: psycopg.Connection) -> bool:
        """When each device was last heard and its newest headline value, once; not while those are being rebuilt."""
        if not self._whole and one(connection, "select coalesce(bool_or(complete), false) from rollup.newest_state"):
            for family in FAMILIES.values():
                for low, high in slices(connection):
                    device, received, at, value = newest(connection, family, low, high)
                    self._fleet.hear(device, received, at, value)
                    # Its area of today; that of the reading comes with the next one.
                    self._newest[family.name].hear(self._fleet.area[device], at, device)
            self._whole = True
        return self._whole

    def _follow_registry(self, connection: psycopg.Connection) -> None:
        """Devices changed since the last round; a change that commits late comes with the next one."""
        since, self._xmin = self._xmin, one(connection, "select pg_snapshot_xmin(pg_current_snapshot())::text")
        self._models = models(connection)
        for low, high in slices(connection) if since == "0" else [ALL]:
            query = PLACES.format(since, NAMES, low, high)
            device, cell, area, profile, expected = columns_of(connection, query, "i4 i8 i2 i2 i2")
            self._fleet.place(device, cell, area, profile, expected == 1)

    def _write_connectivity(self, connection: psycopg.Connection, now: int) -> None:
        counts = self._fleet.connectivity(self._models, now)
        connection.execute("delete from rollup.connectivity")
        connection.execute(WRITE_CONNECTIVITY, (NAMES, *(column.tolist() for column in counts)))

    def _write_cells(self, connection: psycopg.Connection, now: int) -> None:
        cells = self._fleet.cells(self._models, now)
        connection.execute(STAGE)
        connection.execute("truncate cell_round")
        for level in range(FINEST, COARSEST - 1, -1):
            stage(connection, level, cells, changed(cells, self._written.get(level, NO_CELLS)))
            self._written[level] = cells
            cells = coarser(cells)
        connection.execute(WRITE_CELLS, (NAMES,))

    def _write_newest(self, connection: psycopg.Connection) -> None:
        connection.execute("delete from rollup.newest_time")
        for family, newest in self._newest.items():
            area = np.flatnonzero(newest.time)
            columns = (area, newest.time[area], newest.device[area])
            connection.execute(WRITE_NEWEST, (family, *(column.tolist() for column in columns)))

    def _write_rate(self, connection: psycopg.Connection, now: datetime) -> None:
        """Readings over the last minute: one round alone is too short for devices that speak now and then."""
        self._rounds.append((now, self._rows.copy()))
        while len(self._rounds) > 2 and now - self._rounds[1][0] >= RATE_OVER:
            self._rounds.popleft()
        began, before = self._rounds[0]
        minutes = max(now - began, MOMENT) / timedelta(minutes=1)
        rates = [(self._rows[name] - before[name]) / minutes for name in NAMES]
        connection.execute(WRITE_RATE, (NAMES, rates))


def slices(connection: psycopg.Connection) -> list[tuple[int, int]]:
    """Ranges of registry ids that cover all devices, so that what is read at once stays small.

    The highest come first: arrays by id grow once.
    """
    return [(low, low + SLICE) for low in reversed(range(0, highest_device(connection) + 1, SLICE))]


def newest(connection: psycopg.Connection, family: Family, low: int, high: int) -> tuple[Ints, Ints, Ints, Floats]:
    """Device, received, time and headline value of the newest readings of a family's devices in a range of ids."""
    value = sql.Identifier(family.headline) if family.headline else sql.NULL
    query = NEWEST.format(value, newest_table(family, complete=True), low, high)
    device, received, at, values = columns_of(connection, query, "i4 i8 i8 f8")
    return device, received, at, values


def models(connection: psycopg.Connection) -> Models:
    """Profiles by registry id; an id that no profile has is never asked for."""
    rows = connection.execute("select id, family, interval_s from registry.profile").fetchall()
    size = max((number for number, *_ in rows), default=-1) + 1
    found = Models(np.ones(size), np.zeros(size, np.int64), np.ones(size))
    for number, family, interval_s in rows:
        if family in FAMILIES:
            found.interval_s[number] = interval_s
            found.family[number] = NAMES.index(family)
            found.sign[number] = SIGN[NAMES.index(family)]
    return found


def stage(connection: psycopg.Connection, level: int, cells: Cells, which: npt.NDArray[np.bool_]) -> None:
    """COPY the chosen cells of a level into cell_round."""
    key, online, signed = cells.key[which], cells.online[which], cells.worst[which]
    family = key >> 32
    worst = np.where(signed == NOTHING, np.nan, signed * SIGN[family])
    columns = [np.full(len(key), level), key >> 16 & 0xFFFF, key & 0xFFFF, family, online, worst]
    with connection.cursor() as cursor, cursor.copy("copy cell_round from stdin (format binary)") as copy:
        copy.write(copy_text("i2 i4 i4 i2 i4 f8", columns))


def micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return round((moment - EPOCH).total_seconds() * 1e6)


def one(connection: psycopg.Connection, query: str) -> Any:
    """The first column of the only row."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # only asked of queries that always give a row
    return row[0]
