"""The loaded stack as it is shipped: started, caught up, sent to."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from dothi.settings import Stack, stack_at
from tests.bench.day_fill import CITY, say

UP_S, CAUGHT_UP_S, LOOK_S = 300.0, 7200.0, 10.0
NEWEST = "select coalesce((select complete from rollup.newest_state), false)"
BEHIND = """
select count(*)::int from ops.batch
where xid > coalesce((select xid from ops.consumer where consumer = 'analyst'), '0')
"""
STORED = """
select coalesce(sum(stored), 0) / 60.0 from ops.ledger where minute = date_trunc('minute', now()) - interval '1 minute'
"""
BORDERS = """
update rollup.closed set until = greatest(until, case width
    when '1d' then date_trunc('day', now() at time zone 'Asia/Ho_Chi_Minh') at time zone 'Asia/Ho_Chi_Minh'
    when '1h' then date_trunc('hour', now()) else date_trunc('minute', now()) end)
"""
TAKEN = "insert into ops.consumer (consumer, xid) values ('analyst', pg_current_xact_id()) on conflict do nothing"


def hand_over(owner: str) -> None:
    """Let the analyst find a day that was taken before it was started: it makes the newest values from the readings, as
    after a crash of the server, and rollups from the hour on in which it starts."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(TAKEN)
        connection.execute(BORDERS)


def stored_per_s(database: str) -> float:
    """Readings that were stored in a second, in the last whole minute."""
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute(STORED).fetchone()
    assert row is not None  # an aggregate always gives a row
    return float(row[0])


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
    """Wait until newest values are complete and the batches are taken; whether they are. The hour that was open when
    the analyst began is closed from readings, which goes on beside."""
    end = time.monotonic() + CAUGHT_UP_S
    with psycopg.connect(stack.database, autocommit=True) as connection:
        while time.monotonic() < end:
            complete = connection.execute(NEWEST).fetchone() == (True,)
            (waiting,) = connection.execute(BEHIND).fetchone() or (0,)
            if complete and waiting < 1000:
                return True
            say(f"newest values {'complete' if complete else 'being made'}; {waiting} batches wait")
            time.sleep(LOOK_S)
    return False


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
