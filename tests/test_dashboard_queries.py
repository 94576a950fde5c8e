"""Every query of every board, variable, annotation and alert rule on the real database, asked as Grafana asks it."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dashboards.alert_rules import rules
from dashboards.preview.database import Database
from devices.family import FAMILIES, Metric
from tests.dashboard_questions import Question, boards, questions
from tests.stack import RunningStack

MOST_ROWS = 5000
DAY = timedelta(days=1)
WIDTHS = (None, timedelta(hours=1), 7 * DAY, 60 * DAY)  # the board's own time range, and what people turn it to
AREA = "216"
PLAIN = sorted(uid for uid in boards() if not uid.endswith("-en"))  # the other language differs in words alone
ALWAYS = {
    "connectivity",
    "newest_time",
    "ledger",
    "plan",
    "device_count",
    "alarm",
}  # never without rows


@pytest.fixture(scope="module")
def city(stack: RunningStack) -> dict[str, str]:
    """One device per family in a district, each with one reading of every metric; family → device id."""
    rows = [(f"board-{name.replace('_', '-')}", f"native-{name.replace('_', '-')}", AREA, "") for name in FAMILIES]
    ids = dict(zip(FAMILIES, stack.enroll_many(rows), strict=True))
    now = int(time.time() * 1000)
    for name, device in ids.items():
        metrics = {metric.name: sample(metric) for metric in FAMILIES[name].metrics}
        stack.publish(f"dothi/v1/{AREA}/{device}/up", {"time": now, "seq": 1, "metrics": metrics})
    for name, device in ids.items():
        stack.wait_for(f"select count(*) from city.{name} where device = %s", device)
    heard = "select count(*) from city.connectivity where area = %s and online > 0"
    stack.wait_for(heard, AREA, until=lambda families: families >= len(FAMILIES))
    return ids


def sample(metric: Metric) -> float | str:
    """A value that the metric allows."""
    if metric.states:
        return metric.states[0]
    return round(max(metric.low, min(metric.high, 0.5 if metric.high <= 1 else 20.0)), 3)


def chunks_of_readings(stack: RunningStack) -> dict[str, str]:
    """Chunk → family, of every hypertable of readings."""
    asked = "select chunk_name, hypertable_name from timescaledb_information.chunks where hypertable_schema = 'reading'"
    return {str(chunk): str(family) for chunk, family in stack.query(asked)}


def scans(reader: str, chunks: dict[str, str], sql: str, by_device: bool, nested: bool = True) -> set[str]:
    """The hypertables of readings that a query really reads; with `by_device` only where it is not by device. Of few
    devices all may be read one by one, by device, too: not where `nested` is false."""
    with psycopg.connect(reader, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        # A table of few rows is read whole, whatever its indexes.
        connection.execute("SET enable_seqscan = off")
        connection.execute(f"SET enable_nestloop = {'on' if nested else 'off'}".encode())
        (plan,) = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}".encode()).fetchall()
    read = [node for node in nodes(plan[0][0]["Plan"]) if node.get("Relation Name") in chunks]
    return {
        chunks[node["Relation Name"]]
        for node in read
        if node["Actual Loops"] and not (by_device and "device" in node.get("Index Cond", ""))
    }


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield node
    for below in node.get("Plans", []):
        yield from nodes(below)


@pytest.mark.stack
@pytest.mark.parametrize("uid", sorted(boards()))
def test_every_query_answers_as_the_reader(stack: RunningStack, city: dict[str, str], uid: str) -> None:
    board, faults = boards()[uid], []
    with closing(Database(stack.document["reader"])) as database:
        assert database.ask("SELECT current_user::text")[1] == [("dothi_reader",)]
        for wide in WIDTHS if uid in PLAIN else (None,):
            for question in questions(board, database.ask, wide):
                names, rows = database.ask(question.sql)
                faults += [f"{question.where} over {wide}: {fault}" for fault in answer_faults(question, names, rows)]
    assert faults == []


def answer_faults(question: Question, names: Any, rows: Any) -> Iterator[str]:
    """What is wrong with an answer."""
    if len(rows) > MOST_ROWS:
        yield f"{len(rows)} rows"
    if question.form in ("time_series", "annotation") and "time" not in names:
        yield f"has no column time, only {', '.join(names)}"
    if len(set(names)) != len(names):
        yield f"has two columns of one name: {', '.join(names)}"
    if question.form == "time_series" and [row[list(names).index("time")] for row in rows] != sorted(
        row[list(names).index("time")] for row in rows
    ):
        yield "is not in order of time"
    if question.form == "time_series":
        values = [place for place, name in enumerate(names) if name not in ("time", "metric")]
        yield from (f"has text in {names[n]}" for n in values if any(isinstance(row[n], str) for row in rows))
    if question.panel:
        yield from (f"has no column {name}" for name in named(question.panel) - set(names))


def named(panel: dict[str, Any]) -> set[str]:
    """The columns that a panel of one query speaks of: overrides by name, values in links."""
    if len(panel["targets"]) > 1 or panel.get("transformations") or panel["targets"][0].get("format") != "table":
        return set()
    return {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"] if o["matcher"]["id"] == "byName"}


@pytest.mark.stack
@pytest.mark.parametrize("uid", PLAIN)
def test_readings_are_read_by_device_alone_and_on_the_wall_not_at_all(
    stack: RunningStack, city: dict[str, str], uid: str
) -> None:
    """Beyond a day: over an hour or a day a board may look at readings themselves, if it is not on the wall."""
    board, reader, chunks = boards()[uid], stack.document["reader"], chunks_of_readings(stack)
    wall = uid.startswith("dothi-wall")
    with closing(Database(reader)) as database:
        asked = [
            (wide, one)
            for wide in ((None, 60 * DAY) if wall else (60 * DAY,))
            for one in questions(board, database.ask, wide)
        ]
    found = [(one.where, wide, scans(reader, chunks, one.sql, by_device=not wall)) for wide, one in asked]
    assert [one for one in found if one[2]] == []


@pytest.mark.stack
def test_a_query_that_reads_readings_is_seen(stack: RunningStack, city: dict[str, str]) -> None:
    reader, chunks = stack.document["reader"], chunks_of_readings(stack)
    whole = "SELECT avg(pm25) FROM city.air_quality WHERE time > now() - interval '2 days'"
    alone = f"{whole} AND device = '{city['air_quality']}'"
    never = f"{whole} AND now() < '2020-01-01'"
    newest = "SELECT avg(pm25) FROM city.latest_air_quality"
    assert scans(reader, chunks, whole, by_device=True, nested=False) == {"air_quality"}
    assert [scans(reader, chunks, sql, by_device=True) for sql in (never, newest)] == [set(), set()]
    assert scans(reader, chunks, alone, by_device=False) == {"air_quality"}


@pytest.mark.stack
def test_where_the_city_has_data_numbers_have_rows(stack: RunningStack, city: dict[str, str]) -> None:
    with closing(Database(stack.document["reader"])) as database:
        asked = [one for uid in PLAIN for one in questions(boards()[uid], database.ask, None, {"area": [AREA]})]
        sure = [one for one in asked if set(re.findall(r"\bcity\.(\w+)", one.sql)) <= ALWAYS]
        numbers = [one for one in sure if one.panel and one.panel["type"] == "stat"]
        empty = [one.where for one in numbers if not database.ask(one.sql)[1]]
    assert len(numbers) > len(PLAIN)
    assert empty == []


@pytest.mark.stack
def test_alert_rules_answer_with_labels_and_one_number(stack: RunningStack, city: dict[str, str]) -> None:
    with closing(Database(stack.document["reader"])) as database:
        for rule in rules():
            names, rows = database.ask(rule.sql)
            assert list(names)[-1] == "value", rule.name
            assert all(isinstance(row[-1], float) for row in rows), rule.name
            assert all(isinstance(label, str) for row in rows for label in row[:-1]), rule.name
            if rule.name in ("stale-feed", "ledger-imbalance"):
                assert rows, rule.name
            if rule.name == "ledger-imbalance":
                assert rows[0] == (0.0,)
