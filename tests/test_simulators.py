"""Laws of the simulated city: seeded, sized as asked, plausible, and in the format that the platform reads."""

from collections import Counter

import pytest

from devices.profile import Profile
from simulators.city import City, Message, natural_rate
from simulators.fleet import (
    Fleet,
    build,
    districts,
    native_families,
    native_profile,
    zones_of,
)
from simulators.messages import Kind
from simulators.mix import prefix
from simulators.plan import plan
from simulators.schedule import USUAL, Shares

BOOT = 1_764_547_200
START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
NATIVE = [native_profile(family) for family in native_families()]


def small_fleet(seed: int = 1, people: int = 2000, density: float = 50) -> Fleet:
    return build(districts(zones_of("bac-giang"), density, people=people), seed)


def names(profile: Profile) -> str:
    return profile.name


# On the wire


def city_of(rate: float, shares: Shares = USUAL) -> City:
    fleet = small_fleet()
    return City(fleet, start=START, boot=BOOT, speed=rate / natural_rate(fleet, shares), shares=shares)


def messages(shares: Shares, seconds: float = 4.0) -> list[Message]:
    return said(city_of(1000.0, shares), START + seconds)


def said(city: City, moment: float) -> list[Message]:
    return list(city.each(city.until(moment)))


# The schedule


def test_same_seed_says_the_same_in_whatever_steps_it_is_asked() -> None:
    whole, parts = city_of(500.0), city_of(500.0)
    at_once = Counter((m.topic, m.payload) for m in said(whole, START + 4))
    piecewise = Counter((m.topic, m.payload) for step in range(1, 21) for m in said(parts, START + step / 5))
    assert at_once == piecewise
    assert at_once


def test_sequence_numbers_of_a_device_have_no_gap() -> None:
    by_device: dict[str, list[int]] = {}
    for message in messages(Shares(duplicate=0.0)):
        by_device.setdefault(message.device, []).append(message.seq)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_device.values())


def test_rate_and_shares_are_as_documented() -> None:
    sent = said(city_of(1000.0), START + 30)
    kinds = Counter(m.kind for m in sent)
    assert len(sent) == pytest.approx(30_000, rel=0.03)
    assert kinds[Kind.LATE] / len(sent) == pytest.approx(0.02, rel=0.2)
    assert sum(m.again for m in sent) / len(sent) == pytest.approx(0.01, rel=0.2)
    assert sum(n for kind, n in kinds.items() if kind.faulty) / len(sent) == pytest.approx(0.005, rel=0.3)


def test_late_messages_are_old_yet_within_the_late_limit() -> None:
    for message in messages(Shares(late=0.5)):
        age = message.due - message.time / 1000
        if message.kind is Kind.LATE:
            assert 100 < age < 7 * 86_400
        elif not message.again:
            assert 0 <= age < 0.002


def test_duplicates_repeat_a_payload_exactly() -> None:
    sent = messages(Shares(duplicate=0.2))
    first = {(m.device, m.seq): m.payload for m in sent if not m.again}
    repeated = [m for m in sent if m.again]
    assert repeated
    assert all(first[m.device, m.seq] == m.payload for m in repeated)


@pytest.mark.parametrize("shares", [{"late": -0.1}, {"faulty": 1.5}, {"late": 0.6, "faulty": 0.6}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        Shares(**shares)


def test_planned_bytes_are_those_of_real_payloads() -> None:
    sizes: dict[str, list[int]] = {}
    for message in messages(Shares(0, 0, 0), seconds=10.0):
        sizes.setdefault(message.device.split("-")[0], []).append(len(message.payload))
    for load in plan("bac-giang", 10).families:
        measured = sizes[prefix(load.family)]
        assert load.bytes_per_message == pytest.approx(sum(measured) / len(measured), rel=0.1)
