"""The schemas that editors read: every file of the catalogue is what they ask, and slips of the pen are not."""

import json
from pathlib import Path
from typing import Any

import pytest

from devices.documents import parse_yaml, read_text, read_yaml
from dothi.schemas import schemas
from tests.json_schema import faults

SCHEMAS = {name: json.loads(text) for name, text in schemas().items()}
PROFILE, FAMILY = SCHEMAS["profile.schema.json"], SCHEMAS["family.schema.json"]
FOLDER = Path(__file__).parent.parent / "devices"
MODELINE = "# yaml-language-server: $schema=../schema/{}.schema.json"


@pytest.mark.parametrize("name", schemas())
def test_the_schema_in_the_folder_is_that_of_the_code(name: str) -> None:
    assert read_text("schema", name) == schemas()[name], "run: python -m dothi.docs"


@pytest.mark.parametrize(("folder", "schema"), [("profiles", PROFILE), ("families", FAMILY)])
def test_every_file_of_the_catalogue_is_valid(folder: str, schema: Any) -> None:
    found = {name: list(faults(schema, document)) for name, document in read_yaml(folder).items()}
    assert found == {name: [] for name in found}


@pytest.mark.parametrize("kind", ["profile", "family"])
def test_editors_are_told_of_the_schema(kind: str) -> None:
    folder = FOLDER / {"profile": "profiles", "family": "families"}[kind]
    first = {file.name: file.read_text().splitlines()[0] for file in folder.glob("*.yaml")}
    assert first == dict.fromkeys(first, MODELINE.format(kind))
    assert (folder / first[next(iter(first))].partition("=")[2]).is_file()


GOOD = """
title: {vi: Đầu đo, en: Probe}
family: soil
route: lorawan
codec: {struct: {fields: []}}
interval_s: 600
offline_after: 4
vendor: Somebody
panel: {form: trend, metrics: [ph], amber: 5, red: 4}
alarms: [{metric: ph, when: "<", raise: 4, clear: 5, severity: minor, title: {vi: Chua, en: Acid}}]
fields: [{metric: ph, path: [ph, pH], unit: pH}]
time: {path: t, unit: ms}
examples: [{name: full, payload: "{}", metrics: {ph: 7}}]
"""


def test_a_good_profile_is_valid() -> None:
    assert list(faults(PROFILE, parse_yaml(GOOD))) == []


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"title": {"vi": "Đầu đo"}}, "$.title.en"),
        ({"title": {"vi": "Đầu đo", "en": "Probe", "công tắc": None}}, "$.title.công tắc"),
        ({"family": "moon"}, "$.family"),
        ({"interval_s": 0}, "$.interval_s"),
        ({"interval": 60}, "$.interval"),
        ({"codec": "xml"}, "$.codec"),
        ({"codec": {"struct": {}, "js": {}}}, "$.codec"),
        ({"offline_after": 0}, "$.offline_after"),
        ({"acknowledge": "yes"}, "$.acknowledge"),
        ({"panel": {"form": "pie", "metrics": ["ph"]}}, "$.panel.form"),
        ({"panel": {"form": "trend", "metrics": ["pm25"]}}, "$.panel.metrics[0]"),
        ({"panel": {"form": "trend", "metrics": ["ph"], "red": 4}}, "$.panel.amber"),
        (
            {"alarms": [{"metric": "ph", "when": ">", "raise": 4, "severity": "bad", "title": {}}]},
            "$.alarms[0].severity",
        ),
        ({"alarms": [{"metric": "pm25"}]}, "$.alarms[0].metric"),
        ({"fields": [{"metric": "ph", "paths": "ph"}]}, "$.fields[0].paths"),
        ({"fields": [{"metric": "ph", "path": "ph", "unit": "furlong"}]}, "$.fields[0].unit"),
        ({"behaviour": {"pm25": {"curve": "day"}}}, "name pm25"),
        ({"behaviour": {"ph": {"curve": "zigzag"}}}, "$.behaviour.ph.curve"),
        ({"time": {"path": "t", "unit": "weeks"}}, "$.time.unit"),
        ({"examples": [{"name": "none"}]}, "$.examples[0]"),
        ({"examples": [{"name": "both", "payload": "", "hex": "00"}]}, "$.examples[0]"),
        ({"examples": [{"name": "odd", "hex": "0"}]}, "$.examples[0].hex"),
        ({"examples": [{"name": "why", "payload": "", "reason": "because"}]}, "$.examples[0].reason"),
        ({"examples": [{"name": "what", "payload": "", "metrics": {"pm25": 4}}]}, "name pm25"),
    ],
)
def test_a_slip_of_the_pen_is_seen(change: dict[str, Any], at: str) -> None:
    found = list(faults(PROFILE, parse_yaml(GOOD) | change))
    assert any(at in fault for fault in found), found


@pytest.mark.parametrize(
    ("metric", "at"),
    [
        ({"unit": "furlong", "range": [0, 1]}, "unit"),
        ({"unit": "m"}, "choices"),
        ({"unit": "m", "range": [0]}, "range"),
        ({"states": ["on"]}, "states"),
        ({"states": ["on", "on"]}, "repeats"),
        ({"states": ["on", "Off!"]}, "states[1]"),
        ({"unit": "m", "range": [0, 1], "kind": "state"}, "kind"),
        ({"unit": "m", "range": [0, 1], "units": "m"}, "units is unknown"),
    ],
)
def test_a_faulty_metric_is_seen(metric: dict[str, Any], at: str) -> None:
    label = {"vi": "a", "en": "a"}
    document = {"label": label, "metrics": {"one": {"label": label, **metric}}}
    assert any(at in fault for fault in faults(FAMILY, document))
