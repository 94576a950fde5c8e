"""The live view of a fixed snapshot, at the sizes that terminals have."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from rich.console import Console

from devices.area import ZONES
from devices.family import FAMILIES
from dothi import live
from dothi.snapshot import (
    EMPTY,
    FamilyLine,
    Flow,
    Newest,
    Reader,
    Snapshot,
    Totals,
    newest_query,
    trouble_of,
)
from tests.stack import RunningStack

NOW = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
VALUES: list[tuple[str, str, float | str]] = [
    ("air_quality", "pm25", 41.23),
    ("camera_event", "object_class", "motorcycle"),
    ("fire_watch", "smoke_confidence", 0.031),
    ("meter", "total_active_energy_import", 12345.6),
]
SNAPSHOT = Snapshot(
    NOW,
    Totals(received=123_456, stored=121_956, duplicate=1_200, quarantined=300, partial=40),
    Flow(workers=2, in_flight=123, lag_s=0.4, rate_per_s=301.2),
    tuple(FamilyLine(family, 100, 97, 1234.4) for family in FAMILIES),
    tuple(
        Newest(zone.code, zone.name_vi, *VALUES[place % 4], NOW - timedelta(seconds=40 * place))
        for place, zone in enumerate(zone for zone in ZONES if zone.province == "bac-giang")
    ),
)
DOCUMENT: dict[str, Any] = {
    "broker": "mqtt://gateway:secret@127.0.0.1:40001",
    "brokers": [{"url": "mqtt://gateway:secret@127.0.0.1:40001", "areas": []}],
    "reader": "postgresql://dothi_reader:hidden@127.0.0.1:40002/dothi",
    "dashboards": "/srv/demo/dashboards",
}


def lines_of(snapshot: Snapshot, width: int = 80, height: int = 24, **document: Any) -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(live.render(snapshot, DOCUMENT | document, 83.0, width, height))
    return captured.get().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (100, 30), (60, 20), (200, 60)])
@pytest.mark.parametrize("snapshot", [SNAPSHOT, EMPTY], ids=["full", "empty"])
def test_it_fits_the_terminal(snapshot: Snapshot, width: int, height: int) -> None:
    lines = lines_of(snapshot, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_all_figures_and_districts_are_there_at_80_by_24() -> None:
    text = "\n".join(lines_of(SNAPSHOT))
    for shown in ("301", "121,956", "0.4", "123", "300", "1,200", "40", "0:01:23", "08:00:00", "Air quality", "1,234"):
        assert shown in text
    for name in ("TP Bắc Giang", "Lục Ngạn", "Sơn Động", "Hiệp Hòa"):
        assert name in text
    for reading in ("PM2.5 41.2 µg/m³", "Object motorcycle", "Smoke 3 %", "Energy used 12,346 kWh", "6 min"):
        assert reading in text


def test_families_without_room_are_summed_up() -> None:
    few = SNAPSHOT._replace(families=(FamilyLine("meter", 7, 5, 1.0), *SNAPSHOT.families[:9]))
    small, large = "\n".join(lines_of(few)), "\n".join(lines_of(few, 200, 60))
    assert "more families" not in large
    assert "Electricity meter" in large
    assert "Electricity meter" not in small
    hidden = 10 - sum(FAMILIES[line.family].label["en"] in small for line in few.families)
    assert f"{hidden} more families" in small
    assert f"{100 * (hidden - 1) + 7}" in small


def test_no_password_is_shown() -> None:
    text = "\n".join(lines_of(SNAPSHOT, 200, 50))
    assert "40001" in text
    assert "40002" in text
    assert "secret" not in text
    assert "hidden" not in text


def test_the_last_line_says_where_the_dashboards_are() -> None:
    assert "/srv/demo/dashboards" in "\n".join(lines_of(SNAPSHOT)[-2:])
    assert lines_of(SNAPSHOT, grafana="http://127.0.0.1:3000")[-1].strip() == "Grafana: http://127.0.0.1:3000"
    assert "dothi dashboards build" in lines_of(SNAPSHOT, dashboards=None)[-1]


def test_trouble_is_said_and_the_last_figures_stay() -> None:
    text = "\n".join(lines_of(SNAPSHOT._replace(trouble="the database is restarting")))
    assert "the database is restarting" in text
    assert "121,956" in text


def test_a_plain_line_for_a_log() -> None:
    line = live.plain(SNAPSHOT, 12.3)
    assert line.startswith("12 s  received 123,456  stored 121,956  ")
    assert "\n" not in line
    assert live.plain(SNAPSHOT._replace(trouble="gone"), 12.3) == "12 s  gone"


def test_an_unreachable_database_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    document = DOCUMENT | {"reader": "postgresql://127.0.0.1:9/dothi"}
    live.watch(document, threading.Event(), time.time() + 0.3)
    assert "going on when it answers" in capsys.readouterr().out


def test_stop_ends_the_view() -> None:
    stop = threading.Event()
    stop.set()
    live.watch(DOCUMENT, stop, None)


def test_every_family_has_a_query_for_its_newest_reading() -> None:
    for family in FAMILIES.values():
        text = newest_query(family).as_string()
        assert f'"latest_{family.name}"' in text
        assert family.metrics[0].name in text


def test_errors_are_told_in_a_few_words() -> None:
    assert "busy" in trouble_of(psycopg.errors.QueryCanceled("canceling statement"))
    assert "restarting" in trouble_of(psycopg.errors.AdminShutdown("terminating connection"))
    assert trouble_of(psycopg.errors.UndefinedTable("relation gone\nLINE 1")) == "relation gone"


def test_a_reader_without_database_keeps_its_last_snapshot() -> None:
    snapshot = Reader("postgresql://127.0.0.1:9/dothi").snapshot()
    assert snapshot.trouble is not None
    assert snapshot.totals == Totals()


@pytest.mark.stack
def test_a_snapshot_of_a_real_stack(stack: RunningStack) -> None:
    device = stack.enroll("live", "native-weather", "220")
    topic = f"dothi/v1/220/{device}/up"
    reader, fresh = Reader(stack.document["reader"]), Reader(stack.document["reader"])
    try:
        before = reader.snapshot()
        stack.publish(topic, {"seq": 1, "metrics": {"temperature": 21.5}})
        stack.wait_for("select device from city.weather where device = %s", device)
        stack.wait_for("select online from city.connectivity where area = '220' and family = 'weather'")
        after = fresh.snapshot()
    finally:
        reader.close()
        fresh.close()
    assert after.trouble is None
    assert after.totals.stored > before.totals.stored
    assert after.flow.workers >= 1
    assert any(line.family == "weather" and line.reporting >= 1 for line in after.families)
    (newest,) = (newest for newest in after.newest if newest.area == "220")
    assert (newest.name, newest.metric, newest.value) == ("Sơn Động", "temperature", 21.5)
