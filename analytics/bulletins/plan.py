"""How complete the data of each zone and family are, for the views city.kpi and city.kpi_sector."""

from datetime import datetime, timedelta
from typing import ClassVar

import psycopg
from psycopg import sql

from analytics.bulletins.bulletin import Every
from devices.family import FAMILIES
from devices.sector import SECTORS

EVERY = timedelta(minutes=1)
HOURS = 24

# Hours since the first reading ever, where that is less than a day ago: before it nothing was to be expected.
FILLED = sql.SQL("""
insert into rollup.filled (area, family, hours, filled, until)
select a.id, {name}, h.hours, coalesce(sum(x.filled), 0), c.until
from rollup.closed c
cross join lateral (
    select least({most}, ceil(extract(epoch from c.until - min(o.bucket)) / 3600))::smallint as hours from {table} o
) h
cross join registry.area a
left join {table} x on x.area = a.id and x.bucket >= c.until - h.hours * interval '1 hour' and x.bucket < c.until
where c.family = {name} and c.width = '1h' and h.hours > 0
group by a.id, h.hours, c.until
on conflict (area, family) do update set (hours, filled, until) = (excluded.hours, excluded.filled, excluded.until)
""")


class Filled:
    """Follows the hours that are closed; late readings count with the next one."""

    name: ClassVar[str] = "filled"

    def __init__(self) -> None:
        self._every = Every(EVERY)
        self._until: dict[str, datetime] = {}

    def due(self, now: datetime) -> bool:
        """Once a minute."""
        return self._every.passed(now)

    def make(self, connection: psycopg.Connection, now: datetime) -> None:
        """Add up anew the families of which an hour was closed."""
        rows = connection.execute("select family, until from rollup.closed where width = '1h'").fetchall()
        closed: dict[str, datetime] = dict(rows)
        for family, until in closed.items():
            if family in FAMILIES and self._until.get(family) != until:
                table = sql.Identifier("rollup", f"{family}_area_1h")
                connection.execute(FILLED.format(name=family, table=table, most=HOURS))
        self._until = closed


def sync_sectors(connection: psycopg.Connection) -> None:
    """Tell the database in which sector each family is counted; safe to run twice."""
    rows = [
        (family, sector.name, sector.label["vi"], sector.label["en"], sector.priority)
        for sector in SECTORS
        for family in sector.families
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from rollup.sector where family <> all(%s)", ([family for family, *_ in rows],))
        cursor.executemany(
            "insert into rollup.sector (family, sector, name_vi, name_en, priority) values (%s, %s, %s, %s, %s) "
            "on conflict (family) do update set (sector, name_vi, name_en, priority) = "
            "(excluded.sector, excluded.name_vi, excluded.name_en, excluded.priority)",
            rows,
        )


INDICES = (Filled,)
