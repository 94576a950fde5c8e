"""The analyst as a process: killed, with its database, doubled, told to stop; what the views say stays right."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack import RunningStack, running_stack
from tests.test_metrics import becomes_ready

KEPT = "select device, time, seq, pm25 from city.latest_air_quality"
DIRECT = (
    "select distinct on (device) device, time, seq, pm25 from city.air_quality order by device, time desc, seq desc"
)
DIFFERENCES = f"with k as ({KEPT}), d as ({DIRECT}) select count(*) from (table k except all table d) x"
MISSING = f"with k as ({KEPT}), d as ({DIRECT}) select count(*) from (table d except all table k) x"


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """A stack of its own: what is killed here must not disturb other tests."""
    with running_stack(tmp_path_factory.mktemp("analyst"), prepared=prepared) as running:
        yield running


@pytest.fixture(scope="module")
def devices(own_stack: RunningStack) -> list[str]:
    return own_stack.enroll_many([(f"an-{n}", "native-air-quality", "213", "") for n in range(5)])


def document(stack: RunningStack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(stack.folder) / "stack.json").read_text())
    return found


def send(stack: RunningStack, devices: list[str], seq: int) -> None:
    """A reading of each device, stored when this returns."""
    received = stack.received()
    for device in devices:
        reading = {"time": time.time_ns() // 1_000_000, "seq": seq, "metrics": {"pm25": seq}}
        stack.publish(f"dothi/v1/213/{device}/up", reading)
    stack.wait_settled(received + len(devices))


def page(stack: RunningStack, path: str) -> str:
    with urllib.request.urlopen(document(stack)["metrics"]["analyst"] + path, timeout=60) as answer:  # noqa: S310
        return str(answer.read().decode())


def test_newest_values_are_there(own_stack: RunningStack, devices: list[str]) -> None:
    send(own_stack, devices, 1)
    own_stack.wait_for("select count(*) from city.latest_air_quality where seq = 1", until=lambda n: n == len(devices))
    becomes_ready(own_stack, "analyst")
    assert "dothi_analyst_rows_missing_total 0.0" in page(own_stack, "/metrics")


def test_a_killed_analyst_is_back_and_misses_nothing(own_stack: RunningStack, devices: list[str]) -> None:
    for seq in (2, 3):
        killed = document(own_stack)["processes"]["analyst"]
        os.kill(killed, signal.SIGKILL)
        send(own_stack, devices, seq)
        own_stack.wait_for(
            "select count(*) from city.latest_air_quality where seq = %s", seq, until=lambda n: n == len(devices)
        )
    assert own_stack.query(DIFFERENCES) == own_stack.query(MISSING) == [(0,)]


def test_after_the_death_of_the_database_the_views_are_right_from_the_first_answer(
    own_stack: RunningStack, devices: list[str]
) -> None:
    send(own_stack, devices, 4)
    own_stack.wait_for("select min(seq) from city.latest_air_quality", until=lambda seq: seq == 4)
    os.kill(document(own_stack)["processes"]["database"], signal.SIGKILL)
    time.sleep(0.3)
    own_stack.wait_for("select true")
    until, complete = time.monotonic() + 60, False
    while not complete and time.monotonic() < until:
        assert own_stack.query(DIFFERENCES) == own_stack.query(MISSING) == [(0,)]
        complete = own_stack.query("select coalesce(bool_and(complete), false) from rollup.newest_state") == [(True,)]
    assert complete
    assert own_stack.query(DIFFERENCES) == own_stack.query(MISSING) == [(0,)]
    assert own_stack.query("select count(*) from rollup.newest_air_quality") == [(len(devices),)]


def test_a_second_analyst_waits_and_leaves_when_told(own_stack: RunningStack) -> None:
    command = [sys.executable, "-m", "dothi", "analytics", "run", "--dir", str(own_stack.folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second:
        assert second.stderr is not None
        said = [second.stderr.readline() for _ in range(2)]
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    assert any("another analyst" in line for line in said)
