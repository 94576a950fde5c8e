"""kill -9 of ingest and of the database under load: what the broker acknowledged is in the table once."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples import examples
from tests.gateway import Gateway
from tests.stack import RunningStack, running_stack

# Three devices, so that keys repeat in device and differ in time; the kills of each kind are the same number.
DEVICES = 3
KILLS = examples(3)
RATE_PER_S = 400


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """A stack of its own: what is killed here must not disturb other tests."""
    with running_stack(tmp_path_factory.mktemp("kill"), "--workers", "2", prepared=prepared) as stack:
        yield stack


class Load(threading.Thread):
    """Publishes numbered readings until told to stop; knows which of them the broker has acknowledged."""

    def __init__(self, broker: str, devices: list[str]) -> None:
        super().__init__()
        self.seq_of: dict[int, tuple[str, int]] = {}
        self.gateway = Gateway(broker, "load")
        self._devices = devices
        self._stop_asked = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        seq = 0
        while not self._stop_asked.is_set():
            seq += 1
            device = self._devices[seq % len(self._devices)]
            payload = {"time": time.time_ns() // 1_000_000, "seq": seq, "metrics": {"pm25": seq % 500}}
            topic = f"dothi/v1/213/{device}/up"
            self.seq_of[self.gateway.publish(topic, json.dumps(payload).encode())] = (device, seq)
            time.sleep(max(0.0, began + seq / RATE_PER_S - time.monotonic()))

    def stop(self) -> set[tuple[str, int]]:
        """(device, seq) of everything the broker acknowledged."""
        self._stop_asked.set()
        self.join()
        self.gateway.settle()
        self.gateway.close()
        return {self.seq_of[mid] for mid in self.gateway.acknowledged}


def processes(stack: RunningStack) -> dict[str, Any]:
    """Who runs now, by the stack's own document."""
    document = json.loads((Path(stack.folder) / "stack.json").read_text())
    return dict(document["processes"])


def kill_worker(stack: RunningStack, chance: random.Random) -> None:
    os.kill(chance.choice(processes(stack)["workers"]), signal.SIGKILL)


def kill_database(stack: RunningStack, chance: random.Random) -> None:
    os.kill(processes(stack)["database"], signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_worker, kill_database])
def test_what_the_broker_acknowledged_is_stored_once(own_stack: RunningStack, kill: Any) -> None:
    chance = random.Random(20261121)  # noqa: S311 - the same moments in every run
    devices = own_stack.enroll_many([(f"kill-{n}", "native-air-quality", "213", "") for n in range(DEVICES)])
    load = Load(own_stack.document["broker"], devices)
    load.start()
    recoveries = []
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 1.5))
        killed = time.time()
        kill(own_stack, chance)
        newest = "select max(received) > to_timestamp(%s) from city.air_quality where device = %s"
        own_stack.wait_for(newest, killed, devices[0])
        recoveries.append(time.time() - killed)
    acknowledged = load.stop()
    own_stack.wait_for(
        "select count(*) from city.air_quality where device = any(%s)", devices, until=lambda n: n >= len(acknowledged)
    )
    rows = own_stack.query("select device, seq from city.air_quality where device = any(%s)", devices)
    assert acknowledged - set(rows) == set(), "acknowledged by the broker and lost"
    assert len(rows) == len(set(rows)), "stored twice"
    assert own_stack.query("select count(*) from city.quarantine where device = any(%s)", devices) == [(0,)]
    assert_ledger_balances(own_stack, devices)
    print(  # noqa: T201 - the figures are what `make chaos` is run for
        f"\n{kill.__name__}: {KILLS} kills, {len(acknowledged)} messages acknowledged by the broker, 0 lost, "
        f"0 doubled, recovery median {sorted(recoveries)[len(recoveries) // 2]:.1f} s, longest {max(recoveries):.1f} s"
    )


def assert_ledger_balances(stack: RunningStack, devices: list[str]) -> None:
    """received = stored + duplicate + quarantined, and stored is what the table holds."""
    received, rest, stored = stack.query(
        "select sum(received), sum(stored + duplicate + quarantined), sum(stored) from city.ledger"
    )[0]
    assert received == rest
    assert stored == stack.query("select count(*) from city.air_quality")[0][0]
