"""The desk of whoever brings devices on: each of their mistakes is told in words, with the way out."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from select import select
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from devices import credentials
from devices.fuzz import fuzzed, would_store
from devices.gate.table import Seen, Table
from devices.laws import payload_of, stated_metrics
from devices.profile import PROFILES
from devices.reading import Reading
from dothi.at_door import at_the_door, difference, seen_at
from dothi.checkup import examine
from dothi.commands.devices import app
from dothi.findings import Finding
from dothi.heard import contents
from dothi.layers import layers
from dothi.verdicts import Follower, Verdict, Wanted, Watch
from tests.stack import RunningStack
from tests.test_gate import answer, connected, known, until

NOW_S = int(time.time())
NOTHING = Seen((0, 0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "")


NAMES = (
    *("well", "password", "topic", "area", "unit", "identity", "silent", "mute", "twin", "firmware", "revoked"),
    *("retired", "tail", "burst", "clock120", "clock25200", "clock3600", "clock7776000", "clock-never"),
)
TOKENS = ("well", "password", "topic", "twin", "revoked", "tail")


class Desk(NamedTuple):
    """Devices and their tokens by what happens to them; enrolled at once, for each enrolment takes its time."""

    devices: dict[str, str]
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def desk(stack: RunningStack) -> Desk:
    ids = stack.enroll_many([(f"desk-{name}", "native-air-quality", "213", "") for name in NAMES])
    devices = dict(zip(NAMES, ids, strict=True))
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        issued = credentials.issue(connection, [devices[name] for name in TOKENS])
    tokens = {name: one.token for name, one in zip(TOKENS, issued, strict=True)}
    table = Table(stack.folder / "broker-0/gate.table")
    until(lambda: all(known(table, one.device, credentials.hash_of(one.token)) for one in issued))
    table.close()
    return Desk(devices, tokens)


def wrong(findings: Sequence[Finding]) -> dict[str, str]:
    """What is wrong, with the way out."""
    assert all(finding.mend for finding in findings if finding.ok is False)
    return {finding.name: f"{finding.said} → {finding.mend}" for finding in findings if finding.ok is False}


def examined(stack: RunningStack, device: str) -> dict[str, str]:
    """What the doctor finds wrong with a device."""
    seen, has_gate = seen_at(stack.folder, device)
    assert has_gate
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        return wrong([*examine(connection, device, seen, has_gate)])


def command(*arguments: str) -> str:
    """What a command of `dothi devices` prints, run in this process."""
    return CliRunner().invoke(app, arguments).stdout


def now_ms(offset_s: float = 0) -> int:
    return round((time.time() + offset_s) * 1000)


def send(stack: RunningStack, device: str, *messages: Any, area: str = "213") -> None:
    """Send for a device, and wait until all is settled."""
    before = heard(stack, device)
    stack.publish(f"dothi/v1/{area}/{device}/up", *messages)
    deadline = time.monotonic() + 60
    while heard(stack, device) < before + len(messages):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def heard(stack: RunningStack, device: str) -> int:
    """Messages of a device, stored and kept."""
    return int(
        stack.query(
            "select (select count(*) from city.air_quality where device = %s)"
            " + (select count(*) from city.quarantine where device = %s)",
            device,
            device,
        )[0][0]
    )


# --- the door


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("dothi/v1/213/aq-2/up", "names aq-2"),
        ("dothi/v1/999/aq-1/up", "999 is no area"),
        ("/dothi/v1/213/aq-1/up", "no slash"),
        ("Dothi/v1/213/aq-1/up", "small letters"),
        ("dothi/v1/213/aq-1/ack", "does not publish to …/ack"),
        ("sensors/aq-1", "must begin with dothi/v1/213/"),
        ("", "must begin"),
    ],
)
def test_a_wrong_topic_is_told_apart(topic: str, said: str) -> None:
    assert said in difference("aq-1", "213", topic)
    assert difference("aq-1", "213", topic).endswith("publish to dothi/v1/213/aq-1/up")


@pytest.mark.parametrize(
    ("seen", "name", "said"),
    [
        (NOTHING._replace(failed=3, failed_at=NOW_S), "refused connections", "its token"),
        (NOTHING._replace(taken=9, taken_at=NOW_S, used_at=(NOW_S, 0)), "id fights", "two devices with one id"),
        (NOTHING._replace(denied=1, denied_at=NOW_S, topic="a/b"), "denied topics", "dothi/v1/213/aq-1/up"),
        (NOTHING._replace(flooded=5, flooded_at=NOW_S, used_at=(NOW_S, 0)), "floods", "slow it down"),
    ],
)
def test_what_the_gate_saw_is_told(seen: Seen, name: str, said: str) -> None:
    found = wrong([*at_the_door("aq-1", "213", seen, True, None)])
    assert list(found) == [name]
    assert said in found[name]


def test_what_is_long_ago_is_not_wrong() -> None:
    old = NOW_S - 90_000
    seen = Seen((NOW_S, 0), 1, old, old, 1, old, 5, old, 5, old, 5, "a/b")
    assert wrong([*at_the_door("aq-1", "213", seen, True, None)]) == {}
    assert wrong([*at_the_door("aq-1", "213", None, False, None)]) == {}


# --- the integrator's mistakes on the real stack


def test_a_device_that_is_well(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["well"]
    hours = [hour_in_vietnam()]
    with connected(stack, device, desk.tokens["well"]) as client:
        assert answer(client, f"dothi/v1/213/{device}/up") == "publish: Success"
        stack.wait_for("select 1 from city.air_quality where device = %s", device)
        assert examined(stack, device) == {}
        said = json.loads(command("doctor", device, "--json", "--dir", str(stack.folder)))
        assert said["ok"]
        findings = {one["name"]: one for one in said["findings"]}
        assert "connected now" in findings["session"]["said"]
        assert "pm25 7.5" in findings["last accepted"]["said"]
        hours.append(hour_in_vietnam())
        assert any(hour in findings["last accepted"]["said"] for hour in hours)


def hour_in_vietnam() -> str:
    """The hour it is there, as people are told it."""
    return f"{datetime.now(UTC) + timedelta(hours=7):%d/%m/%Y %H:}"


def test_wrong_password(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["password"]
    with connected(stack, device, "guess") as client:
        assert client.answers[0] == "Not authorized"
    stack.wait_for("select 1 from city.event where device = %s and kind = 'refused'", device)
    found = examined(stack, device)
    assert "the token is not the one that was issued" in found["refused connections"]
    assert "credentials issue" in found["refused connections"]
    said = stack.dothi("devices", "doctor", device, check=False)
    assert said.returncode == 1
    assert "WRONG refused connections" in said.stdout
    assert said.stderr == ""


def test_wrong_topic(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["topic"]
    with connected(stack, device, desk.tokens["topic"]) as client:
        assert answer(client, f"dothi/v1/213/{device}/data") == "publish: Not authorized"
    assert f"dothi/v1/213/{device}/data" in examined(stack, device)["denied topics"]


def test_wrong_area(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["area"]
    send(stack, device, {"metrics": {"pm25": 3}}, area="215")
    assert f"publish to dothi/v1/213/{device}/up" in examined(stack, device)["last rejected"]


def test_wrong_unit(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["unit"]
    send(stack, device, {"metrics": {"pm25": 3, "atmospheric_pressure": 101325}})
    found = examined(stack, device)["values"]
    assert "atmospheric_pressure" in found
    assert "Pa" in found
    assert "101325" in found


def test_wrong_id(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["identity"]
    mistyped = device.replace("identity", "idnetity")
    send(stack, mistyped, {"metrics": {"pm25": 3}})
    found = examined(stack, device)
    assert f"{mistyped}, which is not enrolled, spoke" in found["id"]
    assert f"set its id to {device}" in found["id"]
    assert f"accept {mistyped}" in examined(stack, mistyped)["enrolled"]
    assert f"did you mean {device}" in examined(stack, device + "0")["enrolled"]


@pytest.mark.parametrize(
    ("offset_s", "name", "said"),
    [
        (120, "clock", "ahead"),
        (-7 * 3600, "clock", "a local time sent as UTC"),
        (3600, "last rejected", "NTP"),
        (-90 * 86400, "last rejected", "NTP"),
        pytest.param(-NOW_S, "last rejected", "NTP", id="1970"),
    ],
)
def test_wrong_clock(stack: RunningStack, desk: Desk, offset_s: int, name: str, said: str) -> None:
    device = desk.devices[f"clock{abs(offset_s)}" if offset_s != -NOW_S else "clock-never"]
    send(stack, device, {"time": now_ms(offset_s), "seq": 1, "metrics": {"pm25": 3}})
    assert said in examined(stack, device)[name]


def test_no_heartbeat(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["silent"]
    send(stack, device, {"time": now_ms(-7200), "seq": 1, "metrics": {"pm25": 3}})
    stack.run(
        f"update reading.air_quality set received = time where device = "
        f"(select id from registry.device where device = '{device}')"
    )
    found = examined(stack, device)
    assert "silent for 2 h; expected every 60 s" in found["heartbeat"]
    assert "power" in found["heartbeat"]


def test_never_heard(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["mute"]
    found = examined(stack, device)
    assert {"last accepted", "token"} <= found.keys()
    assert "credentials issue" in found["token"]


def test_two_devices_with_one_id(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["twin"]
    token = desk.tokens["twin"]
    with ExitStack() as both:
        for _ in range(3):
            both.enter_context(connected(stack, device, token))
    assert "two devices with one id" in examined(stack, device)["id fights"]


def test_another_firmware(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["firmware"]
    send(stack, device, {"metrics": {"pm25": 3, "relative_humidty": 0.5}})
    found = examined(stack, device)["fields"]
    assert "relative_humidty (relative_humidity?)" in found
    assert "another firmware" in found
    send(stack, device, {"pm25": 3})
    assert "put pm25 inside metrics" in examined(stack, device)["last rejected"]


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_healthy_device_has_no_doubtful_fields(name: str) -> None:
    profile = PROFILES[name]
    for example in profile.examples:
        for result in profile.read(payload_of(example), example.get("topic", "")):
            if isinstance(result, Reading):
                row = {**stated_metrics(profile, result), "extra": result.extra}
                assert "fields" not in wrong([*contents(profile, [row])])


def test_revoked_and_retired(stack: RunningStack, desk: Desk) -> None:
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        credentials.revoke(connection, [desk.devices["revoked"]])
    assert "revoked" in examined(stack, desk.devices["revoked"])["token"]
    stack.run(f"update registry.device set state = 'retired' where device = '{desk.devices['retired']}'")
    assert "refused" in examined(stack, desk.devices["retired"])["enrolled"]


# --- tail


@given(st.lists(st.lists(st.integers(1, 60), max_size=6), max_size=30))
def test_each_number_is_new_once_in_whatever_order_it_comes(looks: list[list[int]]) -> None:
    follower, told, shown = Follower(), list[int](), set[int]()
    for place, numbers in enumerate(looks):  # all within HOLD_S: so long a transaction may take
        shown |= {*numbers}
        told += follower.new([number for number in shown if number > follower.after], place * 0.3)
    assert sorted(told) == sorted({*told})
    assert {*told} == shown


def watched(stack: RunningStack, wanted: Wanted, act: Callable[[], object], count: int) -> list[Verdict]:
    """What is told while something happens: so many lines at least."""
    found: list[Verdict] = []
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        watch = Watch(connection, wanted)
        act()
        deadline = time.monotonic() + 60
        while len(found) < count:
            assert time.monotonic() < deadline, found
            found += watch.look(time.monotonic())
            time.sleep(0.05)
        return found + watch.look(time.monotonic())


def test_each_message_is_told_as_what_it_became(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["tail"]

    def act() -> None:
        topic = f"dothi/v1/213/{device}/up"
        stack.publish(topic, {"metrics": {"pm25": 3}}, {"metrics": {"pm25": 4, "pm10": -1}}, b"{bad")
        stack.publish(f"dothi/v1/215/{device}/up", {"metrics": {"pm25": 3}})
        with connected(stack, device, "guess"):
            pass

    found = watched(stack, Wanted(device), act, 5)
    assert sorted(one.kind for one in found) == ["door", "partial", "rejected", "rejected", "stored"]
    said = {one.kind: one.said for one in found}
    assert said["stored"] == "pm25 3"
    assert said["partial"] == "pm25 4; not taken: pm10 -1 out_of_range"
    assert "not let in" in said["door"]
    only = watched(stack, Wanted(device, rejected=True), lambda: send(stack, device, {"metrics": {"pm25": 5}}, b"x"), 1)
    assert [one.kind for one in only] == ["rejected"]


def test_unknown_devices_alone(stack: RunningStack) -> None:
    def act() -> None:
        stack.publish("dothi/v1/213/desk-nobody/up", {"metrics": {"pm25": 3}})

    found = watched(stack, Wanted(unknown=True), act, 1)
    mine = [one for one in found if one.device == "desk-nobody"]
    assert len(mine) == 1
    assert "dothi devices pending" in mine[0].said


@pytest.mark.parametrize("rejected", [False, True])
def test_a_burst_is_bounded_and_everything_of_it_is_counted(stack: RunningStack, desk: Desk, rejected: bool) -> None:
    """By the ledger: what is shown and what is counted are together what came, none twice."""
    device, came, shown = desk.devices["burst"], 0, 0
    first = 10_000 * (1 + rejected)
    topic = f"dothi/v1/213/{device}/up"
    before = settled(stack)
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        watch = Watch(connection, Wanted(rejected=rejected))
        readings = [reading(first + n) for n in range(600)]
        stack.publish(topic, *[readings[n : n + 20] for n in range(0, 600, 20)], *[b"{bad"] * 30)
        deadline, wanted = time.monotonic() + 60, 120 + 30 if rejected else 600 + 30
        while came < wanted:
            assert time.monotonic() < deadline, (came, settled(stack), before)
            lines = watch.look(time.monotonic())
            came += sum(one.stands_for for one in lines if one.kind not in ("door", "note"))
            shown = max(shown, len(lines))
            time.sleep(0.1)
        came += sum(
            one.stands_for for one in watch.look(time.monotonic(), last=True) if one.kind not in ("door", "note")
        )
    assert came == wanted
    assert shown < 60


def stands_for(lines: list[Verdict]) -> int:
    """Readings, shown or counted."""
    return sum(one.stands_for for one in lines if one.kind not in ("door", "note"))


def reading(number: int) -> dict[str, Any]:
    """Every fifth is partly bad."""
    return {"time": now_ms(-number / 100), "seq": number, "metrics": {"pm25": 1, "pm10": -1 if number % 5 == 0 else 1}}


def settled(stack: RunningStack) -> list[tuple[Any, ...]]:
    """What the ledger has."""
    return stack.query("select sum(stored), sum(partial), sum(quarantined) from ops.ledger")


def test_a_watcher_who_looked_away_hears_how_much_he_missed(stack: RunningStack, desk: Desk) -> None:
    device = desk.devices["burst"]
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        watch = Watch(connection, Wanted())
        send(stack, device, [reading(30_000 + n) for n in range(200)])
        stack.run("update ops.batch set committed = committed - interval '1 hour'")  # an hour without a look
        found = watch.look(time.monotonic())
        assert stands_for(found) == 200
        assert [one.stands_for for one in found if one.kind == "more"] == [200]


def test_tail_speaks_json_line_by_line_and_stops(stack: RunningStack) -> None:
    done = stack.dothi("devices", "tail", "--for", "0.5", "--json")
    assert all(json.loads(line)["kind"] for line in done.stdout.splitlines())
    assert done.stderr == ""


def test_ctrl_c_ends_tail_without_a_word(stack: RunningStack, desk: Desk) -> None:
    command = [sys.executable, "-m", "dothi", "devices", "tail", "--json", "--dir", str(stack.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout
        assert tail.stderr
        number = 40_000
        while not select([tail.stdout], [], [], 0.5)[0]:  # until it watches
            number += 1
            stack.publish(f"dothi/v1/213/{desk.devices['burst']}/up", reading(number))
            assert number < 40_240
        assert json.loads(tail.stdout.readline())["kind"]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(60) == 0
        assert tail.stderr.read() == ""


def test_whoever_reads_tail_may_go(stack: RunningStack, desk: Desk) -> None:
    """As `| head -1` does."""
    command = [sys.executable, "-m", "dothi", "devices", "tail", "--json", "--for", "120", "--dir", str(stack.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout
        assert tail.stderr
        tail.stdout.close()
        for number in range(50_000, 50_300):
            stack.publish(f"dothi/v1/213/{desk.devices['burst']}/up", reading(number))
            if tail.poll() is not None:
                break
            time.sleep(0.2)
        assert tail.wait(60) == 1
        assert tail.stderr.read() == ""


# --- try, check


@pytest.mark.parametrize("name", ["native-air-quality", "tasmota-plug", "milesight-am103", "frigate-event"])
def test_every_layer_is_shown_of_every_example(name: str) -> None:
    for example in PROFILES[name].examples:
        found = [*layers(PROFILES[name], example.get("topic", "x"), payload_of(example))]
        assert [layer.layer for layer in found if layer.layer != "mapping"] == ["envelope", "codec", "values"]
        assert found[-1].ok == ("reason" not in example)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(sorted(PROFILES)))
def test_every_layer_is_shown_of_any_bytes(payload: bytes, name: str) -> None:
    for layer in layers(PROFILES[name], "some/topic", payload):
        json.dumps(layer)


def test_try_shows_every_layer_down_to_the_row(stack: RunningStack, tmp_path: Any) -> None:
    file = tmp_path / "message.json"
    file.write_text('{"metrics": {"temperature": 21.5, "wind_speed": -3}}')
    options = ["try", str(file), "--profile", "native-weather", "--area", "216", "--dir", str(stack.folder)]
    said = json.loads(command(*options, "--json"))
    assert (said["stored"], said["temperature"]) == (True, 21.5)
    assert [layer["layer"] for layer in said["layers"]] == ["envelope", "codec", "values"]
    assert said["layers"][-1]["result"][0]["metrics"] == {"temperature": 21.5}
    assert "wind_speed" in said["layers"][-1]["result"][0]["refused"]
    shown = command(*options)
    assert "ok     envelope" in shown


def test_try_says_what_the_broker_refuses(stack: RunningStack, tmp_path: Any) -> None:
    file = tmp_path / "message.json"
    file.write_text('{"ENERGY": {"Power": 5}}')
    options = ["--profile", "tasmota-plug", "--topic", "nobody/takes/this", "--dir", str(stack.folder)]
    said = CliRunner().invoke(app, ["try", str(file), *options]).exception
    assert "the broker refused topic nobody/takes/this" in str(said)


def test_a_profile_that_is_named_is_fuzzed_and_shows_what_it_would_store() -> None:
    said = json.loads(command("check", "tasmota-plug", "--json"))
    laws = {one["law"]: one for one in said}
    assert laws["messages made by chance are survived"]["ok"]
    assert any("active_power 190" in line for line in laws["what would be stored"]["stored"])
    assert any("quarantined: out_of_range" in line for line in laws["what would be stored"]["stored"])


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_survives_messages_made_by_chance(name: str) -> None:
    assert [*fuzzed(PROFILES[name])] == []
    assert len([*would_store(PROFILES[name])]) >= len(PROFILES[name].examples)
