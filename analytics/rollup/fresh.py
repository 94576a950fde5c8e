"""Writing rollup rows: made in a temporary table, then added to the areas and put in place, in one transaction."""

from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from analytics.columns import IntArray
from analytics.rollup.areas import add_to_areas, area_table
from analytics.rollup.body import HOLD, Place, bucket_body, place, readings_body
from analytics.rollup.grid import Grid
from analytics.rollup.pack import column_names, pack
from analytics.rollup.shape import names, stored_columns
from analytics.rollup.total import Row, insert_totals
from analytics.rollup.width import MINUTE, SECOND_US, Width
from devices.family import Family

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SINCE = sql.SQL("(timestamptz 'epoch' + {} * interval '1 us')")


def instant(time_us: int) -> sql.Literal:
    """µs since 1970 UTC as a constant of SQL, by which the planner leaves chunks out."""
    return sql.Literal(EPOCH + timedelta(microseconds=time_us))


def longest_hold(connection: psycopg.Connection, family: Family) -> int:
    """For how many µs a state of the family's slowest profile is believed."""
    query = "select coalesce(max(interval_s), 0) from registry.profile where family = %s"
    intervals: list[tuple[float]] = connection.execute(query, (family.name,)).fetchall()
    return round(HOLD * intervals[0][0] * SECOND_US)


class Fresh:
    """The rows of one family and width on their way into the tables. Everything runs in the caller's transaction."""

    def __init__(self, family: Family, width: Width) -> None:
        self.family = family
        self.width = width
        self._columns = names(stored_columns(family))
        self._table = sql.Identifier("rollup", f"{family.name}_{width.name}")
        self._fresh = sql.Identifier("pg_temp", f"fresh_{family.name}_{width.name}")

    def copy_grid(
        self, connection: psycopg.Connection, grid: Grid, devices: IntArray, some: IntArray, bucket: int
    ) -> None:
        """Rows of some places of a bucket from sums in memory, straight into the table, which has none of them yet.

        `devices`: place → registry id.
        """
        self._copy(connection, self._table, grid, devices, some, bucket)

    def from_grid(
        self, connection: psycopg.Connection, grid: Grid, devices: IntArray, some: IntArray, bucket: int
    ) -> None:
        """The same rows where there may be earlier versions of them."""
        self._empty(connection)
        self._copy(connection, self._fresh, grid, devices, some, bucket)

    def _copy(
        self,
        connection: psycopg.Connection,
        table: sql.Identifier,
        grid: Grid,
        devices: IntArray,
        some: IntArray,
        bucket: int,
    ) -> None:
        listed = sql.SQL(", ").join(sql.Identifier(name) for name in column_names(self.family, grid))
        statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(table, listed)
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(pack(grid, bucket, devices, some))

    def from_readings(self, connection: psycopg.Connection, devices: list[int], buckets: list[int]) -> None:
        """Rows of (device, bucket) pairs, each pair named once, straight from readings."""
        of: dict[int, list[int]] = {}
        for device, bucket in zip(devices, buckets, strict=True):
            of.setdefault(bucket, []).append(device)
        self._empty(connection)
        longest = longest_hold(connection, self.family)
        for bucket, some in sorted(of.items()):
            self._compute(connection, some, bucket, readings_body(self.family, self._at(bucket, longest)))

    def of_bucket(self, connection: psycopg.Connection, devices: list[int], bucket: int) -> None:
        """Rows of a bucket whose parts are closed, the cheapest way."""
        self._empty(connection)
        at = self._at(bucket, longest_hold(connection, self.family))
        self._compute(connection, devices, bucket, bucket_body(self.family, self.width, at))

    def _at(self, bucket: int, longest: int) -> Place:
        """Constants, by which the planner leaves chunks out."""
        at = place("w.device", "w.bucket", "p", self.width)
        return at._replace(start=instant(bucket), until=instant(bucket + self.width.us), near=instant(bucket - longest))

    def place(self, connection: psycopg.Connection, again: bool = False) -> None:
        """Add the rows to their areas and put them into the table. `again`: areas have counted earlier versions."""
        if self.width is not MINUTE:
            connection.execute(add_to_areas(self.family, self.width, self._table, self._fresh, again))
        self.put(connection)

    def put(self, connection: psycopg.Connection) -> None:
        """Put the rows into the table, in place of earlier versions."""
        update = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in ["n", *(column.name for column in stored_columns(self.family))]
        )
        statement = sql.SQL(
            "insert into {} (bucket, device, area, n, {columns}) "
            "select bucket, device, area, n, {columns} from {} order by device "
            "on conflict (device, bucket, area) do update set {}"
        )
        connection.execute(statement.format(self._table, self._fresh, update, columns=self._columns))

    def insert_areas(self, connection: psycopg.Connection, bucket: int, rows: dict[int, Row]) -> None:
        """Rows of areas that have none in this bucket."""
        insert_totals(connection, self.family, self.width, instant(bucket), rows)

    def forget_areas(self, connection: psycopg.Connection, bucket: int) -> None:
        """Nothing is counted in a bucket's areas: the closing of it begins (anew)."""
        if self.width is not MINUTE:
            statement = sql.SQL("delete from {} where bucket = {}")
            connection.execute(statement.format(area_table(self.family, self.width), instant(bucket)))

    def _compute(self, connection: psycopg.Connection, devices: list[int], bucket: int, body: sql.Composable) -> None:
        statement = sql.SQL(
            "insert into {fresh} (bucket, device, area, n, {columns}) "
            "select w.bucket, w.device, x.area, x.n, {wanted} "
            "from (select n.device, {bucket} as bucket from unnest(%s::integer[]) n(device)) w "
            "join registry.device d on d.id = w.device join registry.profile p on p.id = d.profile "
            "cross join lateral ({body}) x"
        ).format(
            fresh=self._fresh,
            columns=self._columns,
            wanted=names(stored_columns(self.family), "x"),
            bucket=instant(bucket),
            body=body,
        )
        connection.execute(statement, (devices,))

    def _empty(self, connection: psycopg.Connection) -> None:
        """The temporary table, without rows."""
        connection.execute(
            sql.SQL("create temporary table if not exists {} (like {}) on commit delete rows").format(
                self._fresh, self._table
            )
        )
        connection.execute(sql.SQL("delete from {}").format(self._fresh))
