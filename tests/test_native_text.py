"""One pass over the bytes of JSON messages takes what reading each with care gives, or leaves the message alone."""

import json
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs import MAX_PAYLOAD
from devices.family import FAMILIES, Family, Metric
from devices.native import native_reader
from devices.native_many import Many
from devices.native_scan import FIELDS, NO
from devices.native_text import Text
from devices.profile import MAX_ELEMENTS
from devices.reading import Reading

FAMILY = FAMILIES["camera_health"]
NUMBERS = ("0", "-0", "-0.0", "00", "01", "1.", ".5", "-", "+1", "1e2", "1E-2", "0.1", "9007199254740993", "1" * 18)
NUMBERS += ("1" * 19, "9" * 18, "0." + "3" * 17, "0." + "3" * 18, "12.3456789012345678", "5", "63.25", "null", "true")


def taken(payloads: list[bytes], family: Family = FAMILY) -> tuple[list[list[tuple[Any, ...]]], list[int]]:
    """The readings of each message, and the messages that are left."""
    rows, left = Text(family).read(payloads)
    found: list[list[tuple[Any, ...]]] = [[] for _ in payloads]
    for place, element, time, seq, boot, values in zip(*(column.tolist() for column in rows), strict=True):
        found[place].append((element, time, seq, boot, repr(values)))
    return found, left.tolist()


def with_care(payload: bytes, family: Family = FAMILY) -> list[tuple[Any, ...]]:
    """The same of a message whose every reading is whole, one by one from its document."""
    document = msgspec.json.decode(payload)
    items = document if type(document) is list else [document]
    read, found = native_reader(family), []
    for place, item in enumerate(items):
        reading = read(item, payload)
        assert isinstance(reading, Reading)
        assert reading.extra is None
        time, boot = (NO if one is None else one for one in (reading.time, reading.boot))
        seq = reading.seq if "seq" in item else NO
        found.append((place if type(document) is list else NO, time, seq, boot, repr(reading.values)))
    return found


def whole(number: int = 7) -> dict[str, Any]:
    """A reading with every metric."""
    values = {m.name: m.states[number % len(m.states)] if m.states else m.low for m in FAMILY.metrics}
    return {"time": 1_763_690_400_000, "seq": number, "boot": 2, "metrics": values}


def test_messages_as_devices_write_them_are_taken() -> None:
    few = {"metrics": dict([*whole()["metrics"].items()][:1])}
    documents = [whole(), few, [whole(1), whole(2)], [whole(n) for n in range(60)], dict(reversed(whole().items()))]
    tidy = [json.dumps(one).encode() for one in documents]
    tidy += [json.dumps(one, separators=(",", ":")).encode() for one in documents]
    tidy += [b" \r\n\t" + json.dumps(one, indent=2).encode() + b"\n" for one in documents]
    found, left = taken(tidy)
    assert left == []
    assert found == [with_care(payload) for payload in tidy]


def test_a_list_is_taken_whole_or_not_at_all() -> None:
    good, bad = json.dumps(whole()).encode(), b'{"seq": 1, "metrics": {"unheard": 1}}'
    without_seq = b'{"metrics": {"%s": %d}}' % (FAMILY.metrics[0].name.encode(), FAMILY.metrics[0].low)
    lists = [b"[%s,%s]" % (good, bad), b"[%s,%s]" % (good, without_seq), b"[]", b"[%s,]" % good, b"[%s" % good]
    found, left = taken([good, *lists, b"[%s]" % good])
    assert left == [1, 2, 3, 4, 5]
    assert [len(rows) for rows in found] == [1, 0, 0, 0, 0, 0, 1]


def test_a_zero_byte_ends_no_message() -> None:
    good = json.dumps(whole()).encode()
    bad = [good + b"\0", good + b"\0\0 ", good + b"\0" + good, b"[%s]\0" % good, b"\0" + good, b"\0", b""]
    found, left = taken([good, *bad, good])
    assert left == [*range(1, len(bad) + 1)]
    assert found[0] == found[-1] == with_care(good)


def test_a_message_that_is_too_long_is_left() -> None:
    one = json.dumps(whole()).encode()
    longest = one + b" " * (MAX_PAYLOAD - len(one))
    assert Many(FAMILY).read([one, longest + b" ", longest, one]).message.tolist() == [0, 2, 3]


def test_a_list_has_an_end() -> None:
    one = json.dumps(whole()).encode()
    longest, longer = (b"[" + b",".join([one] * n) + b"]" for n in (MAX_ELEMENTS, MAX_ELEMENTS + 1))
    found, left = taken([longest, longer])
    assert len(found[0]) == MAX_ELEMENTS
    assert left == [1]


def spelt(number: str, place: int) -> bytes:
    """A message with a number as it stands there, as a metric or as a count."""
    gauges = [metric.name for metric in FAMILY.metrics if not metric.states]
    field = FIELDS[place] if place < 3 else gauges[place % len(gauges)]
    metrics = f'"{gauges[0]}": 1' if place < 3 else f'"{field}": {number}'
    return (f'{{"{field}": {number}, ' if place < 3 else "{").encode() + f'"metrics": {{{metrics}}}}}'.encode()


def test_numbers_are_what_they_are_or_left() -> None:
    payloads = [spelt(number, place) for number in NUMBERS for place in range(6)]
    found, left = taken(payloads)
    for place, payload in enumerate(payloads):
        assert place in left or found[place] == with_care(payload), payload
    assert {"0", "0.1", "5", "63.25"} <= {NUMBERS[place // 6] for place in range(len(payloads)) if place not in left}


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 100).map(lambda number: f"{number:.{str(number)[-1]}f}" if number > 1e-4 else "0"))
def test_a_decimal_is_the_float_that_is_nearest(number: str) -> None:
    payload = spelt(number, 3)
    found, left = taken([payload])
    if not left:
        assert found[0] == with_care(payload)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from([json.dumps(whole()).encode(), json.dumps([whole(1), whole(2)]).encode()]),
    st.lists(
        st.tuples(st.integers(0, 900), st.integers(0, 3), st.sampled_from(b'{}[]":,.-e0159 \0\\\xffat')), max_size=3
    ),
)
def test_bytes_that_were_changed(payload: bytes, changes: list[tuple[int, int, int]]) -> None:
    """What is taken is a document, and says the same read with care; and neighbours are not touched."""
    for place, cut, byte in changes:
        at = place % (len(payload) + 1)
        payload = payload[:at] + bytes([byte]) + payload[at + cut :]
    good = json.dumps(whole()).encode()
    found, left = taken([good, payload, good])
    assert found[0] == found[2] == with_care(good)
    if 1 not in left:
        assert found[1] == with_care(payload)


# Of every family

PAYLOADS = 1500
BLANKS = ("", "", "", " ", "\n", "\t\r")
ODD = ("0", "-0", "-0.0", "01", "1.", "1e5", "null", "true", '"x"', "-", "9" * 18, "9" * 19, "0." + "0" * 17 + "1")
COUNTS = ("0", "1", "1763690400000", "253402300799999", "253402300800000", "9223372036854775807", "9223372036854775808")
BYTES = b'{}[]":,.-e0159 \0\\\xffat\n'


def value_of(metric: Metric, chance: Random) -> str:
    """As a device may write it, or as it must not."""
    if metric.states and chance.random() < 0.95:
        return json.dumps(chance.choice(metric.states))
    value = chance.uniform(max(metric.low, -1e3), min(metric.high, 1e3))
    ways = repr(value), f"{value:.{chance.randint(0, 20)}f}", f"{value:e}", repr(metric.low), repr(metric.high)
    return chance.choice((*ways, f"{value:.2f}", f"{value:.1f}", str(int(value)), chance.choice(ODD)))


def reading(family: Family, chance: Random) -> str:
    """Fields in any order, with blanks anywhere; at times a metric for the second time."""
    metrics = chance.sample(family.metrics, chance.randint(1, min(5, len(family.metrics))))
    sent = [*metrics, metrics[0]] if chance.random() < 0.03 else metrics
    values = ",".join(f'{chance.choice(BLANKS)}"{metric.name}":{value_of(metric, chance)}' for metric in sent)
    fields = [f'"metrics":{chance.choice(BLANKS)}{{{values}}}']
    fields += [f'"{name}" :{chance.choice(COUNTS[:5])}' for name in ("time", "seq", "boot") if chance.random() < 0.8]
    fields += [f'"seq":{chance.choice(COUNTS)}'] if chance.random() < 0.05 else []
    chance.shuffle(fields)
    return "{" + f"{chance.choice(BLANKS)},".join(fields) + "}"


def payload(family: Family, chance: Random) -> bytes:
    """A message or a list of some, half of them with bytes changed."""
    several = ",".join(reading(family, chance) for _ in range(chance.randint(0, 4)))
    made = (reading(family, chance) if chance.random() < 0.5 else f"[{several}]").encode()
    for _ in range(chance.choice((0, 0, 1, 3))):
        at, cut = chance.randrange(len(made) + 1), chance.choice((0, 1, 5))
        made = made[:at] + bytes([chance.choice(BYTES)]) + made[at + cut :]
    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_taken_of_any_family_is_what_care_gives(name: str) -> None:
    family, chance = FAMILIES[name], Random(name)  # noqa: S311  no secret
    payloads = [payload(family, chance) for _ in range(PAYLOADS)]
    found, left = taken(payloads, family)
    some = set(range(PAYLOADS)) - set(left)
    assert len(some) > PAYLOADS / 20
    for place in some:
        assert found[place] == with_care(payloads[place], family), payloads[place]
