"""Family files → hypertables and views. Only adds: a new table, a new column at the end; anything else is refused.

The row of a hypertable `reading.<family>`: fixed columns first, widest first so that nothing is lost to padding, then
one column per metric (gauges and counters `double precision`, states `smallint`: the place in the family's list).
"""

import time
from collections.abc import Callable, Iterator

import psycopg
from psycopg import sql

from devices.family import FAMILIES, Family, Metric

CHUNK = "1 day"
LOCK_TIMEOUT = "200ms"  # nobody's ingest waits longer than this for a new column
ATTEMPTS = 50

FIXED = {
    "time": "timestamp with time zone",
    "seq": "bigint",
    "received": "timestamp with time zone",
    "batch": "bigint",
    "boot": "bigint",
    "device": "integer",
    "area": "smallint",
}
NULLABLE = {"boot"}
EXTRA = {"extra": "jsonb"}


class FamilyRefused(Exception):
    """The table in the database cannot become what the family file says by adding to it."""


def reconcile_families(connection: psycopg.Connection) -> list[str]:
    """Make tables and views of all families; returns what was changed, a line each.

    Raises FamilyRefused when a family file dropped or retyped a metric that the database has.
    """
    done = [line for family in FAMILIES.values() for line in reconcile_family(connection, family)]
    done += with_retries(connection, lambda: replace_view(connection, "device", device_view()))
    return done


def reconcile_family(connection: psycopg.Connection, family: Family) -> Iterator[str]:
    """One family's table, then the views over it."""
    yield from with_retries(connection, lambda: reconcile_table(connection, family))
    yield from with_retries(connection, lambda: replace_view(connection, family.name, reading_view(family)))
    yield from with_retries(connection, lambda: replace_view(connection, f"latest_{family.name}", latest_view(family)))


def with_retries(connection: psycopg.Connection, change: Callable[[], list[str]]) -> list[str]:
    """Run a change in its own short transaction; give way to whoever holds the lock and try again."""
    for attempt in range(ATTEMPTS):
        try:
            with connection.transaction():
                connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
                return change()
        except psycopg.errors.LockNotAvailable:
            time.sleep(0.1 * min(attempt + 1, 10))
    raise FamilyRefused(
        f"a table stayed locked for {ATTEMPTS} attempts of {LOCK_TIMEOUT}; end the transaction that holds it"
    )


def column_type(metric: Metric) -> str:
    """SQL type of a metric's column."""
    return "smallint" if metric.kind == "state" else "double precision"


def wanted_columns(family: Family) -> dict[str, str]:
    """Column name → SQL type of a new table of the family, in order."""
    return FIXED | EXTRA | {metric.name: column_type(metric) for metric in family.metrics}


def reconcile_table(connection: psycopg.Connection, family: Family) -> list[str]:
    """Create the hypertable or add the columns it lacks."""
    present = table_columns(connection, family)
    wanted = wanted_columns(family)
    if not present:
        create_table(connection, family, wanted)
        return [f"created reading.{family.name}"]
    refuse_change(family, present, wanted)
    missing = [name for name in wanted if name not in present]
    for name in missing:
        add = sql.SQL("alter table {} add column {} " + wanted[name])
        connection.execute(add.format(sql.Identifier("reading", family.name), sql.Identifier(name)))
    return [f"added {name} to reading.{family.name}" for name in missing]


def table_columns(connection: psycopg.Connection, family: Family) -> dict[str, str]:
    """Column name → type as the database has it; empty when there is no table."""
    return dict(
        connection.execute(
            "select column_name::text, data_type::text from information_schema.columns "
            "where table_schema = 'reading' and table_name = %s order by ordinal_position",
            (family.name,),
        ).fetchall()
    )


def create_table(connection: psycopg.Connection, family: Family, wanted: dict[str, str]) -> None:
    """One hypertable, keyed device first so that one device's last day is read at once."""
    table = sql.Identifier("reading", family.name)
    columns = sql.SQL(", ").join(
        sql.SQL("{} " + kind + ("" if name in NULLABLE or name not in FIXED else " not null")).format(
            sql.Identifier(name)
        )
        for name, kind in wanted.items()
    )
    connection.execute(sql.SQL("create table {} ({})").format(table, columns))
    connection.execute(
        "select create_hypertable(%s::regclass, by_range('time', %s::interval), create_default_indexes => false)",
        (f"reading.{family.name}", CHUNK),
    )
    index = sql.Identifier(f"{family.name}_key")
    connection.execute(sql.SQL("create unique index {} on {} (device, time, seq)").format(index, table))


def refuse_change(family: Family, present: dict[str, str], wanted: dict[str, str]) -> None:
    """Dropping or retyping needs a decision and a migration, never happens by editing a file."""
    for name, kind in present.items():
        if name not in wanted:
            raise FamilyRefused(
                f"family {family.name}: the database has metric {name}, the family file has not; "
                "put it back, or drop it with a numbered migration"
            )
        if wanted[name] != kind:
            raise FamilyRefused(
                f"family {family.name}: {name} is {kind} in the database and {wanted[name]} in the family file; "
                "a metric keeps its kind: give the new one a new name"
            )


def metric_expression(metric: Metric) -> sql.Composable:
    """What the views show of a metric: the number, or the name of the state."""
    column = sql.Identifier("r", metric.name)
    if metric.kind != "state":
        return column
    states = sql.SQL(", ").join(sql.Literal(state) for state in metric.states)
    return sql.SQL("(array[{}]::text[])[{} + 1]").format(states, column)


def reading_expressions(family: Family) -> dict[str, sql.Composable]:
    """View column → expression over r (reading), d (device), a (area)."""
    fixed: dict[str, sql.Composable] = {
        "time": sql.SQL("r.time"),
        "device": sql.SQL("d.device"),
        "area": sql.SQL("a.code"),
        "seq": sql.SQL("r.seq"),
        "received": sql.SQL("r.received"),
    }
    metrics = {metric.name: metric_expression(metric) for metric in family.metrics}
    return fixed | metrics | {"extra": sql.SQL("r.extra"), "boot": sql.SQL("r.boot"), "batch": sql.SQL("r.batch")}


ViewBody = tuple[dict[str, sql.Composable], sql.Composable]


def reading_view(family: Family) -> ViewBody:
    """city.<family>: every reading under the names that people use."""
    source = sql.SQL(
        "from {} r join registry.device d on d.id = r.device join registry.area a on a.id = r.area"
    ).format(sql.Identifier("reading", family.name))
    return reading_expressions(family), source


def latest_view(family: Family) -> ViewBody:
    """city.latest_<family>: the newest reading of each device, found through the key, as of now."""
    source = sql.SQL(
        "from registry.device d join registry.profile p on p.id = d.profile and p.family = {} "
        "cross join lateral (select * from {} n where n.device = d.id order by n.time desc, n.seq desc limit 1) r "
        "join registry.area a on a.id = r.area"
    ).format(sql.Literal(family.name), sql.Identifier("reading", family.name))
    return reading_expressions(family) | {"as_of": sql.SQL("now()")}, source


def device_view() -> ViewBody:
    """city.device: the registry and when each device was last heard."""
    newest = sql.SQL(" union all ").join(
        sql.SQL(
            "(select n.received, n.seq from {} n where p.family = {} and n.device = d.id "
            "order by n.time desc, n.seq desc limit 1)"
        ).format(sql.Identifier("reading", name), sql.Literal(name))
        for name in FAMILIES
    )
    columns = "d.device p.profile p.family a.code:area d.name d.lat d.lon d.state l.received:last_seen l.seq:last_seq"
    expressions: dict[str, sql.Composable] = {}
    for column in [*columns.split(), "o.online:online"]:
        expression, _, name = column.partition(":")
        expressions[name or expression[2:]] = sql.SQL(expression)
    source = sql.SQL(
        "from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area "
        "left join ops.presence o on o.device = d.id left join lateral ({}) l on true"
    ).format(newest)
    return expressions, source


def replace_view(connection: psycopg.Connection, name: str, body: ViewBody) -> list[str]:
    """Create or replace city.<name> where its definition changed; new columns go to the end, as PostgreSQL demands."""
    expressions, source = body
    present = view_columns(connection, name)
    order = [*(column for column in present if column in expressions), *(c for c in expressions if c not in present)]
    select = sql.SQL(", ").join(sql.SQL("{} as {}").format(expressions[c], sql.Identifier(c)) for c in order)
    text = sql.SQL("select {} {}").format(select, source).as_string(connection)
    view = sql.Identifier("city", name)
    if present and view_comment(connection, name) == text:
        return []
    connection.execute(sql.SQL("create or replace view {} as " + text).format(view))
    # The comment holds the text the view was made from: PostgreSQL gives back its own rewriting of it.
    connection.execute(sql.SQL("comment on view {} is {}").format(view, sql.Literal(text)))
    return [f"{'replaced' if present else 'created'} city.{name}"]


def view_columns(connection: psycopg.Connection, name: str) -> list[str]:
    """Columns of a view in order; empty when there is none."""
    rows = connection.execute(
        "select column_name::text from information_schema.columns "
        "where table_schema = 'city' and table_name = %s order by ordinal_position",
        (name,),
    )
    return [column for (column,) in rows]


def view_comment(connection: psycopg.Connection, name: str) -> str | None:
    """The text a view was last made from."""
    row = connection.execute("select obj_description(%s::regclass)", (f"city.{name}",)).fetchone()
    return row[0] if row else None
