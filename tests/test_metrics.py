"""The pages of the long-running processes, and the figures on them."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dothi.commands.status import state_of
from ingest import metrics
from ingest.host import Host
from ingest.metrics import Figures, Meters
from ingest.mqtt import Messages, Publish
from ingest.serve import Pages
from ingest.window import Arrival, Window
from tests.stack import RunningStack, running_stack


def samples(text: str) -> dict[str, float]:
    """Prometheus text → value by sample name and `le`; labels of one process are the same everywhere."""
    return {
        sample.name + (f" {sample.labels['le']}" if "le" in sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Source:
    """A connection that nothing happens on."""

    inbox = "213"

    def acknowledge(self, pids: Any) -> None: ...
    def publish(self, messages: Any) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


def arrival(received_s: float, messages: int = 1) -> Arrival:
    """Messages received at a time."""
    return Arrival(
        Source(), int(received_s * 1e6), Messages.of([Publish(b"t", b"p", 1, False)] * messages), 100 * messages
    )


def figures(window: Window | None = None, meters: Meters | None = None) -> Figures:
    """A worker without inboxes."""
    used = window or Window()
    return Figures(3, meters or Meters(), used, Host(used, None, lambda _: None))


def test_batches_add_up() -> None:
    meters = Meters()
    meters.batch(90, 7, 3, 2, 0.03)
    meters.batch(10, 0, 0, 0, 60.0)
    shown = samples(figures(meters=meters).text().decode())
    assert shown["dothi_readings_received_total"] == 110
    assert shown["dothi_readings_stored_total"] == 100
    assert shown["dothi_readings_duplicate_total"] == 7
    assert shown["dothi_readings_quarantined_total"] == 3
    assert shown["dothi_readings_partial_total"] == 2
    assert shown["dothi_batches_total"] == 2
    assert (shown["dothi_commit_seconds_bucket 0.02"], shown["dothi_commit_seconds_bucket 0.05"]) == (0, 1)
    assert (shown["dothi_commit_seconds_bucket 30.0"], shown["dothi_commit_seconds_bucket +Inf"]) == (1, 2)
    assert shown["dothi_commit_seconds_sum"] == pytest.approx(60.03)


def test_what_is_in_flight_and_how_far_behind() -> None:
    window = Window(most_messages=10)
    shown = figures(window)
    assert shown.trouble() is None
    window.put(arrival(time.time() - 4, 7))
    text = samples(shown.text().decode())
    assert (text["dothi_in_flight_messages"], text["dothi_in_flight_bytes"]) == (7, 700)
    assert (text["dothi_messages_received_total"], text["dothi_messages_settled_total"]) == (7, 0)
    assert text["dothi_lag_seconds"] == pytest.approx(4, abs=0.5)
    assert (text["dothi_window_full"], text["dothi_ready"]) == (0, 1)


def test_how_many_devices_are_known_and_as_of_when() -> None:
    window = Window()
    shown = Figures(0, Meters(), window, Host(window, None, lambda _: None), lambda: (5, 1_795_315_965.25))
    text = samples(shown.text().decode())
    assert text["dothi_devices_known"] == 5
    assert text["dothi_registry_read_timestamp_seconds"] == 1_795_315_965.25


def test_a_full_window_is_trouble_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FULL_FOR_S", 0.0)
    window = Window(most_messages=10)
    arrived = arrival(time.time(), 12)
    window.put(arrived)
    time.sleep(0.01)
    assert (figures(window).trouble() or "").startswith("window full since 20")
    window.release([arrived])
    assert figures(window).trouble() is None


def test_falling_behind_is_trouble() -> None:
    window = Window()
    window.put(arrival(time.time() - 60))
    assert (figures(window).trouble() or "").endswith(" s behind")


def test_a_database_that_is_away_keeps_its_since() -> None:
    shown = figures()
    shown.database("connection refused\nis the server running?")
    first = shown.trouble()
    assert first is not None
    assert first.startswith("database away since 20")
    assert first.endswith(": connection refused")
    time.sleep(0.01)
    shown.database("something else")
    assert (shown.trouble() or "").split(": ")[0] == first.split(": ")[0]
    assert samples(shown.text().decode())["dothi_database_up"] == 0
    shown.database(None)
    assert shown.trouble() is None


def test_a_database_that_never_answers_is_away_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SILENT_FOR_S", 0.0)
    shown = figures()
    with shown.reporting():
        time.sleep(0.01)
        assert (shown.trouble() or "").endswith("no answer")
    assert shown.trouble() is None


def test_the_state_names_the_database_first() -> None:
    assert state_of([]) == "running"
    window, database = "worker 0: window full since 1", "worker 1: database away since 2: gone"
    assert state_of(["up: broker 0 down", window, database]) == "database away since 2: gone"
    assert state_of(["up: broker 0 down, being started again", window]) == "window full since 1"
    assert state_of(["worker 2: does not answer"]) == "does not answer"


async def test_pages_answer_and_survive_nonsense() -> None:
    trouble: list[str] = []
    pages = Pages(lambda: b"dothi_x 1\n", lambda: trouble[0] if trouble else None)
    server = await asyncio.start_server(pages, "127.0.0.1", 0, limit=1000)
    port = server.sockets[0].getsockname()[1]

    async def ask(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    async with server:
        assert (await ask(b"GET /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\ndothi_x 1\n")
        assert b" 200 OK" in await ask(b"GET /healthz?now HTTP/1.0\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in await ask(b"GET /readyz HTTP/1.1\r\n\r\n")
        trouble.append("window full since noon")
        answer = await ask(b"GET /readyz HTTP/1.1\r\n\r\n")
        assert b" 503 " in answer
        assert answer.endswith(b"window full since noon\n")
        assert b" 404 " in await ask(b"GET /etc/passwd HTTP/1.1\r\n\r\n")
        assert await ask(b"\r\n\r\n") == b""
        assert await ask(b"x" * 5000 + b"\r\n\r\n") == b""


def page(stack: RunningStack, name: str, path: str) -> str:
    """A page of a process of the stack."""
    document = json.loads((stack.folder / "stack.json").read_text())
    with urlopen(f"{document['metrics'][name]}{path}", timeout=60) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


def becomes_ready(stack: RunningStack, process: str) -> None:
    """Wait until it says so: a busy machine makes any process lag for a moment, and then it says that."""
    until = time.monotonic() + 60
    said = ""
    while said != "ready\n" and time.monotonic() < until:
        try:
            said = page(stack, process, "/readyz")
        except HTTPError as error:
            said = error.read().decode()
            time.sleep(0.2)
    assert said == "ready\n", process


@pytest.mark.stack
def test_every_long_running_process_has_its_pages(stack: RunningStack) -> None:
    assert page(stack, "worker 0", "/healthz") == page(stack, "up", "/healthz") == "alive\n"
    device = stack.enroll("metrics")
    before, deadline = samples(page(stack, "worker 0", "/metrics")), time.monotonic() + 60
    sent = {"time": time.time_ns() // 1_000_000, "seq": 1, "metrics": {"pm25": 1}}
    stack.publish(f"dothi/v1/213/{device}/up", sent, sent, b"?")
    stack.wait_for("select count(*) from city.quarantine where device = %s", device)
    after, settled = before, "dothi_messages_settled_total"
    while after[settled] < before[settled] + 3:
        assert time.monotonic() < deadline, after
        time.sleep(0.05)
        after = samples(page(stack, "worker 0", "/metrics"))
    grown = {
        name: after[f"dothi_{name}_total"] - before[f"dothi_{name}_total"]
        for name in ("messages_received", "readings_stored", "readings_duplicate", "readings_quarantined")
    }
    assert min(grown.values()) >= 1, grown
    assert grown["messages_received"] >= 3
    hosts = json.loads((stack.folder / "stack.json").read_text())["ingest"]["hosts"]
    assert after["dothi_inboxes"] == after["dothi_inboxes_connected"] == len(hosts)
    up = samples(page(stack, "up", "/metrics"))
    assert {"dothi_part_up", "dothi_broker_messages", "dothi_broker_share", "dothi_broker_dropped_total"} <= up.keys()
    for process in ("worker 0", "up", "analyst", "messenger", "keeper"):
        becomes_ready(stack, process)
    until = time.monotonic() + 60
    while (status := json.loads(stack.dothi("status", "--json").stdout))["state"] != "running":
        assert time.monotonic() < until, status["state"]
    assert set(status["metrics"]) == {"up", "worker 0", "analyst", "messenger", "keeper"}


@pytest.mark.full
def test_a_simulated_city_has_its_pages_too(tmp_path: Path, prepared: Path) -> None:
    """On a stack of its own: its readings would be in the ledgers that other tests count to the digit."""
    with running_stack(tmp_path, "--people", "20", "--density", "50", prepared=prepared) as stack:
        pages = json.loads((stack.folder / "stack.json").read_text())["metrics"]["simulator"]
        sent = 0.0
        until = time.monotonic() + 60
        while not sent and time.monotonic() < until:
            time.sleep(0.2)
            with contextlib.suppress(OSError), urlopen(f"{pages}/metrics", timeout=60) as answer:  # noqa: S310 - our own loopback address
                sent = samples(answer.read().decode())["dothi_simulator_acknowledged_total"]
        assert sent > 0
        becomes_ready(stack, "simulator")
