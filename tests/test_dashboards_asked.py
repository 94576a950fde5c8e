"""What the boards show of a running stack: who is there, in which state, with which readings, and what it costs."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboards.macros import Range, expand
from dashboards.preview.asking import Answered, Asked, ask_board
from dashboards.preview.database import Database
from dashboards.tree import dashboards
from dashboards.words import Words
from devices.area import ZONES
from devices.family import FAMILIES, Metric
from tests.stack import RunningStack

pytestmark = pytest.mark.stack

Boards = dict[str, dict[str, Any]]
AREA = "216"


def sample(metric: Metric) -> float | str:
    """A value that the metric allows."""
    if metric.states:
        return metric.states[0]
    return round(max(metric.low, min(metric.high, 0.5 if metric.high <= 1 else 20.0)), 3)


@pytest.fixture(scope="module")
def built() -> Boards:
    """Every dashboard by uid, as Grafana reads it."""
    return {name.removesuffix(".json"): json.loads(text) for name, text in dashboards("postgres").items()}


@pytest.fixture(scope="module")
def city(stack: RunningStack) -> dict[str, str]:
    """One device per family in a district, each with one reading of every metric; family → device id."""
    rows = [(f"wall-{name.replace('_', '-')}", f"native-{name.replace('_', '-')}", AREA, "") for name in FAMILIES]
    ids = dict(zip(FAMILIES, stack.enroll_many(rows), strict=True))
    for name, device in ids.items():
        metrics = {metric.name: sample(metric) for metric in FAMILIES[name].metrics}
        stack.publish(f"dothi/v1/{AREA}/{device}/up", {"time": int(time.time() * 1000), "seq": 1, "metrics": metrics})
    for name, device in ids.items():
        stack.wait_for(f"select count(*) from city.{name} where device = %s", device)
    online = f"select count(*) from city.connectivity where area = '{AREA}' and online > 0"
    stack.wait_for(online, until=lambda families: families == len(FAMILIES))
    states = f"select sum(devices) from city.state_count where area = '{AREA}' and family = %s"
    for name, family in FAMILIES.items():
        if any(metric.states for metric in family.metrics):
            stack.wait_for(states, name)
    return ids


@pytest.fixture
def reader(stack: RunningStack) -> Iterator[Database]:
    with closing(Database(stack.document["reader"])) as database:
        yield database


def asked(board: dict[str, Any], reader: Database, **chosen: list[str]) -> Asked:
    return ask_board(board, reader.ask, datetime.now(UTC), chosen)


def rows(answered: Answered) -> list[dict[str, Any]]:
    """The rows of a panel's first answer."""
    frame = answered.frames[0]
    values = [field.values for field in frame.fields]
    return [dict(zip([field.name for field in frame.fields], row, strict=True)) for row in zip(*values, strict=True)]


def panel(shown: Asked, key: str, language: str = "vi") -> Answered:
    """A panel by the key of its title."""
    title = Words("vi" if language == "vi" else "en")(key)
    return next(one for one in shown.panels if one.panel["title"] == title)


def test_the_wall_shows_the_city(city: dict[str, str], built: Boards, reader: Database) -> None:
    shown = asked(built["dothi-wall"], reader)
    (share,) = (field for field in panel(shown, "reporting").frames[0].fields if field.name != "time")
    reporting, expected = map(int, share.name.split(" / "))
    assert len(FAMILIES) <= reporting <= expected
    assert float(share.values[-1]) == pytest.approx(100 * reporting / expected)
    assert all(0 <= age < 600 for age in rows(panel(shown, "ages"))[0].values() if age is not None)
    cells, districts = panel(shown, "map").frames
    by_name = {field.name: field.values for field in districts.fields}
    here = next(zone for zone in ZONES if zone.code == AREA)
    assert sum(label.startswith(here.name_vi) for label in by_name["label"]) == 1
    assert set(by_name["area"]) == {zone.code for zone in ZONES if zone.province == here.province}
    assert sum(next(field for field in cells.fields if field.name == "devices").values) >= len(FAMILIES)


def test_an_unknown_province_is_not_zero(stack: RunningStack, built: Boards, reader: Database) -> None:
    """Where nothing was ever received the answer is NULL or no row, which Grafana shows as "no data yet"."""
    last_hour = Range(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    keys = ("reporting", "worst_age", "worst_air", "highest_river", "fire_danger", "ages", "map", "fine_dust")
    for one in built["dothi-wall"]["panels"]:
        if one["title"] in {Words("vi")(key) for key in keys}:
            for target in one["targets"]:
                _, found = reader.ask(expand(target["rawSql"], last_hour, 60_000, {"province": ("atlantis",)}))
                assert not [value for row in found for value in row if value is not None], one["title"]


def test_a_sectors_board_shows_its_devices(city: dict[str, str], built: Boards, reader: Database) -> None:
    shown = asked(built["dothi-telecom"], reader, area=[AREA])
    states = next(one for one in shown.panels if one.panel["title"] == "Trạm viễn thông: trạng thái")
    found = {(row["metric"], row["state"]): row["devices"] for row in rows(states)}
    assert found["Trạng thái trạm", "hoạt động"] >= 1
    assert found["Điện lưới", "mất"] >= 1  # the first of its states
    troubled = next(one for one in shown.panels if one.panel["title"] == "Trạm viễn thông: thiết bị cần xem")
    assert city["telecom_site"] in {row["device"] for row in rows(troubled)}


def test_the_districts_board_lists_its_families(city: dict[str, str], built: Boards, reader: Database) -> None:
    shown = asked(built["dothi-district-en"], reader, area=[AREA], find=[city["noise"]])
    families = {row["family"]: row for row in rows(panel(shown, "families", "en"))}
    assert set(families) == {family.label["en"] for family in FAMILIES.values()}
    assert rows(panel(shown, "devices", "en"))[0]["device"] == city["noise"]


def test_the_devices_page_shows_one_device(
    stack: RunningStack, city: dict[str, str], built: Boards, reader: Database
) -> None:
    device = city["air_quality"]
    stack.publish(f"dothi/v1/{AREA}/{device}/up", {"seq": 2, "metrics": {"pm25": "dust"}})
    stack.wait_for("select count(*) from city.quarantine where device = %s", device)
    shown = asked(built["dothi-device"], reader, device=[device], find=[device])
    assert rows(panel(shown, "identity"))[0]["device"] == device
    assert rows(panel(shown, "life"))[0] == {"state": "hoạt động"}
    assert rows(panel(shown, "sent_hour"))[0]["readings"] == 1
    assert rows(panel(shown, "refused_day"))[0]["messages"] == 1
    assert "pm25 20" in rows(panel(shown, "last_readings"))[0]["reading"]
    assert rows(panel(shown, "last_refusals"))[0]["field"] == "pm25"
    series = {one.panel["title"]: one for one in shown.panels if one.panel["title"].startswith("Số đo: ")}
    assert {"Số đo: Bụi PM2.5 (µg/m³)", "Số đo: Độ ẩm"} <= set(series)  # a panel for each metric
    names = {field.name for field in series["Số đo: Bụi PM2.5 (µg/m³)"].frames[0].fields}
    assert "Bụi PM2.5 (µg/m³)" in names
    assert any(name.startswith("▸ ") for name in names)  # the limit that lies near
    assert "Độ ẩm" not in names


def test_a_device_that_nobody_knows_is_no_error(stack: RunningStack, built: Boards, reader: Database) -> None:
    shown = asked(built["dothi-device"], reader, device=["o'brien"], find=["zzz"])
    assert [one.error for one in shown.panels if one.error] == []


def test_the_platform_says_what_its_parts_use(stack: RunningStack, built: Boards, reader: Database) -> None:
    stack.wait_for("select count(distinct process) from city.process", until=lambda parts: parts >= 4)
    used = stack.query("select distinct process from city.process where cores >= 0 and memory_bytes > 1000000")
    assert {"analyst", "broker 0", "database", "worker 0"} <= {name for (name,) in used}
    assert stack.query("select free_bytes > 0, total_bytes >= free_bytes from city.disk_left") == [(True, True)]
    shown = asked(built["dothi-platform"], reader)
    assert rows(panel(shown, "workers"))[0]["age"] < 60
    assert rows(panel(shown, "database"))[0]["connections"] >= 1
    load = asked(built["dothi-load"], reader)
    assert rows(panel(load, "balance"))[0]["difference"] == 0


def test_an_alarm_of_several_districts_is_shown_where_it_is(
    stack: RunningStack, built: Boards, reader: Database
) -> None:
    """And in no other district; the map of the province shows where. Without members it is of the whole province."""
    there, gone = stack.enroll_many(
        [("several-there", "native-meter", "218", ""), ("several-gone", "native-meter", "219", "")]
    )
    raised = (
        "select id from ops.raise_alarms(jsonb_build_array(jsonb_build_object('key', %s::text, 'kind', 'power_cut', "
        "'severity', 'critical', 'at', now(), 'message', %s::text, 'members', %s::jsonb)))"
    )
    number = {
        name: n for n, name in stack.query("select id, device from registry.device where device like 'several-%%'")
    }
    several = stack.query(raised, "power_cut:218", "nhiều huyện", json.dumps([number[there], number[gone]]))[0][0]
    stack.query("select ops.leave_alarm(%s, %s, now() + interval '1 s')", several, [number[gone]])
    everywhere = stack.query(raised, "whole", "toàn tỉnh", None)[0][0]

    def said(board: str, *areas: str) -> set[str]:
        """Messages in the table of alarms."""
        shown = asked(built[board], reader, area=list(areas))
        return {row["message"] for row in rows(panel(shown, "alarms"))} & {"nhiều huyện", "toàn tỉnh"}

    try:
        assert said("dothi-district", "218") == {"nhiều huyện", "toàn tỉnh"}
        assert said("dothi-district", "219") == said("dothi-district", "220") == {"toàn tỉnh"}
        assert said("dothi-wall", *(zone.code for zone in ZONES)) == {"nhiều huyện", "toàn tỉnh"}
        districts = next(
            frame
            for frame in panel(asked(built["dothi-wall"], reader), "map").frames
            if {"standing", "area"} <= {field.name for field in frame.fields}
        )
        fields = {field.name: field.values for field in districts.fields}
        standing = dict(zip(fields["area"], fields["standing"], strict=True))
        assert standing["218"] == 6
        assert max(standing["219"], standing["220"]) < 6
    finally:
        stack.query("select ops.clear_alarm(id, 'Lan', 'hết') from ops.alarm where id = any(%s)", [several, everywhere])
