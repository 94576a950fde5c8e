"""city.device_health says of each device what its readings and findings say."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from devices.family import FAMILIES
from tests.rollup_world import Connections, Reading, World, midnight, owner_and_analyst
from tests.stack import RunningStack

FAMILY = FAMILIES["air_quality"]


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


def health(world: World, where: str) -> list[dict[str, Any]]:
    """Rows as the reader sees them."""
    with world.admin.transaction():
        world.admin.execute("set local role dothi_reader")
        cursor = world.admin.execute(f"select * from city.device_health where {where} order by device".encode())
        titles = [column.name for column in cursor.description or ()]
        return [dict(zip(titles, row, strict=True)) for row in cursor.fetchall()]


def test_what_is_heard_how_much_and_what_is_found(connections: Connections) -> None:
    begin = midnight() - timedelta(days=1)
    world = World(FAMILY, *connections, now=begin)
    one, other = world.devices[:2]
    (interval_s,) = world.row(
        "select p.interval_s from registry.device d join registry.profile p on p.id = d.profile where d.id = %s", one
    )
    step = timedelta(seconds=interval_s)
    for hour in range(25):  # half of what is expected
        moments = [begin + timedelta(hours=hour) + 2 * n * step for n in range(int(1800 // interval_s))]
        values = {"temperature": 20.0, "battery_level": 0.75 - hour / 100}
        world.write([Reading(one, world.areas[0], at, hour * 10_000 + n, values) for n, at in enumerate(moments)])
    world.now = begin + timedelta(hours=25)
    world.rest()
    world.admin.execute(
        "insert into rollup.finding (device, detector, metric, since, found, until, score, value) values "
        "(%(one)s, 'battery', 'battery_level', %(at)s, %(at)s, null, 0.9, 11), "
        "(%(one)s, 'silent', '', %(at)s, %(at)s, null, 1, 600), (%(one)s, 'spike', 'pm', %(at)s, %(at)s, %(at)s, 1, 1)",
        {"one": one, "at": begin},
    )
    (name,) = world.row("select device from registry.device where id = %s", one)
    (row,) = health(world, f"device = '{name}'")
    assert row["findings"] == ["silent", "battery:battery_level"]
    assert (row["score"], row["battery_days_left"], row["since"]) == (1.0, 11.0, begin)
    assert row["reporting_24h"] == pytest.approx(0.5, abs=0.03)
    newest = world.row("select max(received), max(time) from reading.air_quality where device = %s", one)
    assert row["last_heard"] == newest[0]
    assert row["skew_s"] == pytest.approx((newest[0] - newest[1]).total_seconds(), abs=0.01)
    assert row["battery"] == pytest.approx(0.51)
    (name,) = world.row("select device from registry.device where id = %s", other)
    (quiet,) = health(world, f"device = '{name}'")
    assert (quiet["last_heard"], quiet["findings"], quiet["score"]) == (None, [], None)


def test_a_device_and_a_zone_are_found_by_their_indexes(connections: Connections) -> None:
    admin, _ = connections
    admin.execute("set enable_seqscan = off")  # the tables of a test are too small to be worth an index
    for where in ("device = 'd-1'", "area = '213'"):
        plan = "\n".join(row[0] for row in admin.execute(f"explain select * from city.device_health where {where}"))
        assert "Seq Scan on device d" not in plan, plan
        assert "finding_open" in plan or "finding_of_device" in plan, plan
    admin.execute("reset enable_seqscan")
