"""The analyst as a process is killed while a detector gathers evidence: it finds the same as if undisturbed."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import RunningStack, running_stack

pytestmark = pytest.mark.full
STEP_S = 600
FOUND = "select until is null, extract(epoch from since)::bigint from city.finding where detector = 'dry'"


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """A stack of its own: what is killed here must not disturb other tests."""
    with running_stack(tmp_path_factory.mktemp("killed"), prepared=prepared) as running:
        yield running


def kill_analyst(stack: RunningStack) -> None:
    """At once, and without a word."""
    document = json.loads((Path(stack.folder) / "stack.json").read_text())
    os.kill(document["processes"]["analyst"], signal.SIGKILL)


def test_evidence_outlives_the_process(own_stack: RunningStack) -> None:
    """Soil is called dry after six hours below the limit; none of the three processes sees them all."""
    device = own_stack.enroll("killed", "native-soil")
    begin = int(time.time()) - 100 * STEP_S
    sent = 0

    def send(readings: int, moisture: float) -> None:
        nonlocal sent
        payloads = [
            {"time": (begin + n * STEP_S) * 1000, "seq": n, "metrics": {"soil_moisture": moisture + n % 3 / 1000}}
            for n in range(sent, sent + readings)
        ]
        sent += readings
        own_stack.publish(f"dothi/v1/213/{device}/up", *payloads)
        own_stack.wait_for("select count(*) from city.soil where device = %s", device, until=sent.__eq__)

    send(10, 0.3)
    send(14, 0.01)
    kill_analyst(own_stack)
    send(14, 0.01)
    kill_analyst(own_stack)
    assert own_stack.query(FOUND) == []
    send(14, 0.01)
    own_stack.wait_for(f"select count(*) from ({FOUND}) x")
    assert own_stack.query(FOUND) == [(True, begin + 10 * STEP_S)]
    kill_analyst(own_stack)
    send(3, 0.3)
    own_stack.wait_for(f"select count(*) from ({FOUND}) x(open, since) where not open")
    assert own_stack.query(FOUND) == [(False, begin + 10 * STEP_S)]
