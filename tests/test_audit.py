"""The audit names what somebody took away, doubled or invented behind ingest's back."""

import json
from typing import Any

import pytest

from tests.stack import RunningStack
from tests.test_ingest import now_ms, uplink


def differences(stack: RunningStack) -> tuple[int, list[dict[str, Any]]]:
    """Exit code, and what the audit of the last hour names."""
    done = stack.dothi("ingest", "audit", "--since", "1h", "--json", check=False)
    return done.returncode, json.loads(done.stdout)["differences"]


@pytest.fixture(scope="module")
def device(stack: RunningStack) -> str:
    name = stack.enroll("audit", "native-camera-event", "216")
    since = stack.query("select clock_timestamp()")[0][0]
    good = [{"time": now_ms() + n, "seq": n, "metrics": {"confidence": n / 10}} for n in range(10)]
    stack.publish(uplink("216", name), *good, b"what")
    stack.wait_for("select count(*) from city.quarantine where device = %s and received >= %s", name, since)
    stack.wait_for("select count(*) = 10 from city.camera_event where device = %s", name)
    return name


def test_nothing_differs(stack: RunningStack, device: str) -> None:
    assert differences(stack) == (0, [])


def test_what_was_tampered_with_is_named(stack: RunningStack, device: str) -> None:
    table = "reading.camera_event"
    of = f"device = (select id from registry.device where device = '{device}')"
    stack.run(f"create table public.audit_saved as select * from {table} where {of}")
    stack.run(f"delete from {table} where {of} and seq = 3")
    code, found = differences(stack)
    assert code == 1
    assert [(one["what"], one["where"], one["ledger"] - one["table"]) for one in found] == [
        ("batch", "camera_event", 1),
        ("stored", "216", 1),
    ]
    stack.run(f"insert into {table} select * from public.audit_saved where seq = 3")
    assert differences(stack) == (0, [])
    stack.run(f"update {table} set batch = -7 where {of} and seq = 3")
    assert [(one["what"], one["batch"] == -7) for one in differences(stack)[1]] == [("batch", False)]
    stack.run(f"update {table} set batch = (select batch from public.audit_saved where seq = 3) where {of} and seq = 3")
    stack.run(f"create table public.audit_kept as select id from ops.quarantine where device = '{device}'")
    stack.run("update ops.quarantine set replayed = now() where id in (select id from public.audit_kept)")
    code, found = differences(stack)
    assert [(one["what"], one["where"], one["ledger"] - one["table"]) for one in found] == [("quarantined", "216", 1)]
    stack.run("update ops.quarantine set replayed = null where id in (select id from public.audit_kept)")
    stack.run("drop table public.audit_saved, public.audit_kept")
    assert differences(stack) == (0, [])
