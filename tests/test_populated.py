"""A database of the first release, with readings in it, becomes today's: nothing is lost, and ingest goes on in it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from devices.family import FAMILIES
from dothi import migrations
from tests.stack import RunningStack, running_stack

FIRST = Path(__file__).parent / "migrations"
CATALOGUE = {"area": "code", "profile": "profile", "target": "year"}  # written anew by every migration; ids must stay

Database = psycopg.Connection[Any]
Columns = dict[str, list[str]]


class Migrated(NamedTuple):
    """A migrated database and what was in it before. `rows`: number and digest by table; `views`: rows by view."""

    url: str
    tables: Columns
    rows: dict[str, tuple[int, str]]
    views: Columns
    seen: dict[str, int]
    ids: dict[str, dict[Any, int]]


@contextmanager
def first_database(stack: RunningStack) -> Iterator[str]:
    """The address of a database as the first release left it, with rows; dropped afterwards."""
    name = f"populated_{time.time_ns()}"
    base = stack.document["database"].rpartition("/")[0]
    stack.run(f"create database {name}")
    try:
        with psycopg.connect(f"{base}/{name}", autocommit=True) as connection:
            for script in ("first_schema.sql", "first_rows.sql"):
                connection.execute((FIRST / script).read_text().replace(":database", name).encode())
        yield f"{base}/{name}"
    finally:
        stack.run(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def migrated(stack: RunningStack) -> Iterator[Migrated]:
    """A database of the first release, brought to today's shape."""
    with first_database(stack) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            tables = columns(connection, "BASE TABLE", "reading", "registry", "ops")
            tables = {table: names for table, names in tables.items() if table.partition(".")[2] not in CATALOGUE}
            del tables["registry.unit"]  # the catalogue's as well, and without ids
            views = columns(connection, "VIEW", "city")
            before = Migrated(
                url,
                tables,
                {table: digest(connection, table, names) for table, names in tables.items()},
                views,
                {view: digest(connection, view, names)[0] for view, names in views.items()},
                ids(connection),
            )
        migrations.migrate(url)
        yield before


@pytest.fixture
def database(migrated: Migrated) -> Iterator[Database]:
    """A connection to the migrated database, as its owner."""
    with psycopg.connect(migrated.url, autocommit=True) as connection:
        yield connection


def columns(connection: Database, kind: str, *schemas: str) -> Columns:
    """Columns in order of each table or view of some schemas."""
    rows = connection.execute(
        "select table_schema || '.' || table_name, array_agg(column_name::text order by ordinal_position) "
        "from information_schema.columns c join information_schema.tables t using (table_schema, table_name) "
        "where table_schema = any(%s) and t.table_type = %s group by 1",
        (list(schemas), kind),
    )
    return dict(rows.fetchall())


def digest(connection: Database, table: str, names: list[str]) -> tuple[int, str]:
    """Number of rows, and a digest over all values of some columns, whatever the rows' order."""
    query = sql.SQL("select count(*), md5(string_agg(md5(row({})::text), '' order by md5(row({})::text))) from {} t")
    listed = sql.SQL(", ").join(sql.Identifier("t", name) for name in names)
    row = connection.execute(query.format(listed, listed, sql.Identifier(*table.split(".")))).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def ids(connection: Database) -> dict[str, dict[Any, int]]:
    """By table of the catalogue: the number of each name (for a year: the year)."""
    found = {}
    for table, name in CATALOGUE.items():
        number = "year" if table == "target" else "id"
        query = sql.SQL("select {}, {} from {}").format(
            sql.Identifier(name), sql.Identifier(number), sql.Identifier("registry", table)
        )
        found[table] = dict(connection.execute(query).fetchall())
    return found


def test_the_first_release_is_populated(migrated: Migrated) -> None:
    """Or else the laws below would hold of nothing."""
    assert {f"reading.{family}" for family in FAMILIES} & set(migrated.tables)
    empty = [table for table, (rows, _) in migrated.rows.items() if not rows]
    assert empty == []


def test_every_row_is_still_there(migrated: Migrated, database: Database) -> None:
    for table, names in migrated.tables.items():
        assert digest(database, table, names) == migrated.rows[table], table


def test_areas_and_profiles_keep_their_numbers(migrated: Migrated, database: Database) -> None:
    after = ids(database)
    for table, names in migrated.ids.items():
        assert names.items() <= after[table].items(), table


def test_views_show_as_much_as_before_and_their_columns_stay_in_place(migrated: Migrated, database: Database) -> None:
    after = columns(database, "VIEW", "city")
    for view, names in migrated.views.items():
        assert after[view][: len(names)] == names, view
        assert digest(database, view, names)[0] == migrated.seen[view], view


def test_every_view_answers_the_reader(migrated: Migrated, database: Database) -> None:
    """As panels ask: for the last hours, where it has a time. No analyst has been at work, so buckets are computed."""
    with psycopg.connect(migrated.url, options="-c role=dothi_reader", autocommit=True) as reader:
        for view, names in columns(database, "VIEW", "city").items():
            times = [name for name in ("time", "bucket") if name in names]
            lately = f"where {times[0]} > now() - interval '6 hours'" if times else ""
            query = sql.SQL(f"select * from {{}} {lately} limit 1000")
            reader.execute(query.format(sql.Identifier(*view.split("."))))


def test_a_second_run_does_nothing(migrated: Migrated) -> None:
    assert migrations.migrate(migrated.url) == []


def test_ingest_goes_on_in_it(migrated: Migrated, database: Database, tmp_path: Path) -> None:
    """A device of the first release sends a reading; it is stored beside what it sent then, once."""
    with running_stack(tmp_path, environment={"DOTHI_DATABASE_URL": migrated.url}) as running:
        payload = {"time": int(time.time() * 1000), "seq": 7_000, "metrics": {"temperature": 31.5}}
        running.publish("dothi/v1/213/native-weather-1/up", payload, payload)
        temperature = running.wait_for(
            "select temperature from city.weather where device = 'native-weather-1' and seq = 7000"
        )
        newest = running.wait_for(
            "select seq from city.latest_weather where device = 'native-weather-1'", until=lambda seq: seq == 7_000
        )
        running.wait_for("select sum(duplicate) from ops.ledger", until=lambda n: n == 120 * 3 + 1)
    assert (temperature, newest) == (31.5, 7_000)
