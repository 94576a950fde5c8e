"""Enrolment files: all of a file or nothing, and every mistake with its line, column, value and what is expected."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.enroll import check_file
from tests.stack import RunningStack, dothi

PROFILES = {"native-weather": None, "frigate-event": "frigate"}
AREAS = ["213", "220"]
HEAD = "device,profile,area,name,lat,lon,alias\n"


@pytest.mark.parametrize(
    ("content", "line", "column", "said"),
    [
        ("device,profile\na-1,native-weather\n", 1, "area", "column missing"),
        ("device,profile,area,colour\na-1,native-weather,213,red\n", 1, "colour", "unknown column"),
        (HEAD + "A-1,native-weather,213,,,,\n", 2, "device", "a-z"),
        (HEAD + "a#/+,native-weather,213,,,,\n", 2, "device", "a-z"),
        (HEAD + "a-1,weather,213,,,,\n", 2, "profile", "nearest: native-weather"),
        (HEAD + "a-1,zzz,213,,,,\n", 2, "profile", "known: frigate-event, native-weather"),
        (HEAD + "a-1,native-weather,999,,,,\n", 2, "area", "213, 220"),
        (HEAD + "a-1,native-weather,213,,106.2,21.3,\n", 2, "lat", "swapped"),
        (HEAD + "a-1,native-weather,213,,21.3,,\n", 2, "lon", "go together"),
        (HEAD + 'a-1,native-weather,213,,"21,3",106.2,\n', 2, "lat", "decimal point"),
        (HEAD + "a-1,native-weather,213,,nan,106.2,\n", 2, "lat", "number in degrees"),
        (HEAD + "a-1,native-weather,213,,,,\na-1,native-weather,213,,,,\n", 3, "device", "line 2 already"),
        (HEAD + "a-1,native-weather\n", 2, "", "more or fewer values"),
        (HEAD + "a-1,native-weather,213,,,,frigate:x\n", 2, "alias", "needs no alias"),
        (HEAD + "a-1,frigate-event,213,,,,front_door\n", 2, "alias", "frigate:name"),
        (HEAD, 1, "", "no devices"),
        ("", 1, "device", "column missing"),
    ],
)
def test_mistakes_are_named(content: str, line: int, column: str, said: str) -> None:
    mistake = check_file(content.encode(), PROFILES, AREAS).mistakes[0]
    assert (mistake.line, mistake.column) == (line, column)
    assert said in mistake.detail


def test_bytes_that_are_not_utf_8() -> None:
    assert (
        "UTF-8" in check_file(HEAD.encode() + b"a-1,native-weather,213,\xff,,,\n", PROFILES, AREAS).mistakes[0].detail
    )


@given(st.binary(max_size=300))
def test_any_file_gives_rows_or_mistakes(content: bytes) -> None:
    checked = check_file(content, PROFILES, AREAS)
    assert checked.rows or checked.mistakes


@given(st.lists(st.text(alphabet='ab1-,"\n\r\x00é', max_size=12), max_size=8))
def test_any_rows_give_rows_or_mistakes(cells: list[str]) -> None:
    checked = check_file((HEAD + ",".join(cells) + "\n").encode(), PROFILES, AREAS)
    assert checked.rows or checked.mistakes


def test_a_file_is_enrolled_whole_or_not_at_all(stack: RunningStack) -> None:
    file = stack.folder / "whole.csv"
    good = "whole-1,native-weather,213,Trạm 1,21.27,106.19\nwhole-2,native-weather,220,,,\n"
    head = "device,profile,area,name,lat,lon\n"
    file.write_text(head + good + "whole-3,native-weather,999,,,\n")
    refused = stack.dothi("devices", "enroll", str(file), check=False)
    assert refused.returncode == 1
    assert "999" in refused.stdout
    assert enrolled(stack) == []
    file.write_text(head + good)
    assert "2 devices, no mistakes" in stack.dothi("devices", "enroll", str(file), "--dry-run").stdout
    assert enrolled(stack) == []
    result = json.loads(stack.dothi("devices", "enroll", str(file), "--json").stdout)
    assert (result["new"], result["changed"], result["unchanged"]) == (2, 0, 0)
    file.write_text(head + good.replace("Trạm 1", "Trạm một"))
    result = json.loads(stack.dothi("devices", "enroll", str(file), "--json").stdout)
    assert (result["new"], result["changed"], result["unchanged"]) == (0, 1, 1)
    assert enrolled(stack) == ["whole-1", "whole-2"]


def test_a_device_keeps_its_family(stack: RunningStack) -> None:
    file = stack.folder / "family.csv"
    file.write_text("device,profile,area\nfamily-1,native-weather,213\n")
    stack.dothi("devices", "enroll", str(file))
    file.write_text("device,profile,area\nfamily-1,native-meter,213\n")
    refused = stack.dothi("devices", "enroll", str(file), check=False)
    assert refused.returncode == 1
    assert "another family" in refused.stderr


def test_a_file_that_is_not_there(stack: RunningStack) -> None:
    refused = stack.dothi("devices", "enroll", "/nowhere.csv", check=False)
    assert refused.returncode == 2
    assert "/nowhere.csv" in refused.stderr


def test_list_finds_by_part_of_id_or_name(stack: RunningStack) -> None:
    file = stack.folder / "list.csv"
    file.write_text("device,profile,area,name,lat,lon\nlist-1,native-weather,213,Cầu Bố Hạ,21.27,106.19\n")
    stack.dothi("devices", "enroll", str(file))
    by_name = json.loads(stack.dothi("devices", "list", "--like", "bố hạ", "--json").stdout)
    by_id = json.loads(stack.dothi("devices", "list", "--like", "list-1", "--json").stdout)
    assert by_name == by_id
    assert (by_id[0]["device"], by_id[0]["family"], by_id[0]["area"]) == ("list-1", "weather", "213")


def enrolled(stack: RunningStack) -> list[str]:
    """Devices whose id begins with whole-."""
    return [
        device for (device,) in stack.query("select device from city.device where device like 'whole-%%' order by 1")
    ]


def test_no_stack_is_one_line() -> None:
    refused = dothi("devices", "list", "--dir", "/nowhere", check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "dothi up" in refused.stderr
