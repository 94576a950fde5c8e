"""Devices of which much is refused, and names that others speak under: one alarm each, however many messages."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.alarms.refusals import FEW, LEAST, MOST_OWN, WINDOW_S, Refusals
from dothi.stack.door import heard, under_another_name
from tests.ringing_world import Desk
from tests.rollup_world import Connections, owner_and_analyst
from tests.stack import RunningStack

COUNT = """
insert into ops.quarantine_quota as q (day, claimed, total, kept, stranger)
values ((%(at)s::timestamptz at time zone 'Asia/Ho_Chi_Minh')::date, %(id)s, %(n)s, 0, %(stranger)s)
on conflict (day, claimed) do update set total = q.total + excluded.total
"""
KEPT = """
insert into ops.quarantine (received, batch, inbox, topic, payload, sha256, size, device, layer, reason, detail)
select %(at)s, 1, '213', 't', '', '', 0, %(id)s, 'profile', %(reason)s, 'x' from generate_series(1, 3)
"""


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


def refuse(desk: Desk, name: str, n: int, reason: str = "malformed", stranger: bool = False) -> None:
    """What ingest writes of messages that it refuses."""
    at: datetime = desk.now
    desk.admin.execute(COUNT, {"at": at, "id": name, "n": n, "stranger": stranger})
    desk.admin.execute(KEPT, {"at": at, "id": name, "reason": reason})


@pytest.fixture
def desk(connections: Connections) -> Desk:
    """Nothing refused, a follower that has looked once."""
    connections[0].execute("truncate ops.quarantine, ops.quarantine_quota")
    made = Desk(*connections)
    made.now = made.now.replace(hour=3)  # 10 o'clock there, so that no day ends meanwhile
    made.tick()
    return made


def names(desk: Desk) -> list[str]:
    return [name for (name,) in desk.admin.execute("select device from registry.device order by id limit 20")]


def test_a_device_that_sends_garbage_is_one_alarm_until_it_ends(desk: Desk) -> None:
    bad, good = names(desk)[:2]
    for _ in range(5):
        refuse(desk, bad, 3 * LEAST)
        refuse(desk, good, 1)
        desk.tick(61)
    desk.tick(1)
    assert desk.rung() == [(f"garbage:{bad}", "minor", 0, True)]
    said = desk.admin.execute("select message, message_en from city.alarm where kind = 'garbage'").fetchone()
    assert said is not None
    assert "bị từ chối" in said[0]
    assert "mostly malformed" in said[1]
    for _ in range(20):
        desk.tick(61)
    assert desk.rung() == [(f"garbage:{bad}", "minor", 0, False)]


@pytest.mark.parametrize("reason", ["wrong_area", "conflict"])
def test_a_name_that_another_speaks_under_is_an_alarm_of_its_own(desk: Desk, reason: str) -> None:
    victim = names(desk)[0]
    refuse(desk, victim, LEAST, reason)
    desk.tick(61)
    desk.tick(1)
    assert [key for key, *_ in desk.rung()] == [f"spoof:{victim}"]


def test_many_devices_and_strangers_are_one_alarm_each(desk: Desk) -> None:
    for n in range(MOST_OWN + 5):
        refuse(desk, f"many-{n}", 5 * LEAST)
        refuse(desk, f"stranger-{n}", 5 * LEAST, "unknown_device", stranger=True)
    refuse(desk, "", 1_000_000, "unknown_device")
    desk.tick(61)
    desk.tick(1)
    assert sorted(key for key, *_ in desk.rung()) == ["garbage", "strangers"]
    desk.restart()
    desk.tick(61)
    assert desk.admin.execute("select count(*) from ops.event where kind in ('garbage', 'strangers')").fetchone() == (
        2,
    )


def test_a_clock_that_is_ahead_is_a_clock_however_little_its_device_says(desk: Desk) -> None:
    ahead, odd = names(desk)[:2]
    for minute in range(12):
        if minute % 5 == 0:
            refuse(desk, ahead, 1, "in_future")
            refuse(desk, odd, 1, "malformed")
        desk.tick(61)
    desk.tick(1)
    assert desk.rung() == [(f"clock_skew:{ahead}", "warning", 0, True)]


def test_many_clocks_are_one_alarm(desk: Desk) -> None:
    for n in range(MOST_OWN + 5):
        refuse(desk, f"ahead-{n}", 5 * LEAST, "in_future")
    desk.tick(61)
    desk.tick(1)
    assert [key for key, *_ in desk.rung()] == ["clock_skew"]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 900)), max_size=40))
def test_much_is_what_came_within_the_window(steps: list[tuple[int, int]]) -> None:
    """Nobody of whom less than FEW are refused; and who sends LEAST within one look is there, whatever was before."""
    refusals, total, now = Refusals(), 0, 0.0
    refusals.counted([], now)
    for more, seconds in steps:
        total, now = total + more, now + seconds
        much = refusals.counted([("x", total, False)], now)
        assert all(one.refused >= FEW and one.seconds <= WINDOW_S + seconds for one in much)
        assert much or more < LEAST
    assert len(refusals._since) <= 1


def test_who_publishes_under_the_id_of_another_is_told_apart_from_who_errs() -> None:
    def is_spoof(rest: str) -> bool:
        said = heard(f"1: gate: denied {rest}")
        assert said is not None
        return under_another_name(said)

    assert is_spoof("device=aq-1 access=publish topic=dothi/v1/213/aq-2/up")
    assert not is_spoof("device=aq-1 access=publish topic=dothi/v1/213/aq-1/data")
    assert not is_spoof("device=aq-1 access=subscribe topic=dothi/v1/213/aq-2/ack")
    assert not is_spoof("device=gateway access=publish topic=dothi/v1/999/aq-2/up")
