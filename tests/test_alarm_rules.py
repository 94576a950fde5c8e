"""Rules of alarms: what is refused and in which words, and what a limit does with readings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.alarms.limits import Limits
from analytics.alarms.matching import Matching
from analytics.alarms.rules import FromEvent, FromFinding, RulesRefused, read
from analytics.detectors import all_detectors
from analytics.detectors.limit import Critical, Limit, Major, Minor, Warn
from analytics.indices.fire_evidence import KIND
from devices.family import FAMILIES
from devices.profile import PROFILES
from tests.detector_world import BEGIN_US, SECOND_US, fleet_of, rows_of
from tests.ringing_world import sign

AIR = FAMILIES["air_quality"]
OWN = {
    "name": "mine", "from": "limit", "kind": "dust", "family": "air_quality", "metric": "pm25", "when": ">",
    "raise": 60, "clear": 50, "for_s": 120, "severity": "major", "title": {"vi": "Bụi", "en": "Dust"},
}  # fmt: skip


def limit(tmp_path: Path, **change: Any) -> Limit:
    """A detector of one limit on pm25."""
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"rules": [OWN | change]}))
    made = Major(AIR, Limits(read(file)))
    made.grow(fleet_of(3))
    return made


def told(detector: Limit, values: list[float], step_s: float = 60.0) -> list[bool]:
    """Whether it is on after each reading of one device."""
    said = []
    for place, value in enumerate(values):
        row = np.full((1, len(AIR.metrics)), np.nan)
        row[0, AIR.index["pm25"]] = value
        time = np.array([BEGIN_US + round(place * step_s * SECOND_US)])
        detector.update(rows_of(AIR, np.zeros(1, np.int64), time, row))
        said.append(bool(detector.state["on"][0].any()))
    return said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "pm26"}, "rule mine: alarm on pm26: air_quality has no such metric; expected pm25, pm10"),
        ({"family": "smell"}, "rule mine: family is smell; expected one of air_quality"),
        ({"raise": 40}, "rule mine: pm25-high-major: clear 50 must lie below raise 40"),
        ({"raise": 9e9}, "rule mine: pm25-high-major: raise 9e.09 is not inside 0 to"),
        ({"areas": ["999"]}, "rule mine: areas is 999; expected one of 058"),
        ({"severity": "awful"}, "rule mine: severity is 'awful'; expected info, warning, minor, major, critical"),
        ({"from": "nowhere"}, "rule mine: from is 'nowhere'; expected profile, limit"),
        ({"for_s": -1}, "rule mine: for_s is -1; Expected"),
        ({"metrik": "pm25"}, "rule mine: Object contains unknown field `metrik`"),
        ({"clear": None}, "rule mine: clear is missing"),
        ({"when": "in"}, "rule mine: alarm on pm25: when is in; expected > or < for a gauge"),
        ({"from": "finding"}, "rule mine: "),
    ],
)
def test_a_faulty_rule_is_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"rules": [OWN | change]}))
    with pytest.raises(RulesRefused, match=f"^{said}") as refused:
        read(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "rules: []", "rules: 3", "- a", "rules: [1]", "{", "rules: [{}]", "\x00"])
def test_what_is_no_file_of_rules_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(RulesRefused) as refused:
        read(file)
    assert "\n" not in str(refused.value)


def test_two_rules_of_one_name_or_one_limit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    for other in (OWN, OWN | {"name": "other"}):
        file.write_text(yaml.safe_dump({"rules": [OWN, other]}))
        with pytest.raises(RulesRefused, match="there twice"):
            read(file)


def test_the_rules_that_come_along_miss_nothing() -> None:
    """Every alarm of a profile and every detector falls under a rule, unless a rule says that nothing is raised."""
    rules, matching = read(), Matching(read())
    silenced = {rule.name for rule in rules.rules if rule.fold == "none"}
    assert silenced == {"fire-channels", "fire-events"}
    for name, profile in PROFILES.items():
        for alarm in profile.alarms:
            side = {">": "high", "<": "low", "in": "state"}[alarm.when]
            found = matching.limits.alarm_of(profile.family, name, alarm.metric.name, side, alarm.severity)
            assert found == alarm
    found_by = {name for rule in rules.rules if isinstance(rule, FromFinding) for name in rule.detectors}
    limits = {kind.name for kind in (Critical, Major, Minor, Warn)}
    assert {kind.name for kind in all_detectors()} - limits - KIND.keys() <= found_by
    assert {rule.kind for rule in rules.rules if isinstance(rule, FromEvent)} >= {"possible_loss", "platform_fault"}


def test_a_rule_of_ones_own_takes_the_place_of_the_profiles(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    rest = {"name": "rest", "from": "profile"}
    file.write_text(yaml.safe_dump({"rules": [rest, OWN]}))
    matching = Matching(read(file))
    high = matching.of(sign(1, 1, "limit-major", value=70.0, expected=60.0))
    small = matching.of(sign(2, 1, "limit-warning", value=70.0, expected=50.0))
    assert high is not None
    assert small is not None
    assert (high.rule.name, high.kind, small.rule.name, small.kind) == ("mine", "dust", "rest", "pm25-high")


def test_it_must_last_and_it_must_be_back(tmp_path: Path) -> None:
    made = limit(tmp_path)
    assert told(made, [70, 70, 70, 55, 59, 50, 49]) == [False, False, True, True, True, True, False]
    assert told(limit(tmp_path), [70, 70, 55, 70, 70, 70]) == [False] * 5 + [True], "what is interrupted begins anew"


def test_after_a_silence_the_time_begins_anew(tmp_path: Path) -> None:
    assert told(limit(tmp_path), [70, 70], step_s=3600.0) == [False, False]
    assert told(limit(tmp_path, for_s=0), [70], step_s=3600.0) == [True]


def test_the_other_side_is_not_this_one(tmp_path: Path) -> None:
    made = limit(tmp_path, when="<", **{"raise": 10, "clear": 20}, for_s=0)
    assert told(made, [70, 9, 15, 21]) == [False, True, True, False]


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(50, 60), min_size=1, max_size=40), before=st.booleans())
def test_inside_its_band_a_limit_never_changes(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], before: bool
) -> None:
    """Whatever comes between clear and raise, what is on stays on and what is off stays off."""
    made = limit(tmp_path_factory.mktemp("band"), for_s=0)
    said = told(made, [70.0 if before else 40.0, *values])
    assert set(said) == {before}


def test_states_are_told_by_their_number(tmp_path: Path) -> None:
    contact = FAMILIES["contact"]
    made = Major(contact)
    made.grow(fleet_of(1))
    leak = contact.index["leak"]
    states = contact.metrics[leak].states
    for value, on in ((states.index("leak"), True), (1 - states.index("leak"), False)):
        row = np.full((1, len(contact.metrics)), np.nan)
        row[0, leak] = value
        made.update(rows_of(contact, np.zeros(1, np.int64), np.array([BEGIN_US + on]), row))
        assert bool(made.state["on"][0].any()) is on
