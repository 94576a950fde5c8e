"""Laws of scenarios: what is said to have happened is what was sent, nothing else changed, and slices do not matter."""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from devices.profile import PROFILES
from devices.reading import Reading
from dothi.commands.simulate_scenarios import app
from dothi.errors import WrongUsage
from simulators.city import City
from simulators.draw import Ints
from simulators.effects.catalogue import SORTS
from simulators.fleet import build, districts, native_name, zones_of
from simulators.messages import Kind, Messages
from simulators.scenario import QUIET, Scenario, Truth
from simulators.scenario_file import parse, read, shipped, text_of
from simulators.scenario_terms import ScenarioError
from simulators.schedule import USUAL, Shares
from simulators.truth import write
from tests.json_schema import faults

START, SECONDS, SPEED = 1_764_547_200.0, 3600.0, 2.0  # 2025-12-01 00:00 UTC; every device speaks at least twice
BY_LOT = ("duplicates", "out_of_order")
"""Kinds that touch a share of the messages, so that a device that says little may be spared."""
UNFAILING = Shares(late=0.0, duplicate=0.0, faulty=0.0)
FLEET = build(districts(zones_of("bac-giang"), 50, people=1000), 1)

SCHEMA = json.loads(files("simulators").joinpath("truth.schema.json").read_text("utf-8"))
Line = tuple[float, int, int, int, int, bool, bytes]
"""Due, sender, boot, seq, kind, again, payload."""


def city(scenario: Scenario, shares: Shares = UNFAILING, shard: tuple[int, int] = (1, 1)) -> City:
    return City(FLEET, start=START, boot=1000, speed=SPEED, shares=shares, scenario=scenario, shard=shard)


def lines(said: City, messages: Messages) -> list[tuple[int, Line]]:
    columns = (messages.due, messages.sender, messages.boot, messages.seq, messages.kind, messages.again)
    rows = zip(*(column.tolist() for column in columns), said.payloads(messages), strict=True)
    return list(zip(messages.device.tolist(), rows, strict=True))


def by_device(scenario: Scenario) -> dict[int, list[Line]]:
    said, lists = city(scenario), defaultdict(list)
    for device, line in lines(said, said.until(START + SECONDS)):
        lists[device].append(line)
    return lists


@pytest.fixture(scope="module")
def quiet() -> dict[int, list[Line]]:
    return by_device(QUIET)


@cache
def loud(name: str) -> dict[int, list[Line]]:
    return by_device(played(name))


def played(*names: str) -> Scenario:
    return read(names, FLEET, START, SECONDS, SPEED)


def file_of(folder: Path, *events: dict[str, Any], **more: Any) -> str:
    path = folder / "own.yaml"
    path.write_text(json.dumps({"title": "own", "events": list(events), **more}))  # JSON is YAML
    return str(path)


# What is said to have happened is what was sent


@pytest.mark.parametrize("name", shipped())
def test_named_devices_differ_from_the_quiet_city_and_nobody_else(name: str, quiet: dict[int, list[Line]]) -> None:
    truths = [effect.truth(FLEET) for effect in played(name)]
    differ = {device for device in range(len(FLEET)) if sorted(loud(name)[device]) != sorted(quiet[device])}
    assert differ <= {device for truth in truths for device in truth.devices.tolist()}
    for truth in truths:
        if truth.kind not in BY_LOT:
            assert set(truth.devices[spoke(truth, quiet)].tolist()) <= differ


def spoke(truth: Truth, quiet: dict[int, list[Line]]) -> Ints:
    """Places of the devices that had something to say well inside their time."""
    since = np.full(len(truth.devices), truth.start) if truth.since is None else truth.since
    until = np.full(len(truth.devices), truth.end) if truth.until is None else truth.until
    inner = [(a + 0.3 * (b - a), b - 0.3 * (b - a)) for a, b in zip(since.tolist(), until.tolist(), strict=True)]
    told = zip(truth.devices.tolist(), inner, strict=True)
    return np.flatnonzero([any(a <= line[0] < b for line in quiet[device]) for device, (a, b) in told])


@pytest.mark.parametrize("name", shipped())
def test_nothing_differs_before_it_begins(name: str, quiet: dict[int, list[Line]]) -> None:
    begins = min(effect.truth(FLEET).start for effect in played(name))
    for device, said in quiet.items():
        before = sorted(line for line in said if line[0] < begins)
        assert sorted(line for line in loud(name)[device] if line[0] < begins) == before


@pytest.mark.parametrize("name", shipped())
def test_the_same_is_said_in_whatever_slices_and_shards(name: str) -> None:
    scenario, step = played(name), SECONDS / 3
    at_once = Counter((device, line) for device, said in loud(name).items() for line in said)
    pieces: Counter[tuple[int, Line]] = Counter()
    for part in (1, 2):
        said = city(scenario, shard=(part, 2))
        for turn in range(1, 4):
            pieces.update(lines(said, said.until(START + turn * step)))
    assert pieces == at_once


def test_slices_do_not_matter_either_where_messages_are_late_twice_and_faulty() -> None:
    whole, parts = city(played("bad-day"), USUAL), city(played("bad-day"), USUAL)
    at_once = Counter(lines(whole, whole.until(START + SECONDS)))
    pieces = Counter(line for turn in range(1, 5) for line in lines(parts, parts.until(START + turn * SECONDS / 4)))
    assert pieces == at_once


@pytest.mark.parametrize("name", ["bad-day", "gateway-cut", "power-cut", "late-burst", "disorder"])
def test_nothing_is_sent_again_that_was_not_sent_before(name: str) -> None:
    said = city(played(name), Shares(late=0.02, duplicate=0.2, faulty=0.0))
    messages = said.until(START + SECONDS)
    keys = list(zip(messages.device.tolist(), messages.boot.tolist(), messages.seq.tolist(), strict=True))
    once = {key for key, again in zip(keys, messages.again.tolist(), strict=True) if not again}
    late = {key for key, kind in zip(keys, messages.kind.tolist(), strict=True) if kind == Kind.LATE}
    assert {key for key, again in zip(keys, messages.again.tolist(), strict=True) if again} <= once | late


@pytest.mark.parametrize("factor", [1e9, -1000, 1e-7])
def test_packets_say_what_payloads_say_however_wrong_the_unit(factor: float, tmp_path: Path) -> None:
    wrong = {"kind": "wrong_unit", "metric": "pm25", "factor": factor, "share": 1}
    said = city((*played("bad-day"), *played(file_of(tmp_path, wrong))))
    said.until(START + 0.5 * SECONDS)
    messages = said.until(START + 0.55 * SECONDS)
    packets = said.packets(messages)
    body, begin = packets.body.tobytes(), 0
    for end, payload in zip(packets.ends.tolist(), said.payloads(messages), strict=True):
        assert body[begin:end].endswith(payload)
        begin = end


@pytest.mark.parametrize("name", [name for name in shipped() if name != "sensor-faults"])
def test_what_is_sent_is_legal_unless_it_is_marked(name: str) -> None:
    for device, said in loud(name).items():
        profile = PROFILES[native_name(FLEET.families[FLEET.family[device]])]
        for *_, kind, _, payload in said:
            if kind <= Kind.LATE:
                (result,) = profile.read(payload)
                assert isinstance(result, Reading), result
                assert result.extra is None


def test_every_kind_is_in_a_shipped_scenario() -> None:
    used = {event["kind"] for name in shipped() for event in parse(name).events}
    assert used == set(SORTS)


# Truth


@pytest.mark.parametrize("name", shipped())
def test_truth_names_the_devices_and_every_time_lies_inside_the_event(name: str, tmp_path: Path) -> None:
    scenario = played(name)
    write(tmp_path / "truth.json", scenario, FLEET, start=START, seconds=SECONDS, boot=1000)
    document = json.loads((tmp_path / "truth.json").read_bytes())
    assert list(faults(SCHEMA, document)) == []
    for event, effect in zip(document["events"], scenario, strict=True):
        devices, truth = event["devices"], effect.truth(FLEET)
        assert devices["ids"] == FLEET.ids(truth.devices.astype(np.int64))
        assert devices["count"] == len(truth.devices) > 0
        for since, until in zip(devices.get("from", ()), devices.get("to", ()), strict=True):
            assert event["start"] <= since < until <= event["end"]


def test_what_had_not_begun_when_a_run_was_stopped_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "truth.json", played("bad-day"), FLEET, start=START, seconds=0.45 * SECONDS)
    document = json.loads((tmp_path / "truth.json").read_bytes())
    stopped = document["run"]["end"]
    begun = {
        effect.truth(FLEET).id for effect in played("bad-day") if effect.truth(FLEET).start < START + 0.45 * SECONDS
    }
    assert {event["id"] for event in document["events"]} == begun
    assert all(event["start"] < event["end"] <= stopped for event in document["events"])


def test_many_devices_are_ranges_or_a_file_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("power-cut", "disorder")
    wanted = [effect.truth(FLEET).devices.astype(np.int64) for effect in played(*names)]
    monkeypatch.setattr("simulators.truth.MOST_IDS", 5)
    monkeypatch.setattr("simulators.truth.MOST_RANGES", 60)
    write(tmp_path / "truth.json", played(*names), FLEET, start=START, seconds=None)
    cut, late, _ = (event["devices"] for event in json.loads((tmp_path / "truth.json").read_bytes())["events"])
    assert list(faults(SCHEMA, json.loads((tmp_path / "truth.json").read_bytes()))) == []
    assert sum(one["count"] for one in cut["ranges"]) == cut["count"] == len(wanted[0])
    assert {one["first"] for one in cut["ranges"]} <= set(FLEET.ids(wanted[0]))
    rows = gzip.decompress((tmp_path / late["file"]).read_bytes()).decode().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == FLEET.ids(wanted[1])


# What may be written


GOOD = {"kind": "heat_wave", "start": "10 %", "for": "10 min"}
BAD: list[tuple[dict[str, Any], Sequence[str]]] = [
    ({"kind": "earthquake"}, ["kind earthquake", "allowed: rush_hour"]),
    ({"colour": "red"}, ["key colour", "hotter"]),
    ({"where": {"areas": ["999"]}}, ["area 999", "213"]),
    ({"where": {"areas": [213, "213"]}}, ["area 213", "each once"]),
    ({"where": {"areas": []}}, ["areas []"]),
    ({"where": {"planet": "Mars"}}, ["where planet", "commune"]),
    ({"where": {"commune": "Xã Không Có"}}, ["commune Xã Không Có", "full name"]),
    ({"where": {"largest": 11}}, ["largest 11", "1 to 10"]),
    ({"where": {"lat": 21.3, "lon": 106.2}}, ["radius_km missing"]),
    ({"where": {"lat": 121.3, "lon": 106.2, "radius_km": 3}}, ["lat 121.3", "-90 to 90"]),
    ({"where": {"lat": 1.3, "lon": 6.2, "radius_km": 3}}, ["there is no device"]),
    ({"where": {"areas": ["213"], "largest": 1}}, ["areas and largest", "one of"]),
    ({"families": ["ship"]}, ["family ship", "weather"]),
    ({"families": ["meter"]}, ["family meter", "weather"]),
    ({"start": "2 h"}, ["start 2 h (7200 s", "before the end; the run lasts 3600 s"]),
    ({"start": "-5 min"}, ["start -5 min", "from 0"]),
    ({"start": "soon"}, ["start soon", "90 s"]),
    ({"for": "-5 min"}, ["for -5 min", "0.001 s or more"]),
    ({"for": 0}, ["for 0", "0.001 s or more"]),
    ({"for": 1e-7}, ["for 1e-07", "0.001 s or more"]),
    ({"for": 1.1e-180}, ["for 1.1e-180", "0.001 s or more"]),
    ({"for": "2 h"}, ["for 2 h", "up to 3240 s"]),
    ({"for": True}, ["for True"]),
    ({"for": float("inf")}, ["for Infinity"]),
    ({"hotter": 60}, ["hotter 60", "1 to 25 K"]),
    ({"hotter": "hot"}, ["hotter hot"]),
    ({"share": 0}, ["share 0", "above 0"]),
    ({"count": 0}, ["count 0", "1 or more"]),
    ({"devices": ["aq-213-999999"]}, ["device aq-213-999999", "each once"]),
    ({"devices": ["me-213-000001"]}, ["device me-213-000001", "one of"]),
    ({"devices": ["aq-213-000001"], "count": 2}, ["devices with count"]),
    ({"id": "a b"}, ["id a b", "hyphens"]),
    ({"cause": 7}, ["cause 7"]),
    ({"kind": "stuck"}, ["metric missing"]),
    ({"kind": "stuck", "metric": "colour"}, ["metric colour", "report"]),
    ({"kind": "bias", "metric": "event_kind", "by": 1}, ["metric event_kind", "a number"]),
    ({"kind": "drift", "metric": "pm25", "per_h": 0}, ["per_h 0", "not 0"]),
    ({"kind": "river_rise", "levels_m": [5, 4, 6]}, ["levels_m", "each above"]),
    ({"kind": "forest_gate", "who": "tiger"}, ["who tiger", "person or vehicle"]),
    ({"kind": "traffic_incident", "where": {"areas": ["213"]}, "blocked": 2}, ["blocked 2", "0.3 to 1"]),
]


@pytest.mark.parametrize(("wrong", "told"), BAD, ids=[f"{next(iter(wrong))}-{at}" for at, (wrong, _) in enumerate(BAD)])
def test_what_is_wrong_is_told_in_one_line_with_what_is_allowed(
    wrong: dict[str, Any], told: Sequence[str], tmp_path: Path
) -> None:
    name = file_of(tmp_path, GOOD | wrong)
    with pytest.raises(ScenarioError) as refusal:
        played(name)
    message = str(refusal.value)
    assert message.startswith(f"{name}: event ")
    assert "\n" not in message
    assert "allowed: " in message
    assert all(words in message for words in told), message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a mapping of"),
        ("title: x", "events missing"),
        ("events: []", "events []"),
        ("events: [1]", "kind missing"),
        ("events: {a: [}", "no YAML in line 1"),
        ("colour: red", "key colour"),
        ("lasts: -1\nevents: [{kind: rain}]", "lasts -1"),
        ("title: [x]\nevents: [{kind: rain}]", "title ['x']"),
    ],
)
def test_a_file_that_is_no_scenario_is_told_so(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"own\.yaml: ") as refusal:
        played(str(path))
    assert told in str(refusal.value)


def test_unknown_and_repeated_scenarios_and_events_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no such scenario; allowed: a YAML file, or one of bad-day"):
        played("sunny-day")
    with pytest.raises(ScenarioError, match="--scenario rush-hour: given twice"):
        played("rush-hour", "rush-hour")
    with pytest.raises(ScenarioError, match="event hot: id hot; allowed: another one"):
        played(file_of(tmp_path, GOOD | {"id": "hot"}, GOOD | {"id": "hot"}))


def test_two_power_cuts_of_one_device_do_not_overlap(tmp_path: Path) -> None:
    cut = {"kind": "power_cut", "for": "10 min", "where": {"areas": ["213"]}}
    with pytest.raises(ScenarioError, match=r"event late: kind power_cut overlaps; allowed: .* event early"):
        played(file_of(tmp_path, {**cut, "id": "early"}, {**cut, "id": "late", "start": "9 min"}))
    assert len(played(file_of(tmp_path, {**cut, "id": "early"}, {**cut, "id": "late", "start": "10 min"}))) == 2


def test_a_run_without_end_wants_times_in_seconds(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="a run that ends"):
        read([file_of(tmp_path, {"kind": "heat_wave", "for": "10 %"})], FLEET, START, None)
    with pytest.raises(ScenarioError, match=r"for missing; allowed: .* the run has no end"):
        read([file_of(tmp_path, {"kind": "heat_wave"})], FLEET, START, None)
    assert read([file_of(tmp_path, {"kind": "heat_wave", "for": "1 d"})], FLEET, START, None)


def test_a_local_time_is_the_next_one(tmp_path: Path) -> None:
    heat = {"kind": "heat_wave", "for": 60}
    begins = [
        played(file_of(tmp_path, heat | {"start": start}))[0].truth(FLEET).start - START for start in ("07:00", "7:30")
    ]
    assert begins == [0.0, 1800.0]  # the run begins at 07:00 of Việt Nam


TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats() | st.text(max_size=8),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text(max_size=6), deeper, max_size=3),
    max_leaves=6,
)


@given(
    key=st.sampled_from(["kind", "id", "start", "for", "where", "families", "share", "count", "devices", "cause"]),
    value=TEXTS,
)
@settings(max_examples=60, deadline=None)
def test_whatever_stands_in_an_entry_is_played_or_refused(
    key: str, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("own") / "own.yaml"
    path.write_text(json.dumps({"events": [GOOD | {key: value}]}))
    assert len(outcome(str(path)).splitlines()) == 1


def outcome(name: str) -> str:
    try:
        return f"played {len(played(name))}"
    except ScenarioError as refusal:
        return str(refusal)


# The command


def test_the_command_lists_shows_and_checks() -> None:
    listed = CliRunner().invoke(app, ["--json"])
    assert [one["scenario"] for one in json.loads(listed.stdout)] == list(shipped())
    assert CliRunner().invoke(app, []).stdout.count("power-cut") == 1
    shown = CliRunner().invoke(app, ["show", "power-cut"])
    assert shown.stdout == text_of("power-cut")
    checked = CliRunner().invoke(app, ["check", "power-cut", "--for", "100", "--people", "1000", "--json"])
    (event,) = json.loads(checked.stdout)
    assert (event["event"], event["from_s"], event["to_s"]) == ("power-cut/dark", 20, 50)
    assert event["alarms"] == [{"kind": "power_cut", "severity": "critical", "one_per": "cause", "metric": None}]
    table = CliRunner().invoke(app, ["check", "bad-day", "--people", "1000"]).stdout
    assert "10 districts" in table
    assert "│ fire " in table


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "nowhere"], "--scenario nowhere: no such scenario"),
        (["check", "nowhere"], "--scenario nowhere: no such scenario"),
        (["check", "monsoon", "--province", "bac-kan"], "monsoon: event rain: area 220; allowed: each once of 058"),
        (["check", "rush-hour", "--province", "atlantis"], "--province atlantis: unknown; allowed: bac-giang"),
    ],
)
def test_the_command_refuses_in_one_line(arguments: list[str], told: str) -> None:
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, WrongUsage)
    assert told in str(refused.exception)
    assert "\n" not in str(refused.exception)


def test_every_alarm_is_written_up() -> None:
    page = (Path(__file__).parents[1] / "docs" / "scenarios.md").read_text("utf-8")
    table = page[page.index("| alarm |") :]
    alarms = {alarm.kind for name in shipped() for effect in played(name) for alarm in effect.truth(FLEET).alarms}
    assert alarms
    assert all(f"`{alarm}`" in table for alarm in alarms)
