"""A power cut over several districts, or a gateway's over several places, is one alarm that grows, and is over once."""

import random
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.alarms.matching import Sign
from analytics.alarms.outage import There
from analytics.alarms.record import Call, Rehearsed
from devices.area import ZONES
from tests.ringing_world import HEARD, SHIPPED, Desk, at, engine_of, sign
from tests.rollup_world import Connections, owner_and_analyst
from tests.stack import RunningStack

INTERVALS = (60.0, 60.0, 300.0, 900.0)
EACH = 24  # devices of a district
WITHIN_S = next(rule.within_s for rule in SHIPPED.rules if rule.name == "silence")  # type: ignore[union-attr]
AREAS = [zone.id for zone in ZONES]
DARK_S = 3600.0
STARTS = st.dictionaries(st.sampled_from(AREAS), st.floats(0.0, WITHIN_S), min_size=2, max_size=6)


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


class Told(Rehearsed):
    """Remembers what was said of areas, and how often something was over."""

    def __init__(self) -> None:
        super().__init__()
        self.areas: list[int | None] = []
        self.over: list[str] = []

    def spread(self, alarm: int, call: Call) -> None:
        super().spread(alarm, call)
        self.areas.append(call.area)

    def clear(self, over: Any) -> None:
        super().clear(over)
        self.over += [key for key, _ in over]


def device_of(area: int, number: int) -> int:
    """Its number."""
    return area * 1000 + number


def dark(area: int, cut: float, seed: int = 1) -> list[tuple[float, Sign]]:
    """A district that is cut off `cut` s after the beginning, for an hour: what is found, and what is over."""
    chance = random.Random(seed * 1000 + area)  # noqa: S311 - a story, no secret
    changes = []
    for number in range(EACH):
        interval = INTERVALS[number % 4]
        since = cut - chance.random() * interval
        found, back = since + 3.25 * interval, cut + DARK_S + chance.random() * interval
        device = device_of(area, number)
        where = {"area": area, "lat": 21.0 + chance.random(), "lon": 106.0 + chance.random()}
        spans = {"interval_s": interval, "silent_s": 3.25 * interval, "metric": ""}
        one = sign(device, device, "silent", since=since, found=found, **where, **spans)
        changes += [(found, one), (back, one._replace(until=at(back), began=False))]
    return changes


def fleet(_area: int) -> There:
    """Active devices of a district, all over it."""
    places = np.linspace(0.0, 1.0, EACH)
    return There(21.0 + places, 106.0 + places, 3.25 * np.array([INTERVALS[n % 4] for n in range(EACH)]))


def played(cuts: Mapping[int, float], order: int = 0, seed: int = 1) -> Told:
    """What is told of districts that are cut off at these times, whatever the order in which it is heard."""
    changes = [change for area, cut in cuts.items() for change in dark(area, cut + 1000.0, seed)]
    random.Random(order).shuffle(changes)  # noqa: S311 - an order, no secret
    changes.sort(key=lambda change: change[0] // 10)
    engine, record = engine_of(fleet=fleet), Told()
    place = 0
    for now in np.arange(0.0, 4 * 3600.0, 10.0):
        first = place
        while place < len(changes) and changes[place][0] // 10 * 10 < now:
            place += 1
        engine.take(one for _, one in changes[first:place])
        engine.settle(record, at(float(now)), HEARD)
    return record


@settings(max_examples=25, deadline=None)
@given(cuts=STARTS, seed=st.integers(0, 99), orders=st.lists(st.integers(0, 99), min_size=2, max_size=2, unique=True))
def test_districts_that_go_dark_together_are_one_alarm(cuts: dict[int, float], seed: int, orders: list[int]) -> None:
    stories = []
    for order in orders:
        record = played(cuts, order, seed)
        (alarm,) = [one for one in record.alarms if one.severity != "info"]
        assert (alarm.call.kind, alarm.severity, alarm.call.area) == ("power_cut", "critical", None)
        assert alarm.devices == {device_of(area, number) for area in cuts for number in range(EACH)}
        assert record.over.count(alarm.call.key) == 1
        assert alarm.cleared is not None
        assert alarm.cleared > at(1000.0 + max(cuts.values()) + DARK_S), "not before the last district is back"
        assert record.areas == sorted(record.areas, key=lambda area: area is None), "of one, then of all for good"
        stories.append((alarm.call.key, alarm.raised, alarm.cleared, alarm.call.message))
    assert stories[0] == stories[1], "the order in which it is heard makes no difference"


@settings(max_examples=10, deadline=None)
@given(cuts=STARTS, later=st.floats(WITHIN_S + 150.0, 1800.0), data=st.data())
def test_cuts_far_apart_in_time_are_two(cuts: dict[int, float], later: float, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from([area for area in AREAS if area not in cuts]))
    record = played({**cuts, other: max(cuts.values()) + later})
    loud = [one for one in record.alarms if one.severity != "info"]
    assert sorted(len(one.devices) for one in loud) == sorted([EACH, EACH * len(cuts)])
    assert all(one.cleared is not None for one in loud)
    assert next(one for one in loud if len(one.devices) == EACH).call.area == other


def test_without_a_window_each_district_has_its_own() -> None:
    rules = SHIPPED._replace(
        rules=tuple(
            rule if rule.name != "silence" else type(rule)(**{**as_given(rule), "within_s": 0.0})
            for rule in SHIPPED.rules
        )
    )
    engine, record = engine_of(rules, fleet=fleet), Told()
    for change in sorted(dark(213, 1000.0) + dark(220, 1200.0), key=lambda change: change[0]):
        engine.take([change[1]])
        engine.settle(record, at(change[0] + 30.0), HEARD)
    assert {one.call.area for one in record.alarms if one.severity != "info"} == {213, 220}


def as_given(rule: Any) -> dict[str, Any]:
    """The fields of a rule."""
    return {name: getattr(rule, name) for name in rule.__struct_fields__}


def rung(desk: Desk) -> list[tuple[Any, ...]]:
    """Alarms of the centre: key, area, members, members now, active."""
    return desk.admin.execute(
        "select l.key, a.code, l.members, l.members_now, l.cleared is null from ops.alarm l "
        "left join registry.area a on a.id = l.area where l.severity <> 'info' order by l.id"
    ).fetchall()


def test_the_alarm_of_the_first_district_grows_and_outlives_the_process(connections: Connections) -> None:
    desk = Desk(*connections)
    by_area = {213: desk.devices, **{area: desk.enroll(5, area=area) for area in (215, 220)}}
    desk.tick()
    desk.tick(70)  # warm
    cut = desk.now
    silent: dict[int, list[int]] = {}

    def goes_dark(area: int, after_s: float) -> None:
        since = cut + timedelta(seconds=after_s)
        silent[area] = [
            desk.find(device, "silent", "", since=since, found=since + timedelta(seconds=195))
            for device in by_area[area]
        ]

    goes_dark(213, 0.0)
    desk.tick(230)
    assert rung(desk) == [("power_cut:213", "213", 5, 5, True)]
    goes_dark(215, 60.0)
    desk.tick(60)
    assert rung(desk) == [("power_cut:213", None, 10, 10, True)]
    desk.restart()
    desk.tick()
    desk.tick(70)
    goes_dark(220, 240.0)
    desk.tick(120)
    assert rung(desk) == [("power_cut:213", None, 15, 15, True)]
    desk.end(*silent[213], *silent[220])
    desk.restart()
    desk.tick()
    desk.tick(70)
    assert rung(desk) == [("power_cut:213", None, 15, 5, True)], "a district is still dark"
    desk.end(*silent[215])
    desk.tick(6)
    assert rung(desk) == [("power_cut:213", None, 15, 0, False)]
    assert [desk.history(what) for what in ("raised", "spread", "cleared", "reopened")] == [1, 2, 1, 0]


def test_a_cut_that_comes_again_in_one_district_is_of_that_district(connections: Connections) -> None:
    """The same place within the cool-down is the same alarm: it says where it is now."""
    desk = Desk(*connections)
    others = desk.enroll(5, area=215)
    desk.tick()
    desk.tick(70)
    heard = timedelta(seconds=240)
    silent = [
        desk.find(device, "silent", "", since=desk.now - heard, found=desk.now) for device in (*desk.devices, *others)
    ]
    desk.tick(30)
    assert rung(desk) == [("power_cut:213", None, 10, 10, True)]
    desk.end(*silent)
    desk.tick(6)
    for device in desk.devices:
        desk.find(device, "silent", "", since=desk.now - heard, found=desk.now)
    desk.tick(60)
    assert rung(desk) == [("power_cut:213", "213", 10, 5, True)]


@pytest.mark.parametrize("said", [{"within_s": -1}, {"within_s": 7200}, {"several": {"vi": "x"}}], ids=str)
def test_an_impossible_window_is_refused(said: dict[str, Any]) -> None:
    from analytics.alarms.rules import RulesRefused, rule_from

    entry = {"name": "s", "from": "silence", "district": {"vi": "a", "en": "a"}, "place": {"vi": "b", "en": "b"}}
    with pytest.raises(RulesRefused, match=r"^rule s: "):
        rule_from(1, entry | said)
