"""Alarms against the truth: what counts as told, what as false, and that the figures follow from it."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.delivery.letter import kinds
from dothi.commands.simulate_score import read_truth
from dothi.errors import WrongUsage
from dothi.scoring import Alarm, score, summary
from dothi.truth import Event, events_of, expectations
from simulators.districts import districts
from simulators.fleet import Fleet, build, zones_of
from simulators.scenario_file import read, shipped
from simulators.truth import write
from tests.command import dothi

START = 1_767_225_600.0


def truth(*events: dict[str, Any]) -> list[Event]:
    """Events; times in s from START."""
    whole = []
    for number, event in enumerate(events):
        plain = {"id": f"t/{number}", "kind": "stuck", "cause": f"t/{number}", "where": {}, "parameters": {}}
        start, end = (stamp(event.pop(key)) for key in ("start", "end"))
        whole.append(plain | {"start": start, "end": end} | event)
    return events_of({"events": whole}, {})


def stamp(after_s: float) -> str:
    return str(np.datetime64(round((START + after_s) * 1000), "ms")) + "Z"


def expected(kind: str, one_per: str, severity: str = "minor") -> list[dict[str, str]]:
    return [{"kind": kind, "severity": severity, "one_per": one_per}]


def rang(
    number: int, kind: str, raised: float, cleared: float | None = None, area: str | None = "213", **who: float
) -> Alarm:
    """An alarm; `who`: devices (with _ for -) and the time at which they joined."""
    devices = {name.replace("_", "-"): START + since for name, since in who.items()}
    return Alarm(number, kind, "minor", area, START + raised, None if cleared is None else START + cleared, devices)


CUT = {
    "kind": "gateway_cut", "start": 100.0, "end": 400.0, "alarms": expected("gateway_cut", "cause"),
    "devices": {"count": 2, "ids": ["aq-213-000001", "wl-213-000002"]},
}  # fmt: skip
STUCK = {
    "start": 0.0, "end": 600.0, "alarms": expected("stuck", "device"),
    "devices": {"count": 2, "ids": ["aq-213-000001", "aq-216-000002"]},
}  # fmt: skip


def figures(events: list[Event], *alarms: Alarm) -> dict[str, Any]:
    return summary(score(events, alarms))


def test_one_cause_one_alarm() -> None:
    found = figures(truth(dict(CUT)), rang(1, "gateway_cut", 160.0, 450.0, aq_213_000001=160.0, wl_213_000002=170.0))
    assert (found["matters"], found["matters_told"], found["recall"], found["precision"]) == (1, 1, 1.0, 1.0)
    assert (found["alarms_per_matter"], found["detect_median_s"]) == (1.0, 60.0)
    assert found["missed"] == found["false"] == []


def test_what_follows_from_an_event_is_not_false_but_counts_as_one_more() -> None:
    found = figures(
        truth(dict(CUT)),
        rang(1, "gateway_cut", 160.0, aq_213_000001=160.0),
        rang(2, "silent", 200.0, aq_213_000001=200.0),
        rang(3, "pm25-high", 200.0, aq_213_000099=200.0),
    )
    assert (found["alarms_false"], found["alarms_per_matter"]) == (1, 2.0)
    assert [one["id"] for one in found["false"]] == [3]
    assert found["precision"] == pytest.approx(2 / 3, abs=1e-4)


def test_another_device_of_the_district_tells_of_a_fire_but_not_of_a_faulty_sensor() -> None:
    fire = {"kind": "fire_front", "start": 0.0, "end": 600.0, "alarms": expected("forest_fire", "cause", "critical")}
    fire |= {"devices": {"count": 1, "ids": ["fw-220-000001"]}, "where": {"areas": ["220"]}}
    assert figures(truth(fire), rang(1, "forest_fire", 60.0, area="220", fw_220_000009=60.0))["recall"] == 1.0
    found = figures(truth(dict(STUCK)), rang(1, "stuck", 60.0, aq_213_000099=60.0))
    assert (found["recall"], found["alarms_false"]) == (0.0, 1)


def test_a_folded_alarm_tells_of_each_of_its_devices_when_it_joined() -> None:
    found = figures(truth(dict(STUCK)), rang(1, "stuck", 50.0, aq_213_000001=50.0, aq_216_000002=250.0))
    (row,) = found["kinds"]
    assert (row["expected"], row["told"], row["alarms"]) == (2, 2, 1)
    assert (row["detect_median_s"], row["detect_p95_s"]) == (150.0, 250.0)
    assert found["matters"] == 1


def test_a_device_that_no_alarm_names_is_missed() -> None:
    found = figures(truth(dict(STUCK)), rang(1, "stuck", 50.0, aq_213_000001=50.0))
    assert found["kinds"][0]["recall"] == 0.5
    assert [one["of"] for one in found["missed"]] == ["aq-216-000002"]


def test_events_of_one_cause_are_one_matter() -> None:
    rain = {"cause": "flood", "start": 0.0, "end": 900.0, "alarms": expected("heavy_rain", "cause")}
    rain |= {"devices": {"count": 1, "ids": ["rn-219-000001"]}}
    river = {"cause": "flood", "start": 300.0, "end": 2000.0, "alarms": expected("river_level", "area", "major")}
    river |= {"devices": {"count": 2, "ids": ["wl-219-000001", "wl-218-000001"]}}
    river |= {"found": {"crossed": [{"area": "219", "level": "I", "m": 4.3, "first": stamp(700.0)}]}}
    found = figures(truth(rain, river), rang(1, "river_level", 720.0, area="219", wl_219_000001=720.0))
    assert (found["matters"], found["matters_told"]) == (1, 1)
    assert {row["kind"]: row["recall"] for row in found["kinds"]} == {"heavy_rain": 0.0, "river_level": 1.0}
    assert found["kinds"][1]["detect_median_s"] == 20.0, (
        "after the level was crossed, not after the river began to rise"
    )


def test_too_late_is_not_told() -> None:
    assert figures(truth(dict(CUT)), rang(1, "gateway_cut", 5_000.0, aq_213_000001=5_000.0))["recall"] == 0.0


def test_an_alarm_that_was_over_before_is_false_and_one_from_before_the_run_is_no_matter() -> None:
    early = rang(1, "gateway_cut", -500.0, -400.0, aq_213_000001=-500.0)
    assert figures(truth(dict(CUT)), early)["alarms_false"] == 1
    assert summary(score(truth(dict(CUT)), [early], since=START))["alarms"] == 0


def test_nothing_expected_and_nothing_told() -> None:
    quiet = {"kind": "duplicates", "start": 0.0, "end": 10.0, "alarms": [], "devices": {"count": 1, "ids": ["a-213-1"]}}
    found = figures(truth(quiet))
    assert (found["matters"], found["recall"], found["precision"], found["kinds"]) == (0, None, None, [])
    assert figures(truth(quiet | {"start": 0.0, "end": 10.0}), rang(1, "leak", 5.0, area="217"))["alarms_false"] == 1


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return build(districts(zones_of("bac-giang"), 100.0, people=6_000), 1)


def perfect(events: list[Event]) -> list[Alarm]:
    """What an operations centre ought to be told, and nothing else."""
    alarms = []
    for number, (expectation, about) in enumerate(expectations(events).items(), 1):
        device = expectation.of if expectation.per == "device" else next(iter(about[0].devices.each()))[0]
        area = expectation.of if expectation.per == "area" else None
        raised = expectation.start + 5.0
        assert device is not None
        alarms.append(
            Alarm(number, expectation.kind, expectation.severity, area, raised, expectation.end, {device: raised})
        )
    return alarms


@pytest.mark.parametrize("name", shipped())
def test_perfect_alarms_have_a_perfect_score_and_none_have_none(name: str, fleet: Fleet, tmp_path: Path) -> None:
    scenario = read([name], fleet, START, 3600.0)
    write(tmp_path / "truth.json", scenario, fleet, start=START, seconds=3600.0)
    _, events = read_truth(tmp_path / "truth.json")
    found, nothing = summary(score(events, perfect(events))), summary(score(events, []))
    assert found["alarms_false"] == 0
    assert found["missed"] == []
    assert found["recall"] == (1.0 if found["matters"] else None)
    assert nothing["matters_told"] == 0
    assert found["detect_median_s"] in (5.0, None)
    assert {expectation.kind for expectation in expectations(events)} <= set(kinds()), "each has words in letters"


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(-100, 2000), st.booleans()), max_size=12))
def test_more_alarms_never_make_recall_worse(more: list[tuple[int, float, bool]]) -> None:
    events = truth(dict(CUT), dict(STUCK))
    alarms = [
        Alarm(
            n,
            "stuck" if stuck else "gateway_cut",
            "minor",
            "213",
            START + at,
            None,
            {f"aq-213-{device:06}": START + at},
        )
        for n, (device, at, stuck) in enumerate(more)
    ]
    told = [summary(score(events, alarms[:n]))["matters_told"] for n in range(len(alarms) + 1)]
    assert told == sorted(told)
    found = summary(score(events, alarms))
    assert found["alarms"] == len(alarms)
    assert 0 <= found["alarms_false"] <= len(alarms)


def test_ranges_and_files_name_devices_as_well(tmp_path: Path) -> None:
    ranges = {"count": 3, "ranges": [{"first": "aq-213-000009", "last": "aq-213-000011", "count": 3}]}
    (event,) = truth(dict(STUCK) | {"devices": ranges})
    assert [device for device, _ in event.devices.each()] == ["aq-213-000009", "aq-213-000010", "aq-213-000011"]
    assert "aq-213-000010" in event.devices
    assert "aq-213-000012" not in event.devices
    assert "aq-214-000010" not in event.devices
    assert event.areas == {"213"}
    lines = f"device,from,to\naq-216-000001,{stamp(5)},{stamp(9)}\n"
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(lines.encode()))
    one = {
        "id": "t/1",
        "kind": "stuck",
        "cause": "c",
        "start": stamp(0),
        "end": stamp(9),
        "where": {},
        "parameters": {},
    }
    document = {"run": {}, "events": [one | {"alarms": [], "devices": {"count": 1, "file": "t.csv.gz"}}]}
    (tmp_path / "truth.json").write_text(json.dumps(document))
    assert read_truth(tmp_path / "truth.json")[1][0].devices.since == {"aq-216-000001": START + 5}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"events": [{}], "run": {}}', '{"events": 3}', "\xff"])
def test_what_is_no_truth_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "truth.json"
    file.write_text(content)
    with pytest.raises(WrongUsage, match="no truth file") as refusal:
        read_truth(file)
    assert "\n" not in str(refusal.value)


def test_the_command_refuses_before_it_looks_for_a_stack(tmp_path: Path) -> None:
    done = dothi("simulate", "score", "--truth", str(tmp_path / "none.json"), "--dir", str(tmp_path), check=False)
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
