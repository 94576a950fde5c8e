"""Any bytes whatever become a document or a rejection: never an exception, never a stall."""

import contextlib
import json
from collections.abc import Callable
from math import isnan

import cbor2
import msgspec
import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs import CODECS, MAX_PAYLOAD, encode
from devices.codecs.json_text import STARTS, described, malformed
from devices.family import FAMILIES
from devices.profile import MAX_ELEMENTS, PROFILES
from devices.raw import LONGEST_SHOWN, MAX_DEPTH, NotFinite, storable
from devices.reading import Reading
from devices.rejected import MEANING, Reason, Rejected
from tests.examples import examples

quick = settings(database=None, deadline=None, max_examples=examples(40))
NATIVE = PROFILES["native-air-quality"]


def decode(codec: str, payload: bytes) -> object:
    return CODECS[codec](payload)


def reason_of(payload: bytes, codec: str = "native") -> Reason | None:
    document = decode(codec, payload)
    return document.reason if isinstance(document, Rejected) else None


@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        (b"", Reason.EMPTY_PAYLOAD, "no content"),
        (b" " * (MAX_PAYLOAD + 1), Reason.TOO_LARGE, "524289 bytes"),
        (b"\xff\xfe{\x00}\x00", Reason.INVALID_UTF8, "UTF-16"),
        (b'{"a":"\xe9t\xe9"}', Reason.INVALID_UTF8, "byte 6 (0xe9)"),
        (b"\x1f\x8b\x08", Reason.INVALID_UTF8, "gzip"),
        (b'{"a":1', Reason.MALFORMED, "cut off"),
        (b'{"a":"x', Reason.MALFORMED, "never closed"),
        (b"{'a':1}", Reason.MALFORMED, "double quotes"),
        (b'{"a":1 // one\n}', Reason.MALFORMED, "comment"),
        (b'{"a":1,}', Reason.MALFORMED, "comma before"),
        (b'{"a":1}\x00', Reason.MALFORMED, "C string"),
        (b'{"a":1}{"a":2}', Reason.MALFORMED, "more follows"),
        (b'{"a":None}', Reason.MALFORMED, "another language"),
        (b"hello", Reason.MALFORMED, "does not start"),
        (b"[" * MAX_PAYLOAD, Reason.TOO_DEEP, "32 levels"),
        (b'{"a":' * 90_000, Reason.TOO_DEEP, "32 levels"),
        (b"\xa1\x61a", Reason.MALFORMED, ""),
        (b"\xa1\x61a\x01\x01", Reason.MALFORMED, "follow"),
        (b"\xa1\x01\x02", Reason.MALFORMED, "key"),
        (b"\xa1\x61a\x61\xff", Reason.INVALID_UTF8, "UTF-8"),
        (b"\x81" * MAX_PAYLOAD, Reason.TOO_DEEP, "32 levels"),
        (b"\xc1" * MAX_PAYLOAD, Reason.TOO_DEEP, "32 levels"),
        (b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", Reason.MALFORMED, "cut off"),
    ],
)
def test_what_cannot_be_read_says_why(payload: bytes, reason: Reason, words: str) -> None:
    rejected = decode("native", payload)
    assert isinstance(rejected, Rejected)
    assert (rejected.layer, rejected.reason) == ("codec", reason)
    assert words in rejected.detail


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ('{"a": NaN, "b": 1}', {"a": "NaN", "b": 1}),
        ('{"a": 1e400, "b": -Infinity}', {"a": "1e400", "b": "-Infinity"}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": "\\ud800"}', {"a": "�"}),
        ('{"a": "x\\u0000y"}', {"a": "x␀y"}),
        ('{"a": 123456789012345678901234567890}', {"a": "123456789012345678901234567890"}),
    ],
)
def test_odd_json_is_read_with_care(text: str, document: object) -> None:
    found = decode("json", text.encode())
    assert storable(found) == document


def test_huge_integers_cost_nothing() -> None:
    document = decode("json", b'{"a": ' + b"9" * (MAX_PAYLOAD - 10) + b"}")
    assert isinstance(document, dict)
    assert isinstance(document["a"], NotFinite)
    huge = decode("native", cbor2.dumps({"a": 2 ** (8 * 400_000)}))
    assert storable(huge) == {"a": "integer of 3200001 bits"}


def test_odd_json_survives_being_encoded_again() -> None:
    payload = b'{"a":NaN,"b":1e400,"c":"\\ud800"}'
    document = decode("json", payload)
    assert storable(decode("json", encode(document, payload))) == {"a": "NaN", "b": "Infinity", "c": "�"}
    assert encode(decode("json", b'{"a":1e400}'), payload) == b'{"a":1e400}'


def test_cbor_tags_stay_harmless() -> None:
    shared = CBORTag(28, [CBORTag(29, 0)])
    items = {
        "re": CBORTag(35, "(a+)+$"),
        "me": shared,
        "dec": CBORTag(4, [2147483647, 1]),
        "half": CBORTag(5, [10**9, 3]),
    }
    document = decode("native", cbor2.dumps(items))
    assert isinstance(document, dict)
    assert storable(document["me"]) == {"tag": 28, "value": [{"tag": 29, "value": 0}]}
    assert document["re"] == CBORTag(35, "(a+)+$")


@pytest.mark.parametrize("first", [b"\xa1", b"\x9f", b"\xbf", b"\xd9\xd9\xf7\xa1"])
def test_self_described_and_plain_cbor_are_told_from_json(first: bytes) -> None:
    assert reason_of(first) in (Reason.MALFORMED, None)
    assert decode("native", b"\xd9\xd9\xf7\xa1\x61a\x01") == {"a": 1}


def test_cbor_values_of_a_reading() -> None:
    metrics = {"pm25": CBORTag(4, [-1, 412]), "no2": float("nan"), "so2": b"\x01", "o3": cbor2.undefined, "co": 2**70}
    (reading,) = NATIVE.read(cbor2.dumps({"time": CBORTag(1, 1767225600), "seq": 5, "metrics": metrics}))
    assert isinstance(reading, Reading)
    assert reading.values[0] == 41.2
    assert reading.time == 1767225600 * 10**6
    assert reading.extra is not None
    assert reading.extra["reasons"] == {
        "no2": "not_finite",
        "so2": "wrong_type",
        "o3": "wrong_type",
        "co": "out_of_range",
    }


def test_size_not_nesting_or_number_of_things_decides_the_work() -> None:
    """Each input fills the largest message with whatever takes longest; what comes out stays small."""
    many = b"[" + b"1," * (MAX_PAYLOAD // 2 - 2) + b"1]"
    (rejected,) = NATIVE.read(many)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.TOO_LARGE
    some = json.dumps([{"metrics": {"pm25": 1, "n": n}} for n in range(MAX_ELEMENTS)]).encode()
    assert len(NATIVE.read(some)) == MAX_ELEMENTS
    keys = json.dumps({"metrics": {f"k{n}": n for n in range(35_000)}}).encode()
    (unknown,) = NATIVE.read(keys)
    assert isinstance(unknown, Rejected)
    assert len(unknown.detail) < 1000


def check_results(results: list[Reading | Rejected]) -> None:
    """What holds for every answer: it is there, it can be stored, it can be shown."""
    assert results
    for result in results:
        if isinstance(result, Rejected):
            assert result.reason in MEANING
            assert result.detail
            for text in (result.detail, result.value or "", result.field or ""):
                assert "\0" not in text
                text.encode()
            assert len(result.value or "") <= LONGEST_SHOWN
        else:
            assert not all(map(isnan, result.values))
            assert -(2**63) <= result.seq < 2**63
            check_jsonb(result.extra)


def check_jsonb(extra: object) -> None:
    """PostgreSQL takes it: UTF-8, no NUL, no number that is none, nested at most so deep."""
    text = msgspec.json.encode(extra)
    assert b"\\u0000" not in text
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word)) == extra
    assert depth(extra) <= MAX_DEPTH + 2


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


@pytest.mark.parametrize("read", [profile.read for profile in PROFILES.values()], ids=list(PROFILES))
@quick
@given(payload=st.binary(max_size=200))
def test_any_bytes(read: Callable[[bytes], list[Reading | Rejected]], payload: bytes) -> None:
    check_results(read(payload))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
names = st.sampled_from(
    ["time", "seq", "boot", "metrics", "rejected", "after", "type", "id", "value", "data", "camera"]
)
metrics = st.sampled_from([metric.name for family in FAMILIES.values() for metric in family.metrics])
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(names | metrics | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
messages = st.fixed_dictionaries(
    {"metrics": st.dictionaries(metrics | st.text(max_size=5), scalars | documents, max_size=6)},
    optional={"time": scalars, "seq": scalars, "boot": scalars, "type": scalars, "after": documents},
)


@quick
@given(document=documents | messages | st.lists(messages, max_size=3))
def test_any_document(document: object) -> None:
    for profile in PROFILES.values():
        check_results(profile.read(json.dumps(document).encode()))
        check_results(profile.map(document, b"x"))
        profile.redact(document, b"x")
    check_results(NATIVE.read(cbor2.dumps(document)))


@quick
@given(payload=st.binary(max_size=120).map(lambda tail: b"\xa1\x67metrics\xa2\x64pm25\x01\x61x" + tail))
def test_any_cbor_tail(payload: bytes) -> None:
    check_results(NATIVE.read(payload))


def test_every_codec_refuses_nothing_and_too_much() -> None:
    for codec in CODECS.values():
        for payload, reason in ((b"", Reason.EMPTY_PAYLOAD), (b"1" * (MAX_PAYLOAD + 1), Reason.TOO_LARGE)):
            rejected = codec(payload)
            assert isinstance(rejected, Rejected)
            assert rejected.reason == reason


def test_every_reason_has_a_meaning_in_both_languages() -> None:
    assert set(MEANING) == set(Reason)
    assert all(text["vi"] and text["en"] for text in MEANING.values())


@quick
@given(st.text(min_size=1, max_size=8), st.sampled_from(["Expecting value", "Unterminated string starting at"]))
def test_what_is_remembered_of_a_beginning_is_what_all_of_it_says(text: str, message: str) -> None:
    assert malformed(text, 0, message) == described(text, 0, message)


@quick
@given(st.binary(min_size=1, max_size=6))
def test_json_begins_in_few_ways(payload: bytes) -> None:
    with contextlib.suppress(ValueError):
        msgspec.json.decode(payload)
        assert payload[:1] in STARTS
