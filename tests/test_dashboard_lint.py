"""Dashboards are sound by the SDK's own types and by our own lint; and both find what is broken."""

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import pytest

from dashboards.lint import every_fault
from dashboards.lint_sql import sql_faults, variable_faults
from dashboards.tree import SourceKind, dashboards
from tests.grafana_schema import schema, structure_faults

Board = dict[str, Any]
KINDS = get_args(SourceKind)
WALL = "dothi-wall"
# Stands for any board: the tests must not depend on what a board shows today.
SMALL: Board = {
    "uid": "dothi-small",
    "title": "Nhỏ",
    "description": "Một bảng điều khiển nhỏ để thử",
    "tags": ["dothi", "vi"],
    "timezone": "Asia/Ho_Chi_Minh",
    "weekStart": "monday",
    "editable": False,
    "graphTooltip": 1,
    "schemaVersion": 42,
    "refresh": "30s",
    "time": {"from": "now-3h", "to": "now"},
    "timepicker": {"refresh_intervals": ["10s", "30s"], "hidden": False},
    "annotations": {"list": []},
    "links": [
        {
            "title": "English",
            "type": "link",
            "icon": "",
            "tooltip": "",
            "url": "/d/dothi-small?var-area=$area",
            "tags": [],
            "asDropdown": False,
            "targetBlank": False,
            "includeVars": True,
            "keepTime": True,
        }
    ],
    "templating": {
        "list": [
            {
                "type": "query",
                "name": "area",
                "label": "Huyện",
                "multi": True,
                "includeAll": True,
                "refresh": 1,
                "query": "SELECT area AS __value, name AS __text FROM city.plan ORDER BY 2 LIMIT 100",
                "datasource": {"type": "postgres", "uid": "dothi-timescaledb"},
            }
        ]
    },
    "panels": [
        {
            "id": number,
            "type": kind,
            "title": f"Bảng {number}",
            "gridPos": {"x": 12 * number - 12, "y": 0, "w": 12, "h": 8},
            "description": "Khi số này đỏ: xem trang của huyện rồi gọi người trực của huyện đó.",
            "datasource": {"type": "postgres", "uid": "dothi-timescaledb"},
            "options": {},
            "fieldConfig": {
                "defaults": {
                    "unit": "percent",
                    "decimals": 1,
                    "noValue": "–",
                    "links": [
                        {
                            "title": "Huyện",
                            "url": "/d/dothi-small?var-area=${__data.fields.area:percentencode}&${__url_time_range}",
                        }
                    ],
                    "thresholds": {
                        "mode": "absolute",
                        "steps": [{"value": None, "color": "text"}, {"value": 5, "color": "red"}],
                    },
                },
                "overrides": [
                    {"matcher": {"id": "byName", "options": "area"}, "properties": [{"id": "unit", "value": "string"}]}
                ],
            },
            "targets": [
                {
                    "refId": "A",
                    "datasource": {"type": "postgres", "uid": "dothi-timescaledb"},
                    "editorMode": "code",
                    "format": "table",
                    "rawQuery": True,
                    "rawSql": "SELECT area FROM city.plan WHERE area IN ($area) LIMIT 9",
                }
            ],
        }
        for number, kind in ((1, "bargauge"), (2, "stat"))
    ],
}


drawn = cache(dashboards)
"""Each kind once for all tests here, as texts that nobody changes."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_dashboard_is_sound(kind: SourceKind) -> None:
    boards = {name.removesuffix(".json"): json.loads(text) for name, text in drawn(kind).items()}
    assert every_fault(boards) == {}
    assert {uid: list(structure_faults(board)) for uid, board in boards.items()} == {uid: [] for uid in boards}


def with_options(board: Board) -> Board:
    """The small board with the options that the schema asks of its panels."""
    whole = copy.deepcopy(board)
    wall = json.loads(drawn(KINDS[0])[f"{WALL}.json"])
    stat = next(panel for panel in wall["panels"] if panel["type"] == "stat")
    for panel in whole["panels"]:
        panel["type"], panel["options"] = "stat", copy.deepcopy(stat["options"])
    whole["links"][0] = {key: whole["links"][0][key] for key in wall["links"][0]}
    return whole


def test_the_small_board_is_sound() -> None:
    assert every_fault({SMALL["uid"]: SMALL}) == {}
    assert list(structure_faults(with_options(SMALL))) == []


def set_at(board: Board, path: str, value: object) -> Board:
    """The board with the value at a dotted path replaced, or taken away where it is `GONE`."""
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = board
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return board


GONE = object()
TARGET = "panels.0.targets.0"
DEFAULTS = "panels.0.fieldConfig.defaults"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("timezone", "browser", "timezone is browser"),
        ("refresh", "5s", "refresh 5s"),
        ("refresh", "", "refresh"),
        ("weekStart", "sunday", "weekStart"),
        ("editable", True, "editable"),
        ("tags", ["vi"], "tag dothi"),
        ("uid", "Dothi Small", "no uid"),
        ("panels.1.id", 1, "ids are not unique"),
        ("panels.1.gridPos.x", 3, "lies on Bảng 1"),
        ("panels.1.gridPos.w", 13, "off the grid"),
        ("panels.0.type", "gauges", "type gauges"),
        ("panels.0.description", "", "no description"),
        (f"{DEFAULTS}.noValue", None, "no noValue"),
        (f"{DEFAULTS}.unit", "percents", "unit percents"),
        (f"{DEFAULTS}.decimals", None, "no decimals"),
        (f"{DEFAULTS}.thresholds.steps.0.value", 1, "not in order"),
        (f"{DEFAULTS}.links.0.url", "/d/dothi-gone", "leads nowhere"),
        (f"{DEFAULTS}.links.0.url", "/d/dothi-small?var-device=1", "has no variable device"),
        (f"{DEFAULTS}.links.0.url", "/d/dothi-small?var-area=${__data.fields.area}", "not :percentencode"),
        (f"{DEFAULTS}.links.0.url", "https://example.org/${__value.raw}", "not :percentencode"),
        ("panels.0.fieldConfig.overrides.0.properties.0.value", "none-such", "unit none-such"),
        ("panels.0.targets", [], "no query"),
        (f"{TARGET}.datasource.uid", "other", "another data source"),
        (f"{TARGET}.format", "logs", "format logs"),
        (f"{TARGET}.rawSql", "SELECT 1 FROM city.plan WHERE area = '$place' LIMIT 1", "place is no variable"),
        (f"{TARGET}.rawSql", "SELECT $__timeGroupe(time, '5m') FROM city.plan LIMIT 1", "unknown macro"),
        ("templating.list.0.label", "", "no label"),
        ("templating.list.0.query", "SELECT 1 FROM registry.area LIMIT 1", "reads registry.area"),
        ("annotations.list", [{"rawQuery": "SELECT now() AS time FROM ops.alarm LIMIT 1"}], "reads ops.alarm"),
        ("links.0.url", "/d/dothi-nowhere", "leads nowhere"),
        ("links.0.url", "/d/dothi-small?var-area=$place", "place is no variable"),
        ("links.0.placement", "inControlsMenu", "hidden"),
    ],
)
def test_the_lint_finds_what_is_broken(path: str, value: object, said: str) -> None:
    broken = set_at(copy.deepcopy(SMALL), path, value)
    assert said in "\n".join(line for lines in every_fault({"dothi-small": broken}).values() for line in lines)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("panels.1.gridPos.x", lambda x: x + 1),
        ("panels.0.type", lambda _: "stat"),
        ("panels.1.description", lambda _: SMALL["panels"][1]["description"]),
    ],
)
def test_both_languages_are_one_picture(path: str, change: Callable[[Any], Any]) -> None:
    english = json.loads(json.dumps(SMALL).replace("dothi-small", "dothi-small-en"))
    for panel in english["panels"]:
        panel["description"] = "When this is red: look at the district's page and call who is on duty there."
    both = {"dothi-small": copy.deepcopy(SMALL), "dothi-small-en": english}
    assert every_fault(both) == {}
    place = english
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        place = place[step]
    place[last] = change(place[last])
    assert "dothi-small" in every_fault(both)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM reading.weather LIMIT 1",
        "SELECT 1 FROM city.weather",
        "SELECT 1 FROM city.weather w JOIN pg_stat_activity a ON true LIMIT 1",
        "SELECT 1 FROM city.weather, ops.batch LIMIT 1",
        "SELECT 1 FROM city.weather WHERE exists (SELECT FROM registry.device) LIMIT 1",
        "SELECT $__timeGroupAlias(date_trunc('hour', time), '1h') FROM city.weather LIMIT 1",
        "SELECT $__timeGroupAlias(time, '1d'), 1 FROM city.weather LIMIT 1",
        "SELECT {columns} FROM city.weather LIMIT 1",
        "SET statement_timeout = 0; SELECT 1 FROM city.plan LIMIT 1",
        "DELETE FROM city.plan LIMIT 1",
        "-- SELECT 1 LIMIT 1",
    ],
)
def test_sql_that_no_panel_may_ask(sql: str) -> None:
    assert list(sql_faults(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT extract(epoch FROM now() - max(time)) FROM city.newest_time LIMIT 1",
        "WITH a AS MATERIALIZED (SELECT 1 x), b (y) AS (SELECT 2) SELECT FROM a JOIN b ON x IS DISTINCT FROM y LIMIT 5",
        "SELECT 1 FROM city.plan p CROSS JOIN LATERAL (SELECT 1 FROM city.device LIMIT 1) d LIMIT 100",
        "SELECT 1 FROM city.map_cells(1, 2, 3, 4, 5, ${family:sqlstring}, 'pm25') LIMIT 2000",
        "SELECT 'reading.weather {x} -- ; ' AS text FROM city.plan LIMIT 1;",
        "SELECT $__timeGroupAlias(time, $__interval), 1 FROM city.weather WHERE $__timeFilter(time) GROUP BY 1",
    ],
)
def test_sql_that_is_sound(sql: str) -> None:
    assert list(sql_faults(sql)) == []


@pytest.mark.parametrize(
    "condition",
    [
        "device = '$one'", "device = $one", "device IN ($one)", "device = '${one}'", "device = [[one]]",
        "device = '${one:sqlstring}'", "device = ${one:raw}", "device = '${one:raw}'", "device = ${one:singlequote}",
        "device = ${one.text}", "device = E${one:sqlstring}", "$__timeFilter(${one:sqlstring})",
        "true -- ${one:sqlstring}", "device = $$ $one $$", 'device = "$one"',
        "area IN ('$many')", "area = $many", "area IN (${many:raw})", "area IN (${many:csv})",
    ],
)  # fmt: skip
def test_a_variable_that_could_be_more_than_a_value_is_refused(condition: str) -> None:
    assert list(variable_faults(f"SELECT 1 FROM city.device WHERE {condition}", {"one": False, "many": True}))


@pytest.mark.parametrize(
    "condition",
    [
        "device = ${one:sqlstring}", "f(${one:sqlstring}, 1)", "area IN ($many)", "area IN (${many})",
        "area IN (${many:sqlstring})", "$__interval_ms < 7200000", "$__timeFilter(time) AND area in ( $many )",
    ],
)  # fmt: skip
def test_a_variable_that_stays_a_value_is_sound(condition: str) -> None:
    assert not list(variable_faults(f"SELECT 1 FROM city.device WHERE {condition}", {"one": False, "many": True}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("refreshh", "30s"),
        ("refresh", 30),
        ("schemaVersion", GONE),
        ("time.from", 3),
        ("templating.list.0.type", "queries"),
        ("templating.list.0.multy", True),
        ("links.0.type", "lonk"),
        ("panels.0.colour", "red"),
        ("panels.0.type", "gauges"),
        ("panels.0.gridPos.w", "12"),
        ("panels.0.gridPos", GONE),
        ("panels.0.id", GONE),
        ("panels.0.options.colourMode", "value"),
        ("panels.0.options.colorMode", "colourful"),
        ("panels.0.options.reduceOptions.calc", ["last"]),
        ("panels.0.fieldConfig.defaults.units", "percent"),
        ("panels.0.fieldConfig.defaults.decimals", "1"),
        ("panels.0.fieldConfig.defaults.custom", {"lineWidth": 2}),
        ("panels.0.fieldConfig.defaults.thresholds.mode", "absolut"),
        ("panels.0.fieldConfig.defaults.thresholds.steps.1.value", "5"),
        ("panels.0.fieldConfig.overrides.0.matcher.options", 3),
        ("panels.0.fieldConfig.overrides.0.property", []),
        ("panels.0.targets.0.refId", GONE),
        ("panels.0.targets.0.rawSQL", "SELECT 1"),
        ("panels.0.targets.0.format", "timeseries"),
    ],
)
def test_the_schema_finds_typing_errors(path: str, value: object) -> None:
    assert list(structure_faults(set_at(with_options(SMALL), path, value)))


def test_settings_of_a_trends_lines_are_checked() -> None:
    wall = json.loads(drawn(KINDS[0])[f"{WALL}.json"])
    at = next(place for place, panel in enumerate(wall["panels"]) if panel["type"] == "timeseries")
    for path, value in (("lineWith", 2), ("drawStyle", "lines"), ("spanNulls", "long")):
        broken = set_at(copy.deepcopy(wall), f"panels.{at}.fieldConfig.defaults.custom.{path}", value)
        assert list(structure_faults(broken)), path


def test_the_schema_knows_every_kind_of_panel_that_the_lint_allows() -> None:
    from dashboards.lint import DRAWS, SAYS

    kinds = {name.removeprefix("kind.") for name in schema()["$defs"] if name.startswith("kind.")}
    assert kinds | {"row"} >= DRAWS | SAYS
