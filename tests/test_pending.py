"""First contact: who speaks without being enrolled, what it is taken for, and how it becomes ours."""

import csv
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from devices.alias import NoSuchAlias, remove_alias
from devices.enroll import DEVICE_ID, Row
from devices.pending import NATIVE, Proposal, Sample, Stranger, area_of, device_id, propose, strangers
from devices.registry import enroll
from dothi import pending_file
from dothi.acceptance import Choice, Desk, Told, choose, enrol, name_of
from dothi.commands.devices import app
from dothi.errors import Refused, WrongUsage
from tests.stack import RunningStack

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_US = round(NOW.timestamp() * 1e6)
ENERGY = {"Total": 3.185, "Power": 180, "ApparentPower": 190, "ReactivePower": 70, "Factor": 0.94, "Voltage": 229}


def stranger(kind: str, name: str, inbox: str = "213") -> Stranger:
    return Stranger(kind, name, (inbox,), 1, NOW, NOW, False)


def proposed(name: str, *metrics: dict[str, float]) -> Proposal:
    samples = [Sample(f"dothi/v1/213/{name}/up", json.dumps({"metrics": one}).encode()) for one in metrics]
    return propose(stranger(NATIVE, name), samples, NOW_US)


@pytest.mark.parametrize(
    ("kind", "foreign_id", "name"),
    [
        ("tasmota", "Plug_Kitchen", "plug-kitchen"),
        ("lorawan", "70b3d50000000001", "70b3d50000000001"),
        ("ngsi", "urn:ngsi-ld:AirQualityObserved:vn-213/1", "urn-ngsi-ld-airqualityobserved-vn-213-1"),
        ("homie", "x", "homie-x"),
        ("zigbee2mqtt", "Đèn", "zigbee2mqtt-n"),
    ],
)
def test_an_id_is_made_of_the_name(kind: str, foreign_id: str, name: str) -> None:
    assert device_id(stranger(kind, foreign_id, kind)) == name


@given(st.sampled_from(("tasmota", "ngsi", "lorawan")), st.text(min_size=1, max_size=300))
def test_an_id_is_made_of_any_name(kind: str, name: str) -> None:
    assert DEVICE_ID.fullmatch(device_id(stranger(kind, name, kind)))


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=60), st.sampled_from(("tele/a/SENSOR", "dothi/v1/213/a/up", "lorawan/a", "spBv1.0/g/NDATA/a"))
)
def test_any_bytes_are_judged(payload: bytes, topic: str) -> None:
    kind = NATIVE if topic.startswith("dothi") else "tasmota"
    found = propose(stranger(kind, "a"), [Sample(topic, payload)], NOW_US)
    assert found.why


def test_what_the_messages_leave_no_doubt_of_is_sure() -> None:
    found = proposed("a-1", {"no2": 3, "pm10": 5}, {"pm25": 4})
    assert (found.profile, found.sure, found.family) == ("native-air-quality", True, "air_quality")
    assert found.metrics == {"no2": 3, "pm25": 4, "pm10": 5}


def test_what_several_families_have_is_not() -> None:
    found = proposed("a-1", {"temperature": 3})
    assert (found.profile, found.sure) == (None, False)
    assert {"native-weather", "native-air-quality"} <= {*found.others}


def test_of_several_messages_all_count() -> None:
    found = proposed("a-1", {"temperature": 3}, {"temperature": 3, "wind_speed": 5, "precipitation": 1})
    assert (found.profile, found.sure) == ("native-weather", True)


def test_where_it_stands_tells_its_area() -> None:
    one = stranger("ngsi", "a", "ngsi")
    inside = Proposal("ngsi-weather", True, "", metrics={"latitude": 21.273, "longitude": 106.194})
    assert area_of(one, inside) == "213"
    assert area_of(one, inside._replace(metrics={"latitude": 10.8, "longitude": 106.6})) is None
    assert area_of(one, inside._replace(metrics={})) is None
    assert area_of(stranger(NATIVE, "a", "215"), inside) == "215"


# --- on the real stack


def waits(stack: RunningStack, name: str) -> bool:
    """Whether this device is unknown and kept."""
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        return any(one.name == name for one in strangers(connection, datetime.now(UTC) - timedelta(hours=1)))


def command(stack: RunningStack, *arguments: str) -> Result:
    """A command of `dothi devices` on this stack, run in this process."""
    return CliRunner().invoke(app, [*arguments, "--dir", str(stack.folder)])


def refusal(stack: RunningStack, *arguments: str) -> Refused:
    """How a command refuses."""
    refused = command(stack, *arguments).exception
    assert isinstance(refused, Refused)
    return refused


def pending(stack: RunningStack, name: str, messages: int = 1) -> dict[str, Any]:
    """What is said of one unknown device, once so many messages of it are kept."""
    stack.wait_for(
        "select count(*) from city.quarantine where device = %s and reason = 'unknown_device'",
        name.rpartition(":")[2],
        until=lambda count: count >= messages,
    )
    found = json.loads(command(stack, "pending", "--limit", "1000", "--json").stdout)
    return next(one for one in found if one["name"] == name)


def test_a_home_made_board_from_first_contact_to_its_first_reading(stack: RunningStack) -> None:
    stack.publish("dothi/v1/223/pend-board/up", {"seq": 1, "metrics": {"pm25": 12.5, "no2": 20}}, b"boot: hello")
    stack.publish("dothi/v1/223/pend-board/up", {"seq": 2, "metrics": {"pm25": 13.5}})
    said = pending(stack, "pend-board", 3)
    assert (said["route"], said["inboxes"], said["messages"]) == ("native", ["223"], 3)
    assert said["proposal"]["profile"] == "native-air-quality"
    assert said["accept"] == "dothi devices accept pend-board"
    done = json.loads(stack.dothi("devices", "accept", "pend-board", "--json").stdout)
    (one,) = done["accepted"]
    assert (one["device"], one["profile"], one["area"]) == ("pend-board", "native-air-quality", "223")
    assert (done["replay"]["stored"], done["replay"]["reasons"]) == (2, {"malformed": 1})
    rows = stack.query("select seq, pm25 from city.air_quality where device = 'pend-board' order by seq")
    assert rows == [(1, 12.5), (2, 13.5)]
    assert not waits(stack, "pend-board")
    again = stack.dothi("devices", "accept", "pend-board", check=False)
    assert again.returncode == 1
    assert "is not pending" in again.stderr
    # Other tests take away what they stored, so only this inbox is asked for.
    audit = json.loads(stack.dothi("ingest", "audit", "--since", "1h", "--json", check=False).stdout)
    assert [one for one in audit["differences"] if one["where"] == "223"] == []


def test_a_plug_on_a_foreign_route_needs_two_decisions(stack: RunningStack) -> None:
    topic = "tele/Pend_Plug/SENSOR"
    stack.publish(topic, {"Time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "ENERGY": ENERGY})
    said = pending(stack, "tasmota:Pend_Plug")
    assert said["topic"] == topic
    assert said["proposal"]["profile"] == "tasmota-plug"
    assert said["proposal"]["metrics"]["active_power"] == 180
    assert "--profile: tasmota-plug" in str(refusal(stack, "accept", "Pend_Plug"))
    assert "give --area" in str(refusal(stack, "accept", "Pend_Plug", "--profile", "tasmota-plug"))
    told = command(stack, "accept", "Pend_Plug", "--profile", "tasmota-plug", "--area", "213")
    assert "1 readings stored" in told.stdout
    assert stack.query("select active_power from city.meter where device = 'pend-plug'") == [(180.0,)]
    named = "select foreign_id from registry.alias a join registry.device d on d.id = a.device where d.device = %s"
    assert stack.query(named, "pend-plug") == [("Pend_Plug",)]


def meter(power: float) -> dict[str, Any]:
    return {"Time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "ENERGY": ENERGY | {"Power": power}}


def test_many_are_accepted_by_the_list_that_a_person_edits(stack: RunningStack, tmp_path: Path) -> None:
    for name in ("=pend-1", "Pend_B", "Pend_C"):
        stack.publish(f"tele/{name}/SENSOR", meter(180), meter(181))
    stack.publish("dothi/v1/220/pend-list/up", {"seq": 1, "metrics": {"pm25": 1, "no2": 2}})
    for name in ("=pend-1", "Pend_B", "Pend_C", "pend-list"):
        stack.wait_for("select 1 from city.quarantine where device = %s", name)
    listed = [*csv.DictReader(command(stack, "pending", "--csv", "--limit", "1000").stdout.splitlines())]
    mine = {one["pending"]: one for one in listed}
    edited = [mine[name] for name in ("tasmota:=pend-1", "tasmota:Pend_B", "pend-list")]
    assert [one["profile"] for one in edited] == ["", "", "native-air-quality"]
    assert all("tasmota-plug" in one["likely"] for one in edited[:2])
    assert (edited[2]["area"], edited[2]["device"]) == ("220", "pend-list")
    file = tmp_path / "found.csv"

    def save(*lines: dict[str, Any]) -> None:
        with file.open("w", newline="") as text:
            writer = csv.DictWriter(text, [*lines[0]], delimiter=";")  # as a spreadsheet may
            writer.writeheader()
            writer.writerows(lines)

    save(*edited)
    assert "nobody was enrolled: 2 of 3" in str(refusal(stack, "accept", "--from", str(file)))
    assert waits(stack, "pend-list")
    edited[0] |= {"area": "215", "device": "pend-first", "name": "Ổ cắm"}
    edited[1]["area"] = "220"
    save(*edited)
    told = command(stack, "accept", "--from", str(file), "--profile", "tasmota-plug")
    assert told.exit_code == 0, told.output
    assert "pend-first, which is tasmota:=pend-1: enrolled with profile tasmota-plug in area 215" in told.stdout
    assert "of 5 kept messages 5 went through: 5 readings stored" in told.stdout
    known = "select profile, area, name from city.device where device = any(%s) order by device"
    assert stack.query(known, ["pend-b", "pend-first", "pend-list"]) == [
        ("tasmota-plug", "220", None),
        ("tasmota-plug", "215", "Ổ cắm"),
        ("native-air-quality", "220", None),
    ]
    assert waits(stack, "tasmota:Pend_C")


def test_all_that_fit_a_profile_are_accepted_and_the_others_are_told(stack: RunningStack) -> None:
    for name in ("Pend_All_1", "pend_all_1", "Pend_All_2"):
        stack.publish(f"tele/{name}/SENSOR", meter(5))
        stack.wait_for("select 1 from city.quarantine where device = %s", name)
    done = json.loads(command(stack, "accept", "--all", "--profile", "tasmota-plug", "--area", "220", "--json").stdout)
    accepted = {one["foreign_id"]: one["device"] for one in done["accepted"]}
    assert accepted["Pend_All_2"] == "pend-all-2"
    # Two names that make one id: one of them gets it, the other is told of.
    assert len({"Pend_All_1", "pend_all_1"} & accepted.keys()) == 1
    (why,) = [one["why"] for one in done["left"] if one["name"].lower() == "tasmota:pend_all_1"]
    assert "give each its own" in why


def test_of_private_routes_nothing_is_kept_and_that_is_said(stack: RunningStack) -> None:
    after = {"camera": "pend_gate", "label": "car", "id": "1.5-a", "start_time": time.time(), "score": 0.8}
    event = {"type": "new", "before": {}, "after": after}
    stack.publish("frigate/events", event)
    said = pending(stack, "frigate:pend_gate")
    assert (said["private"], said["sample"], said["proposal"]["profile"]) == (True, None, None)
    assert "no payload is kept" in said["proposal"]["why"]
    told = command(stack, "accept", "pend_gate", "--profile", "frigate-event", "--area", "213")
    assert "nothing was kept" in told.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--profile", "nonesuch"], 2, "--profile"),
        (["--profile", "tasmota-plug"], 2, "is not one for native"),
        (["--profile", "native-traffic-flow"], 1, "reads none of the 1 newest messages"),
        (["--area", "214"], 2, "not a zone of the plan"),
        (["--area", "213"], 2, "publishes under 216"),
        (["--id", "A B"], 2, "--id"),
        (["--id", "other-id"], 2, "says its id itself"),
    ],
)
def test_what_cannot_be_is_refused(stack: RunningStack, options: list[str], code: int, said: str) -> None:
    name = "pend-refused"
    if not waits(stack, name):
        stack.publish(f"dothi/v1/216/{name}/up", {"metrics": {"pm25": 3, "no2": 4}})
        stack.wait_for("select 1 from city.quarantine where device = %s", name)
    refused = refusal(stack, "accept", name, *options)
    assert refused.exit_code == code
    assert said in str(refused)
    assert waits(stack, name)


def test_who_is_enrolled_otherwise_is_not_pending(stack: RunningStack) -> None:
    stack.publish("dothi/v1/217/pend-by-file/up", {"metrics": {"pm25": 3}})
    stack.wait_for("select 1 from city.quarantine where device = 'pend-by-file'")
    assert waits(stack, "pend-by-file")
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll(connection, [Row("pend-by-file", "native-air-quality", "217")])
    assert not waits(stack, "pend-by-file")


def test_an_id_that_is_taken_is_refused(stack: RunningStack) -> None:
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll(connection, [Row("pend-taken", "native-air-quality", "217")])
    stack.publish("tele/pend-taken/SENSOR", {"Time": "2026-01-01T00:00:00Z", "ENERGY": ENERGY})
    stack.wait_for("select 1 from city.quarantine where device = 'pend-taken'")
    options = ("--profile", "tasmota-plug", "--area", "213")
    assert "enrolled already" in str(refusal(stack, "accept", "pend-taken", *options))


def test_a_name_without_end_is_kept_in_part_and_holds_nobody_up(stack: RunningStack) -> None:
    name = "".join(sha256(bytes([n])).hexdigest() for n in range(140))  # long, and does not compress
    stack.publish(f"tele/{name}/SENSOR", {"Time": "2026-01-01T00:00:00Z", "ENERGY": ENERGY})
    stack.wait_for("select 1 from city.quarantine where device = %s", name[:200])
    assert "shorter" in str(refusal(stack, "accept", name[:200]))


def test_a_name_is_taken_away_and_is_unknown_again(stack: RunningStack) -> None:
    device = stack.enroll("pend-named", "tasmota-plug", "215", "tasmota:Pend_Old; tasmota:Pend_Kept")
    for power, name in enumerate(("Pend_Old", "Pend_Kept")):
        stack.publish(f"tele/{name}/SENSOR", meter(power))
    stack.wait_for("select count(*) from city.meter where device = %s", device, until=lambda count: count == 2)
    stack.wait_for("select state from registry.device where device = %s", device, until="active".__eq__)
    said = command(stack, "alias", "remove", "tasmota:Pend_Old", "--reason", "the plug moved")
    assert f"tasmota:Pend_Old leads to {device} no more" in said.stdout
    stack.wait_known()
    for name in ("Pend_Old", "Pend_Kept"):
        stack.publish(f"tele/{name}/SENSOR", meter(10))
    stack.wait_for("select count(*) from city.meter where device = %s", device, until=lambda count: count == 3)
    stack.wait_for("select 1 from city.quarantine where device = 'Pend_Old' and reason = 'unknown_device'")
    assert waits(stack, "tasmota:Pend_Old")
    shown = json.loads(command(stack, "show", device, "--json").stdout)
    assert shown["aliases"] == ["tasmota:Pend_Kept"]
    assert shown["history"][-1]["reason"] == "alias tasmota:Pend_Old removed: the plug moved"
    assert shown["history"][-1]["state"] == shown["state"]
    assert "is it tasmota:Pend_Kept?" in str(refusal(stack, "alias", "remove", "tasmota:pend_kept"))
    assert refusal(stack, "alias", "remove", "Pend_Kept").exit_code == 2


def test_with_a_lorawan_name_goes_the_eui(stack: RunningStack) -> None:
    eui = "70b3d500000000aa"
    row = Row("pend-eui", "milesight-am103", "215", route="lorawan", foreign_id=eui, eui=eui, given=frozenset(("eui",)))
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll(connection, [row])
        assert remove_alias(connection, "lorawan", eui, None) == "pend-eui"
        enroll(connection, [row._replace(device="pend-eui-2")])  # it is free for another
        with pytest.raises(NoSuchAlias, match="no device is called"):
            remove_alias(connection, "lorawan", "70b3d500000000ab", None)
    assert stack.query("select device, eui from registry.device where device like 'pend-eui%%' order by 1") == [
        ("pend-eui", None),
        ("pend-eui-2", eui),
    ]


# --- names that strangers choose, and two people at once


@pytest.mark.parametrize("name", ["a\tb", "a\nfake\tdevice", "a\u202eb", "a\x7fb"])
def test_a_name_that_is_no_text_is_refused(stack: RunningStack, name: str) -> None:
    """Of a route whose messages name the device; a topic cannot hold such characters."""
    message = {"id": f"urn:ngsi-ld:AirQualityObserved:{name}", "type": "AirQualityObserved"}
    with pytest.raises(Refused, match="no text"):
        name_of(stranger("ngsi", message["id"], "ngsi"))
    assert name_of(stranger("ngsi", "urn:a:b;c\\d'e", "ngsi")) == "urn:a:b;c\\d'e"


def test_what_a_spreadsheet_would_calculate_is_text(tmp_path: Path) -> None:
    document = {
        "name": "=cmd|' /C calc'!A0",
        "messages": 1,
        "last": NOW,
        "sample": "@x",
        "proposal": {"device": "x-1", "profile": None, "others": (), "sure": False, "area": None, "metrics": {}},
    }
    with (tmp_path / "list.csv").open("w", newline="") as file:
        pending_file.write(file, [document])
    (cells,) = [*csv.reader((tmp_path / "list.csv").read_text().splitlines())][1:]
    assert (cells[0], cells[-1]) == ("'=cmd|' /C calc'!A0", "'@x")
    assert pending_file.read(tmp_path / "list.csv")[0].pending == document["name"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column pending"),
        ("pending,profil\nx,y\n", "unknown column 'profil'"),
        ("pending,profile\n,y\n", "no line names a device"),
        ("pending\nx\ny\nx\n", "line 4: x stands on line 2"),
        ("pending\n\xff\n", "not UTF-8"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(WrongUsage, match=said) as refused:
        pending_file.read(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments", [[], ["a", "--all"], ["--from", "x", "--all"], ["a", "b", "--id", "c"], ["--all", "--name", "c"]]
)
def test_who_is_meant_must_be_clear(stack: RunningStack, arguments: list[str]) -> None:
    assert refusal(stack, "accept", *arguments).exit_code == 2


def test_two_who_accept_the_same_at_once(stack: RunningStack) -> None:
    """Both chose before either enrolled: one does, the other is told."""
    stack.publish("tele/Pend_Race/SENSOR", meter(7))
    stack.wait_for("select 1 from city.quarantine where device = 'Pend_Race'")
    url, since = stack.document["database"], datetime.now(UTC) - timedelta(hours=1)
    chosen, told, both = [], [], threading.Barrier(2)

    def enrols(choices: list[Choice]) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            both.wait(60)
            try:
                enrol(connection, choices)
                told.append("enrolled")
            except Refused as refused:
                told.append(str(refused))

    with psycopg.connect(url, autocommit=True) as connection:
        (one,) = [one for one in strangers(connection, since) if one.name == "tasmota:Pend_Race"]
        desk = Desk(connection, since, ["215"], False)
        for _ in range(2):
            choices, left = choose(desk, [(one, Told("tasmota-plug", "215", "pend-race"))])
            assert left == []
            chosen.append(choices)
    people = [threading.Thread(target=enrols, args=(choices,)) for choices in chosen]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    assert sorted(told)[1] == "enrolled"
    assert "is enrolled already" in sorted(told)[0]
