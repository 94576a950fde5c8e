"""The catalogue as a whole keeps its laws, and each law bites: a profile that breaks it is told so."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.catalogue_laws import catalogue_problems
from devices.documents import parse_yaml, read_text, read_yaml
from devices.family import FAMILIES, family_from
from devices.family_laws import family_problems
from devices.laws import verdicts
from devices.profile import PROFILES, BadProfile, Profile, profile_from
from devices.units import CEFACT, UNITS, conversion, ucum
from dothi import docs
from simulators.proof import speaks_true

SOIL = "native-soil"
Change = Callable[[dict[str, Any]], object]


def document(name: str = SOIL) -> dict[str, Any]:
    """A profile file of the catalogue, to be broken."""
    found: dict[str, Any] = parse_yaml(read_text("profiles", f"{name}.yaml"))
    return copy.deepcopy(found)


def broken(profile: Profile) -> dict[str, str]:
    """Laws that a profile breaks, with what is said of it."""
    return {law: "\n".join(problems) for law, problems in verdicts(profile) if problems}


def changed(change: Change) -> Profile:
    """The soil profile with a change."""
    entry = document()
    change(entry)
    return profile_from(SOIL, entry)


# --- the catalogue ---


def test_profiles_are_told_from_each_other() -> None:
    assert list(catalogue_problems(PROFILES.values())) == []


def test_twins_are_found() -> None:
    one = replace(PROFILES[SOIL], vendor="Maker", model="S1")
    title = {"vi": "Khác", "en": "Other"}
    assert "ids differ" in "\n".join(
        catalogue_problems([one, replace(one, name="native_Soil", title=title, model="S2")])
    )
    assert "same model" in "\n".join(catalogue_problems([one, replace(one, name="another", title=title)]))
    problems = "\n".join(catalogue_problems([one, replace(one, name="another", model=None)]))
    assert "same title.vi" in problems
    assert "same title.en" in problems


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_a_native_profile_with_alarms_and_a_panel(name: str) -> None:
    profile = PROFILES[f"native-{name.replace('_', '-')}"]
    assert profile.family is FAMILIES[name]
    assert profile.alarms
    assert profile.behaviour
    assert {"full", "partial"} <= {example["name"].split(",")[0] for example in profile.examples}
    assert any("reason" in example for example in profile.examples)


def test_what_the_simulator_says_passes() -> None:
    found = {name: list(speaks_true(profile)) for name, profile in PROFILES.items()}
    assert found == {name: [] for name in found}


def test_generated_files_have_not_drifted() -> None:
    made = docs.made()
    drifted = [file.name for file, text in made.items() if not file.is_file() or file.read_text() != text]
    assert drifted == [], "run: python -m dothi.docs"
    assert docs.left_over(made) == []
    assert {file.stem for file in made if file.parent.name == "profiles"} == set(PROFILES)


# --- each law bites ---


def shift(entry: dict[str, Any], place: int, **changes: Any) -> None:
    entry["alarms"][place] |= changes


@pytest.mark.parametrize(
    ("change", "law", "words"),
    [
        (lambda d: d["title"].update(vi=" "), "titles", "title.vi is empty"),
        (lambda d: d.update(route="moon", codec="json", fields=[], acknowledge=False), "route", "unknown route moon"),
        (lambda d: d["behaviour"].update(pm25={}), "behaviour", "pm25"),
        (lambda d: d["behaviour"]["ph"].update(mean=13.99), "behaviour", "leaves the range"),
        (lambda d: d["behaviour"]["ph"].update(curve="zigzag"), "behaviour", "curve zigzag"),
        (lambda d: shift(d, 0, clear=0.1), "alarms", "clear 0.1 must lie above raise 0.15"),
        (lambda d: shift(d, 0, clear=0.15), "alarms", "comes and goes"),
        (lambda d: shift(d, 0, when=">", clear=0.2), "alarms", "must lie below"),
        (lambda d: shift(d, 0, **{"raise": -1}), "alarms", "raise -1 is not inside 0 to 1"),
        (lambda d: shift(d, 0, clear=2), "alarms", "clear 2 is not inside"),
        (lambda d: shift(d, 0, title={"vi": "", "en": "Dry"}), "alarms", "title.vi is empty"),
        (lambda d: d["panel"].update(red=-0.1), "alarms", "panel: -0.1 is not inside 0 to 1"),
        (lambda d: d["examples"].pop(0), "examples: full", "no example states all"),
        (lambda d: d["examples"].__delitem__(slice(1, 4)), "examples: full", "only some"),
        (lambda d: d["examples"].pop(-1), "examples: full", "no example is refused"),
        (lambda d: d["examples"].pop(2), "examples: full", "below zero, though"),
        (lambda d: d["examples"][0].update(note=1), "examples: full", "expected name, payload"),
        (lambda d: d["examples"][0]["metrics"].update(ph=7), "examples become", "ph is 5.9; expected 7"),
        (lambda d: d["examples"][1].update(reason="wrong_type"), "examples become", "a reading; expected wrong_type"),
        (lambda d: d["examples"][-1].update(reason="bad_seq"), "examples become", "wrong_type; expected bad_seq"),
        (lambda d: d["examples"][3]["reasons"].clear(), "examples become", "reasons are"),
        (lambda d: d["examples"][0].update(time="2026-01-02T00:00:00Z"), "examples become", "time is"),
    ],
)
def test_a_profile_that_breaks_a_law_is_told_so(change: Change, law: str, words: str) -> None:
    found = broken(changed(change))
    name = next((name for name in found if law in name), None)
    assert name, found
    assert words in found[name]


def test_the_whole_profile_keeps_all_laws() -> None:
    assert broken(changed(lambda entry: None)) == {}


def test_a_signed_metric_wants_its_own_example_below_zero() -> None:
    def only_temperature(entry: dict[str, Any]) -> None:
        entry["examples"][2] |= {"payload": '{"metrics": {"temperature": -2.5}}', "metrics": {"temperature": -2.5}}

    (text,) = broken(changed(only_temperature)).values()
    assert "soil_temperature" in text
    assert "though temperature" not in text


def test_a_simulator_that_leaves_the_range_is_told_so() -> None:
    lying = {"ph": {"curve": "choice", "weights": {7: 9, 99: 1}}}
    assert "behaviour of ph: 99 is not legal; expected 0 to 14" in "\n".join(
        speaks_true(replace(PROFILES[SOIL], behaviour=lying))
    )
    unknown = {"contact": {"curve": "choice", "weights": {"ajar": 1}}}
    assert "ajar" in "\n".join(speaks_true(replace(PROFILES["native-contact"], behaviour=unknown)))
    assert "no such metric" in "\n".join(speaks_true(replace(PROFILES[SOIL], behaviour={"pm25": {"curve": "day"}})))


def test_an_alarm_on_states_needs_states_that_clear() -> None:
    entry = document("native-water-meter")
    entry["alarms"][0] |= {"raise": ["none", "leak"], "clear": ["none"]}
    assert (
        "clear needs a state"
        in broken(profile_from("native-water-meter", entry))["alarms inside the range, with hysteresis"]
    )


# --- what cannot be understood is refused with a clear line ---


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alarms": [{"metric": "pm25", "when": ">", "severity": "major"}]}, "soil has no such metric"),
        ({"alarms": [{"metric": "ph", "when": "in", "severity": "major"}]}, "expected > or < for a gauge"),
        ({"alarms": [{"metric": "ph", "when": ">", "severity": "bad"}]}, "severity is bad; expected critical"),
        (
            {"alarms": [{"metric": "ph", "when": ">", "severity": "major", "raise": "9"}]},
            "raise is 9; expected a number",
        ),
        ({"alarms": [{"metric": "ph", "when": ">", "severity": "major", "raise": 9}]}, "clear is missing"),
        ({"alarms": [{"metric": "ph", "when": ">", "severity": "major", "raise": True}]}, "expected a number"),
        ({"alarms": [{"metric": "ph", "when": ">", "severity": "major", "limit": 9}]}, "unknown key limit"),
        (
            {"alarms": [{"metric": "ph", "when": ">", "severity": "major", "raise": 9, "clear": 8, "for_s": -1}]},
            "for_s is -1",
        ),
        ({"alarms": [*document()["alarms"], document()["alarms"][0]]}, "two alarms are soil_moisture-low-minor"),
        ({"panel": {"form": "pie", "metrics": ["ph"]}}, "panel: form is pie; expected trend"),
        ({"panel": {"form": "trend", "metrics": []}}, "panel: metrics is []"),
        ({"panel": {"form": "trend", "metrics": ["ph"], "amber": 5}}, "two different numbers"),
        ({"panel": {"form": "trend", "metrics": ["ph"], "size": 5}}, "unknown key size"),
        ({"title": {"vi": "Cửa", "công tắc": None, "en": "Door"}}, "title has công tắc; expected vi and en"),
        ({"title": {"vi": "Cửa"}}, "en is missing"),
        ({"vendor": ""}, "vendor is ; expected a name"),
        ({"model": 12}, "model is 12; expected a name"),
        ({"offline_after": 0}, "offline_after is 0; expected missed intervals"),
        ({"offline_after": "3"}, "offline_after is 3"),
    ],
)
def test_what_cannot_be_understood_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadProfile) as refused:
        profile_from("mine", document() | change)
    assert words in str(refused.value)
    assert str(refused.value).startswith("profile mine: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "steps", "when": ">", "raise": 9, "clear": 8}, "for a counter"),
        ({"metric": "alert", "when": ">", "raise": 9, "clear": 8}, "expected in for a state"),
        ({"metric": "alert", "when": "in", "raise": "sos"}, "raise is sos; expected a list of none"),
        ({"metric": "alert", "when": "in", "raise": ["help"]}, "expected a list of none, sos"),
        ({"metric": "alert", "when": "in", "raise": ["sos"], "clear": []}, "clear is []"),
    ],
)
def test_an_alarm_that_its_metric_cannot_have_is_refused(change: dict[str, Any], words: str) -> None:
    alarm = {"severity": "major", "title": {"vi": "a", "en": "a"}} | change
    with pytest.raises(BadProfile, match="alarm on") as refused:
        profile_from("mine", document("native-wearable") | {"alarms": [alarm]})
    assert words in str(refused.value)


def test_a_state_alarm_clears_in_every_other_state_unless_said() -> None:
    alarms = {alarm.code: alarm for alarm in PROFILES["native-fire-watch"].alarms}
    assert alarms["flame-state-critical"].clear_states == {"none"}
    assert alarms["alarm_state-state-critical"].clear_states == {"normal"}


def test_what_a_profile_does_not_say_has_a_default() -> None:
    bare = {key: value for key, value in document().items() if key not in ("alarms", "panel")}
    profile = profile_from("mine", bare)
    assert profile.alarms == ()
    assert profile.panel.metrics == (profile.family.headline,)
    assert profile.offline_after == 3
    assert (profile.vendor, profile.model) == (None, None)


# --- families and units ---


def test_a_metric_without_unit_or_range_is_no_metric() -> None:
    label = {"vi": "a", "en": "a"}
    for entry in ({"unit": "m", "label": label}, {"range": [0, 1], "label": label}):
        with pytest.raises(KeyError):
            family_from("bad", {"label": label, "metrics": {"one": entry}})


def test_names_that_buckets_use_are_refused() -> None:
    label = {"vi": "a", "en": "a"}
    one = {"unit": "m", "range": [0, 1], "label": label}
    for names, words in ((("n",), "cannot name a column"), (("level", "level_max"), "also what a bucket calls")):
        problems = "\n".join(
            family_problems(family_from("bad", {"label": label, "metrics": dict.fromkeys(names, one)}))
        )
        assert words in problems


def test_every_unit_says_its_common_code_or_that_it_has_none() -> None:
    assert CEFACT.keys() == UNITS.keys()
    codes = [code for code in CEFACT.values() if code and code != "2N"]  # a decibel is one, whatever it is relative to
    assert len(codes) == len(set(codes))
    assert {code: ucum(code) for code in codes} == {code: unit for unit, code in CEFACT.items() if code in codes}


@given(st.sampled_from(sorted(UNITS)), st.data(), st.floats(-1e6, 1e6))
def test_a_value_comes_back_from_every_unit_of_its_quantity(source: str, data: st.DataObject, value: float) -> None:
    quantity = UNITS[source][0]
    target = data.draw(st.sampled_from([unit for unit, (other, *_) in UNITS.items() if other == quantity]))
    there, back = conversion(source, target), conversion(target, source)
    assert back(there(value)) == pytest.approx(value, rel=1e-9, abs=1e-6)


def test_families_are_read_from_files_that_all_are_used() -> None:
    assert list(FAMILIES) == list(read_yaml("families"))
