"""Rollups of whole areas, kept by adding what changes in the rows of their devices."""

from psycopg import sql

from analytics.rollup.shape import Stored, names, summed_columns
from analytics.rollup.width import Width
from devices.family import Family

TOTAL = {
    "sum": "sum(c.sign * c.{0})",
    "min": "min(c.{0}) filter (where c.sign > 0)",
    "max": "max(c.{0}) filter (where c.sign > 0)",
}
UPDATE = {
    "sum": "{0} = coalesce(t.{0} + excluded.{0}, t.{0}, excluded.{0})",
    "min": "{0} = least(t.{0}, excluded.{0})",
    "max": "{0} = greatest(t.{0}, excluded.{0})",
}


def area_table(family: Family, width: Width) -> sql.Identifier:
    """The table of a family's areas."""
    return sql.Identifier("rollup", f"{family.name}_area_{width.name}")


def add_to_areas(
    family: Family, width: Width, rows: sql.Identifier, fresh: sql.Identifier, again: bool
) -> sql.Composed:
    """Add the rows of `fresh` to their areas; `again`: take away what `rows` has of them, for it is counted already.

    Readings are only ever added: so sums differ by what is new, and lowest and highest values only widen.
    """
    summed = summed_columns(family)
    statement = sql.SQL(
        "insert into {areas} as t (bucket, area, devices, n, filled, {columns}) "
        "select c.bucket, c.area, sum(c.sign), sum(c.sign * c.n), "
        "sum(c.sign * least(1, c.n * p.interval_s / {seconds})), {totals} "
        "from (select 1 as sign, device, bucket, area, n, {columns} from {fresh}{earlier}) c "
        "join registry.device d on d.id = c.device join registry.profile p on p.id = d.profile "
        "group by c.bucket, c.area on conflict (area, bucket) do update set devices = t.devices + excluded.devices, "
        "n = t.n + excluded.n, filled = t.filled + excluded.filled, {updates}"
    )
    return statement.format(
        areas=area_table(family, width),
        columns=names(summed),
        seconds=sql.Literal(width.seconds),
        totals=of_each(summed, TOTAL),
        fresh=fresh,
        earlier=earlier_rows(summed, rows, fresh) if again else sql.SQL(""),
        updates=of_each(summed, UPDATE),
    )


def earlier_rows(summed: list[Stored], rows: sql.Identifier, fresh: sql.Identifier) -> sql.Composable:
    """What the table has of the rows of `fresh`, with the sign that takes it away."""
    return sql.SQL(
        " union all select -1, o.device, o.bucket, o.area, o.n, {} from {} o join {} f "
        "on f.device = o.device and f.bucket = o.bucket and f.area = o.area"
    ).format(names(summed, "o"), rows, fresh)


def of_each(columns: list[Stored], template: dict[str, str]) -> sql.Composable:
    """A list with one entry per column, by how its parts are joined."""
    return sql.SQL(", ").join(sql.SQL(template[c.join]).format(sql.Identifier(c.name)) for c in columns)
