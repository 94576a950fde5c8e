"""The preview: answers become what Grafana would show, on one page that asks nothing of the network."""

import json
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.macros import Range
from dashboards.preview.asking import Answered, Asked, QueryError, ask_board, instant
from dashboards.preview.blocks import bar_gauge, stat, table
from dashboards.preview.database import Database
from dashboards.preview.frame import Field, Frame, filled, frame_of
from dashboards.preview.geomap import geomap
from dashboards.preview.lines import over_time, unbroken
from dashboards.preview.page import page
from dashboards.preview.states import timeline
from dashboards.preview.style import Style, mapping, style_of, title_of
from dashboards.preview.unit import with_unit
from dashboards.tree import dashboards
from tests.command import dothi
from tests.stack import RunningStack

NOON = datetime(2026, 6, 1, 5, 0, tzinfo=UTC)  # noon in Vietnam
HOURS = Range(NOON - timedelta(hours=3), NOON)
EVIL = "</script><img src=x onerror=alert(1)>"


def panel(kind: str, options: dict[str, Any] | None = None, **defaults: Any) -> dict[str, Any]:
    """A panel with one query."""
    return {
        "id": 1,
        "type": kind,
        "title": "Một bảng",
        "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
        "options": options or {},
        "fieldConfig": {"defaults": {"noValue": "Chưa có dữ liệu", **defaults}, "overrides": []},
        "targets": [{"refId": "A", "format": "table", "rawSql": "SELECT 1 LIMIT 1"}],
    }


AREA = {"type": "query", "name": "area", "label": "Huyện", "query": "areas LIMIT 1", "multi": True}
BOARD: dict[str, Any] = {
    "uid": "dothi-small",
    "title": "Bảng nhỏ",
    "time": {"from": "now-3h", "to": "now"},
    "templating": {"list": [AREA | {"current": {"value": ["213"]}}]},
    "panels": [panel("timeseries"), panel("table") | {"id": 2}, panel("stat") | {"id": 3}],
}


# --- values ---


@pytest.mark.parametrize(
    ("number", "unit", "decimals", "text"),
    [
        (15477.4, "locale", 0, "15,477"),
        (99.96, "percent", 1, "100.0%"),
        (0.25, "percentunit", 0, "25%"),
        (-0.04, "celsius", 1, "0.0 °C"),
        (90, "dthms", 0, "00:01:30"),
        (90061, "dthms", 0, "1 d 01:01:01"),
        (90, "s", 1, "1.5 mins"),
        (1536, "bytes", 1, "1.5 KiB"),
        (2_500_000, "decbytes", 1, "2.5 MB"),
        (3.14159, "lengthm", 2, "3.14 m"),
        (12, "suffix:veh/h", 0, "12 veh/h"),
        (7, "nobody-knows", 0, "7 nobody-knows"),
        (3.14159, "none", None, "3.14"),
        (7.0, "none", None, "7"),
    ],
)
def test_a_number_with_its_unit(number: float, unit: str, decimals: int | None, text: str) -> None:
    assert with_unit(number, unit, decimals) == text


STEPS = {"mode": "absolute", "steps": [{"value": None, "color": "text"}, {"value": 0, "color": "red"}]}


@pytest.mark.parametrize(("value", "colour"), [(None, "#CCCCDC"), (-1, "#CCCCDC"), (0, "#F2495C"), (9.9, "#F2495C")])
def test_a_threshold_colours_from_its_value_and_no_value_as_the_base(value: float | None, colour: str) -> None:
    assert Style({"thresholds": STEPS}).show(value).colour == colour


def test_mappings_come_before_units_and_thresholds() -> None:
    mappings = [
        {"type": "value", "options": {"3": {"text": "ba", "color": "red"}, "true": {"text": "có"}}},
        {"type": "range", "options": {"from": 10, "to": None, "result": {"text": "nhiều"}}},
        {"type": "special", "options": {"match": "null", "result": {"text": "trống"}}},
        {"type": "regex", "options": {"pattern": "/^x/", "result": {"text": "ix"}}},
    ]
    texts = [mapping(mappings, value).get("text") for value in (3.0, 3, True, 10, None, "xy", "y", 9)]
    assert texts == ["ba", "ba", "có", "nhiều", "trống", "ix", None, None]


def test_overrides_change_one_column() -> None:
    whole = panel("table", unit="percent", decimals=1)
    changed = {"unit": "dthms", "displayName": "Tuổi", "custom.width": 90}
    properties = [{"id": name, "value": value} for name, value in changed.items()]
    whole["fieldConfig"]["overrides"] = [{"matcher": {"id": "byName", "options": "age"}, "properties": properties}]
    age, share = Field("age", [61.0]), Field("share", [61.0])
    assert [style_of(whole, one).show(61.0).text for one in (age, share)] == ["00:01:01", "61.0%"]
    assert [title_of(style_of(whole, one), one) for one in (age, share)] == ["Tuổi", "share"]


# --- answers ---


def test_a_long_answer_becomes_one_column_per_series() -> None:
    later = NOON + timedelta(minutes=1)
    frame = frame_of(
        ["time", "metric", "pm25"], [(NOON, "A", 1), (NOON, "B", Decimal(2)), (later, "B", 3)], "time_series"
    )
    assert [one.name for one in frame.fields] == ["time", "A", "B"]
    assert [one.values for one in frame.fields] == [[NOON, later], [1, None], [2.0, 3]]
    several = frame_of(["time", "area", "low", "high"], [(NOON, "213", 1, 2)], "time_series")
    assert [title_of(Style({}), one) for one in several.fields[1:]] == ["low 213", "high 213"]


def test_no_rows_are_no_columns() -> None:
    assert frame_of(["time", "value"], [], "time_series").fields == []
    assert "Chưa có dữ liệu" in stat(panel("stat"), [Frame([])])


@pytest.mark.parametrize(("fill", "values"), [("NULL", [1, None, None, 2]), ("0", [1, 0.0, 0.0, 2])])
def test_a_fill_gives_the_buckets_that_no_row_has(fill: str, values: list[float | None]) -> None:
    start = NOON - timedelta(minutes=3)
    frame = Frame([Field("time", [start, NOON]), Field("v", [1, 2])])
    sql = f"SELECT $__timeGroupAlias(t, $__interval, {fill}), v FROM x"
    assert filled(frame, sql, Range(start, NOON), 60_000).fields[1].values == values
    assert filled(frame, "SELECT time, v FROM x", Range(start, NOON), 60_000) is frame


@given(st.lists(st.integers(0, 40), unique=True, min_size=1).map(sorted), st.integers(1, 10))
def test_lines_break_only_at_gaps_that_are_too_long(minutes: list[int], span: int) -> None:
    times = [NOON + timedelta(minutes=minute) for minute in minutes]
    _, values = unbroken(times, [1.0] * len(times), span * 60_000)
    gaps = sum(later - earlier > span for earlier, later in pairwise(minutes))
    assert (values.count(None), values.count(1.0)) == (gaps, len(times))


def test_a_repeated_panel_is_one_for_each_choice_and_moves_what_is_below() -> None:
    metrics = AREA | {"name": "metric", "query": "metrics LIMIT 3", "current": {"value": ["a", "b", "c"]}}
    series = panel("table") | {"title": "Số đo: $metric", "repeat": "metric", "maxPerRow": 2}
    series["targets"][0]["rawSql"] = "SELECT $metric LIMIT 1"
    below = panel("stat") | {"id": 2, "gridPos": {"x": 0, "y": 8, "w": 24, "h": 4}}
    board = BOARD | {"templating": {"list": [metrics]}, "panels": [below, series]}

    def ask(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        if sql.startswith("metrics"):
            return ["__value", "__text"], [(name, name.upper()) for name in "abcd"]
        return ["value"], [(sql,)]

    asked = ask_board(board, ask, NOON, {})
    shown = {one.panel["title"]: (one.panel["gridPos"], one.frames[0].fields[0].values) for one in asked.panels}
    assert shown == {
        "Số đo: A": ({"x": 0, "y": 0, "w": 12, "h": 8}, ["SELECT 'a' LIMIT 1"]),
        "Số đo: B": ({"x": 12, "y": 0, "w": 12, "h": 8}, ["SELECT 'b' LIMIT 1"]),
        "Số đo: C": ({"x": 0, "y": 8, "w": 12, "h": 8}, ["SELECT 'c' LIMIT 1"]),
        "Một bảng": ({"x": 0, "y": 16, "w": 24, "h": 4}, ["SELECT 1 LIMIT 1"]),
    }
    assert len({one.panel["id"] for one in asked.panels}) == 4


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOON),
        ("now-3h", NOON - timedelta(hours=3)),
        ("now/d", datetime(2026, 5, 31, 17, tzinfo=UTC)),
        ("now-1d/d", datetime(2026, 5, 30, 17, tzinfo=UTC)),
        ("2026-06-01T00:00:00Z", datetime(2026, 6, 1, tzinfo=UTC)),
    ],
)
def test_days_begin_at_midnight_in_vietnam(text: str, moment: datetime) -> None:
    assert instant(text, NOON) == moment


# --- panels ---


def test_blocks_show_text_as_text() -> None:
    frame = Frame([Field("name", [EVIL]), Field("value", [1.0])])
    drawn = [
        table(panel("table"), [frame]),
        stat(panel("stat", {"reduceOptions": {"calcs": ["last"], "fields": "/.*/", "values": True}}), [frame]),
        bar_gauge(panel("bargauge", {"reduceOptions": {"values": True}}), [frame]),
        geomap(MAP, [Frame([Field("lat", [21.2]), Field("lon", [106.2]), Field("label", [EVIL])])]),
        timeline(panel("state-timeline"), [Frame([Field("time", [NOON]), Field(EVIL, [EVIL])])], HOURS),
    ]
    for html in drawn:
        assert "onerror" in html
        assert "<img" not in html


MAP = panel(
    "geomap",
    {
        "view": {"id": "fit", "zoom": 11},
        "layers": [
            {
                "type": "markers",
                "location": {"mode": "coords", "latitude": "lat", "longitude": "lon"},
                "config": {"style": {"text": {"field": "label"}, "size": {"field": "n", "min": 4, "max": 20}}},
            }
        ],
    },
)


def test_a_map_keeps_north_up_and_everything_in_sight() -> None:
    frame = Frame([Field("lat", [21.1, 21.6]), Field("lon", [106.0, 107.0]), Field("n", [1, 9])])
    circles = [part.split('"') for part in geomap(MAP, [frame]).split("<circle ")[1:]]
    (x1, y1, r1), (x2, y2, r2) = ([float(part[at]) for at in (1, 3, 5)] for part in circles)
    assert x1 < x2
    assert y1 > y2
    assert r1 < r2
    assert all(0 < one < 1000 for one in (x1, x2, y1, y2))


def test_states_are_bands_and_nothing_is_no_band() -> None:
    times = [NOON - timedelta(hours=hours) for hours in (3, 2, 1)]
    html = timeline(panel("state-timeline"), [Frame([Field("time", times), Field("cam", ["on", None, "on"])])], HOURS)
    assert html.count('title="on"') == 2
    assert "left:0.00%;width:33.33%" in html


def test_a_panel_without_rows_says_so() -> None:
    assert over_time(panel("timeseries"), [Frame([])], HOURS) is None
    for drawing in (table, geomap):
        assert "Chưa có dữ liệu" in drawing(panel("table"), [Frame([])])


def test_a_query_that_fails_is_told_on_its_panel() -> None:
    def ask(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        if sql.startswith("areas"):
            return ["__value", "__text"], [("213", "TP Bắc Giang"), ("214", EVIL)]
        raise QueryError("relation is not there")

    asked = ask_board(BOARD, ask, NOON, {"area": ["213", "214"]})
    assert asked.chosen == {"area": ("TP Bắc Giang", EVIL)}
    assert {one.error for one in asked.panels} == {"relation is not there"}
    html = page([asked], NOON, "vi")
    assert html.count("relation is not there") == 3
    assert "<img" not in html.split("</script>")[-2] + html.split("</head>")[1]


def test_the_page_says_that_it_is_a_preview_and_asks_nothing_of_the_network() -> None:
    rows = Frame([Field("time", [NOON]), Field(EVIL, [1.0])])
    asked = Asked(BOARD, {}, HOURS, [Answered(one, [rows]) for one in BOARD["panels"]])
    html = page([asked], NOON, "vi")
    assert "BẢN XEM TRƯỚC, không phải Grafana · dữ liệu lúc 2026-06-01 12:00:00" in html
    assert "PREVIEW, not Grafana" in page([asked], NOON, "en")
    own = html.split("</script>", 1)[1]
    assert "http" not in own.replace("http://www.w3.org", "")
    assert "src=" not in own.replace(json.dumps(EVIL)[1:-1].replace("</", "<\\/"), "").replace("src=x", "")


# --- on the real database ---


@pytest.mark.stack
def test_a_preview_of_every_board(stack: RunningStack, tmp_path: Path) -> None:
    out = tmp_path / "all.html"
    told = json.loads(stack.dothi("dashboards", "preview", str(out), "--json").stdout)
    assert (told["boards"], told["failed"]) == (len(dashboards("postgres")) // 2, [])
    html = out.read_text("utf-8")
    assert html.count("<section ") == told["boards"]


@pytest.mark.stack
def test_the_preview_can_write_nothing(stack: RunningStack) -> None:
    with closing(Database(stack.document["database"])) as database:
        assert database.ask("SELECT current_user::text, 100 % 7")[1] == [("dothi_reader", 2)]
        for sql in ("DELETE FROM ops.alarm", "SELECT 1 FROM registry.device"):
            with pytest.raises(QueryError, match=r"permission denied|read-only"):
                database.ask(sql)
    with psycopg.connect(stack.document["database"]) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{tmp}/x.html", "--board", "dothi-none"], 2, "--board: dothi-none is not known; allowed are dothi-wall"),
        (["{tmp}/x.html", "--lang", "fr"], 2, "--lang: fr"),
        (["{tmp}/x.html", "--var", "area"], 2, "--var: area"),
        (["{tmp}/x.html", "--dir", "{tmp}"], 1, "no stack runs in"),
    ],
)
def test_refusals_in_one_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = dothi("dashboards", "preview", *(one.format(tmp=tmp_path) for one in arguments), check=False)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


PROBE = """
addEventListener("load", () => setTimeout(() => {
  const over = (one, room) => one.scrollWidth > room.clientWidth + 2;
  const wide = [...document.querySelectorAll(".panel")].filter((one) => one.getBoundingClientRect().right > innerWidth);
  const cut = [...document.querySelectorAll(".stat .value")].filter((one) => over(one, one.parentElement));
  const drawn = document.querySelectorAll(".js-plotly-plot").length;
  document.title = `wide=${wide.length} cut=${cut.length} drawn=${drawn}`;
}, 500));
"""


@pytest.mark.full
@pytest.mark.stack
def test_the_wall_is_drawn_in_a_browser(stack: RunningStack, tmp_path: Path) -> None:
    """Charts are drawn, nothing lies outside a screen of 1,920 that should not, and no script fails."""
    out = tmp_path / "wall.html"
    stack.dothi("dashboards", "preview", str(out), "--board", "dothi-wall")
    out.write_text(out.read_text("utf-8").replace("</body>", f"<script>{PROBE}</script></body>"), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    flags += ["--window-size=1920,1080", "--virtual-time-budget=6000", f"--user-data-dir={tmp_path / 'profile'}"]
    command = ["chromium", *flags, "--host-resolver-rules=MAP * ~NOTFOUND", out.as_uri()]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = drawn.stdout.split("<title>")[1].split("</title>")[0]
    charts = out.read_text("utf-8").count('class="chart"')
    assert title == f"wide=0 cut=0 drawn={charts}"
