"""Quarantined messages sent through again after a fix: booked, marked, and stored once however often it is done."""

import json
from typing import Any

import pytest

from tests.command import dothi
from tests.stack import RunningStack
from tests.test_ingest import ledger, now_ms, uplink


def replay(stack: RunningStack, *options: str) -> dict[str, Any]:
    """What the command says of itself."""
    return dict(json.loads(stack.dothi("ingest", "replay", *options, "--json").stdout))


@pytest.fixture(scope="module")
def replayed(stack: RunningStack) -> tuple[str, list[dict[str, Any]]]:
    """A device that sent before it was enrolled: five readings, one of them twice, and one that is nothing."""
    name = "replay-1"
    when = now_ms()
    sent = [{"time": when + n, "seq": n, "metrics": {"pm25": n}} for n in range(5)]
    stack.publish(uplink("219", name), *sent, sent[0], b"nothing", [{**sent[0], "seq": 5}, {**sent[0], "seq": 6}, 7])
    stack.wait_settled(8, "219")
    assert ledger(stack, "219") == (8, 0, 0, 8)
    return name, sent


def test_replay(stack: RunningStack, replayed: tuple[str, list[dict[str, Any]]]) -> None:
    name, _ = replayed
    options = ("--device", name, "--reason", "unknown_device")
    assert replay(stack, *options, "--dry-run")["refused"] == 8
    file = stack.folder / "replay.csv"
    file.write_text(f"device,profile,area\n{name},native-air-quality,219\n")
    stack.dothi("devices", "enroll", str(file))
    enrolled = stack.query("select now()")[0][0]
    dry = replay(stack, *options, "--dry-run")
    assert (dry["messages"], dry["replayed"], dry["refused"], dry["stored"]) == (8, 7, 1, 0)
    assert ledger(stack, "219") == (8, 0, 0, 8)
    done = replay(stack, *options)
    assert (done["replayed"], done["stored"], done["duplicate"], done["quarantined"]) == (7, 7, 1, 1)
    assert done["reasons"] == {"malformed": 1}
    assert ledger(stack, "219") == (10, 7, 1, 2)
    rows = stack.query("select seq, pm25 from city.air_quality where device = %s order by seq", name)
    assert rows == [*((n, float(n)) for n in range(5)), (5, 0), (6, 0)]
    late = "select count(*) from city.air_quality where device = %s and received > %s"
    assert stack.query(late, name, enrolled) == [(0,)]  # they keep the time at which they first came
    marks = stack.query(
        "select replayed is not null, count(*) from city.quarantine where inbox = '219' group by 1 order by 1"
    )
    assert marks == [(False, 2), (True, 7)]
    again = replay(stack, *options)
    assert (again["replayed"], again["stored"]) == (0, 0)
    assert stack.query("select count(*) from city.air_quality where device = %s", name) == [(7,)]
    audit = stack.dothi("ingest", "audit", "--since", "1h", "--json", check=False)  # others take away what they stored
    assert [one for one in json.loads(audit.stdout)["differences"] if one["where"] == "219"] == []


def test_times_and_reasons_are_checked() -> None:
    for options in (("--since", "yesterday"), ("--until", "2026-01-01T00:00:00"), ("--reason", "bad_luck")):
        refused = dothi("ingest", "replay", "--dir", "/nowhere", *options, check=False)
        assert refused.returncode in (1, 2)


def test_two_replays_do_not_run_at_once(stack: RunningStack) -> None:
    import psycopg

    from ingest.replay import LOCK

    with psycopg.connect(stack.document["database"]) as other:
        other.execute("select pg_advisory_lock(%s)", (LOCK,))
        refused = stack.dothi("ingest", "replay", check=False)
    assert refused.returncode == 1
    assert "another replay" in refused.stderr
