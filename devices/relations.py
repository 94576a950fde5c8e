"""Families as SQL: types of columns, tables that only grow, views under the names that people use.

What changes a table in use takes a lock that everyone else queues behind. So it waits for that lock only for a moment,
holds it only for a moment, and gives way and comes again when it is not to be had.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

import psycopg
from psycopg import sql

from devices.family import Family, Metric

# Ingest waits while a change waits for its lock, and while the change is made: together less than 200 ms.
LOCK_TIMEOUT = "80ms"
HOLD_MS = 160
CHUNK_MS = 0.5  # a change takes 0.1 to 0.2 ms for each chunk; a table of very many is given the time it needs
ATTEMPTS = 180  # about 150 s: longer than a reader's transaction is let live
LONGEST_PAUSE_S = 1.0
# Autovacuum gives way to whoever has waited for deadlock_timeout; a flush of the log is not waited for under the lock:
# what is stored in the new column flushes the change with it.
SHORT = """
select set_config('lock_timeout', %s, true), set_config('synchronous_commit', 'off', true),
       case when has_parameter_privilege('deadlock_timeout', 'set')
            then set_config('deadlock_timeout', '20ms', true) end
"""
HOLDER = """
select c.oid::regclass::text, a.pid, coalesce(a.usename, a.backend_type), a.application_name,
       to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'), left(a.query, 120)
from pg_locks l join pg_stat_activity a on a.pid = l.pid join pg_class c on c.oid = l.relation
where l.granted and l.database = (select oid from pg_database where datname = current_database())
  and a.pid <> pg_backend_pid() and c.relnamespace::regnamespace::text in ('reading', 'rollup', 'city')
order by a.xact_start, c.oid limit 1
"""

SESSIONS = 3  # a server makes views on one core each
SAME = """
select format('set role %I', current_user) union all
select format('set %I = %L', name, setting) from pg_settings where name = 'default_toast_compression'
"""
COLUMNS = """
select attname::text, format_type(atttypid, atttypmod) from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
"""  # as information_schema.columns says it, at a fifth of its cost

UNSAMPLED = """
select attname::text from pg_attribute
where attrelid = %s::regclass and attnum > 0 and not attisdropped and coalesce(attstattarget, -1) = -1 order by attnum
"""
SAMPLED = 10
"""ANALYZE looks at 300 rows for each of so many: a tenth of the usual 30,000. Tables and chunks that grow all the time
are looked at all the time, and all that is asked of them is asked by key, by time or by batch."""

ViewBody = tuple[dict[str, sql.Composable], sql.Composable]


class FamilyRefused(Exception):
    """The table in the database cannot become what the family file says by adding to it."""


def with_retries(connection: psycopg.Connection, change: Callable[[], list[str]]) -> list[str]:
    """Run a change in its own short transaction; give way to whoever holds the lock and try again.

    Raises FamilyRefused, naming who holds it, when the lock is not to be had in ATTEMPTS.
    """
    pause_s = 0.1
    for _ in range(ATTEMPTS):
        try:
            with connection.transaction():
                connection.execute(SHORT, (LOCK_TIMEOUT,))
                return change()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected):
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - out of step with who holds it; no secret
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    raise FamilyRefused(stayed_locked(connection))


def stayed_locked(connection: psycopg.Connection) -> str:
    """What to tell when a change found no moment: the oldest transaction that holds a lock on our tables or views."""
    row = connection.execute(HOLDER).fetchone()
    if row is None:
        return f"no moment of {HOLD_MS} ms was found for a change in {ATTEMPTS} attempts; run dothi migrate again"
    relation, pid, user, application, since, query = row
    return (
        f"{relation} stayed locked for {ATTEMPTS} attempts by process {pid} ({user}, {application or 'unnamed'}, "
        f"transaction since {since or 'unknown'}): {' '.join((query or 'unknown').split())}; "
        "end it and run dothi migrate again"
    )


@contextmanager
def beside(connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Another session to the same database in the same role, for work that two can share."""
    info = connection.info
    with psycopg.connect(info.dsn, password=info.password, autocommit=True) as second:
        for (statement,) in connection.execute(SAME).fetchall():
            second.execute(statement)
        yield second


def shared(connection: psycopg.Connection, jobs: Iterable[Callable[[psycopg.Connection], list[str]]]) -> list[str]:
    """Run jobs that do not meet, SESSIONS at a time; what each did, in their order."""
    with ExitStack() as sessions, ThreadPoolExecutor(SESSIONS) as pool:
        free: SimpleQueue[psycopg.Connection] = SimpleQueue()
        for session in [connection, *(sessions.enter_context(beside(connection)) for _ in range(SESSIONS - 1))]:
            free.put(session)

        def run(job: Callable[[psycopg.Connection], list[str]]) -> list[str]:
            session = free.get()
            try:
                return job(session)
            finally:
                free.put(session)

        return [line for done in pool.map(run, jobs) for line in done]


def column_type(metric: Metric) -> str:
    """SQL type of a metric's column."""
    return "smallint" if metric.kind == "state" else "double precision"


def grow_table(
    connection: psycopg.Connection, table: sql.Identifier, present: Mapping[str, str], wanted: Mapping[str, str]
) -> list[str]:
    """Add the columns that a table lacks, all in one statement of bounded time; returns their names."""
    missing = [name for name in wanted if name not in present]
    if missing:
        name = table.as_string(connection)
        row = connection.execute("select count(*) from pg_inherits where inhparent = %s::regclass", (name,)).fetchone()
        longest = max(HOLD_MS, int(CHUNK_MS * row[0])) if row else HOLD_MS
        connection.execute("select set_config('statement_timeout', %s, true)", (f"{longest}ms",))
        add = sql.SQL(", ").join(sql.SQL("add column {} " + wanted[one]).format(sql.Identifier(one)) for one in missing)
        connection.execute(sql.SQL("alter table {} {}").format(table, add))
        connection.execute("select set_config('statement_timeout', '0', true)")
    return missing


def sample_little(connection: psycopg.Connection, table: sql.Identifier) -> list[str]:
    """Let ANALYZE take few rows of a table and of its chunks, those to come too; returns the columns that this changed.
    What somebody has set otherwise stays. Readers and writers do not wait for it."""
    found = connection.execute(UNSAMPLED, (table.as_string(connection),)).fetchall()
    columns = [name for (name,) in found]
    if columns:
        few = sql.SQL(", ").join(
            sql.SQL("alter column {} set statistics {}").format(sql.Identifier(name), SAMPLED) for name in columns
        )
        connection.execute(sql.SQL("alter table {} {}").format(table, few))
    return columns


def table_columns(connection: psycopg.Connection, schema: str, table: str) -> dict[str, str]:
    """Column name → type as the database has it; empty when there is no table."""
    return dict(connection.execute(COLUMNS, (f'"{schema}"."{table}"',)).fetchall())


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
    return list(table_columns(connection, "city", name))


def view_comment(connection: psycopg.Connection, name: str) -> str | None:
    """The text a view was last made from."""
    row = connection.execute("select obj_description(%s::regclass)", (f"city.{name}",)).fetchone()
    return row[0] if row else None
