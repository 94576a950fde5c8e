"""Laws of the schedule: the same seed says the same, whatever slices and shards it is asked in, at the told rate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.city import City, Message, natural_rate
from simulators.fleet import build, districts, zones_of
from simulators.messages import Kind, Messages, rising
from simulators.schedule import USUAL, Shares

BOOT = 1_764_547_200
START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
FLEET = build(districts(zones_of("bac-giang"), 50, people=2000), 1)


def city_of(rate: float, shares: Shares = USUAL, shard: tuple[int, int] = (1, 1)) -> City:
    return City(FLEET, start=START, boot=BOOT, speed=rate / natural_rate(FLEET, shares), shares=shares, shard=shard)


def messages(shares: Shares, seconds: float = 4.0) -> list[Message]:
    return said(city_of(1000.0, shares), START + seconds)


def said(city: City, moment: float) -> list[Message]:
    return list(city.each(city.until(moment)))


def columns(parts: Sequence[Messages]) -> list[tuple[object, ...]]:
    """All that is known of messages, in one order."""
    whole = Messages.joined(*parts)
    return sorted(zip(*(getattr(whole, field.name).tolist() for field in fields(whole)), strict=True))


MANY = Shares(late=0.1, duplicate=0.2, faulty=0.1)
WHOLE = columns([city_of(500.0, MANY).until(START + 4.0)])


@given(st.lists(st.floats(0.0, 4.0), max_size=30))
def test_same_seed_says_the_same_in_whatever_slices_it_is_asked(cuts: list[float]) -> None:
    city = city_of(500.0, MANY)
    parts = [city.until(START + moment) for moment in sorted([*cuts, 4.0])]
    assert columns(parts) == WHOLE
    for part, moment in zip(parts, sorted([*cuts, 4.0]), strict=True):
        assert np.all(np.diff(part.due) >= 0)
        assert np.all(part.due < START + moment)


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_shards_together_say_what_the_whole_says(parts: int) -> None:
    shards = [city_of(500.0, MANY, shard=(part + 1, parts)) for part in range(parts)]
    assert columns([shard.until(START + 4.0) for shard in shards]) == WHOLE


def test_a_device_of_another_machine_says_the_same_bytes() -> None:
    whole, half = city_of(500.0, MANY), city_of(500.0, MANY, shard=(2, 2))
    by_whole = Counter((m.topic, m.payload) for m in said(whole, START + 4.0))
    by_half = Counter((m.topic, m.payload) for m in said(half, START + 4.0))
    assert by_half
    assert by_half <= by_whole


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


@given(st.lists(st.floats(0.0, 1e10) | st.sampled_from([0.0, 1.0, 1.79e9, 1.79e9 + 2**-22]), max_size=60))
def test_messages_are_sorted_by_time_and_equal_ones_stay_as_they_are(moments: list[float]) -> None:
    assert rising(np.array(moments)).tolist() == sorted(range(len(moments)), key=moments.__getitem__)
