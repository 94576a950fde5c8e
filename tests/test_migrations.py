"""The database's shape: safe to run twice, only ever added to, left alone when it is newer than the code."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import psycopg
import pytest

from devices import relations
from devices.family import FAMILIES, Family, Metric
from devices.profile import PROFILES
from dothi import migrations, unchanged
from dothi.errors import Refused
from ingest import reconcile
from tests.stack import RunningStack

Database = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def database(stack: RunningStack) -> Iterator[Database]:
    """A new database of its own, migrated; dropped afterwards."""
    with stack.database() as address, psycopg.connect(address, autocommit=True) as connection:
        yield connection


def url(database: Database) -> str:
    """The address under which the database was opened."""
    info = database.info
    return f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"


def with_metric(family: Family, metric: Metric) -> Family:
    """The family with one more metric at the end."""
    metrics = (*family.metrics, metric)
    return replace(family, metrics=metrics, index={one.name: place for place, one in enumerate(metrics)})


RADON = Metric("radon", "Bq/m3", 0, 1e6, "gauge", (), {"vi": "Radon", "en": "Radon"}, None)


def test_numbers_are_unique_over_all_rooms() -> None:
    numbers = [migration.name.partition("/")[2][:4] for migration in migrations.known_migrations()]
    assert len(numbers) == len(set(numbers))
    assert all(number.isdecimal() for number in numbers)


def test_a_second_run_does_nothing(database: Database) -> None:
    assert migrations.migrate(url(database)) == []


def test_a_newer_database_is_left_alone(database: Database) -> None:
    database.execute("insert into public.dothi_migration (name, sha256) values ('ingest/9999_later.sql', 'x')")
    with pytest.raises(Refused, match=r"newer than this code.*9999_later"):
        migrations.migrate(url(database))


def test_a_migration_changed_after_it_ran_is_refused(database: Database) -> None:
    database.execute("update public.dothi_migration set sha256 = 'x' where name like 'devices/0001%'")
    with pytest.raises(Refused, match="changed after it ran"):
        migrations.migrate(url(database))


def test_an_unreachable_database_is_one_line_without_the_password() -> None:
    with pytest.raises(Refused) as refusal:
        migrations.migrate("postgresql://someone:secret@127.0.0.1:1/none")
    assert "127.0.0.1:1/none" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_new_metric_is_added_at_the_end_while_somebody_reads(database: Database) -> None:
    """The reader's transaction holds a lock for a while; the change tries in short turns until it goes through."""
    family = with_metric(FAMILIES["weather"], RADON)
    before = relations.view_columns(database, "weather")

    def read_for_a_while() -> None:
        with psycopg.connect(url(database)) as reader:
            reader.execute("select count(*) from city.weather")
            time.sleep(1)

    reading = threading.Thread(target=read_for_a_while)
    reading.start()
    time.sleep(0.3)
    done = list(reconcile.reconcile_family(database, family))
    reading.join()
    assert "added radon to reading.weather" in done
    assert relations.view_columns(database, "weather") == [*before, "radon"]
    assert list(reconcile.reconcile_family(database, family)) == []


def test_dropping_a_metric_is_refused(database: Database) -> None:
    list(reconcile.reconcile_family(database, with_metric(FAMILIES["weather"], RADON)))
    with pytest.raises(relations.FamilyRefused, match="radon"):
        list(reconcile.reconcile_family(database, FAMILIES["weather"]))


def test_a_metric_keeps_its_kind(database: Database) -> None:
    family = FAMILIES["weather"]
    metrics = tuple(
        replace(m, kind="state", states=("wet", "dry")) if m.name == "precipitation" else m for m in family.metrics
    )
    with pytest.raises(relations.FamilyRefused, match=r"precipitation is double precision.*smallint"):
        list(reconcile.reconcile_family(database, replace(family, metrics=metrics)))


def test_the_plan_is_there_from_the_first_migration(database: Database) -> None:
    rows = database.execute(
        "select province, count(*), sum(people)::int from city.plan group by 1 order by 1"
    ).fetchall()
    assert [row[:2] for row in rows] == [("bac-giang", 10), ("bac-kan", 8)]
    assert rows[0][2] == pytest.approx(1_870_000, abs=10)


@pytest.mark.parametrize("role", ["dothi_admin", "dothi_writer", "dothi_analyst", "dothi_reader"])
def test_the_four_roles_exist(database: Database, role: str) -> None:
    assert database.execute("select count(*) from pg_roles where rolname = %s", (role,)).fetchone() == (1,)


FORBIDDEN_TO_READERS = [
    "insert into reading.weather (time, seq, received, batch, device, area) values (now(), 1, now(), 1, 1, 213)",
    "select * from reading.weather",
    "select * from registry.device",
    "select * from ops.quarantine",
    "delete from city.ledger",
    "create table city.mine (x int)",
    "create table public.mine (x int)",
]


@pytest.mark.parametrize("statement", FORBIDDEN_TO_READERS)
def test_the_reader_reads_views_and_nothing_else(stack: RunningStack, statement: str) -> None:
    with psycopg.connect(stack.document["reader"], autocommit=True) as reader:
        assert reader.execute("select count(*) from city.weather").fetchone() is not None
        reader.execute("set default_transaction_read_only = off")  # what it may lift must not help it
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(statement.encode())


def test_every_view_of_the_contract_has_its_columns(stack: RunningStack) -> None:
    columns: dict[str, list[str]] = {}
    for view, column in stack.query(
        "select table_name::text, column_name::text from information_schema.columns where table_schema = 'city' "
        "order by table_name, ordinal_position"
    ):
        columns.setdefault(view, []).append(column)
    for view, promised in PROMISED.items():
        assert columns[view][: len(promised)] == promised
    for family in FAMILIES.values():
        promised = ["time", "device", "area", "seq", "received", *family.index, "extra"]
        assert columns[family.name][: len(promised)] == promised
        assert {*promised, "as_of"} <= set(columns[f"latest_{family.name}"])


PROMISED = {
    view: columns.split()
    for view, columns in {
        "device": "device profile family area name lat lon state last_seen last_seq",
        "quarantine": "id received topic payload sha256 size device profile reason detail replayed",
        "ledger": "minute inbox received stored duplicate quarantined",
        "alarm": "id kind severity device area raised acknowledged by cleared shelved_until value message",
        "plan": "area name people devices devices_per_100 target_low target_high",
    }.items()
}


def test_what_is_as_it_was_left_is_not_gone_through(database: Database) -> None:
    with psycopg.connect(url(database), autocommit=True) as connection:
        assert unchanged.as_left(connection)
        connection.execute("create table reading.spare (a int)")
        assert not unchanged.as_left(connection)
        connection.execute("drop table reading.spare")
        assert unchanged.as_left(connection)
        connection.execute("comment on view city.soil is 'mine'")
        assert not unchanged.as_left(connection)
    assert migrations.migrate(url(database)) == ["replaced city.soil"]
    assert migrations.migrate(url(database)) == []


def test_what_the_registry_lost_comes_back(database: Database) -> None:
    database.execute("update registry.profile set interval_s = 1 where profile = 'native-soil'")
    assert migrations.migrate(url(database)) == []
    row = database.execute("select interval_s from registry.profile where profile = 'native-soil'").fetchone()
    assert row == (PROFILES["native-soil"].interval_s,)


def test_what_was_taken_away_is_made_again(database: Database) -> None:
    database.execute("drop view city.soil_1d")
    database.execute("drop index reading.soil_batch")
    assert sorted(migrations.migrate(url(database))) == ["created city.soil_1d", "created reading.soil_batch"]


def test_work_is_shared_by_sessions_of_the_same_role(database: Database) -> None:
    database.execute("set role dothi_admin")

    def job(number: int, session: Database) -> list[str]:
        (line,) = session.execute("select %s::int || ' by ' || current_user", (number,)).fetchone() or ("",)
        return [str(line)]

    assert relations.shared(database, [partial(job, number) for number in range(9)]) == [
        f"{number} by dothi_admin" for number in range(9)
    ]

    def fault(session: Database) -> list[str]:
        raise relations.FamilyRefused("not this one")

    with pytest.raises(relations.FamilyRefused, match="not this one"):
        relations.shared(database, [partial(job, 1), fault, partial(job, 2)])
    mine = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    deadline = time.monotonic() + 60
    while database.execute(mine + " and backend_type = 'client backend'").fetchone() != (0,):
        assert time.monotonic() < deadline
        time.sleep(0.05)


TARGETS = """
select t.relname::text, array_agg(distinct t.target order by t.target) from (
    select c.relname, coalesce(a.attstattarget, -1)::int as target
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where a.attnum > 0 and not a.attisdropped and (a.attrelid = %(table)s::regclass
          or a.attrelid in (select inhrelid from pg_inherits where inhparent = %(table)s::regclass))) t
group by 1
"""


@pytest.mark.parametrize("table", ["reading.soil", "rollup.newest_soil", "rollup.next_soil", "ops.settled"])
def test_few_rows_are_sampled_of_what_grows_all_the_time(database: Database, table: str) -> None:
    database.execute(
        "insert into reading.soil (time, seq, received, batch, device, area) "
        "select now() - day * interval '1 day', 1, now(), 1, 1, 213 from generate_series(0, 2) day"
    )
    found = database.execute(TARGETS.encode(), {"table": table}).fetchall()
    assert len(found) == (4 if table == "reading.soil" else 1), "chunks that came later, too"
    assert all(targets == [relations.SAMPLED] for _, targets in found)


def test_a_table_of_before_is_sampled_less_but_for_what_somebody_chose(database: Database) -> None:
    database.execute(
        "alter table reading.soil alter column device set statistics -1, alter column area set statistics 500"
    )
    assert list(reconcile.reconcile_family(database, FAMILIES["soil"])) == ["reading.soil is sampled less"]
    assert list(reconcile.reconcile_family(database, FAMILIES["soil"])) == []
    found = database.execute(TARGETS.encode(), {"table": "reading.soil"}).fetchall()
    assert [targets for _, targets in found] == [[relations.SAMPLED, 500]]
