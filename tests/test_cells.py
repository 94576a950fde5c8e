"""Map cells: every device in exactly one cell, at most 2,000 cells, and what each cell says is what its devices say."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.cells import EPOCH, MapCells
from analytics.columns import Columns
from devices.area import ZONES
from devices.family import FAMILIES, family_from
from devices.profile import PROFILES
from tests.examples import examples
from tests.stack import RunningStack

pytestmark = pytest.mark.stack
LAW = settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MOST, FINEST, COARSEST = 2000, 16, 5
PROVINCE = (105.8, 20.9, 107.1, 21.7)
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ZONE = {zone.code: zone for zone in ZONES}
# In the order in which a round writes them: an analyst is at work beside these tests.
ROUNDS = "lock table rollup.connectivity, rollup.cell_newest, rollup.rate, rollup.round"
CALL = """
select cell, devices, online, worst_severity, worst_value, lat, lon from city.map_cells(%s, %s, %s, %s, %s, %s, %s)
"""


class Unit(NamedTuple):
    """A device of a test."""

    device: str
    family: str
    area: str
    lat: float | None
    lon: float | None
    state: str = "enrolled"


class Cell(NamedTuple):
    """A line of the function's answer."""

    devices: int
    online: int
    worst_severity: str | None
    worst_value: float | None
    lat: float
    lon: float


@contextmanager
def undone(stack: RunningStack) -> Iterator[psycopg.Connection[Any]]:
    """An empty registry in a transaction of the owner that leaves nothing behind; an analyst waits meanwhile."""
    with psycopg.connect(stack.document["database"]) as connection:
        # In the order in which the stack itself looks at them twice a second.
        connection.execute("lock table registry.credential, registry.device in access exclusive mode")
        connection.execute(ROUNDS)
        connection.execute("truncate registry.device cascade")
        connection.execute("delete from rollup.cell_newest")
        yield connection
        connection.rollback()


def enrol(connection: psycopg.Connection[Any], units: list[Unit]) -> dict[str, int]:
    """Ids by device."""
    rows = connection.execute(
        "insert into registry.device (device, profile, area, lat, lon, state) "
        "select u.device, p.id, a.id, u.lat, u.lon, u.state from "
        "unnest(%s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::text[]) "
        "u (device, family, area, lat, lon, state) join registry.area a on a.code = u.area "
        "join registry.profile p on p.profile = 'native-' || replace(u.family, '_', '-') returning device, id",
        [list(column) for column in zip(*units, strict=True)],
    )
    return dict(rows.fetchall())


def cells(connection: psycopg.Connection[Any], *asked: object) -> dict[str, Cell]:
    """The function's answer by cell; no cell comes twice."""
    rows = connection.execute(CALL.encode(), (*asked, *([None] * (7 - len(asked))))).fetchall()
    answer = {cell: Cell(*rest) for cell, *rest in rows}
    assert len(answer) == len(rows) <= MOST
    return answer


def tile(lat: float, lon: float, level: int) -> tuple[int, int]:
    """Column and row of the map tile, written down a second time."""
    lat = max(-85.0511, min(85.0511, lat))
    x = math.floor((lon + 180) / 360 * 2**level)
    y = math.floor((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**level)
    return min(x, 2**level - 1), y


def tile_of(unit: Unit, level: int) -> tuple[int, int]:
    zone = ZONE[unit.area]
    lat, lon = (zone.lat, zone.lon) if unit.lat is None or unit.lon is None else (unit.lat, unit.lon)
    return tile(lat, lon, level)


def level_of(answer: dict[str, Cell]) -> int:
    (level,) = {int(cell.split("/")[0]) for cell in answer}
    return level


@st.composite
def extents(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """Mostly of a province, at times of the world."""
    lons, lats = draw(st.sampled_from([((105.5, 107.5), (20.5, 22.0)), ((-180.0, 180.0), (-90.0, 90.0))]))
    west, east = sorted(draw(st.tuples(st.floats(*lons), st.floats(*lons))))
    south, north = sorted(draw(st.tuples(st.floats(*lats), st.floats(*lats))))
    return west, south, east, north


positions = st.one_of(
    st.just((None, None)),
    st.tuples(st.floats(20.9, 21.6), st.floats(105.8, 107.0)),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
)
fleets = st.lists(
    st.tuples(
        st.sampled_from(["weather", "meter", "traffic_flow"]),
        st.sampled_from(["213", "058"]),
        positions,
        st.sampled_from(["enrolled", "active", "retired"]),
    ),
    min_size=1,
    max_size=60,
).map(lambda lines: [Unit(f"m-{n:03}", f, a, *p, s) for n, (f, a, p, s) in enumerate(lines)])


@LAW
@given(fleets, extents(), st.integers(0, 20), st.sampled_from([None, "weather"]))
def test_cells_of_an_extent_count_what_is_in_them(
    stack: RunningStack,
    units: list[Unit],
    extent: tuple[float, float, float, float],
    zoom: int,
    family: str | None,
) -> None:
    with undone(stack) as connection:
        enrol(connection, units)
        answer = cells(connection, *extent, zoom, family)
    counted = [unit for unit in units if unit.state != "retired" and unit.family == (family or unit.family)]
    west, south, east, north = extent
    found = level_of(answer) if answer else None
    for level in range(COARSEST, FINEST + 1) if found is None else [found]:
        (x0, y0), (x1, y1) = tile(north, west, level), tile(south, east, level)
        inside = Counter(tile_of(unit, level) for unit in counted)
        expected = {f"{level}/{x}/{y}": n for (x, y), n in inside.items() if x0 <= x <= x1 and y0 <= y <= y1}
        assert {cell: line.devices for cell, line in answer.items()} == expected or found is None
        if found is None and not expected:
            return
    assert found is not None, "some level has no cell there, or the answer has some"
    assert found <= max(zoom + 4, COARSEST)


@LAW
@given(fleets, fleets, st.integers(COARSEST, FINEST))
def test_cells_follow_devices_that_move_change_and_go(
    stack: RunningStack, units: list[Unit], later: list[Unit], level: int
) -> None:
    with undone(stack) as connection:
        enrol(connection, units)
        connection.execute(
            "update registry.device d set (lat, lon, state, area, profile) = (u.lat, u.lon, u.state, a.id, p.id) from "
            "unnest(%s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::text[]) "
            "u (device, family, area, lat, lon, state) join registry.area a on a.code = u.area "
            "join registry.profile p on p.profile = 'native-' || replace(u.family, '_', '-') "
            "where d.device = u.device",
            [list(column) for column in zip(*later, strict=True)],
        )
        connection.execute("delete from registry.device where device like 'm-%%7'", prepare=False)
        kept = connection.execute(
            "select x, y, family, devices from rollup.cell where level = %s and devices <> 0", (level,)
        ).fetchall()
    now = [*later[: len(units)], *units[len(later) :]]
    there = [unit for unit in now if unit.state != "retired" and not unit.device.endswith("7")]
    assert {tuple(row[:3]): row[3] for row in kept} == Counter((*tile_of(unit, level), unit.family) for unit in there)


def test_the_whole_world_and_the_whole_province_fit(stack: RunningStack) -> None:
    grid = [Unit(f"g-{n}", "weather", "213", 20.9 + n // 90 * 0.008, 105.8 + n % 90 * 0.014) for n in range(9000)]
    with undone(stack) as connection:
        enrol(connection, grid)
        for zoom in (0, 1, 6, 7, 10, 11, 12, 16, 22):
            assert sum(cell.devices for cell in cells(connection, *PROVINCE, zoom).values()) == len(grid)
            assert sum(cell.devices for cell in cells(connection, -180, -90, 180, 90, zoom).values()) == len(grid)
        assert 500 < len(cells(connection, *PROVINCE, 22)) <= MOST
        lat, lon = grid[4321].lat or 0.0, grid[4321].lon or 0.0
        ((cell, line),) = cells(connection, lon, lat, lon, lat, 22).items()
        assert cell == "{}/{}/{}".format(16, *tile(lat, lon, 16))
        assert (line.lat, line.lon) == (pytest.approx(lat, abs=0.003), pytest.approx(lon, abs=0.003))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((107.0, 21.0, 106.0, 22.0, 10), "west 107 lies east of east 106"),
        ((106.0, 22.0, 107.0, 21.0, 10), "south 22 lies north of north 21"),
        ((math.nan, 21.0, 107.0, 22.0, 10), "NaN is no number of degrees"),
        ((106.0, 21.0, 107.0, None, 10), "are all needed"),
        ((106.0, 21.0, 107.0, 22.0, 10, "wether"), "family wether: unknown; the map knows air_quality: pm25"),
        ((106.0, 21.0, 107.0, 22.0, 10, "weather", "pm25"), "metric pm25: the map is judged by one metric"),
        ((106.0, 21.0, 107.0, 22.0, 10, None, "nonsense"), "metric nonsense"),
    ],
)
def test_bad_input_is_told(stack: RunningStack, asked: tuple[object, ...], said: str) -> None:
    with (
        psycopg.connect(stack.document["reader"]) as reader,
        pytest.raises(psycopg.errors.InvalidParameterValue, match=said),
    ):
        cells(reader, *asked)


def test_beyond_the_edge_is_the_edge_and_any_zoom_is_taken(stack: RunningStack) -> None:
    with psycopg.connect(stack.document["reader"]) as reader:
        for zoom in (-(2**31), -1, 31, 2**31 - 1):
            assert cells(reader, -500, -100, 500, 100, zoom) == cells(reader, -180, -90, 180, 90, zoom)
        cells(reader, -math.inf, -math.inf, math.inf, math.inf, 3)


def test_the_reader_reaches_cells_by_the_function_alone(stack: RunningStack) -> None:
    for statement in ("select * from rollup.cell", "select rollup.recount_cells()", "select registry.lock_counts()"):
        with (
            psycopg.connect(stack.document["reader"]) as reader,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            reader.execute(statement.encode())


def test_a_cell_shows_its_worst_active_alarm(stack: RunningStack) -> None:
    here, there = ("213", 21.25, 106.2), ("213", 21.55, 106.6)
    units = [Unit("a-one", "weather", *here), Unit("a-two", "meter", *here), Unit("a-three", "meter", *there)]
    with undone(stack) as connection:
        ids = enrol(connection, units)

        def alarm(device: str, severity: str, cleared: str = "null", shelved: str = "null") -> None:
            connection.execute(
                "insert into ops.alarm (kind, severity, device, raised, cleared, shelved_until, message) "
                f"values ('test', '{severity}', {ids[device]}, now(), {cleared}, {shelved}, 'test')".encode()
            )

        def severities(family: str | None = None) -> set[tuple[int, str | None]]:
            return {(cell.devices, cell.worst_severity) for cell in cells(connection, *PROVINCE, 10, family).values()}

        assert severities() == {(2, None), (1, None)}
        alarm("a-one", "warning")
        alarm("a-two", "minor")
        alarm("a-two", "critical", cleared="now()")
        alarm("a-two", "critical", shelved="now() + interval '1 hour'")
        alarm("a-three", "major", shelved="now() - interval '1 hour'")
        alarm("a-three", "info")
        alarm("a-three", "critical")
        connection.execute(
            "update ops.alarm set maintenance_until = now() + interval '1 hour' "
            "where device = %s and severity = 'critical'",
            (ids["a-three"],),
        )
        assert severities() == {(2, "minor"), (1, "major")}
        assert severities("weather") == {(1, "warning")}


some_severity = st.sampled_from(["info", "warning", "minor", "major", "critical"])
alarm_changes = st.one_of(
    st.tuples(
        st.just(
            "insert into ops.alarm (kind, severity, device, message) "
            "select 'law', %s, id, 'law' from registry.device where device = %s"
        ),
        st.tuples(some_severity, st.sampled_from(["l-0", "l-1", "l-2"])),
    ),
    st.tuples(
        st.just(
            "update ops.alarm set severity = %s, device = (select id from registry.device where device = %s) "
            "where kind = 'law' and id %% 2 = %s"
        ),
        st.tuples(some_severity, st.sampled_from(["l-0", "l-1"]), st.integers(0, 1)),
    ),
    st.tuples(
        st.just("update ops.alarm set cleared = case when cleared is null then now() end where id %% 3 = %s"),
        st.tuples(st.integers(0, 2)),
    ),
    st.tuples(
        st.just("update ops.alarm set shelved_until = now() + %s * interval '1 hour' where id %% 3 = %s"),
        st.tuples(st.sampled_from([-1, 1]), st.integers(0, 2)),
    ),
    st.tuples(st.just("delete from ops.alarm where id %% 4 = %s"), st.tuples(st.integers(0, 3))),
    st.tuples(
        st.just("update registry.device set lat = %s, lon = 106, state = %s where device = %s"),
        st.tuples(
            st.sampled_from([None, 21.0, 21.5]), st.sampled_from(["active", "retired"]), st.sampled_from(["l-0", "l-1"])
        ),
    ),
    st.tuples(
        st.just(
            "update registry.device set profile = (select id from registry.profile where profile = %s) "
            "where device = %s"
        ),
        st.tuples(st.sampled_from(["native-weather", "native-meter"]), st.sampled_from(["l-0", "l-1"])),
    ),
    st.tuples(st.just("delete from registry.device where device = %s"), st.tuples(st.just("l-2"))),
    st.tuples(
        st.just("update registry.area set lat = %s where code = '213'"), st.tuples(st.sampled_from([21.1, 21.6]))
    ),
    st.tuples(
        st.just("update registry.profile set family = %s where profile = 'native-weather'"),
        st.tuples(st.sampled_from(["weather", "meter"])),
    ),
)
ACTIVE = """
select l.id, p.family, rollup.cell_x(case when d.lat is null or d.lon is null then a.lon else d.lon end),
       rollup.cell_y(case when d.lat is null or d.lon is null then a.lat else d.lat end),
       array_position(array['warning', 'minor', 'major', 'critical'], l.severity)
from ops.alarm l join registry.device d on d.id = l.device join registry.area a on a.id = d.area
join registry.profile p on p.id = d.profile
where l.cleared is null and d.state <> 'retired' and l.severity <> 'info'
"""


@LAW
@given(st.lists(alarm_changes, max_size=10))
def test_alarms_lie_where_their_devices_are(stack: RunningStack, changes: list[tuple[str, tuple[object, ...]]]) -> None:
    with undone(stack) as connection:
        enrol(connection, [Unit(f"l-{n}", "weather", "213", 21.2, None if n else 106.2) for n in range(3)])
        connection.execute("delete from ops.alarm")  # what other tests have left there has rules of its own
        for statement, values in changes:
            connection.execute(statement.encode(), values)
        kept = connection.execute(
            "select alarm, family, x, y, rank from rollup.alarm_cell where x is not null"
        ).fetchall()
        assert sorted(kept) == sorted(connection.execute(ACTIVE).fetchall())


def test_a_zone_whose_centroid_moves_takes_its_devices_without_position_along(stack: RunningStack) -> None:
    with undone(stack) as connection:
        enrol(connection, [Unit("z-one", "weather", "213", None, None)])
        connection.execute("update registry.area set lat = 21.7, lon = 106.9 where code = '213'")
        assert list(cells(connection, 106.9, 21.7, 106.9, 21.7, 22)) == ["{}/{}/{}".format(16, *tile(21.7, 106.9, 16))]
        assert sum(cell.devices for cell in cells(connection, -180, -90, 180, 90, 5).values()) == 1


# -- the rounds of the analyst


class Heard(NamedTuple):
    """A reading of a test: place of the device in the fleet, seconds ago received, seconds ago measured, value."""

    device: int
    received_ago: float
    time_ago: float
    value: float | None


heards = st.lists(
    st.builds(
        Heard,
        st.integers(0, 59),
        st.sampled_from([1.0, 100.0, 500.0, 5000.0, 40000.0]),
        st.integers(1, 10**6).map(float),
        st.one_of(st.none(), st.floats(-100, 100)),
    ),
    max_size=80,
    unique_by=lambda heard: (heard.device, heard.time_ago),
)


SENT_FROM = (213, 58)


def columns(family: str, ids: list[int], heard: list[Heard]) -> Columns:
    """Readings of one family as the analyst hands them over."""
    kind = FAMILIES[family]
    values = np.full((len(heard), len(kind.metrics)), np.nan)
    values[:, kind.index[kind.headline or ""]] = [math.nan if h.value is None else h.value for h in heard]
    now = round((NOW - EPOCH).total_seconds() * 1e6)

    def micros(ago: list[float]) -> Any:
        return np.array([now - round(a * 1e6) for a in ago], np.int64)

    return Columns(
        family=kind,
        device=np.array(ids, np.int32),
        area=np.array([SENT_FROM[place % 2] for place in range(len(ids))], np.int16),
        time=micros([h.time_ago for h in heard]),
        seq=np.zeros(len(ids), np.int64),
        received=micros([h.received_ago for h in heard]),
        values=values,
    )


def interval_of(unit: Unit) -> float:
    return PROFILES["native-" + unit.family.replace("_", "-")].interval_s


def connectivity(units: list[Unit], last: dict[int, float]) -> dict[tuple[str, str], list[int]]:
    """Online, late, silent, never by area and family, straight from the definitions."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, unit in enumerate(units):
        if unit.state == "retired":
            continue
        age = last[place] / interval_of(unit) if place in last else None
        line = found.setdefault((unit.area, unit.family), [0, 0, 0, 0])
        line[3 if age is None else 0 if age <= 3 else 1 if age <= 10 else 2] += 1
    return found


@LAW
@given(fleets, st.lists(heards, min_size=1, max_size=3), st.booleans())
def test_rounds_say_what_the_devices_say(
    stack: RunningStack, units: list[Unit], batches: list[list[Heard]], between: bool
) -> None:
    """Batches in any order, rounds in between or not: at the end all is as a direct look at the readings has it."""
    last: dict[int, float] = {}
    newest: dict[int, Heard] = {}
    fresh: dict[tuple[str, str], float] = {}
    with undone(stack) as connection:
        ids = enrol(connection, units)
        follower = MapCells()
        follower.reset(connection)
        for batch in batches:
            for family in {unit.family for unit in units}:
                of = [h for h in batch if h.device < len(units) and units[h.device].family == family]
                follower.take(connection, columns(family, [ids[units[h.device].device] for h in of], of))
                for number, heard in enumerate(of):
                    feed = (f"{SENT_FROM[number % 2]:03}", family)
                    fresh[feed] = min(fresh.get(feed, math.inf), heard.time_ago)
                    place = heard.device
                    last[place] = min(last.get(place, math.inf), heard.received_ago)
                    if heard.value is not None and heard.time_ago <= newest.get(place, heard).time_ago:
                        newest[place] = heard
            if between:
                follower.tick(connection, NOW)
                follower._next = 0.0
        follower.tick(connection, NOW)
        shown = connection.execute("select area, family, online, late, silent, never from city.connectivity").fetchall()
        assert {(area, family): rest for area, family, *rest in shown} == connectivity(units, last)
        assert connection.execute("select distinct as_of from city.connectivity").fetchall() in ([(NOW,)], [])
        ages = connection.execute(
            "select area, family, extract(epoch from %s - time)::float8 from city.newest_time where device is not null",
            (NOW,),
        ).fetchall()
        assert {(area, family): age for area, family, age in ages} == pytest.approx(fresh, abs=1e-5)
        for family, sign in (("weather", 1), ("traffic_flow", -1)):
            answer = cells(connection, -180, -90, 180, 90, 5, family)
            level = level_of(answer) if answer else COARSEST
            for cell, line in answer.items():
                here = [
                    place
                    for place, unit in enumerate(units)
                    if unit.family == family
                    and unit.state != "retired"
                    and cell == "{}/{}/{}".format(level, *tile_of(unit, level))
                ]
                intervals = {place: last[place] / interval_of(units[place]) for place in here if place in last}
                assert line.online == sum(age <= 3 for age in intervals.values())
                heard_of = [
                    sign * (newest[p].value or 0.0) for p, age in intervals.items() if age <= 10 and p in newest
                ]
                assert line.worst_value == (sign * max(heard_of) if heard_of else None)


def test_a_new_follower_begins_where_the_readings_stand(stack: RunningStack) -> None:
    """What was heard before it started counts, and a cell that changed meanwhile is brought up to date."""
    device = stack.enroll("begins", "native-air-quality")
    now = datetime.now(UTC)
    for seconds, pm25 in ((60, 11.0), (30, 73.5), (0, None)):
        metrics = {"pm25": pm25} if pm25 else {"temperature": 20.0}
        at = round((now - timedelta(seconds=seconds)).timestamp() * 1000)
        stack.publish(f"dothi/v1/213/{device}/up", {"time": at, "seq": 100 - seconds, "metrics": metrics})
    stack.wait_for("select seq from city.latest_air_quality where device = %s", device, until=lambda seq: seq == 100)
    stack.wait_for("select complete from rollup.newest_state")
    with psycopg.connect(stack.document["database"]) as connection:
        connection.execute(ROUNDS)
        move = "update registry.device set lat = %s, lon = 10, changed = default where device = %s"
        connection.execute(move, (-50, device))
        connection.execute("update rollup.cell_newest set online = 77, worst = 7777")
        follower = MapCells()
        follower.reset(connection)
        follower.tick(connection, now)
        (line,) = cells(connection, 10, -50, 10, -50, 22, "air_quality").values()
        assert (line.devices, line.online, line.worst_value) == (1, 1, None)
        connection.execute(move, (-51, device))
        follower._next = 0.0
        follower.tick(connection, now + timedelta(days=1))
        (line,) = cells(connection, 10, -51, 10, -51, 22, "air_quality").values()
        assert (line.devices, line.online, line.worst_value) == (1, 0, None), "a day later it is silent"
        assert connection.execute("select count(*) from city.rate").fetchone() == (len(FAMILIES),)
        connection.rollback()


def test_what_devices_send_is_on_the_map_within_seconds(stack: RunningStack) -> None:
    """The whole way: broker, ingest, analyst, function. Devices without a position stand at their zone's centroid."""
    devices = stack.enroll_many([(f"seen-{n}", "native-weather", "061", "") for n in range(3)])
    for device, rain in zip(devices[:2], (3.5, 12.25), strict=True):
        stack.publish(f"dothi/v1/061/{device}/up", {"seq": 1, "metrics": {"precipitation": rain}})
    lat, lon = ZONE["061"].lat, ZONE["061"].lon
    asked = "select worst_value from city.map_cells(%s, %s, %s, %s, 12, 'weather')"
    stack.wait_for(asked, lon, lat, lon, lat, until=lambda value: value == 12.25)
    with psycopg.connect(stack.document["reader"]) as reader:
        (line,) = cells(reader, lon, lat, lon, lat, 12, "weather").values()
    assert (line.devices, line.online, line.worst_value) == (3, 2, 12.25)
    counted = "select online, late, silent, never from city.connectivity where area = '061' and family = 'weather'"
    assert stack.query(counted) == [(2, 0, 0, 1)]
    assert stack.wait_for("select per_minute from city.rate where family = 'weather'") > 0


def test_counting_anew_finds_nothing_else(stack: RunningStack) -> None:
    counts = "select * from rollup.cell where devices <> 0 order by level, x, y, family"
    with psycopg.connect(stack.document["database"]) as connection:
        before = connection.execute(counts).fetchall()
        connection.execute("select rollup.recount_cells()")
        assert connection.execute(counts).fetchall() == before
        connection.rollback()


@pytest.mark.parametrize(
    ("document", "said"),
    [({"headline": "nothing"}, "expected a gauge of the family: a, b"), ({"worse": "up"}, "expected high or low")],
)
def test_a_family_that_names_no_gauge_of_its_own_is_refused(document: dict[str, Any], said: str) -> None:
    gauge = {"unit": "1", "range": [0, 1], "label": {"vi": "A", "en": "A"}}
    metrics = {"s": {"states": ["on", "off"], "label": gauge["label"]}, "a": gauge, "b": gauge}
    whole = {"label": gauge["label"], "metrics": metrics}
    assert (family_from("f", whole).headline, family_from("f", whole).worse) == ("a", "high")
    assert family_from("f", whole | {"headline": "b", "worse": "low"}).headline == "b"
    with pytest.raises(ValueError, match=said):
        family_from("f", whole | document)
