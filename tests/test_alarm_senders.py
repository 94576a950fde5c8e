"""Who sends far too much, and names under which two count, told from times and numbers of readings alone."""

from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.alarms.senders import FLOODS, MOST_A_MINUTE, PAUSE_S, TWO, Senders
from analytics.columns import Columns
from devices.family import FAMILIES
from tests.ringing_world import Desk
from tests.rollup_world import Connections, owner_and_analyst
from tests.stack import RunningStack

BEGIN_US = 1_780_000_000_000_000 // 60_000_000 * 60_000_000
FAMILY = FAMILIES["air_quality"]
Said = tuple[float, int]
"""Seconds since the beginning, number."""


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


def columns(said: Sequence[Said], device: int = 1) -> Columns:
    """Readings of one device."""
    time = np.array([BEGIN_US + round(at * 1e6) for at, _ in said], np.int64)
    number, who = np.array([number for _, number in said], np.int64), np.full(len(said), device, np.int32)
    return Columns(FAMILY, who, who.astype(np.int16), time, number, time, np.full((len(said), 1), np.nan))


def found(*batches: Sequence[Said]) -> int:
    """What is found of a device whose readings come so."""
    senders = Senders()
    for said in batches:
        if said:
            senders.take(columns(said))
    return senders._found.get(1, 0)


def counted(begin: float, every: float, readings: int, number: int = 1) -> list[Said]:
    return [(begin + every * n, number + n) for n in range(readings)]


@given(st.integers(0, 2000), st.integers(0, 2000), st.floats(0.9, 70.0), st.integers(1, 20))
def test_two_that_count_under_one_name_are_found(own: int, other: int, every: float, at_once: int) -> None:
    """Also where their numbers are about the same: each goes on where it was."""
    both = sorted(counted(0.0, 60.0, 12, own) + counted(30.7, every, round(600 / every), other))
    assert found(*[both[n : n + at_once] for n in range(0, len(both), at_once)]) == TWO


HAPPENS = st.sampled_from(("goes on", "restarts", "loses", "held"))


@given(st.lists(st.tuples(HAPPENS, st.integers(2, 40))), st.randoms(use_true_random=False))
def test_one_that_restarts_loses_and_catches_up_is_one(life: list[tuple[str, int]], lot: Random) -> None:
    """Whatever a device does by itself: numbers from 1, gaps, hours that come late and overtaken by what is new."""
    now, number, order = 0.0, 1, list[Said]()
    for what, readings in life:
        number = 1 if what == "restarts" else number + 500 * (what == "loses")
        some = counted(now, 60.0, readings, number)
        now, number = now + 60.0 * readings, number + readings
        if what == "held":
            lot.shuffle(some)
        order += some
    assert found(*[[one] for one in order]) == 0
    assert found(order) == 0


def test_numbers_that_nobody_sent_say_nothing() -> None:
    assert found([(60.0 * n, -(n * 7919 % 10_007) - 1) for n in range(500)]) == 0


def test_numbers_that_wrap_are_one_sender() -> None:
    """Sparkplug numbers the messages of a node from 0 to 255, of which a device has every few."""
    assert found([(10.0 * n, 7 * n % 256) for n in range(2000)]) == 0


def test_a_flood_is_found_and_hours_at_once_are_none() -> None:
    assert found(counted(0.0, 0.05, MOST_A_MINUTE)) == FLOODS
    assert found(counted(0.0, 0.11, 5 * MOST_A_MINUTE)) == 0
    assert found(counted(-7200.0, 1.0, 7200)) == 0, "two hours, a second apart, at once"


def test_each_is_an_alarm_and_a_flood_is_not_two(connections: Connections) -> None:
    desk = Desk(*connections)
    spoofed, floods, well = desk.devices[:3]
    for device in (spoofed, floods):
        both = sorted(counted(0.0, 60.0, 12, 500) + counted(30.7, 10.0, 60))
        desk.alarms.take(desk.analyst, columns(both, device))
    desk.alarms.take(desk.analyst, columns(counted(1200.0, 0.05, MOST_A_MINUTE, 700), floods))
    desk.alarms.take(desk.analyst, columns(counted(0.0, 60.0, 12), well))
    desk.tick(6)
    desk.tick(1)
    name = dict(desk.admin.execute("select id, device from registry.device").fetchall())
    expected = {(f"flood:{name[floods]}", "major"), (f"spoof:{name[spoofed]}", "major")}
    assert {(key, severity) for key, severity, *_ in desk.rung()} == expected
    said = desk.admin.execute("select message, message_en from city.alarm where kind = 'spoof'").fetchone()
    assert said is not None
    assert "mạo danh" in said[0]
    assert "another sends under its name" in said[1]
    for _ in range(20):
        desk.tick(61)
    assert not any(active for *_, active in desk.rung())


def test_of_many_one_alarm_is_enough(connections: Connections) -> None:
    desk = Desk(*connections)
    for device in desk.enroll(15):
        desk.alarms.take(desk.analyst, columns(counted(0.0, 0.05, MOST_A_MINUTE), device))
    desk.tick(6)
    desk.tick(PAUSE_S / 100)
    assert [key for key, *_ in desk.rung()] == ["flood"]
