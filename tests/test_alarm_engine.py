"""The engine of alarms on a real database: each cause is one alarm, once, whatever is killed in between."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.alarms import follower
from analytics.alarms.signs import EVENTS
from tests.ringing_world import Desk
from tests.rollup_world import Connections, owner_and_analyst
from tests.stack import RunningStack


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


def test_findings_of_a_district_are_one_alarm_until_the_last_is_over(connections: Connections) -> None:
    desk = Desk(*connections)
    first = desk.find(desk.devices[0])
    desk.tick(5)
    assert desk.rung() == [], "it has to last"
    desk.tick(60)
    assert desk.rung() == [("stuck:213", "info", 1, True)]
    others = [desk.find(device) for device in desk.devices[1:4]]
    desk.tick()
    assert desk.rung() == [("stuck:213", "info", 4, True)]
    desk.end(first)
    desk.tick()
    assert desk.rung() == [("stuck:213", "info", 3, True)]
    desk.end(*others)
    desk.tick()
    assert desk.rung() == [("stuck:213", "info", 0, False)]
    assert [desk.history(what) for what in ("raised", "cleared", "joined", "left")] == [1, 1, 1, 2]


def test_what_comes_again_soon_is_the_same_alarm(connections: Connections) -> None:
    desk = Desk(*connections)
    for _ in range(3):
        finding = desk.find(desk.devices[0])
        desk.tick(65)
        desk.end(finding)
        desk.tick()
    assert desk.rung() == [("stuck:213", "info", 0, False)]
    assert desk.history("reopened") == 2


def test_what_is_over_before_it_is_seen_rings_where_it_need_not_last(connections: Connections) -> None:
    desk = Desk(*connections)
    camera = desk.enroll(1, "native-camera-event")[0]
    said = {"value": 6.0, "expected": float("inf"), "metric": "event_kind"}
    desk.find(camera, "limit-minor", until=desk.now, **said)
    desk.find(desk.devices[0], "stuck", until=desk.now)
    desk.tick()
    assert desk.rung() == [("forest_gate:213", "minor", 0, False)]
    desk.restart()
    desk.tick()
    assert desk.history("raised") == 1


def test_a_limit_at_two_severities_is_one_alarm_that_grows(connections: Connections) -> None:
    desk = Desk(*connections)
    one = desk.devices[0]
    low = desk.find(one, "limit-warning", value=60.0, expected=50.0)
    desk.tick(61)
    assert desk.rung() == [("pm25-high:213", "info", 1, True)]
    high = desk.find(one, "limit-major", value=170.0, expected=150.0)
    desk.tick(1)
    assert desk.rung() == [("pm25-high:213", "major", 1, True)]
    desk.end(high)
    desk.tick()
    assert desk.rung() == [("pm25-high:213", "major", 1, True)]
    desk.end(low)
    desk.tick()
    assert desk.rung()[0][3] is False


def test_a_river_that_rises_further_grows(connections: Connections) -> None:
    desk = Desk(*connections)
    gauge = desk.enroll(1, "native-water-level")[0]
    finding = desk.find(gauge, "river-level", "water_level", score=1 / 3)
    desk.tick()
    for level in (2, 3):
        desk.end(finding)
        finding = desk.find(gauge, "river-level", "water_level", score=level / 3)
        desk.tick()
    assert desk.rung() == [("river_level:213", "critical", 1, True)]
    assert desk.history("grown") == 2
    assert desk.history("cleared") == 0


def test_what_staff_closed_stays_closed_until_something_new_comes(connections: Connections) -> None:
    desk = Desk(*connections, now=datetime.now(UTC) - timedelta(minutes=5))
    desk.find(desk.devices[0])
    desk.tick(61)
    for restarted in (False, True):
        desk.admin.execute("select ops.clear_alarm(id, 'Lan', 'known') from ops.alarm where cleared is null")
        desk.now = datetime.now(UTC)  # what a person does has the time of the database
        desk.tick(6)
        assert [active for *_, active in desk.rung()][-1] is False
        if restarted:
            desk.restart()
            desk.tick(6)
            assert [active for *_, active in desk.rung()][-1] is False
        desk.find(desk.devices[1 + restarted])
        desk.tick(61)
        assert [active for *_, active in desk.rung()][-1] is True


def test_what_cannot_be_held_waits_in_the_database(connections: Connections) -> None:
    desk = Desk(*connections, most_held=4)
    findings = [desk.find(device, metric=metric) for device in desk.devices for metric in ("pm25", "pm10")]
    for _ in range(3):
        desk.tick(30)
    assert desk.alarms.engine.folding.held <= 4
    assert desk.rung()[0][2] < 5
    desk.end(*findings[:8])
    for _ in range(6):
        desk.tick(30)
    assert waiting(desk) == 0
    assert desk.rung() == [("stuck:213", "info", 1, True)], "the last device, whose findings last"


def waiting(desk: Desk) -> int:
    """Findings that wait to be looked at."""
    row = desk.admin.execute("select count(*) from rollup.sign").fetchone()
    assert row is not None
    return int(row[0])


def test_a_full_desk_looks_seldom_for_what_is_over(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(follower, "LONG_LOOK_S", -1.0)  # each look is a long one
        patch.setattr(follower, "OVER_SHARE", 1e-9)
        desk = Desk(*connections, most_held=4)
        findings = [desk.find(device, metric=metric) for device in desk.devices for metric in ("pm25", "pm10")]
        desk.tick(30)
        desk.end(*findings[:8])
        for _ in range(3):
            desk.tick(30)
        assert waiting(desk) > 8, "it has just looked"
    desk.restart()
    for _ in range(6):
        desk.tick(30)
    assert waiting(desk) == 0


def test_events_are_found_without_looking_at_findings_that_wait(connections: Connections) -> None:
    owner, _ = connections
    with owner.transaction(force_rollback=True):
        owner.execute("insert into rollup.sign (finding) select g from generate_series(1, 20000) g")
        owner.execute("analyze rollup.sign")
        plan = owner.execute(b"explain " + EVENTS.encode(), (5000,)).fetchall()
    assert "sign_event" in "\n".join(line for (line,) in plan)


def test_an_event_rings_and_is_over_when_none_came_for_a_while(connections: Connections) -> None:
    desk = Desk(*connections)
    event = (
        "insert into ops.event (time, kind, severity, inbox, message) values (%s, 'session_lost', 'major', '213', 'x')"
    )
    desk.admin.execute(event, (desk.now,))
    desk.tick()
    desk.admin.execute(event, (desk.now,))
    desk.tick()
    assert desk.rung() == [("possible_loss", "major", 0, True)]
    desk.tick(3590)
    assert desk.rung()[0][3] is True
    desk.tick(70)
    assert desk.rung()[0][3] is False


def test_an_alarm_of_a_rule_that_is_no_more_is_over_at_the_start(connections: Connections) -> None:
    desk = Desk(*connections)
    desk.find(desk.devices[0])
    desk.tick(61)
    rules = desk.alarms.engine.rules
    desk.rules = rules._replace(rules=tuple(rule for rule in rules.rules if rule.name != "stuck"))
    desk.restart()
    assert desk.rung() == [("stuck:213", "info", 1, False)]


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.full) for n in range(2, 12))])
def test_whenever_it_is_killed_the_alarms_are_the_same(connections: Connections, seed: int) -> None:
    """Ticks left out, failed and repeated, processes ended between any two of them."""

    def story(desk: Desk, disturbed: bool) -> list[tuple[Any, ...]]:
        chance, evil = random.Random(seed), random.Random(seed + 1)  # noqa: S311 - a story, no secret
        lasting: list[int] = []
        for _ in range(60):
            pick = chance.random()
            if pick < 0.5:
                device = chance.choice(desk.devices)
                kind, metric = chance.choice([("stuck", "pm25"), ("incident", ""), ("limit-major", "pm10")])
                held = "select from rollup.finding where until is null and (device, detector, metric) = (%s, %s, %s)"
                if desk.admin.execute(held, (device, kind, metric)).fetchone() is None:
                    lasting.append(desk.find(device, kind, metric, value=300.0, expected=250.0))
            elif lasting:
                desk.end(lasting.pop(chance.randrange(len(lasting))))
            seconds = chance.choice([1, 2, 70, 1000])
            if disturbed and evil.random() < 0.4:
                desk.tick(seconds / 2, fail=True)
                seconds /= 2
            if disturbed and evil.random() < 0.3:
                desk.restart()
            desk.tick(seconds)
        return desk.admin.execute(
            "select key, severity, raised - min(raised) over (), cleared - min(raised) over (), members, members_now, "
            "occurrences from ops.alarm order by id"
        ).fetchall()

    undisturbed = story(Desk(*connections), disturbed=False)
    assert len(undisturbed) > 2
    assert story(Desk(*connections), disturbed=True) == undisturbed


def test_an_outage_and_a_fire_outlive_the_process(connections: Connections) -> None:
    """Raised once, joined and left across restarts, over once."""
    desk = Desk(*connections)
    desk.tick()
    desk.tick(70)  # warm
    cut = desk.now
    silent = [
        desk.find(device, "silent", "", since=cut - timedelta(seconds=n), found=cut + timedelta(seconds=195))
        for n, device in enumerate(desk.devices)
    ]
    watches = desk.enroll(2, "native-fire-watch", 220)
    desk.find(watches[0], "fire-camera", "smoke_confidence", since=cut, found=cut + timedelta(seconds=200))
    desk.tick(230)
    raised = [("power_cut:213", "critical", 5, True), ("forest_fire:", "major", 1, True)]
    assert sorted(rung(desk)) == sorted(raised)
    for _ in range(2):
        desk.restart()
        desk.tick()
        desk.tick(70)
        assert sorted(rung(desk)) == sorted(raised)
    smoke = desk.find(watches[1], "fire-smoke", "smoke")
    desk.end(*silent[:2])
    desk.restart()
    desk.tick()
    assert sorted(rung(desk)) == [("forest_fire:", "critical", 2, True), ("power_cut:213", "critical", 3, True)]
    desk.end(*silent[2:])
    desk.restart()
    desk.tick(6)
    assert ("power_cut:213", "critical", 0, False) in rung(desk)
    desk.admin.execute("update rollup.finding set until = found where detector like 'fire-%'")
    desk.restart()
    desk.tick(1000)
    desk.tick(6)
    assert [active for key, _, _, active in rung(desk) if key.startswith("forest")] == [False]
    assert (desk.history("raised"), desk.history("cleared"), desk.history("reopened")) == (2, 2, 0)
    assert smoke


def rung(desk: Desk) -> list[tuple[Any, ...]]:
    """Alarms; of fires without the number of the first finding."""
    return [(key.rstrip("0123456789") if "fire" in key else key, *rest) for key, *rest in desk.rung()]
