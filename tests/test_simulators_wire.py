"""Laws of what simulated devices put on the wire: the fast way to write it says what the slow one says."""

import struct
from collections import Counter
from collections.abc import MutableMapping
from math import isnan

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.rejected import Rejected
from simulators import draw
from simulators.behaviour import Column, values, voices
from simulators.city import City, natural_rate
from simulators.digits import HOLE, Field, decimal, six, whole
from simulators.draw import Floats, Ints
from simulators.fleet import Fleet, build, districts, native_families, native_profile, pieces, zones_of
from simulators.messages import Kind, Messages
from simulators.mqtt import length
from simulators.packets import Block, packet, packets_of
from simulators.payload import Writer, sample
from simulators.scenario import QUIET, Scenario, Truth
from simulators.schedule import USUAL, Shares

BOOT = 1_764_547_200
START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
NATIVE = [native_profile(family) for family in native_families()]
FAULTY = Shares(late=0.1, duplicate=0.1, faulty=0.4)


def city_of(rate: float = 1000.0, shares: Shares = USUAL, people: int = 2000, scenario: Scenario = QUIET) -> City:
    fleet = build(districts(zones_of("bac-giang"), 50, people=people), 1)
    speed = rate / natural_rate(fleet, shares)
    return City(fleet, start=START, boot=BOOT, speed=speed, shares=shares, scenario=scenario)


def names(profile: Profile) -> str:
    return profile.name


# Payloads


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_what_is_written_reads_back_as_the_values_sent(profile: Profile) -> None:
    spoken = voices(profile)
    keys = draw.stir(np.arange(50, dtype=np.uint64), 6)
    times = (START * 1000 + np.arange(50) * 1_234_567).astype(np.int64)
    sent = values(spoken, keys, times / 1000.0)
    for place, payload in enumerate(Writer(spoken).write(sample(keys, times, seq=7, boot=BOOT), sent)):
        (reading,) = profile.read(payload)
        assert isinstance(reading, Reading)
        assert (reading.time, reading.seq, reading.boot, reading.extra) == (times[place] * 1000, 7, BOOT, None)
        assert read_back(profile, reading) == {name: column[place] for name, column in sent.items()}


def read_back(profile: Profile, reading: Reading) -> dict[str, object]:
    pairs = [(m, v) for m, v in zip(profile.family.metrics, reading.values, strict=True) if not isnan(v)]
    return {metric.name: value for metric, value in pairs}


def test_each_kind_of_message_becomes_what_it_is_meant_to() -> None:
    seen: Counter[Kind] = Counter()
    city = city_of(shares=FAULTY)
    (piece,) = pieces(city.fleet)
    profile_of = {device: PROFILES[profile] for device, profile in zip(piece.device, piece.profile, strict=True)}
    for message in city.each(city.until(START + 4.0)):
        seen[message.kind] += 1
        if message.again:
            continue
        (result,) = profile_of[message.device].read(message.payload)
        if message.kind in (Kind.ALL_OUT_OF_RANGE, Kind.CUT_SHORT):
            assert isinstance(result, Rejected)
        else:
            assert isinstance(result, Reading)
            assert result.time == message.time * 1000
            assert result.partial == (message.kind is Kind.ONE_OUT_OF_RANGE)
            assert (result.extra is None) == (message.kind in (Kind.FRESH, Kind.LATE))
    assert set(seen) == {*list(Kind)[:6]}


# Numbers as columns of bytes


def joined(fields: list[Field]) -> list[bytes]:
    parts = [[bytes(one) for one in np.ascontiguousarray(field).view(f"V{field.dtype.itemsize}")] for field in fields]
    return [b"".join(row).replace(bytes([HOLE]), b"") for row in zip(*parts, strict=True)]


@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=20))
def test_whole_numbers_are_written_as_python_does(numbers: list[int]) -> None:
    assert joined(whole(np.array(numbers))) == [b"%d" % number for number in numbers]


@given(st.lists(st.integers(0, 99_999_999), min_size=1, max_size=20))
def test_numbers_of_devices_have_six_digits_or_more(numbers: list[int]) -> None:
    assert joined(six(np.array(numbers))) == [b"%06d" % number for number in numbers]


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20), st.integers(0, 9))
def test_decimals_are_written_as_python_does(numbers: list[int], decimals: int) -> None:
    column = np.array(numbers) / 10**decimals
    expected = [b"%.*f" % (decimals, number) for number in (column + 0.0).tolist()]
    assert joined(decimal(column, decimals)) == expected


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), st.integers(0, 5))
def test_a_number_is_rounded_to_the_nearest(numbers: list[float], decimals: int) -> None:
    for number, text in zip(numbers, joined(decimal(np.array(numbers), decimals)), strict=True):
        assert abs(float(text) - number) <= 0.5000001 * 10.0**-decimals + abs(number) * 1e-15
        assert not text.startswith(b"-0.0") or float(text) != 0


# Packets


def agree(city: City, messages: Messages) -> None:
    """The law: packets are those of the messages one by one."""
    slow = [packet(message.topic.encode(), message.payload) for message in city.each(messages)]
    fast = city.packets(messages)
    ends = np.cumsum([len(body) for body, _ in slow], dtype=np.int64)
    assert fast.body.tobytes() == b"".join(body for body, _ in slow)
    assert fast.ends.tolist() == ends.tolist()
    assert fast.ids.tolist() == [end - len(body) + head for end, (body, head) in zip(ends, slow, strict=True)]


@pytest.mark.parametrize("shares", [USUAL, FAULTY, Shares(0.0, 0.0, 1.0)], ids=["usual", "many faults", "faults only"])
def test_packets_of_all_families_are_those_written_one_by_one(shares: Shares) -> None:
    city = city_of(3000.0, shares)
    messages = city.until(START + 1.0)
    assert set(city.fleet.family[messages.device]) == set(range(len(NATIVE)))
    agree(city, messages)


@given(at=st.lists(st.integers(0, 999), max_size=40), later=st.integers(0, 10**12))
def test_packets_of_any_messages_are_those_written_one_by_one(at: list[int], later: int) -> None:
    """Any choice and order, a device twice or none at all, at any time and with numbers of any length."""
    chosen = SAID.take(np.array(at, dtype=np.int64))
    chosen.time[:] += later
    chosen.seq[:] += later // 3
    agree(CITY, chosen)


CITY = city_of(1000.0, FAULTY)
SAID = CITY.until(START + 1.5)


class Wild:
    """An effect that takes values far beyond what devices say, and drops every third reading of a metric."""

    def change(
        self, fleet: Fleet, family: str, device: Ints, seconds: Floats, columns: MutableMapping[str, Column]
    ) -> None:
        for number, column in enumerate(columns.values()):
            if column.dtype.kind == "f":
                column *= (-1.0) ** number * 10.0 ** (number % 7)
                column[device % 3 == number % 3] = np.nan

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        return messages

    def added(self, fleet: Fleet, since: float, until: float, boot: int) -> Messages:
        return Messages.none()

    def outages(self, fleet: Fleet) -> tuple[()]:
        return ()

    def truth(self, fleet: Fleet) -> Truth:
        raise NotImplementedError  # nobody asks


def test_packets_under_a_wild_scenario_too() -> None:
    city = city_of(2000.0, scenario=[Wild()])
    messages = city.until(START + 1.0)
    agree(city, messages)
    for message in city.each(messages.take(messages.kind < Kind.ONE_OUT_OF_RANGE)):
        assert msgspec.json.decode(message.payload)["seq"] == message.seq


@given(st.integers(0, 300), st.integers(1, 60))
def test_the_length_of_a_packet_takes_one_byte_or_two(size: int, topic: int) -> None:
    head = struct.pack(">H", topic) + b"t" * topic
    block = Block(np.array([0]), np.array([topic]), [head, b"\1\1", b"\0", b"p" * size])
    made = packets_of([block])
    expected, at = packet(b"t" * topic, b"p" * size)
    assert (made.body.tobytes(), made.ids.tolist()) == (expected, [at])


def test_packets_longer_than_two_bytes_of_length_are_refused() -> None:
    with pytest.raises(ValueError, match="packets of at most"):
        packets_of([Block(np.array([0]), np.array([1]), [b"\0\1t", b"\1\1", b"\0", b"p" * 20_000])])


@given(st.integers(0, 268_435_455))
def test_lengths_read_back(size: int) -> None:
    written, value = length(size), 0
    for place, byte in enumerate(written):
        value |= (byte & 127) << 7 * place
        assert (byte & 128 > 0) == (place < len(written) - 1)
    assert value == size


def test_messages_keep_their_bytes_whatever_pieces_they_are_asked_in() -> None:
    whole_city, parts = city_of(), city_of()
    at_once = whole_city.until(START + 2)
    pieces = [parts.until(START + moment / 10) for moment in range(1, 21)]
    together = Counter(m.payload for piece in pieces for m in parts.each(piece))
    assert Counter(m.payload for m in whole_city.each(at_once)) == together
