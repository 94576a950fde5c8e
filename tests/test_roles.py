"""Each role can do what it needs and nothing else: tried one by one, and compared with a table of all that there is."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.stack import RunningStack

ROLES = ("dothi_writer", "dothi_analyst", "dothi_reader", "dothi_operator")
Database = psycopg.Connection[Any]

# Who may do what, by table or view: r select, a insert, w update, d delete, D truncate; ? after what only some have.
# The first line that fits counts. A new object in ops or public needs a line of its own. Staff (dothi_operator) may do
# what readers may, where no fourth entry says otherwise.
TABLES: list[tuple[str, ...]] = [
    ("registry.credential", "rd", "", ""),
    ("registry.*", "r", "r", ""),
    ("reading.*", "ra", "r", ""),
    ("rollup.*", "", "r a?w?d?D?", ""),
    ("city.*", "", "r", "r"),
    ("ops.batch", "ra", "r", ""),
    ("ops.quarantine", "ra", "r", ""),
    ("ops.event", "ra", "ra", ""),
    ("ops.ledger", "raw", "r", ""),
    ("ops.presence", "raw", "r", ""),
    ("ops.worker", "raw", "r", ""),
    ("ops.inbox", "raw", "r", ""),
    ("ops.committed", "raw", "r", ""),
    ("ops.quarantine_quota", "raw", "r", ""),
    ("ops.settled", "raw", "r", ""),
    ("ops.consumer", "", "raw", ""),
    ("ops.alarm_news", "", "rd", ""),
    ("ops.delivery", "", "rawd", ""),
    ("ops.alarm*", "", "r", ""),
    ("ops.maintenance", "", "r", ""),
    ("ops.lake*", "", "r", ""),
    ("ops.*_sample", "", "r", ""),
    ("public.dothi_migration", "", "", ""),
]
SEQUENCES: list[tuple[str, ...]] = [("ops.batch_id", "U", "", ""), ("*", "", "", "")]
# How alarms are raised and folded, what staff do with them, and what only these functions call.
ENGINE = ("raise_alarms", "clear_alarms", "join_alarm", "leave_alarm", "add_evidence", "remind_alarms", "spread_alarm")
STAFF = (
    *(f"{step}_alarm" for step in ("acknowledge", "shelve", "unshelve", "clear", "comment", "judge")),
    "begin_maintenance",
    "end_maintenance",
)
WITHIN_ALARMS = (
    "add_members",
    "apply_maintenance",
    "check_alarms",
    "check_said",
    "end_in_words",
    "local_time",
    "maintained_until",
    "receded_areas",
    "refuse",
    "refuse_step",
    "refuse_to_forget",
    "said_before",
    "take_alarm",
    "take_turn",
    "tell_alarms",
)
# By name, without arguments; x: may call.
FUNCTIONS: list[tuple[str, ...]] = [
    ("registry.activate", "", "x", ""),
    ("registry.*", "", "", ""),
    ("rollup.newest_reading_*", "", "x", "x"),
    ("rollup.open_*", "", "x", "x"),
    ("rollup.counter_before", "", "x", "x"),
    ("rollup.*", "", "x?", ""),
    ("city.*", "", "x", "x"),
    ("ops.take_batches", "", "x", ""),
    ("ops.index_batches", "", "x", ""),
    ("ops.newest_chunks", "", "", ""),
    ("ops.stop_readers", "", "", ""),
    ("ops.retry_deliveries", "", "x", ""),
    *((f"ops.{name}", "", "x", "") for name in ENGINE),
    *((f"ops.{name}", "", "", "", "x") for name in STAFF),
    *((f"ops.{name}", "", "", "") for name in WITHIN_ALARMS),
    ("ops.note_sample", "x", "", ""),
]
PRIVILEGES = {"r": "select", "a": "insert", "w": "update", "d": "delete", "D": "truncate", "x": "references"}
SCHEMAS = "('registry', 'reading', 'rollup', 'ops', 'city', 'public')"
OURS = f"n.nspname in {SCHEMAS} and not exists (select from pg_depend d where d.objid = o.oid and d.deptype = 'e')"


def address(stack: RunningStack, role: str) -> str:
    """The stack's database as one of its roles logs in."""
    password = json.loads((stack.folder / "secrets.json").read_text())[role]
    return f"postgresql://{role}:{password}@{stack.document['database'].rpartition('@')[2]}"


@contextmanager
def connect(stack: RunningStack, role: str) -> Iterator[Database]:
    """A login of a role, which has lifted what it may lift."""
    with psycopg.connect(address(stack, role), autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        yield connection


def entry(table: list[tuple[str, ...]], name: str, role: str) -> tuple[set[str], set[str]]:
    """What a role must have and may have on an object."""
    line = next((line for line in table if fnmatch(name, line[0])), None)
    assert line, f"{name} is new: say in {__name__} who may do what with it"
    told = (*line, line[3]) if len(line) == 4 else line
    said = re.findall(r"(\w)(\??)", told[1 + ROLES.index(role)])
    return {letter for letter, mark in said if not mark}, {letter for letter, _ in said}


def wrong(table: list[tuple[str, ...]], found: list[tuple[str, str, set[str]]]) -> list[str]:
    """Every object and role whose privileges are not those of the table."""
    lines = []
    for name, role, held in found:
        needed, allowed = entry(table, name, role)
        if not needed <= held <= allowed:
            lines.append(f"{role} has {''.join(sorted(held)) or 'nothing'} on {name}, not {''.join(sorted(allowed))}")
    return lines


@pytest.mark.parametrize("role", ROLES)
def test_tables_and_views(stack: RunningStack, role: str) -> None:
    rows = stack.query(
        "select n.nspname || '.' || o.relname, array_remove(array["
        + ", ".join(
            f"case when has_table_privilege('{role}', o.oid, '{privilege}') then '{letter}' end"
            for letter, privilege in PRIVILEGES.items()
        )
        + f"], null) from pg_class o join pg_namespace n on n.oid = o.relnamespace "
        f"where relkind in ('r', 'v', 'm') and {OURS}"
    )
    assert len(rows) > 30
    assert wrong(TABLES, [(name, role, set(held)) for name, held in rows]) == []


@pytest.mark.parametrize("role", ROLES)
def test_sequences(stack: RunningStack, role: str) -> None:
    rows = stack.query(
        f"select n.nspname || '.' || o.relname, has_sequence_privilege('{role}', o.oid, 'usage,select,update') "
        f"from pg_class o join pg_namespace n on n.oid = o.relnamespace where relkind = 'S' and {OURS}"
    )
    assert wrong(SEQUENCES, [(name, role, {"U"} if held else set()) for name, held in rows]) == []


@pytest.mark.parametrize("role", ROLES)
def test_functions(stack: RunningStack, role: str) -> None:
    rows = stack.query(
        f"select n.nspname || '.' || o.proname, has_function_privilege('{role}', o.oid, 'execute') "
        f"from pg_proc o join pg_namespace n on n.oid = o.pronamespace where {OURS}"
    )
    assert wrong(FUNCTIONS, [(name, role, {"x"} if held else set()) for name, held in rows]) == []


def test_nothing_of_ours_is_open_to_everyone(stack: RunningStack) -> None:
    rows = stack.query(
        "select o.oid::regclass::text from pg_class o join pg_namespace n on n.oid = o.relnamespace, "
        "aclexplode(o.relacl) a "
        f"where a.grantee = 0 and {OURS} union all "
        "select o.oid::regprocedure::text from pg_proc o join pg_namespace n on n.oid = o.pronamespace, "
        f"aclexplode(coalesce(o.proacl, acldefault('f', o.proowner))) a where a.grantee = 0 and {OURS} union all "
        f"select n.nspname from pg_namespace n, aclexplode(n.nspacl) a where a.grantee = 0 and n.nspname in {SCHEMAS} "
        "and (n.nspname <> 'public' or a.privilege_type <> 'USAGE') union all "
        "select 'column ' || o.attrelid::regclass || '.' || o.attname from pg_attribute o, aclexplode(o.attacl) a "
        "where a.grantee = 0 and o.attrelid >= 16384"
    )
    assert rows == []


def test_whatever_a_later_migration_makes_is_closed_too(stack: RunningStack) -> None:
    with psycopg.connect(stack.document["database"]) as connection:
        connection.execute("set role dothi_admin")
        for schema in ("registry", "reading", "rollup", "ops", "city"):
            connection.execute(f"create function {schema}.later() returns int language sql as 'select 1'")
            connection.execute(f"create table {schema}.later (x int)")
        held = connection.execute(
            "select count(*) filter (where has_function_privilege('dothi_reader', s || '.later()', 'execute')), "
            "count(*) filter (where has_table_privilege('dothi_reader', s || '.later', 'select')), "
            "count(*) filter (where has_table_privilege('dothi_writer', s || '.later', 'update,delete,truncate')), "
            "count(*) filter (where has_function_privilege('dothi_writer', s || '.later()', 'execute')) "
            "from unnest(array['registry', 'reading', 'rollup', 'ops', 'city']) s"
        ).fetchone()
        connection.rollback()
    assert held == (1, 1, 0, 0), "the reader's are those in city"


def test_all_of_ours_belongs_to_the_admin(stack: RunningStack) -> None:
    rows = stack.query(
        "select o.oid::regclass::text, relowner::regrole::text from pg_class o "
        "join pg_namespace n on n.oid = o.relnamespace "
        f"where n.nspname <> 'public' and relowner <> 'dothi_admin'::regrole and {OURS} union all "
        "select o.oid::regprocedure::text, proowner::regrole::text from pg_proc o "
        "join pg_namespace n on n.oid = o.pronamespace "
        f"where n.nspname <> 'public' and proowner <> 'dothi_admin'::regrole and {OURS}"
    )
    assert rows == []


def test_no_role_is_more_than_a_role(stack: RunningStack) -> None:
    rows = stack.query(
        "select rolname, rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls from pg_roles "
        "where rolname like 'dothi\\_%%' order by 1"
    )
    assert rows == [(role, False) for role in sorted((*ROLES, "dothi_admin"))]
    members = stack.query(
        "select member::regrole::text, roleid::regrole::text from pg_auth_members "
        "where member::regrole::text like 'dothi\\_%%' order by 1, 2"
    )
    assert members == [
        ("dothi_admin", "dothi_operator"),
        ("dothi_admin", "dothi_reader"),
        ("dothi_admin", "pg_read_all_stats"),
        ("dothi_operator", "dothi_reader"),
    ]


def test_definers_functions_do_not_look_for_names_where_others_may_put_them(stack: RunningStack) -> None:
    rows = stack.query(
        f"select o.oid::regprocedure::text from pg_proc o join pg_namespace n on n.oid = o.pronamespace where {OURS} "
        "and o.prosecdef and not exists (select from unnest(o.proconfig) c where c like 'search_path=%%')"
    )
    assert rows == []


READER_TRIES = [
    "insert into city.event (time, kind, severity, message) values (now(), 'x', 'info', 'x')",
    "update city.ledger set received = 0",
    "delete from city.ledger",
    "select * from registry.device",
    "select * from reading.weather",
    "select * from ops.quarantine",
    "select * from ops.batch",
    "select * from rollup.later",
    "select * from public.dothi_migration",
    "select * from pg_authid",
    "select * from pg_shadow",
    "select * from pg_largeobject",
    "table pg_hba_file_rules",
    "create table city.mine (x int)",
    "create table public.mine (x int)",
    "create table rollup.mine (x int)",
    "create temporary table mine (x int)",
    "create schema mine",
    "create extension pg_trgm",
    "create function pg_temp.mine() returns int language sql as 'select 1'",
    "create function public.mine() returns int language sql as 'select 1'",
    "create role mine",
    "create database mine",
    "alter role dothi_writer password 'x'",
    "alter role dothi_reader connection limit -1",
    "alter database dothi set statement_timeout = 0",
    "alter system set work_mem = '1GB'",
    "alter view city.weather rename to mine",
    "drop view city.weather",
    "comment on view city.weather is 'mine'",
    "truncate reading.weather",
    "do $$ begin lock table city.weather in exclusive mode; end $$",
    "do $$ begin lock table city.weather in row exclusive mode; end $$",
    "select drop_chunks('reading.weather', now())",
    "select pg_prewarm('reading.weather')",
    "select add_job('pg_sleep', interval '1 s')",
    "select _timescaledb_functions.stop_background_workers()",
    "set role dothi_writer",
    "set role dothi_analyst",
    "set role dothi_admin",
    "set role dothi",
    "set session authorization dothi",
    "set temp_file_limit = -1",
    "set track_activities = off",
    "set session_replication_role = replica",
    "copy city.plan to '/tmp/mine'",
    "copy city.plan to program 'true'",
    "select pg_read_file('PG_VERSION')",
    "select pg_ls_dir('.')",
    "select lo_create(0)",
    "select lo_creat(-1)",
    "select lo_from_bytea(0, 'mine')",
    "select lo_import('/etc/hostname')",
    "select pg_advisory_lock(1)",
    "select pg_advisory_lock_shared(1, 2)",
    "select pg_try_advisory_lock(1)",
    "select pg_advisory_xact_lock(1)",
    "select pg_notify('mine', 'x')",
    "select pg_current_xact_id()",
    "select txid_current()",
    "select pg_logical_emit_message(false, 'mine', repeat('x', 1000))",
    "select pg_export_snapshot()",
    "select pg_cancel_backend(pg_backend_pid())",
    "select pg_terminate_backend(pg_backend_pid())",
    "select pg_reload_conf()",
    "select pg_switch_wal()",
    "select pg_stat_reset()",
    "select pg_create_physical_replication_slot('mine')",
    "select nextval('ops.batch_id')",
    "select * from ops.take_batches('mine')",
    "select ops.stop_readers()",
    "checkpoint",
    "explain analyze delete from city.ledger",
    "with gone as (delete from city.ledger returning 1) select * from gone",
    "do $$ begin execute 'create temporary table mine (x int)'; end $$",
]
WRITER_TRIES = [
    "select * from city.weather",
    "select * from rollup.later",
    "select * from ops.alarm",
    "select * from ops.consumer",
    "select * from public.dothi_migration",
    "select * from pg_authid",
    "update reading.weather set temperature = 0",
    "delete from reading.weather",
    "truncate reading.weather",
    "drop table reading.weather",
    "alter table reading.weather add column mine int",
    "create index on reading.weather (time)",
    "select drop_chunks('reading.weather', now())",
    "delete from ops.ledger",
    "delete from ops.batch",
    "update ops.batch set rows = 1",
    "truncate ops.quarantine",
    "update ops.quarantine set payload = ''",
    "insert into public.dothi_migration values ('x', 'x')",
    "insert into registry.device (device, profile, area) values ('mine', 1, 213)",
    "update registry.device set state = 'retired'",
    "create table reading.mine (x int)",
    "create table ops.mine (x int)",
    "create table public.mine (x int)",
    "create schema mine",
    "select * from ops.take_batches('mine')",
    "select ops.stop_readers()",
    "set role dothi_admin",
    "set role dothi_analyst",
    "copy ops.batch to program 'true'",
]
ANALYST_TRIES = [
    "insert into reading.weather (time, seq, received, batch, device, area) values (now(), 1, now(), 1, 1, 213)",
    "delete from reading.weather",
    "truncate reading.weather",
    "drop table reading.weather",
    "select drop_chunks('reading.weather', now())",
    "update registry.device set state = 'retired'",
    "delete from ops.ledger",
    "update ops.ledger set received = 0",
    "insert into ops.batch (batch, family, worker, time_min, time_max, rows) values (1, 'weather', 0, now(), now(), 1)",
    "delete from ops.consumer",
    "delete from ops.alarm",
    "insert into ops.alarm (kind, severity, message) values ('x', 'info', 'x')",
    "update ops.alarm set cleared = now()",
    "insert into ops.alarm_history (alarm, at, what) values (1, now(), 'cleared')",
    "delete from ops.alarm_history",
    "insert into ops.alarm_news values (1)",
    "select ops.acknowledge_alarm(1, 'x', null)",
    "select ops.clear_alarm(1, 'x', null)",
    "delete from ops.event",
    "update ops.event set severity = 'info'",
    "select nextval('ops.batch_id')",
    "select * from public.dothi_migration",
    "insert into public.dothi_migration values ('x', 'x')",
    "create table rollup.mine (x int)",
    "create table public.mine (x int)",
    "create view city.mine as select 1",
    "drop schema rollup cascade",
    "select ops.stop_readers()",
    "set role dothi_admin",
    "set role dothi_writer",
]
OPERATOR_TRIES = [
    "select * from ops.alarm",
    "select * from ops.alarm_history",
    "select * from registry.device",
    "update ops.alarm set acknowledged = now()",
    "delete from ops.alarm",
    "insert into ops.alarm_history (alarm, at, what) values (1, now(), 'cleared')",
    "insert into ops.maintenance (area, since, until, by, reason) values (1, now(), 'tomorrow', 'x', 'x')",
    "select * from ops.raise_alarms('[]')",
    "select * from ops.clear_alarms('{}', '{}')",
    "select * from ops.remind_alarms()",
    "select ops.add_members(1, '{1}', now())",
    "select ops.take_turn()",
    "select pg_notify('dothi_alarm', '')",
    "select pg_advisory_lock(1)",
    "create table city.mine (x int)",
    "create temporary table mine (x int)",
    "set role dothi_analyst",
    "set role dothi_admin",
]
TRIES = [
    (role, statement)
    for role, statements in zip(ROLES, (WRITER_TRIES, ANALYST_TRIES, READER_TRIES, OPERATOR_TRIES), strict=True)
    for statement in statements
]


@pytest.fixture(scope="module")
def logins(stack: RunningStack) -> Iterator[dict[str, Database]]:
    """A connection of each role."""
    with ExitStack() as open_ones:
        yield {role: open_ones.enter_context(connect(stack, role)) for role in ROLES}


@pytest.mark.parametrize(("role", "statement"), TRIES)
def test_it_tries_and_is_refused(logins: dict[str, Database], role: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        logins[role].execute(statement.encode())


def test_the_reader_reads_all_views_and_calls_their_functions(logins: dict[str, Database], stack: RunningStack) -> None:
    views = stack.query("select viewname from pg_views where schemaname = 'city'")
    for (view,) in views:
        logins["dothi_reader"].execute(sql.SQL("select * from {} limit 1").format(sql.Identifier("city", view)))
    assert logins["dothi_reader"].execute("select time_bucket('1 h', now()), first(area, people) from city.plan")


def test_chunks_are_as_closed_as_their_table(stack: RunningStack, logins: dict[str, Database]) -> None:
    device = stack.enroll("roles")
    stack.publish(f"dothi/v1/213/{device}/up", {"metrics": {"pm25": 1}})
    stack.wait_for("select count(*) from city.air_quality where device = %s", device)
    chunk = stack.query(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'reading.air_quality'::regclass"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        logins["dothi_reader"].execute(f"select * from {chunk[0][0]}".encode())


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_other_databases_of_the_stack_are_closed(stack: RunningStack, role: str, database: str) -> None:
    url = address(stack, role).rpartition("/")[0] + "/" + database
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url)


def test_a_temporary_file_has_a_limit_that_the_reader_cannot_lift(logins: dict[str, Database]) -> None:
    assert logins["dothi_reader"].execute("show temp_file_limit").fetchone() == ("1GB",)


def test_readers_leave_connections_to_the_others(stack: RunningStack) -> None:
    most, all_of_them = stack.query(
        "select rolconnlimit, current_setting('max_connections')::int from pg_roles where rolname = 'dothi_reader'"
    )[0]
    assert 0 < most < all_of_them / 2
