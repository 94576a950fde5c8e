"""Roads and violations by hour in a real database: from stored readings to the views, late readings too."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from psycopg.types.json import Jsonb

from analytics.bulletins.traffic import Traffic
from analytics.bulletins.violations import Violations
from analytics.indices.offences import WINDOW_S
from devices.family import FAMILIES, Family
from tests.rollup_world import Connections, Reading, World, midnight, owner_and_analyst
from tests.stack import RunningStack

Row = dict[str, Any]
TRAFFIC, CAMERA = FAMILIES["traffic_flow"], FAMILIES["camera_event"]


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


def world_of(family: Family, connections: Connections, now: datetime) -> World:
    """Nothing is made yet."""
    admin, analyst = connections
    tables = ("traffic_5m", "traffic_1h", "traffic_free_speed", "violation_1h", "bulletin", "remade")
    admin.execute("; ".join(f"delete from rollup.{table}" for table in tables).encode())
    return World(family, admin, analyst, now)


def made(world: World, index: Traffic | Violations) -> None:
    """Close what has ended, then make what is due."""
    world.rest()
    more = True
    while more:
        with world.analyst.transaction():
            more = index.make(world.analyst, world.now)


def seen(world: World, view: str, where: str = "true") -> list[Row]:
    """Rows of a view as the reader sees them, by device and time."""
    with world.admin.transaction():
        world.admin.execute("set local role dothi_reader")
        cursor = world.admin.execute(f"select * from city.{view} where {where} order by device, 1".encode())
        titles = [column.name for column in cursor.description or ()]
        return [dict(zip(titles, row, strict=True)) for row in cursor.fetchall()]


def minutes(device: int, area: int, begin: datetime, count: int, first: int = 0, **values: float) -> list[Reading]:
    """A reading a minute."""
    return [
        Reading(device, area, begin + timedelta(minutes=n), first + n, {"period_s": 60.0, **values})
        for n in range(count)
    ]


def test_hours_of_roads(connections: Connections) -> None:
    begin = midnight()
    world = world_of(TRAFFIC, connections, begin)
    index = Traffic()
    made(world, index)
    one, other = world.devices
    area = world.areas[0]
    world.now = begin + timedelta(hours=7, minutes=1)
    empty = {"intensity": 4.0, "average_vehicle_speed": 50.0, "occupancy": 0.03}
    full = {"intensity": 30.0, "average_vehicle_speed": 20.0, "occupancy": 0.4, "motorcycles": 20.0, "cars": 10.0}
    world.write(minutes(one, area, begin, 360, **empty))
    world.write(minutes(one, area, begin + timedelta(hours=6), 60, first=360, **full))
    world.write(minutes(other, area, begin, 60, intensity=0.0))
    made(world, index)
    hours = seen(world, "traffic_1h")
    assert [row["level_of_service"] for row in hours] == [None] * 5 + ["A", "E", None]
    assert [row["n"] for row in hours] == [60] * 8
    rush, nothing = hours[6], hours[7]
    assert rush["flow_veh_h"] == 1800
    assert rush["flow_pcu_h"] == 60 * (20 * 0.3 + 10)
    assert rush["speed_kmh"] == 20
    assert rush["density_pcu_km"] == pytest.approx(960 / 20)
    assert rush["free_speed_kmh"] == pytest.approx(50, rel=0.05)
    assert rush["travel_index"] == pytest.approx(rush["free_speed_kmh"] / 20)
    assert rush["queued_min"] == 60
    assert rush["planning_index"] is None
    assert (nothing["flow_veh_h"], nothing["speed_kmh"], nothing["density_pcu_km"]) == (0, None, 0)
    fives = seen(world, "traffic_5m")
    assert len(fives) == 8 * 12
    assert {row["n"] for row in fives} == {5}
    assert sum(row["vehicles"] for row in fives) == 360 * 4 + 60 * 30


def test_late_readings_are_counted_and_nothing_twice(connections: Connections) -> None:
    begin = midnight()
    world = world_of(TRAFFIC, connections, begin)
    index = Traffic()
    made(world, index)
    device, area = world.devices[0], world.areas[0]
    world.now = begin + timedelta(hours=3, minutes=1)
    world.write(minutes(device, area, begin, 120, intensity=10.0))
    made(world, index)
    world.write(
        [Reading(device, area, begin + timedelta(minutes=7, seconds=30), 999, {"intensity": 1.0, "period_s": 60.0})]
    )
    for _ in range(2):
        made(world, index)
        assert [row["vehicles"] for row in seen(world, "traffic_1h", f"bucket >= '{begin}'")] == [601, 600]
    late = seen(world, "traffic_5m", f"bucket = '{begin + timedelta(minutes=5)}'")
    assert [(row["n"], row["counted_s"]) for row in late] == [(6, 360)]


def test_reliability_is_that_of_the_same_hour_of_many_days(connections: Connections) -> None:
    begin = midnight()
    world = world_of(TRAFFIC, connections, begin)
    admin = world.admin
    device, area = world.devices[0], world.areas[0]
    index = Traffic()
    made(world, index)
    admin.execute("insert into rollup.traffic_free_speed values (%s, 60, 100, now())", (device,))
    speeds = [30.0, 20.0, 15.0, 12.0, 60.0, 40.0]
    for back, speed in enumerate(speeds, start=1):
        admin.execute(
            "insert into rollup.traffic_1h (bucket, device, speed, n, days, area) values (%s, %s, %s, 60, 0, %s)",
            (begin - timedelta(days=back), device, speed, area),
        )
    world.now = begin + timedelta(hours=1, minutes=1)
    world.write(minutes(device, area, begin, 60, intensity=10.0, average_vehicle_speed=60.0, occupancy=0.5))
    made(world, index)
    (row,) = seen(world, "traffic_1h", f"bucket = '{begin}'")
    times = 60 / np.array([*speeds, 60.0])
    late = np.quantile(times, 0.95)
    assert row["days"] == 7
    assert row["planning_index"] == pytest.approx(late / 1.0)
    assert row["buffer_index"] == pytest.approx((late - times.mean()) / times.mean())


def test_the_state_of_roads_is_that_of_the_last_minutes(connections: Connections) -> None:
    (now,) = connections[0].execute("select now()").fetchone() or ()
    world = world_of(TRAFFIC, connections, now)
    device, area = world.devices[0], world.areas[0]
    begin = now - timedelta(minutes=12)
    world.write(minutes(device, area, begin, 11, intensity=12.0, average_vehicle_speed=40.0, occupancy=0.2))
    made(world, Traffic())
    (row,) = seen(world, "traffic_state")
    assert row["flow_veh_h"] == 720
    assert timedelta(0) < now - row["as_of"] < timedelta(minutes=6)


def offence(
    device: int, area: int, time: datetime, seq: int, violation: str, plate: str | None
) -> tuple[Reading, str | None]:
    states = CAMERA.metrics[CAMERA.index["violation"]].states
    return Reading(device, area, time, seq, {"violation": float(states.index(violation))}), plate


def test_violations_are_counted_to_the_last_and_folded_by_vehicle(connections: Connections) -> None:
    begin = midnight()
    world = world_of(CAMERA, connections, begin)
    admin = world.admin
    one, other = world.devices
    admin.execute("update registry.device set lat = 21.27, lon = 106.19 where id = any(%s)", ([one, other],))
    index = Violations()
    made(world, index)
    random = np.random.default_rng(7)
    kinds = ("red_light", "no_helmet")
    told = [
        offence(
            int(random.choice([one, other])),
            world.areas[0],
            begin + timedelta(seconds=int(random.integers(0, 3 * 3600))),
            seq,
            str(random.choice(kinds)),
            None if random.random() < 0.2 else f"hash-{random.integers(0, 5)}",
        )
        for seq in range(300)
    ]
    gate = float(CAMERA.metrics[CAMERA.index["event_kind"]].states.index("gate_person"))
    nothing = Reading(one, world.areas[0], begin, 10_000, {"event_kind": gate})
    late = told[::7]
    world.now = begin + timedelta(hours=3, minutes=1)
    write(world, [pair for pair in told if pair not in late] + [(nothing, None)])
    made(world, index)
    write(world, late)
    made(world, index)
    ids = dict(admin.execute("select device, id from registry.device").fetchall())
    found = {
        (row["bucket"], ids[row["device"]], row["violation"]): (row["events"], row["offences"])
        for row in seen(world, "violation_1h")
    }
    assert found == replayed(told, begin)
    columns = admin.execute(
        "select column_name from information_schema.columns where table_name = 'violation_1h'"
    ).fetchall()
    assert not any("plate" in name or "hash" in name or "vehicle" in name for (name,) in columns)


def write(world: World, told: list[tuple[Reading, str | None]]) -> None:
    """Store readings, with what a camera tells of the vehicle beside them."""
    world.write([reading for reading, _ in told])
    for reading, plate in told:
        if plate:
            world.admin.execute(
                "update reading.camera_event set extra = %s where device = %s and time = %s and seq = %s",
                (Jsonb({"plate_hash": plate}), reading.device, reading.time, reading.seq),
            )


def replayed(
    told: list[tuple[Reading, str | None]], begin: datetime
) -> dict[tuple[datetime, int, str], tuple[int, int]]:
    """The same, event by event: both cameras are one place."""
    states = CAMERA.metrics[CAMERA.index["violation"]].states
    newest: dict[tuple[str, str], datetime] = {}
    counts: dict[tuple[datetime, int, str], tuple[int, int]] = {}
    for reading, plate in sorted(told, key=lambda pair: (pair[0].time, pair[0].device, pair[0].seq)):
        violation = states[int(reading.values["violation"])]
        before = newest.get((plate, violation)) if plate else None
        begins = before is None or (reading.time - before).total_seconds() > WINDOW_S
        if plate:
            newest[plate, violation] = reading.time
        bucket = begin + timedelta(hours=(reading.time - begin) // timedelta(hours=1))
        at = bucket, reading.device, violation
        events, offences = counts.get(at, (0, 0))
        counts[at] = events + 1, offences + begins
    return counts
