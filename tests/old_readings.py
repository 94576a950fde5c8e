"""Readings of days gone by, put straight into the tables of a database of their own; and what a lake says of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from devices.family import FAMILIES, Family
from tests.stack import RunningStack

LOCAL = timezone(timedelta(hours=7))
DEVICES = 6

Connection = psycopg.Connection[Any]


@contextmanager
def own_database(stack: RunningStack) -> Iterator[tuple[str, Connection]]:
    """A new database on the cluster of a stack, with some devices; its address and a connection of its owner."""
    with stack.database() as url, psycopg.connect(url, autocommit=True) as connection:
        enroll(connection)
        yield url, connection


def enroll(connection: Connection) -> None:
    """Devices whose numbers are not in the order of their text ids, in two areas."""
    connection.execute(
        "insert into registry.device (device, profile, area)"
        " select 'old-' || (%(n)s - n), (select id from registry.profile where profile = 'native-air-quality'),"
        " (select id from registry.area order by id offset n %% 2 limit 1) from generate_series(1, %(n)s) n",
        {"n": DEVICES},
    )


def today(days_ago: int = 0) -> date:
    """A day in Asia/Ho_Chi_Minh."""
    return datetime.now(LOCAL).date() - timedelta(days=days_ago)


def midnight(day: date) -> datetime:
    """When a local day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=LOCAL)


def fill(connection: Connection, day: date, family: str = "air_quality", rows: int = 240, batch: int = 1) -> None:
    """Rows of every device, spread over a local day; some lack a metric, some have boot and extra."""
    metrics = ", ".join(
        f"(case when (n + {place}) % 7 = 0 then null else {value(metric.kind, len(metric.states), place)} end)"
        for place, metric in enumerate(FAMILIES[family].metrics)
    )
    names = ", ".join(FAMILIES[family].index)
    connection.execute(
        f"insert into reading.{family} (time, seq, received, batch, boot, device, area, {names}, extra)"
        f" select t, n, t + interval '83.417 ms', %(batch)s, case when n %% 3 = 0 then n end, d.id, d.area,"
        f" {metrics.replace('%', '%%')}, case when n %% 50 = 0 then jsonb_build_object('nơi', n) end"
        " from registry.device d, generate_series(0, %(rows)s - 1) n,"
        " lateral (select %(start)s::timestamptz + n * (interval '1 day' / %(rows)s) + d.id * interval '1 us')"
        " as s (t)".encode(),
        {"batch": batch, "rows": rows, "start": midnight(day)},
    )


def value(kind: str, states: int, place: int) -> str:
    """An expression for a metric's value in row n."""
    return f"((n + {place}) % {states})::int2" if kind == "state" else f"round((n * 0.1 + {place})::numeric, 1)::float8"


def add_row(connection: Connection, when: datetime, seq: int = 1_000_000, family: str = "air_quality") -> None:
    """One reading that comes late."""
    connection.execute(
        f"insert into reading.{family} (time, seq, received, batch, device, area)"
        " select %s, %s, now(), 9, id, area from registry.device order by id limit 1".encode(),
        (when, seq),
    )


def rows_of(connection: Connection, family: Family, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """What the view that everybody reads says of a time, in the order of the lake; times as text."""
    names = ", ".join(family.index)
    return connection.execute(
        f"select device, area, extract(epoch from time)::text, seq, extract(epoch from received)::text, batch, boot,"
        f" {names}, extra::text from city.{family.name} where time >= %s and time < %s"
        ' order by device collate "C", time, seq'.encode(),
        (start, end),
    ).fetchall()


def rows_in(lake: Path, family: Family, day: date) -> list[tuple[Any, ...]]:
    """What DuckDB reads of a day, the same way."""
    names = ", ".join(family.index)
    with duckdb.connect() as reader:
        return reader.execute(
            f"select device, area, printf('%.6f', epoch_us(time) / 1000000.0), seq,"
            f" printf('%.6f', epoch_us(received) / 1000000.0), batch, boot, {names}, extra"
            " from read_parquet(?, hive_partitioning = true) where day = ? order by device, time, seq",
            [f"{lake}/family={family.name}/*/*.parquet", day.isoformat()],
        ).fetchall()


def exporting(
    url: str, lake: Path, day: date, crash: str = "", family: str = "air_quality"
) -> "subprocess.CompletedProcess[str]":
    """Export in a process of its own, which kills itself with SIGKILL at a step, `block` meaning the second one."""
    code = (
        "import os, psycopg\n"
        "from datetime import date\nfrom pathlib import Path\n"
        "from devices.family import FAMILIES\n"
        "from ingest import lake_blocks\nfrom ingest.lake import Lake, alone, export_day\n"
        "lake_blocks.ROWS = 500\npassed = []\n"
        "def step(name):\n"
        "    passed.append(name)\n"
        f"    if name == {crash!r} and (name != 'block' or len(passed) == 2): os.kill(os.getpid(), {signal.SIGKILL})\n"
        f"with psycopg.connect({url!r}, autocommit=True) as connection, alone(connection):\n"
        f"    export_day(connection, Lake(Path({str(lake)!r}), '0', step), FAMILIES['air_quality'],"
        f" date.fromisoformat({day.isoformat()!r}))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ)
    )
