"""What the database itself refuses, faults of its schema, and the bounds of quarantine."""

import json
import time
from collections.abc import Iterator

import pytest

from ingest.quarantine import QUOTA, UNKNOWN_IDS
from tests.gateway import WAIT_S
from tests.stack import RunningStack
from tests.test_ingest import ledger, now_ms, uplink

DEVICES = {
    "mixed": ("poison-mixed", "native-weather", "062", ""),
    "refused": ("poison", "native-weather", "060", ""),
    "schema": ("poison-schema", "native-traffic-flow", "063", ""),
    "read-only": ("poison-read-only", "native-traffic-flow", "064", ""),
    "quota": ("poison-quota", "native-air-quality", "065", ""),
    "elsewhere": ("poison-elsewhere", "native-air-quality", "058", ""),
}


@pytest.fixture(scope="module")
def devices(stack: RunningStack) -> dict[str, str]:
    """Ids of the devices by what they are for; enrolled at once, because that takes its time."""
    return dict(zip(DEVICES, stack.enroll_many(list(DEVICES.values())), strict=True))


@pytest.fixture
def refusing(stack: RunningStack) -> Iterator[None]:
    """A check and a trigger on a hypertable, as an administrator may add them."""
    stack.run("alter table reading.weather add constraint test_poison check (temperature <> 13) not valid")
    stack.run(
        "create function reading.refuse_windy() returns trigger language plpgsql as "
        "$$ begin if new.wind_speed = 33 then raise exception 'too windy'; end if; return new; end $$"
    )
    stack.run(
        "create trigger test_poison before insert on reading.weather "
        "for each row execute function reading.refuse_windy()"
    )
    yield
    stack.run("drop trigger test_poison on reading.weather")
    stack.run("drop function reading.refuse_windy()")
    stack.run("alter table reading.weather drop constraint test_poison")


@pytest.mark.usefixtures("refusing")
def test_refused_rows_do_not_cost_the_others(stack: RunningStack, devices: dict[str, str]) -> None:
    device = devices["refused"]
    when = now_ms()
    metrics = [{"temperature": 13 if n in (0, 17, 18, 199) else 20 + n / 100} for n in range(200)]
    metrics[50]["wind_speed"] = 33
    stack.publish(
        uplink("060", device), *({"time": when + n, "seq": n, "metrics": one} for n, one in enumerate(metrics))
    )
    stack.wait_settled(200, "060")
    assert ledger(stack, "060") == (200, 195, 0, 5)
    rows = stack.query("select seq from city.weather where device = %s order by seq", device)
    bad = [0, 17, 18, 50, 199]
    assert [seq for (seq,) in rows] == [n for n in range(200) if n not in bad]
    kept = stack.query("select reason, payload, detail from city.quarantine where device = %s", device)
    assert {reason for reason, _, _ in kept} == {"refused_by_database"}
    assert sorted(json.loads(payload)["seq"] for _, payload, _ in kept) == bad
    details = {json.loads(payload)["seq"]: detail for _, payload, detail in kept}
    assert "test_poison" in details[17]
    assert "too windy" in details[50]


@pytest.mark.usefixtures("refusing")
def test_poison_duplicates_and_conflicts_in_one_batch(stack: RunningStack, devices: dict[str, str]) -> None:
    device = devices["mixed"]
    when = now_ms()
    good = [{"time": when + n, "seq": n, "metrics": {"temperature": 20 + n}} for n in range(5)]
    poison = {"time": when, "seq": 90, "metrics": {"temperature": 13}}
    stack.publish(uplink("062", device), good)
    stack.wait_settled(5, "062")
    conflict = {"time": when + 1, "seq": 1, "metrics": {"temperature": 45}}
    stack.publish(uplink("062", device), [*good, poison, poison, conflict, good[0], {**good[0], "seq": 91}])
    stack.wait_settled(15, "062")
    assert ledger(stack, "062") == (15, 6, 6, 3)
    count = "select reason, count(*) from city.quarantine where device = %s group by 1 order by 1"
    assert stack.query(count, device) == [("conflict", 1), ("refused_by_database", 2)]


def test_a_fault_of_the_schema_is_waited_for(stack: RunningStack, devices: dict[str, str]) -> None:
    device = devices["schema"]
    log = stack.folder / "log" / "worker-0.log"
    said_before = log.read_text().count("batch not stored")
    stack.run("alter table reading.traffic_flow rename column intensity to intensity_gone")
    try:
        stack.publish(uplink("063", device), {"time": now_ms(), "seq": 1, "metrics": {"intensity": 12}})
        stack.wait_for("select in_flight > 0 from ops.worker")
        until = time.monotonic() + WAIT_S
        while log.read_text().count("batch not stored") == said_before:
            assert time.monotonic() < until, "the worker did not say that it cannot store the batch"
            time.sleep(0.05)
        assert ledger(stack, "063") == (0, 0, 0, 0)
    finally:
        stack.run("alter table reading.traffic_flow rename column intensity_gone to intensity")
    stack.wait_settled(1, "063")
    assert ledger(stack, "063") == (1, 1, 0, 0)
    assert log.read_text().count("batch not stored") == said_before + 1


def test_a_read_only_database_is_waited_for(stack: RunningStack, devices: dict[str, str]) -> None:
    device = devices["read-only"]
    stack.run("alter role dothi_writer set default_transaction_read_only = on")
    end_writers = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'dothi_writer'"
    try:
        stack.query(end_writers)
        stack.publish(uplink("064", device), {"time": now_ms(), "seq": 1, "metrics": {"intensity": 12}})
        time.sleep(1)
        assert ledger(stack, "064") == (0, 0, 0, 0)
    finally:
        stack.run("alter role dothi_writer reset default_transaction_read_only")
        stack.query(end_writers)
    stack.wait_settled(1, "064")
    assert ledger(stack, "064") == (1, 1, 0, 0)


def test_quarantine_keeps_so_many_of_a_device_and_counts_the_rest(stack: RunningStack, devices: dict[str, str]) -> None:
    device = devices["quota"]
    stack.publish(uplink("065", device), *([b"what"] * (QUOTA + 300)))
    stack.wait_for(
        "select total from city.quarantine_quota where device = %s", device, until=lambda n: n == QUOTA + 300
    )
    assert stack.query("select kept, cut from city.quarantine_quota where device = %s", device) == [(QUOTA, 300)]
    assert stack.query("select count(*) from city.quarantine where device = %s", device) == [(QUOTA,)]
    received, _, _, quarantined = ledger(stack, "065")
    assert received == quarantined
    assert stack.query("select sum(cut)::int from city.ledger where inbox = '065'") == [(300,)]


def test_invented_ids_share_one_quota(stack: RunningStack, devices: dict[str, str]) -> None:
    enrolled = devices["elsewhere"]
    with stack.gateway() as gateway:
        for number in range(UNKNOWN_IDS + 50):
            gateway.publish(uplink("066", f"invented-{number:04d}"), b"{}")
        gateway.publish(uplink("066", enrolled), b"{}")
        gateway.settle()
    stack.wait_settled(UNKNOWN_IDS + 51, "066")
    assert stack.query("select count(*) from city.quarantine where device like 'invented-%%'") == [(UNKNOWN_IDS + 50,)]
    lines = stack.query("select count(*) from city.quarantine_quota where device like 'invented-%%'")[0][0]
    assert lines <= UNKNOWN_IDS
    shared = stack.query("select total from city.quarantine_quota where device = ''")[0][0]
    assert shared >= 50
    own = stack.query("select total from city.quarantine_quota where device = %s", enrolled)
    assert own == [(1,)]


def test_quarantine_is_forgotten_after_its_retention(stack: RunningStack) -> None:
    stack.run(
        "insert into ops.quarantine (received, batch, inbox, topic, payload, sha256, size, layer, reason, detail) "
        "select now() - make_interval(days => n), 0, 'purge', 't', '', '', 0, 'codec', 'malformed', '' "
        "from generate_series(1, 60) n"
    )
    stack.run("insert into ops.settled (device, boot, seqs, at) values (-1, 1, '{[1,2)}', now() - interval '40 days')")
    gone = json.loads(stack.dothi("ingest", "purge", "--json").stdout)
    assert gone["quarantine_chunks"] >= 3
    assert gone["settled_lines"] == 1
    left, oldest = stack.query(
        "select count(*), extract(day from now() - min(received))::int from ops.quarantine where inbox = 'purge'"
    )[0]
    assert 30 <= left <= 37
    assert 30 <= oldest <= 37
    stack.run("delete from ops.quarantine where inbox = 'purge'")
