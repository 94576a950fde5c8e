"""Enrolment files: all of a file or nothing, and every mistake with its line, column, value and what is expected."""

import csv
import io
import json
import math
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.area import ZONES
from devices.area_outline import Outline, all_outlines, nearest_zone, zone_at
from devices.enroll import Terms, judged_rows
from devices.enroll_clean import clean_lines
from devices.enroll_file import Outputs, enroll_file, lines_of
from devices.enroll_place import SQUARES, zone_of_square
from devices.enroll_read import Piece, pieces, records_of
from devices.enroll_stage import line_of, stage
from devices.profile import PROFILES as ALL_PROFILES
from devices.registry import NotEnrolled, enroll
from tests.command import dothi
from tests.enrolment import Checked, check_file
from tests.examples import examples
from tests.stack import RunningStack

PROFILES = {"native-weather": None, "frigate-event": "frigate"}
AREAS = ["213", "220"]
HEAD = "device,profile,area,name,lat,lon,alias\n"
Database = psycopg.Connection[Any]
LAW = settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TERMS = Terms({p.name: p.route for p in ALL_PROFILES.values()}, frozenset(zone.code for zone in ZONES))


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
        (HEAD + "a-1,native-weather,213,,0,0,\n", 2, "lat", "without a fix"),
        (HEAD + "a-1,native-weather,213,,10.8,106.6,\n", 2, "lat", "outside of the province"),
        (HEAD + "a-1,native-weather,,,,,\n", 2, "area", "a position in it"),
        (HEAD + "a-1,native-weather,13,,,,\n", 2, "area", "the zones of the plan"),
        (HEAD + "a-1,native-weather,Sơn Động,,,,\n", 2, "area", "220 is Sơn Động"),
        (HEAD + "a-1,native-weather,213,a\u202eb,,,\n", 2, "name", "U+202E"),
        (HEAD + "a-1,native-weather,213,Tr\ufffdm,,,\n", 2, "name", "U+FFFD, at place 3"),
        (HEAD + "Cam_01,native-weather,213,,,,\n", 2, "device", "cam-01 would do"),
        ("device,profile,area,installed\na-1,native-weather,213,31/01/2026\n", 2, "installed", "2026-01-31"),
        ("device,profile,area,eui\na-1,native-weather,213,12\n", 2, "eui", "16 hex digits"),
        ("device,profile,area,state\na-1,native-weather,213,active\n", 2, "state", "planned or enrolled"),
        ("device,profile,area,nmae\na-1,native-weather,213,x\n", 1, "nmae", "name is meant?"),
        ("device,profile,area,device\na-1,native-weather,213,a-1\n", 1, "device", "twice"),
        ('{"device": "a-1", "profile": "native-weather", "area": 213}\n', 1, "area", "a text"),
        ('{"device": "a-1", "profile": "native-weather", "area": "213", "x": 1}\n', 1, "x", "unknown column"),
        ('{"device": "a-1"\n', 1, "", "one JSON object per line"),
        ('[{"device": "a-1", "profile": "native-weather", "area": "213"}]\n', 1, "", "one JSON object per line"),
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


ROWS = [("a-1", "native-weather", "213", "Trạm, số 1"), ("a-2", "frigate-event", "220", "")]


@st.composite
def nearly_plain(draw: st.DrawFn) -> str:
    """A file in which most cells are right."""
    cells = {
        "device": st.sampled_from(["a-1", "b-2", " c-3 ", "d-4", "e-5", "F-6"]),
        "profile": st.sampled_from(["native-weather", "native-meter", "lorawan-indoor", "frigate-event", "none"]),
        "area": st.sampled_from(["213", "220", "058", "", "999"]),
        "name": st.sampled_from(["", "Đồng Mỏ", "a\\b", "e\u0301", " Cầu ", "\u0301", "x" * 201, "\ufffd", '"a\nb"']),
        "lat,lon": st.sampled_from([",", "21.2731,106.1946", "+21.33,106.850", "22.1,105.9", "21.3,", "9,9", "x,y"]),
        "owner": st.sampled_from(["", "Sở TN&MT", "y" * 201]),
        "serial": st.sampled_from(["", "SN1"]),
        "firmware": st.sampled_from(["", "1.2"]),
        "tags": st.sampled_from(["", "a;b;a", ";", "x" * 41]),
        "installed": st.sampled_from(["", "2026-01-31", "31/01/2026"]),
        "state": st.sampled_from(["", "planned", "retired"]),
        "alias": st.sampled_from(["", "frigate:door", "lorawan:70b3d57ba0eee001"]),
        "eui": st.sampled_from(["", "70B3D57BA0EEE001"]),
    }
    further = draw(st.lists(st.sampled_from([*cells][4:]), unique=True))
    columns = ["device", "profile", "area", "name", *further]
    usual = dict(zip(columns, ("a-1", "native-weather", "213", ""), strict=False))
    lines = [",".join(columns)]
    for _ in range(draw(st.integers(0, 5))):
        odd = draw(st.sets(st.sampled_from(columns), max_size=2))
        row = {column: usual.get(column, "," * (column == "lat,lon")) for column in columns}
        lines.append(",".join((row | {column: draw(cells[column]) for column in odd}).values()))
    return "\n".join(lines) + "\n" + draw(st.sampled_from(["", "\n", "a-1\n", ",\n", '"\n']))


@given(nearly_plain(), st.sampled_from([1, 2, 5]))
def test_pieces_are_judged_as_row_by_row(text: str, size: int) -> None:
    file = io.BytesIO(text.encode())
    whole = [one for piece in pieces(file) for one in records_of(piece)]
    assert [line for line, _ in whole] == sorted(line for line, _ in whole)
    lines = "".join(lines_of(pieces(file, size), TERMS, lambda _: None)).splitlines()
    assert [*map(columns_of, lines)] == [columns_of(line_of(one)) for one in judged_rows(file, TERMS)]


def columns_of(line: str) -> list[str | float]:
    """A line of the COPY text format; positions as numbers, for 21.50 and 21.5 are one."""
    cells: list[str | float] = [*line.removesuffix("\n").split("\t")]
    cells[5:7] = [float(cell) if cell else cell for cell in cells[5:7]]
    return cells


def test_what_is_plain_is_not_looked_at_row_by_row() -> None:
    rows = ["a-1,native-weather,213,Đồng Mỏ,21.2731,106.1946,a;b", "a-2,native-meter,,,21.2731,106.1946,"]
    (piece,) = pieces(io.BytesIO("\n".join(["device,profile,area,name,lat,lon,tags", *rows]).encode()))
    assert isinstance(piece, Piece)
    lines = clean_lines(piece, TERMS)
    assert lines is not None
    assert [line.split("\t")[1:4] for line in lines] == [
        ["a-1", "native-weather", "213"],
        ["a-2", "native-meter", "213"],
    ]


@pytest.mark.parametrize(
    "content",
    [
        'device,profile,area,name\na-1,native-weather,213,"Trạm, số 1"\na-2,frigate-event,220,\n'.encode("utf-8-sig"),
        "Device;Profile;Area;Name\r\na-1;native-weather;213;Trạm, số 1\r\na-2;frigate-event;220;\r\n".encode(),
        "device\tprofile\tarea\tname\ra-1\tnative-weather\t213\tTrạm, số 1\ra-2\tfrigate-event\t220\t\r".encode(),
        'name,area,profile,device\n"Trạm, số 1 ",213,native-weather,a-1\n,,,\n\n,220,frigate-event,a-2'.encode(),
        '{"device":"a-1","profile":"native-weather","area":"213","name":"Trạm, số 1"}\n\n'
        '{"profile":"frigate-event","area":"220","device":"a-2","name":null}'.encode(),
        'device,profile,area,name\na-1,native-weather,213,"Tra\u0323m, s\u00f4\u0301 1"\n'
        "a-2,frigate-event,220,\n".encode(),
    ],
)
def test_spreadsheets_write_csv_in_their_own_ways(content: bytes) -> None:
    checked = check_file(content, PROFILES, AREAS)
    assert checked.mistakes == []
    assert [(row.device, row.profile, row.area, row.name or "") for row in checked.rows] == ROWS


def test_utf_16_is_named() -> None:
    assert "UTF-16" in check_file("device,profile\n".encode("utf-16"), PROFILES, AREAS).mistakes[0].detail


def test_a_zone_is_found_from_the_position_and_another_one_is_warned_of() -> None:
    text = (
        "device,profile,area,lat,lon\na-1,native-weather,,21.2731,106.1946\n"
        "a-2,native-weather,220,21.2731,106.1946\na-3,native-weather,220,21.33,106.85\n"
    )
    one, two, three = judged_rows(io.BytesIO(text.encode()), TERMS)
    assert [judged.row and judged.row.area for judged in (one, two, three)] == ["213", "220", "220"]
    assert [warning.detail for judged in (one, two, three) for warning in judged.warnings] == [
        "the position 21.2731,106.195 lies in zone 213"
    ]


def test_several_aliases_and_names_with_semicolons() -> None:
    text = HEAD + "a-1,frigate-event,213,,,,frigate:a;b ; frigate:c;frigate:a;b\n"
    ((row,), mistakes) = check_file(text.encode(), PROFILES, AREAS)
    assert not mistakes
    assert (row.route, row.foreign_id, row.further) == ("frigate", "a;b", ("c",))


def test_an_outline_holds_its_inside_without_its_hole() -> None:
    """A square with a hole, and a point on each side of each edge."""
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)]
    hole = [(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)]
    outline = Outline("x", [square, hole])
    chance = random.Random(1)  # noqa: S311 - places, no secrets
    for _ in range(2000):
        lat, lon = chance.uniform(-0.2, 1.2), chance.uniform(-0.2, 1.2)
        inside = 0 < lat < 1 and 0 < lon < 1 and not (0.4 < lat < 0.6 and 0.4 < lon < 0.6)
        assert outline.holds(lat, lon) == inside


def test_no_position_lies_in_two_zones_and_who_is_inside_is_near() -> None:
    chance = random.Random(2)  # noqa: S311 - places, no secrets
    for _ in range(2000):
        lat, lon = chance.uniform(20.9, 22.9), chance.uniform(105.2, 107.3)
        holding = [code for code, outline in all_outlines().items() if outline.holds(lat, lon)]
        assert len(holding) <= 1
        assert zone_at(lat, lon) == (holding[0] if holding else None)
    for outline in all_outlines().values():
        lat, lon = outline.edges[7][:2]
        assert nearest_zone(lat, lon).km < 0.01


@given(st.floats(20.9, 22.8), st.floats(105.4, 107.1))
def test_a_square_that_a_zone_has_to_itself_lies_in_it(lat: float, lon: float) -> None:
    zone = zone_of_square(math.floor(lat * SQUARES), math.floor(lon * SQUARES))
    assert zone in (None, zone_at(lat, lon))


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


@pytest.fixture
def database(stack: RunningStack) -> Iterator[Database]:
    """A connection of the owner."""
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        yield connection


def enrol(database: Database, text: str, dry_run: bool = False, outputs: Outputs = Outputs()) -> Any:  # noqa: B008
    return enroll_file(database, io.BytesIO(text.encode()), TERMS, dry_run, outputs)


devices = st.sampled_from(["law-a", "law-b", "law-c", "Law-d"])
euis = st.sampled_from(["", "70B3D57BA0EEE001", "70b3d57ba0eee002", "xyz"])
profiles = st.sampled_from(["native-weather", "native-weather", "lorawan-indoor", "nothing"])
places = st.sampled_from(["", "21.2731,106.1946", "106.1946,21.2731", "21.33,106.85"])
lines = st.builds(
    lambda device, profile, area, name, place, eui: f"{device},{profile},{area},{name},{place or ','},{eui}\n",
    *(devices, profiles, st.sampled_from(["213", "220", "", "999"]), st.sampled_from(["", "Đồng Mỏ", "\\N", "a\\tb"])),
    *(places, euis),
)
files = st.lists(lines, min_size=1, max_size=6).map(
    lambda lines: "device,profile,area,name,lat,lon,eui\n" + "".join(lines)
)


@pytest.mark.stack
@LAW
@given(st.lists(files, min_size=1, max_size=3))
def test_what_a_dry_run_accepts_is_enrolled_and_again_is_nothing_new(stack: RunningStack, texts: list[str]) -> None:
    with psycopg.connect(stack.document["database"]) as database:
        database.execute("select 1")  # begins what is undone at the end
        for text in texts:
            dry, done = enrol(database, text, dry_run=True), enrol(database, text)
            assert dry.staged == done.staged
            if dry.staged.wrong:
                assert sum(done.enrolled) == 0
                continue
            assert sum(done.enrolled) == done.staged.devices == text.count("\n") - 1
            again = enrol(database, text)
            assert (again.enrolled.new, again.enrolled.changed) == (0, 0)
        database.rollback()


@pytest.mark.stack
@LAW
@given(files)
def test_a_file_alone_is_judged_in_the_database_as_in_memory(stack: RunningStack, text: str) -> None:
    with psycopg.connect(stack.document["database"]) as database, database.cursor() as cursor:
        staged = stage(cursor, judged_rows(io.BytesIO(text.encode()), TERMS))
        database.rollback()
    checked = check_file(text.encode(), TERMS.profiles, TERMS.areas)
    assert sorted(staged.mistakes) == sorted(checked.mistakes)
    assert isinstance(checked, Checked)


def test_the_report_has_a_line_for_each_device_and_each_mistake(database: Database) -> None:
    head = "device,profile,area,name,lat,lon,eui\n"
    good = "report-1,native-weather,213,,,,\nreport-2,native-weather,220,,21.2731,106.1946,\n"
    text = head + good + "report-2,native-weather,9,,,,\n"
    assert report(database, text) == [
        ["2", "report-1", "right", "", "", ""],
        ["3", "report-2", "right", "", "", ""],
        ["3", "report-2", "warning", "area", "220", "the position 21.2731,106.195 lies in zone 213"],
        ["4", "report-2", "mistake", "area", "9", check_file(text.encode(), *TERMS).mistakes[0].detail],
        ["4", "report-2", "mistake", "device", "report-2", "stands on line 3 already"],
    ]
    assert [row[2] for row in report(database, head + good)] == ["new", "new", "warning"]
    assert [row[2] for row in report(database, head + good.replace("213,,", "213,x,"))] == [
        *("changed", "unchanged", "warning")
    ]


def report(database: Database, text: str) -> list[list[str]]:
    """Lines of the report of an enrolment, without the head."""
    file = io.BytesIO()
    enrol(database, text, outputs=Outputs(report=file))
    return list(csv.reader(io.StringIO(file.getvalue().decode())))[1:]


def test_tokens_are_written_for_who_has_none(stack: RunningStack) -> None:
    file, tokens = stack.folder / "tokens.csv", stack.folder / "tokens.out"
    file.write_text("device,profile,area\ntoken-1,native-weather,213\n")
    stack.dothi("devices", "enroll", str(file), "--credentials", str(tokens))
    assert tokens.stat().st_mode & 0o777 == 0o600
    (first,) = csv.DictReader(io.StringIO(tokens.read_text()))
    assert first["device"] == "token-1"
    tokens.unlink()
    file.write_text("device,profile,area\ntoken-1,native-weather,213\ntoken-2,native-weather,213\n")
    stack.dothi("devices", "enroll", str(file), "--credentials", str(tokens))
    assert [one["device"] for one in csv.DictReader(io.StringIO(tokens.read_text()))] == ["token-2"]
    tokens.unlink()
    file.write_text("device,profile,area\ntoken-3,nothing,213\n")
    assert stack.dothi("devices", "enroll", str(file), "--credentials", str(tokens), check=False).returncode == 1
    assert not tokens.exists()


def test_an_alias_of_another_device_is_refused_until_that_one_is_retired(database: Database) -> None:
    head = "device,profile,area,alias\n"
    enrol(database, head + "alias-1,frigate-event,213,frigate:law_door\n")
    taken = enrol(database, head + "alias-2,frigate-event,213,frigate:law_door\n")
    assert [(one.line, one.column, one.value) for one in taken.staged.mistakes] == [(2, "alias", "frigate:law_door")]
    assert "belongs to device alias-1" in taken.staged.mistakes[0].detail
    row = check_file((head + "alias-2,frigate-event,213,frigate:law_door\n").encode(), *TERMS).rows[0]
    with pytest.raises(NotEnrolled, match="alias-1"):
        enroll(database, [row])


def test_a_column_that_is_not_there_leaves_what_is_known(database: Database) -> None:
    enrol(database, "device,profile,area,name,owner\nleft-1,native-weather,213,Tên,Sở\n")
    enrol(database, "device,profile,area,owner\nleft-1,native-weather,213,\n")
    kept = database.execute("select name, owner from city.device where device = 'left-1'").fetchone()
    assert kept == ("Tên", None)


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
