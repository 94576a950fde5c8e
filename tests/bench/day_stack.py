"""The loaded stack as it is shipped: started, caught up, sent to."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from analytics.consume import BOARDS, CONSUMER
from dothi.settings import Stack, stack_at
from tests.bench.day_fill import CITY, say

UP_S, CAUGHT_UP_S, LOOK_S = 300.0, 7200.0, 10.0
NEWEST = "select coalesce((select complete from rollup.newest_state), false)"
BEHIND = """
select coalesce(max((select count(*) from ops.batch b where b.xid > coalesce(c.xid, '0'))), 0)::int
from unnest(%s::text[]) strand left join ops.consumer c on c.consumer = strand
"""
UNHEARD = "select coalesce(sum(devices), 0)::int from registry.device_count where state = 'enrolled'"
FEW_BATCHES, FEW_DEVICES = 1000, 50_000
BORDERS = """
update rollup.closed set until = greatest(until, case width
    when '1d' then date_trunc('day', now() at time zone 'Asia/Ho_Chi_Minh') at time zone 'Asia/Ho_Chi_Minh'
    when '1h' then date_trunc('hour', now()) else date_trunc('minute', now()) end)
"""
TAKEN = """
insert into ops.consumer (consumer, xid) select strand, pg_current_xact_id() from unnest(%s::text[]) strand
on conflict do nothing
"""
STRANDS = [CONSUMER, BOARDS]


def hand_over(owner: str) -> None:
    """Let both strands of the analyst find a day that was taken before they were started: newest values are made from
    the readings, as after a crash of the server, and rollups from the hour on in which it starts."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(TAKEN, (STRANDS,))
        connection.execute(BORDERS)


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Stack]:
    """The whole stack while the block runs, with further arguments of `dothi up`."""
    ready = folder / "run/ready.json"
    ready.unlink(missing_ok=True)
    for needed in ("run", "log"):
        (folder / needed).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dothi", "up", "--dir", str(folder), "--ready-file", str(ready), *arguments]
    with (folder / "log/up.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + UP_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the stack does not start, see {log.name}")
            time.sleep(0.5)
        yield stack_at(folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(300)


def caught_up(stack: Stack) -> bool:
    """Wait until newest values are complete, both strands have taken what waits, and the devices of the day count as
    heard; whether all that is so. The hour that was open when the analyst began is closed from readings, which goes on
    beside."""
    end = time.monotonic() + CAUGHT_UP_S
    with psycopg.connect(stack.database, autocommit=True) as connection:
        while time.monotonic() < end:
            complete = bool(one_of(connection, NEWEST))
            waiting, unheard = one_of(connection, BEHIND, STRANDS), one_of(connection, UNHEARD)
            if complete and waiting < FEW_BATCHES and unheard < FEW_DEVICES:
                return True
            values = "complete" if complete else "being made"
            say(f"newest values {values}; {waiting:,} batches wait; {unheard:,} devices are to be heard")
            time.sleep(LOOK_S)
    return False


def one_of(connection: psycopg.Connection, query: str, *values: object) -> int:
    """The only figure of the only row."""
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None  # each of them is an aggregate, or a select of one
    return int(row[0])


@contextlib.contextmanager
def sent_to(folder: Path, rate: float) -> Iterator[None]:
    """A city that sends so many messages a second while the block runs, the one whose day was loaded."""
    if not rate:
        yield
        return
    command = [
        *(sys.executable, "-m", "dothi", "simulate", "run", "--dir", str(folder)),
        *("--people", str(CITY.people), "--density", str(CITY.density), "--rate", str(rate)),
        *("--no-enroll", "--no-account", "--json"),
    ]
    with (folder / "log/simulate.json").open("wb") as out, (folder / "log/simulate.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=out, stderr=log, start_new_session=True)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the city ended early, see {log.name}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
