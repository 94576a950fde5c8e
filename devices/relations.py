"""Families as SQL: types of columns, tables that only grow, views under the names that people use."""

import time
from collections.abc import Callable, Mapping

import psycopg
from psycopg import sql

from devices.family import Family, Metric

LOCK_TIMEOUT = "200ms"  # nobody's ingest waits longer than this for a new column
ATTEMPTS = 50

ViewBody = tuple[dict[str, sql.Composable], sql.Composable]


class FamilyRefused(Exception):
    """The table in the database cannot become what the family file says by adding to it."""


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


def grow_table(
    connection: psycopg.Connection, table: sql.Identifier, present: Mapping[str, str], wanted: Mapping[str, str]
) -> list[str]:
    """Add the columns that a table lacks; returns their names."""
    missing = [name for name in wanted if name not in present]
    for name in missing:
        add = sql.SQL("alter table {} add column {} " + wanted[name])
        connection.execute(add.format(table, sql.Identifier(name)))
    return missing


def table_columns(connection: psycopg.Connection, schema: str, table: str) -> dict[str, str]:
    """Column name → type as the database has it; empty when there is no table."""
    return dict(
        connection.execute(
            "select column_name::text, data_type::text from information_schema.columns "
            "where table_schema = %s and table_name = %s order by ordinal_position",
            (schema, table),
        ).fetchall()
    )


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
