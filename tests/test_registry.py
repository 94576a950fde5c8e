"""The life of a device and how it is found: states with history, activation by the first reading, words as typed."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices import life, lookup
from devices.enroll import Row
from devices.registry import NotEnrolled, enroll
from tests.examples import examples
from tests.stack import RunningStack

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.stack
LAW = settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def database(stack: RunningStack) -> Iterator[Database]:
    """A connection of the owner."""
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        yield connection


def row(device: str, profile: str = "native-meter") -> Row:
    return Row(device, profile, "213")


def shown(database: Database, device: str) -> dict[str, Any]:
    """What `devices show` says."""
    return {**(lookup.show(database, device) or {}), "history": life.history(database, device)}


def test_the_first_stored_reading_makes_a_device_active_and_the_first_after_it_was_brought_back(
    stack: RunningStack, database: Database
) -> None:
    device, silent, other = stack.enroll_many([(f"heard-{n}", "native-water-level", "213", "") for n in range(3)])
    state = "select state from city.device where device = %s"

    def heard(device: str, seq: int) -> None:
        stack.publish(f"dothi/v1/213/{device}/up", {"seq": seq, "metrics": {"water_level": 1.5}})
        stack.wait_for(state, device, until=lambda state: state == "active")

    heard(device, 1)
    assert [(stay.was, stay.state, stay.reason) for stay in life.history(database, device)] == [
        (None, "enrolled", None),
        ("enrolled", "active", "first stored reading"),
    ]
    life.change_state(database, [device], "retired", "stolen")
    enroll(database, [row(device, "native-water-level")])
    heard(other, 1)
    assert [stack.query(state, one) for one in (device, silent)] == [[("enrolled",)]] * 2
    stack.wait_known()
    heard(device, 2)


def test_states_are_changed_with_a_reason_and_only_where_it_makes_sense(
    stack: RunningStack, database: Database
) -> None:
    enroll(database, [row("stately")])
    stack.dothi("devices", "state", "stately", "maintenance", "--reason", "thay bộ lọc")
    refused = stack.dothi("devices", "state", "stately", "planned", check=False)
    assert refused.returncode == 1
    assert "is maintenance" in refused.stderr
    assert "enrolled, active, retired" in refused.stderr
    stack.dothi("devices", "retire", "stately", "--reason", "stolen")
    document = json.loads(stack.dothi("devices", "show", "stately", "--json").stdout)
    assert document["state"] == "retired"
    assert [(stay["state"], stay["reason"]) for stay in document["history"]] == [
        ("enrolled", None),
        ("maintenance", "thay bộ lọc"),
        ("retired", "stolen"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("state", "nobody-1", "asleep"), 2, "planned, enrolled, active"),
        (("show", "nobody-1"), 1, "not enrolled"),
        (("retire", "nobody-1", "--reason", "a\nb"), 2, "--reason"),
    ],
)
def test_what_makes_no_sense_is_one_line(stack: RunningStack, arguments: tuple[str, ...], code: int, said: str) -> None:
    refused = stack.dothi("devices", *arguments, check=False)
    assert refused.returncode == code
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_all_or_none_change_their_state(database: Database) -> None:
    enroll(database, [row("together")])
    with pytest.raises(life.NoSuchStep, match="nobody-2 is not enrolled"):
        life.change_state(database, ["together", "nobody-2"], "retired", None)
    assert shown(database, "together")["state"] == "enrolled"


@LAW
@given(st.lists(st.sampled_from(life.STATES), max_size=6))
def test_the_history_tells_every_step(stack: RunningStack, steps: list[str]) -> None:
    with psycopg.connect(stack.document["database"]) as connection:
        connection.execute("select 1")  # begins what is undone at the end
        enroll(connection, [Row("law-steps", "native-weather", "213")])
        gone = ["enrolled"]
        for state in steps:
            allowed = state == gone[-1] or state in life.NEXT[gone[-1]]
            try:
                with connection.transaction():
                    changed = life.change_state(connection, ["law-steps"], state, None)
            except life.NoSuchStep:
                assert not allowed
                continue
            assert allowed
            assert changed == (state != gone[-1])
            if changed:
                gone.append(state)
        stays = life.history(connection, "law-steps")
        connection.rollback()
    assert [stay.state for stay in stays] == gone
    assert [stay.was for stay in stays] == [None, *gone[:-1]]


def test_devices_are_found_by_whatever_people_know(stack: RunningStack, database: Database) -> None:
    def found(text: str) -> list[str]:
        return lookup.find(database, text, 20)

    file = stack.folder / "find.csv"
    file.write_text(
        "device,profile,area,name,serial,owner,tags,eui,alias\n"
        "find-zz-17,native-weather,213,Trạm khí tượng Đồng Nghỏ,SN-77/A,UBND xã Phồn Xương,ngã tư;đợt 2,,\n"
        "find-zz-18,lorawan-indoor,213,Lớp 5A Đình Trám,,,,70B3D57BA0FFF001,\n"
        "find-zz-19,frigate-event,213,,,,,,frigate:cổng đông; frigate:cổng tây\n"
    )
    stack.dothi("devices", "enroll", str(file))
    for text in ("dong ngho", "ĐỒNG NGHỎ", "ngho dong tram", "zz-17", "sn-77", "phon xuong", "nga tu", "Trạm khí"):
        assert found(text)[:1] == ["find-zz-17"], text
    for text in ("70-b3-d5-7b-a0-ff-f0-01", "70B3D57BA0FFF001", "70b3d57ba0fff", "dinh tram"):
        assert found(text)[:1] == ["find-zz-18"], text
    for text in ("cong dong", "Cổng Tây"):
        assert found(text)[:1] == ["find-zz-19"], text
    assert found("no such thing") == []
    listed = json.loads(stack.dothi("devices", "list", "--find", "dong ngho", "--json").stdout)
    assert [one["device"] for one in listed] == ["find-zz-17"]


@LAW
@given(st.text(max_size=60))
def test_any_text_can_be_looked_for(stack: RunningStack, text: str) -> None:
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        lookup.find(connection, text, 5)


def test_what_is_kept_of_a_device(stack: RunningStack, database: Database) -> None:
    file = stack.folder / "kept.jsonl"
    one = {
        "device": "kept-1",
        "profile": "lorawan-indoor",
        "area": "220",
        "eui": "0x70B3D57BA0FFF002",
        "installed": "2026-02-28",
        "serial": "A1",
        "firmware": "1.2",
        "owner": "Sở GD",
        "tags": ["a b", "c"],
    }
    file.write_text(json.dumps(one) + "\n")
    stack.dothi("devices", "enroll", str(file))
    kept = shown(database, "kept-1")
    assert {key: kept[key] for key in ("eui", "installed", "serial", "firmware", "owner", "tags", "aliases")} == {
        "eui": "70b3d57ba0fff002",
        "installed": date(2026, 2, 28),
        "serial": "A1",
        "firmware": "1.2",
        "owner": "Sở GD",
        "tags": ["a b", "c"],
        "aliases": ["lorawan:70b3d57ba0fff002"],
    }
    file.write_text(json.dumps({"device": "kept-1", "profile": "lorawan-indoor", "area": "220", "serial": None}) + "\n")
    stack.dothi("devices", "enroll", str(file))
    kept = shown(database, "kept-1")
    assert (kept["serial"], kept["firmware"], kept["owner"]) == (None, "1.2", "Sở GD")


def test_an_area_that_is_none_is_refused_by_the_counts(stack: RunningStack) -> None:
    for column in ("area", "profile"):
        values = {"area": 213, "profile": 1, column: 32000}
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            stack.run(
                f"insert into registry.device (device, area, profile, family) "
                f"values ('nowhere-1', {values['area']}, {values['profile']}, 'weather')"
            )


def test_rows_from_elsewhere_are_refused_whole(database: Database) -> None:
    rows = [row("rows-1"), row("rows-2")._replace(eui="70b3d57ba0fff003")]
    enroll(database, rows)
    with pytest.raises(NotEnrolled, match="belongs to device rows-2"):
        enroll(database, [row("rows-4"), rows[1]._replace(device="rows-3")])
    assert lookup.show(database, "rows-4") is None
    life.change_state(database, ["rows-2"], "retired", "broken")
    enroll(database, [rows[1]._replace(device="rows-3")])
    assert [shown(database, device)["eui"] for device in ("rows-2", "rows-3")] == [None, "70b3d57ba0fff003"]
