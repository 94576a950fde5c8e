"""Rollups: at rest every view says what the readings say, whatever the order in which they came."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.beside import Beside, Job
from analytics.rollup import closing, follower
from analytics.rollup.reconcile import reconcile_rollups, reconcile_width
from analytics.rollup.views import family_views
from analytics.rollup.width import DAY, HOUR
from devices.family import FAMILIES, Family
from devices.relations import FamilyRefused, replace_view, view_columns
from ingest.reconcile import reconcile_family
from tests.examples import examples
from tests.rollup_world import (
    Connections,
    Reading,
    Row,
    World,
    expected,
    expected_areas,
    midnight,
)
from tests.stack import RunningStack

SENT = {
    "air_quality": ("pm25", "temperature"),
    "meter": ("total_active_energy_import", "active_power"),
    "camera_event": ("event", "confidence"),
}
HOURS = {"air_quality": 30, "meter": 30, "camera_event": 3}
CLOSE_TO = 1e-9


@pytest.fixture(scope="module")
def url(stack: RunningStack) -> Iterator[str]:
    """A database of its own."""
    with stack.database() as url:
        yield url


@pytest.fixture(scope="module")
def connections(url: str) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    with (
        psycopg.connect(url, autocommit=True) as admin,
        psycopg.connect(url, autocommit=True, options="-c role=dothi_analyst") as analyst,
    ):
        yield admin, analyst


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    """Buckets are closed one device at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "GRID_ROWS", 1)
        patch.setattr(closing, "READ_DEVICES", 1)
        yield


def world_of(connections: Connections, family: str, hours_before_midnight: float = 1.5, budget_s: float = 2.0) -> World:
    """An empty world whose clock stands shortly before a local midnight."""
    now = midnight() - timedelta(hours=hours_before_midnight)
    return World(FAMILIES[family], *connections, now=now, budget_s=budget_s)


AHEAD = timedelta(minutes=5)
EDGES = [None, None, -1_000_000, -1, 0, 1, 1_000_000]  # µs from a full hour, or not near one


def steps(family: str) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """Batches, rounds of the follower, passing time, restarts. A reading's time is a share of the time gone by."""
    values = st.fixed_dictionaries(
        {}, optional={name: st.integers(0, 2 if name == "event" else 9).map(float) for name in SENT[family]}
    )
    values = values.map(lambda some: some or {SENT[family][0]: 1.0})
    when = st.tuples(st.integers(0, 1000) | st.integers(950, 1000), st.sampled_from(EDGES))
    reading = st.tuples(st.integers(0, 1), st.integers(0, 1), when, values)
    write = st.tuples(st.just("write"), st.lists(reading, min_size=1, max_size=6))
    passing = st.tuples(st.just("pass"), st.integers(HOURS[family], HOURS[family] * 20))
    one = st.one_of(
        write,
        write,
        write,
        passing,
        passing,
        st.tuples(st.sampled_from(["take", "take", "restart", "fail"]), st.just(None)),
    )
    # Somewhere in between everything closes, the day too; then only late readings are left.
    closing_time = st.just([("pass", HOURS[family] * 60)])
    parts = st.tuples(st.lists(one, min_size=3, max_size=12), closing_time, st.lists(one, max_size=4))
    return parts.map(lambda three: [step for part in three for step in part])


def perform(world: World, script: list[tuple[str, Any]]) -> None:
    """Do what a script says: seq unique but in no order; no reading lies more than five minutes ahead of the clock."""
    start, number = world.now, 0
    end = start + timedelta(hours=HOURS[world.family.name])
    for word, what in script:
        if word == "write":
            batch = []
            for device, area, when, values in what:
                number += 1
                time = moment(start, world.now + AHEAD, *when)
                where = (world.devices[device], world.areas[area])
                batch.append(Reading(*where, time, number * 7919 % 10007, values))
            world.write(batch)
        elif word == "pass":
            world.now = min(end, world.now + timedelta(minutes=what))
            world.take()
            world.tick()
        elif word == "restart":
            world.restart()
        else:
            world.take(fail=word == "fail")


def moment(start: datetime, end: datetime, thousandth: int, edge: int | None) -> datetime:
    """A time from start to end: somewhere, or at the edge of an hour."""
    time = start + (end - start) * thousandth / 1000
    if edge is not None:
        time = time.replace(minute=0, second=0, microsecond=0) + timedelta(microseconds=edge)
    return max(start, min(end, time))


def check(world: World, widths: tuple[str, ...] = ("1m", "1h", "1d")) -> None:
    """Every view against the readings."""
    devices = dict(world.admin.execute("select device, id from registry.device").fetchall())
    areas = dict(world.admin.execute("select code, id from registry.area").fetchall())
    for width in widths:
        want = expected(world, width)
        got = {(row["bucket"], devices[row["device"]], areas[row["area"]]): row for row in world.view(width)}
        assert len(got) == len(world.view(width)), "a bucket is counted twice"
        compare(want, got, width)
        if width != "1m":
            wide = {(row["bucket"], areas[row["area"]]): row for row in world.view(f"area_{width}")}
            compare(expected_areas(want, world.family), wide, f"area {width}")


def compare(want: dict[Any, Row], got: dict[Any, Row], what: str) -> None:
    """The same rows; counts, extremes and increases exactly, averages and shares nearly."""
    assert set(want) == set(got), what
    for key, row in want.items():
        for name, value in row.items():
            if value is not None and (name.endswith(("_avg", "_known_s")) or name == "complete"):
                value = pytest.approx(value, rel=CLOSE_TO)
            if name.endswith("_share") and value:
                value = {state: pytest.approx(share, rel=CLOSE_TO) for state, share in value.items()}
            assert got[key][name] == value, (what, key, name)


LAW = settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))


@LAW
@given(script=steps("air_quality"), slow=st.booleans())
def test_gauges_agree_with_the_readings(connections: Connections, script: list[tuple[str, Any]], slow: bool) -> None:
    world = world_of(connections, "air_quality", budget_s=0.0 if slow else 2.0)
    perform(world, script)
    world.rest()
    check(world)


@LAW
@given(script=steps("meter"), slow=st.booleans())
def test_counters_agree_with_the_readings(connections: Connections, script: list[tuple[str, Any]], slow: bool) -> None:
    world = world_of(connections, "meter", budget_s=0.0 if slow else 2.0)
    perform(world, script)
    world.rest()
    check(world)


@pytest.mark.parametrize("interval_s", [10, pytest.param(1500, marks=pytest.mark.full)])
def test_states_agree_with_the_readings(connections: Connections, interval_s: float) -> None:
    @settings(LAW, max_examples=examples(4))
    @given(script=steps("camera_event"))
    def law(script: list[tuple[str, Any]]) -> None:
        admin, _ = connections
        admin.execute("update registry.profile set interval_s = %s where family = 'camera_event'", (interval_s,))
        world = world_of(connections, "camera_event")
        perform(world, script)
        world.rest()
        check(world)

    law()


def seconds_after(world: World, seconds: float, value: float = 1.0, area: int = 0, device: int = 0) -> Reading:
    """A reading some seconds after midnight."""
    time = midnight() + timedelta(seconds=seconds)
    seq = len(world.readings) + int(seconds) % 1000 * 1000
    return Reading(world.devices[device], world.areas[area], time, seq, {SENT[world.family.name][0]: value})


@pytest.mark.parametrize("restarted", [False, True])
def test_the_last_second_of_a_day_and_the_first(connections: Connections, restarted: bool) -> None:
    world = world_of(connections, "air_quality", hours_before_midnight=26)
    world.now = midnight()
    world.write([seconds_after(world, -1, 10.0), seconds_after(world, 0, 20.0)])
    world.take()
    if restarted:
        world.restart()
    world.now = midnight() + timedelta(hours=25)
    world.rest()
    days = {row["bucket"]: row["pm25_avg"] for row in world.view("1d")}
    assert days == {midnight() - timedelta(days=1): 10.0, midnight(): 20.0}
    stored = world.admin.execute("select count(*) from rollup.air_quality_1d").fetchone()
    assert stored == (2,)
    check(world)


def test_a_day_is_added_up_from_its_hours_and_from_what_was_late_for_them(connections: Connections) -> None:
    world = world_of(connections, "air_quality")
    world.now = midnight() + timedelta(hours=5)
    world.write([seconds_after(world, 600, 1.0), seconds_after(world, 660, 2.0, device=1)])
    world.write([seconds_after(world, 11000, 3.0, device=1, area=1)])
    world.take()
    world.tick()
    assert world.row("select count(*) from rollup.air_quality_1h") == (3,)
    world.write([seconds_after(world, 700, 5.0), seconds_after(world, 18000, 4.0, area=1)])
    world.take()
    world.write([seconds_after(world, 18100, 4.0), seconds_after(world, 18200, 9.0, device=1, area=1)])
    world.now = midnight() + timedelta(hours=25)
    world.rest()
    assert world.row("select count(*), sum(n) from rollup.air_quality_1d") == (4, 7)
    check(world)


@pytest.mark.parametrize("family", ["air_quality", "meter"])
def test_a_reading_may_come_while_its_bucket_is_being_closed(connections: Connections, family: str) -> None:
    world = world_of(connections, family, budget_s=0.0)
    world.write([seconds_after(world, 60), seconds_after(world, 61, device=1)])
    world.take()
    world.now = midnight() + timedelta(hours=1, seconds=30)
    written = 0
    for _ in range(20):
        world.tick()
        (written,) = world.row(f"select count(*) from rollup.{family}_1h")
        if written:
            break
    assert written == 1, "one device at a time"
    check(world)
    world.write([seconds_after(world, 120, 8.0), seconds_after(world, 122, 9.0, device=1)])
    world.take()
    world.rest()
    check(world)


def versions(world: World, table: str) -> dict[tuple[int, datetime, int], tuple[str, str]]:
    """Where each row lies and which transaction wrote it."""
    rows = world.admin.execute(
        f"select device, bucket, area, xmin::text, tableoid || ctid::text from rollup.{table}".encode()
    ).fetchall()
    return {(device, bucket, area): (xmin, place) for device, bucket, area, xmin, place in rows}


def test_rows_are_written_once_and_again_only_where_late_readings_touch_them(connections: Connections) -> None:
    world = world_of(connections, "meter", hours_before_midnight=1)
    world.write([seconds_after(world, 600 * k, 100.0 + k, device=k % 2) for k in range(36)])
    world.take()
    world.now = midnight() + timedelta(hours=30)
    world.rest()
    hours, days = versions(world, "meter_1h"), versions(world, "meter_1d")
    assert len(hours) == 12
    world.write([seconds_after(world, 1800.5, 101.0)])
    world.rest()
    touched = {key for key, version in versions(world, "meter_1h").items() if version != hours[key]}
    here, area = world.devices[0], world.areas[0]
    assert touched == {(here, midnight(), area)}
    touched_days = {key for key, version in versions(world, "meter_1d").items() if version != days[key]}
    assert touched_days == {(here, midnight(), area)}
    world.write([seconds_after(world, 3599, 101.0)])
    world.rest()
    touched = {key for key, version in versions(world, "meter_1h").items() if version != hours[key]}
    assert touched == {(here, midnight(), area), (here, midnight() + timedelta(hours=1), area)}
    check(world)


@pytest.mark.parametrize("family", ["air_quality", "meter", "camera_event"])
def test_an_open_bucket_is_answered(connections: Connections, family: str) -> None:
    world = world_of(connections, family)
    world.write([seconds_after(world, second, 1.0) for second in (-60, 30, 60)])
    check(world)
    world.take()
    check(world)
    assert world.admin.execute(f"select count(*) from rollup.{family}_1h".encode()).fetchone() == (0,)


def test_a_bucket_waits_for_batches_that_were_there_in_time(connections: Connections) -> None:
    world = world_of(connections, "air_quality")
    world.write([seconds_after(world, -10), seconds_after(world, 10)])
    world.admin.execute("update ops.batch set committed = %s", (midnight(),))
    world.take_all()
    world.write([seconds_after(world, 20)])
    world.admin.execute("update ops.batch set committed = %s where xid > (select xid from ops.consumer)", (midnight(),))
    world.now = midnight() + timedelta(hours=1, seconds=14)
    world.tick()
    assert world.position()[0][1].endswith('17:00:00+00")') or world.position()[1] == 0
    world.now += timedelta(seconds=2)
    world.tick()
    border = "select until from rollup.closed where family = 'air_quality' and width = '1h'"
    assert world.row(border) < (midnight() + timedelta(hours=1),)
    world.take_all()
    world.tick()
    assert world.row(border) == (midnight() + timedelta(hours=1),)
    check(world)


BORDER = "select until from rollup.closed where family = 'air_quality' and width = '1h'"


def beside(world: World) -> World:
    """The same world, with a second connection for what is large."""
    world.beside = True
    world.restart()
    return world


@pytest.mark.parametrize("family", ["air_quality", "meter"])
def test_a_bucket_is_closed_beside_the_stream(connections: Connections, family: str) -> None:
    world = beside(world_of(connections, family))
    world.write([seconds_after(world, second, 1.0 + second, device=second % 2) for second in range(0, 7000, 500)])
    world.take_all()
    world.now = midnight() + timedelta(hours=2, seconds=30)
    border = BORDER.replace("air_quality", family)
    world.tick_until(border, midnight() + timedelta(hours=2))
    world.follower.hands.close()
    check(world)


def test_a_day_waits_until_it_is_known_what_late_readings_change_in_it(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(connections, "meter", hours_before_midnight=1)
    world.write([seconds_after(world, second, value) for second, value in ((60, 100.0), (3 * 3600, 110.0))])
    world.take()
    world.now = midnight() + timedelta(hours=20)
    world.rest()
    day = BORDER.replace("air_quality", "meter").replace("1h", "1d")
    with monkeypatch.context() as patch:
        patch.setattr(follower, "touch_after", lambda *_: 0)
        world.write([seconds_after(world, 3600, 104.0)])  # the step of the third hour was 10, and is 6
        world.take()
        world.now = midnight() + timedelta(hours=24, seconds=30)
        for _ in range(60):
            world.tick()
        assert world.row("select count(*) from rollup.touched") == (0,), "its own hour is made anew"
        assert world.row(day) == (midnight(),)
    world.restart()
    world.rest()
    assert world.row(day) == (midnight() + timedelta(hours=24),)
    check(world)


@pytest.mark.parametrize("areas", [1, 2])
def test_what_a_restart_forgot_is_read_again(connections: Connections, areas: int) -> None:
    world = beside(world_of(connections, "air_quality"))
    world.write([seconds_after(world, second, second, device=second % 2) for second in range(0, 5000, 501)])
    world.take_all()
    world.now = midnight() + timedelta(hours=1, seconds=100)
    world.tick_until(BORDER, midnight() + timedelta(hours=1))
    world.write([seconds_after(world, 30, 900.0)])  # its hour is closed, and not made anew before the restart
    world.take_all()
    world.restart()
    world.write([seconds_after(world, 5400.5 + n, 7.0, area=n) for n in range(areas)])
    world.take_all()
    (now,) = world.row("select clock_timestamp()")
    world.tick_until(f"select count(*) from rollup.area_open_state where family = 'air_quality' and as_of > '{now}'", 2)
    check(world)
    world.now = midnight() + timedelta(hours=25)
    days = BORDER.replace("1h", "1d")
    world.tick_until(days, midnight() + timedelta(hours=24))
    world.follower.hands.close()
    world.beside = False
    world.rest()
    check(world)


def test_open_buckets_of_areas_are_read_where_the_analyst_wrote_them(connections: Connections) -> None:
    admin, _ = connections
    world = world_of(connections, "air_quality")
    world.write([seconds_after(world, 60, 5.0), seconds_after(world, 61, 7.0, device=1)])
    world.now = midnight() + timedelta(minutes=10)
    world.take_all()
    world.tick()
    seen = f"select pm25_avg, devices from city.air_quality_area_1h where bucket = '{midnight()}'"
    assert world.row(seen) == (6.0, 2)
    admin.execute("update rollup.area_open set devices = 9")
    assert world.row(seen) == (6.0, 9), "from what is written"
    admin.execute("update rollup.area_open_state set as_of = now() - interval '11 minutes'")
    assert world.row(seen) == (6.0, 2), "from readings, for what is written is old"


def test_what_fails_beside_is_raised_and_a_successor_waits(url: str) -> None:
    ended = threading.Event()

    def slow(connection: "psycopg.Connection[Any]") -> None:
        connection.execute("select pg_sleep(0.5)")
        ended.set()

    def wrong(connection: "psycopg.Connection[Any]") -> None:
        assert ended.is_set(), "it began before its predecessor had ended"
        connection.execute("select 1 / 0")

    with psycopg.connect(url, autocommit=True) as connection:
        first, second = Beside(connection), Beside(connection)
        job = first.give(Job(iter([slow])))
        until = time.monotonic() + 60
        while not connection.execute(
            "select from pg_locks l join pg_database d on d.oid = l.database"
            " where l.locktype = 'advisory' and d.datname = current_database()"
        ).fetchall():
            assert time.monotonic() < until
        failing = second.give(Job(iter([wrong])))
        assert job.done.wait(60)
        first.close()
        while second.failed is None and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(psycopg.errors.DivisionByZero):
            second.step(connection)
        assert not failing.done.is_set()
        second.close()


def test_a_new_metric_adds_columns_and_changes_nothing_else(connections: Connections) -> None:
    admin, _ = connections
    old = FAMILIES["water_level"]
    metric = dataclasses.replace(old.metrics[0], name="turbidity")
    new = Family(old.name, old.label, (*old.metrics, metric), {**old.index, metric.name: len(old.metrics)})
    assert reconcile_rollups(admin) == []
    list(reconcile_family(admin, new))
    done = [line for width in (HOUR, DAY) for line in reconcile_width(admin, new, width)]
    assert len(done) == 16
    assert "added turbidity_sum to rollup.water_level_1h" in done
    for name, body in family_views(new).items():
        before = view_columns(admin, name)
        replace_view(admin, name, body)
        assert view_columns(admin, name)[: len(before)] == before
        assert "turbidity_avg" in view_columns(admin, name)
    with pytest.raises(FamilyRefused, match="turbidity"):
        reconcile_rollups(admin)
