"""Sparkplug B: the wire format, every data type, births and aliases, lost messages, deaths; and any bytes whatever."""

import json
import os
import struct
import zlib
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs.protobuf import MAX_FIELDS, BadWire, encode_varint, varint
from devices.codecs.sparkplug import MAX_INFLATED, decode_payload, encode_payload
from devices.codecs.sparkplug_values import DataType, WrongValue, value_fields, value_in
from devices.envelopes import Notice, Packet
from devices.envelopes.sparkplug import MAX_REQUESTS, REBIRTH_EVERY_S, Sparkplug
from devices.envelopes.sparkplug_nodes import CELL, Nodes
from devices.laws import stated_metrics
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Reason, Rejected

quick = settings(database=None, deadline=None, max_examples=60)
FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads"))
MACHINE = PROFILES["sparkplug-machine"]

# Test vectors of united-manufacturing-hub/benthos-umh (Apache-2.0), made with the official schema.
NBIRTH = bytes.fromhex(
    "08d2e283b9fa3212" "0d0a056264536571100120085858121c0a144e6f646520436f6e74726f6c2f52656269727468"
    "1002200b7000121a0a0b54656d70657261747572651064200a6900000000008035401800"
)  # fmt: skip
NDATA = bytes.fromhex("08d2e283b9fa32120d1064200a6900000000008036401801")
NDATA_GAP = bytes.fromhex("08d2e283b9fa32120d1064200a690000000000003b401805")
NDEATH = bytes.fromhex("08d2e283b9fa32120d0a05626453657110002008580018" "00")  # fmt: skip
TIME = 1750855643474


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def opener(nodes: Nodes | None = None) -> tuple[Sparkplug, Clock]:
    clock = Clock()
    return Sparkplug(clock=clock, now=lambda: 1767225600.0, nodes=nodes), clock


def topic(kind: str, device: str = "", node: str = "n") -> str:
    return f"spBv1.0/g/{kind}/{node}" + (f"/{device}" if device else "")


def metric(name: str | None, value: Any, kind: DataType, **rest: Any) -> dict[str, Any]:
    return {**({} if name is None else {"name": name}), "datatype": int(kind), **value_fields(value, kind), **rest}


def payload(*metrics: dict[str, Any], seq: int | None = None, timestamp: int = TIME, **rest: Any) -> bytes:
    return encode_payload(
        {"timestamp": timestamp, "metrics": [*metrics], **({} if seq is None else {"seq": seq}), **rest}
    )


def packets(opened: list[Packet | Notice]) -> list[Packet]:
    return [part for part in opened if isinstance(part, Packet)]


def only(opened: list[Packet | Notice]) -> Any:
    (packet,) = packets(opened)
    return packet.document


# --- the wire


@given(st.integers(0, 2**64 - 1))
@quick
def test_varint_round_trip(number: int) -> None:
    assert varint(encode_varint(number), 0) == (number, len(encode_varint(number)))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x08", "cut off"),
        (b"\x0a\x05ab", "cut off"),
        (b"\x08" + b"\xff" * 11, "never ends"),
        (b"\x00\x01", "field number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x10\x01", "metrics has wire type 0; expected 2"),
        (b"\x12\x00" * (MAX_FIELDS + 1), "times"),
        (b'{"metrics":', "looks like JSON"),
        (b"\x1f\x8b\x08\x00", "looks compressed"),
    ],
)
def test_what_is_wrong_with_the_bytes_is_said(raw: bytes, words: str) -> None:
    rejected = decode_payload(raw)
    assert isinstance(rejected, Rejected)
    assert (rejected.layer, rejected.reason) == ("envelope", Reason.MALFORMED)
    assert words in rejected.detail
    assert "Sparkplug 3.0" in rejected.detail


def test_too_deep_and_too_many_are_refused() -> None:
    nested: dict[str, Any] = {"name": "m", "int_value": 1}
    for _ in range(30):
        nested = {"name": "m", "template_value": {"metrics": [nested]}}
    deep = decode_payload(encode_payload({"metrics": [nested]}))
    assert isinstance(deep, Rejected)
    assert deep.reason == Reason.TOO_DEEP
    many = decode_payload(b"\x12\x00" * 10_001)
    assert isinstance(many, Rejected)
    assert many.reason == Reason.TOO_LARGE


numbers = st.integers(0, 2**32 - 1)
texts = st.text(max_size=8)
values = st.one_of(
    st.builds(dict, int_value=numbers),
    st.builds(dict, long_value=st.integers(0, 2**64 - 1)),
    st.builds(dict, float_value=st.floats(width=32, allow_nan=False)),
    st.builds(dict, double_value=st.floats(allow_nan=False)),
    st.builds(dict, boolean_value=st.booleans()),
    st.builds(dict, string_value=texts),
)
ROWS = st.fixed_dictionaries({"elements": st.lists(values, min_size=1, max_size=2)})
cells = st.fixed_dictionaries({"rows": st.lists(ROWS, min_size=1, max_size=2)})
properties = st.fixed_dictionaries(
    {"keys": st.lists(texts, min_size=1, max_size=3), "values": st.lists(values, min_size=1, max_size=3)}
)
HEAD: dict[str, Any] = {"name": texts, "alias": numbers, "datatype": numbers, "is_null": st.booleans()}
heads = st.fixed_dictionaries({}, optional={**HEAD, "properties": properties})
leaf_values: st.SearchStrategy[Any] = st.one_of(
    values, st.builds(dict, bytes_value=st.binary(max_size=9)), st.builds(dict, dataset_value=cells)
)
leaf_metrics = st.builds(lambda head, value: {**head, **value}, heads, leaf_values)
metrics = st.recursive(
    leaf_metrics,
    lambda inner: st.builds(
        lambda head, members: {**head, "template_value": {"metrics": members}},
        heads,
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
messages = st.fixed_dictionaries(
    {"metrics": st.lists(metrics, min_size=1, max_size=5)}, optional={"seq": numbers, "timestamp": numbers}
)


@given(messages)
@quick
def test_payload_round_trip(message: dict[str, Any]) -> None:
    assert decode_payload(encode_payload(message)) == message


def test_of_a_oneof_the_last_counts() -> None:
    raw = b"\x12\x0b" + b"\x0a\x01a" + b"\x50\x05" + b"\x58\x07" + b"\x50\x06" + b"\x20\x03"
    message = decode_payload(raw)
    assert isinstance(message, dict)
    assert value_in(message["metrics"][0], DataType.Int32) == 6


# --- data types


def whole(bits: int, signed: bool) -> st.SearchStrategy[Any]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


singles = st.floats(width=32, allow_nan=False)
plain_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
SAMPLES: dict[DataType, st.SearchStrategy[Any]] = {
    **{DataType[f"Int{bits}"]: whole(bits, True) for bits in (8, 16, 32, 64)},
    **{DataType[f"UInt{bits}"]: whole(bits, False) for bits in (8, 16, 32, 64)},
    DataType.Float: singles,
    DataType.Double: st.floats(allow_nan=False),
    DataType.Boolean: st.booleans(),
    DataType.DateTime: whole(64, False),
    **dict.fromkeys((DataType.String, DataType.Text, DataType.UUID), plain_texts),
    **dict.fromkeys((DataType.Bytes, DataType.File), st.binary(max_size=99)),
    **{DataType[f"Int{bits}Array"]: st.lists(whole(bits, True), max_size=9) for bits in (8, 16, 32, 64)},
    **{DataType[f"UInt{bits}Array"]: st.lists(whole(bits, False), max_size=9) for bits in (8, 16, 32, 64)},
    DataType.FloatArray: st.lists(singles, max_size=9),
    DataType.DoubleArray: st.lists(st.floats(allow_nan=False), max_size=9),
    DataType.BooleanArray: st.lists(st.booleans(), max_size=33),
    DataType.StringArray: st.lists(plain_texts, max_size=9),
    DataType.DateTimeArray: st.lists(whole(64, False), max_size=9),
}


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.name)
def test_every_type_round_trips(kind: DataType) -> None:
    @given(SAMPLES[kind])
    @settings(database=None, deadline=None, max_examples=25)
    def check(value: Any) -> None:
        message = decode_payload(payload(metric("m", value, kind)))
        assert isinstance(message, dict)
        found = value_in(message["metrics"][0], kind)
        assert [*map(single, found)] == [*map(single, value)] if kind == DataType.FloatArray else same(found, value)
        assert type(found) is type(value)

    check()


def single(number: float) -> bytes:
    return struct.pack("<f", number)


def same(found: Any, value: Any) -> bool:
    return bool(single(found) == single(value) if isinstance(value, float) and abs(value) < 3e38 else found == value)


# Examples of the specification, section 6.4.17; its -23 is misprinted there as ef.
@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (DataType.Int8Array, "e97b", [-23, 123]),
        (DataType.Int32Array, "15cd5b07b168de3a", [123456789, 987654321]),
        (DataType.UInt32Array, "3400000049fb55c4", [52, 3293969225]),
        (DataType.UInt64Array, "3400000000000000d99e02d1b27637e4", [52, 16444743074749521625]),
        (DataType.BooleanArray, "0c00000034d0", [bit == "1" for bit in "001101001101"]),
        (DataType.StringArray, "41424300" "68656c6c6f00", ["ABC", "hello"]),
    ],
)  # fmt: skip
def test_arrays_of_the_specification(kind: DataType, raw: str, value: Any) -> None:
    assert value_in({"bytes_value": bytes.fromhex(raw)}, kind) == value


@pytest.mark.parametrize(
    ("message", "kind", "value"),
    [
        ({"int_value": 0xFF}, DataType.Int8, -1),
        ({"int_value": 0xFFFFFFFF}, DataType.Int8, -1),
        ({"int_value": 0xFFFE}, DataType.Int16, -2),
        ({"long_value": 2**64 - 3}, DataType.Int32, -3),
        ({"long_value": 7}, DataType.UInt32, 7),
        ({"int_value": 5}, DataType.Double, 5.0),
        ({"int_value": 1}, DataType.Boolean, True),
        ({"float_value": struct.unpack("<f", struct.pack("<f", 0.1))[0]}, DataType.Float, 0.1),
        ({"float_value": struct.unpack("<f", struct.pack("<f", 21.7))[0]}, None, 21.7),
        ({"is_null": True, "int_value": 3}, DataType.Int32, None),
        ({}, DataType.Int32, None),
    ],
)
def test_senders_differ_in_where_they_put_a_value(message: Any, kind: DataType | None, value: Any) -> None:
    assert value_in(message, kind) == value


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"int_value": 300}, DataType.Int8),
        ({"int_value": 70000}, DataType.UInt16),
        ({"string_value": "1"}, DataType.Int32),
        ({"string_value": "1"}, DataType.Double),
        ({"int_value": 2}, DataType.Boolean),
        ({"int_value": 2}, DataType.String),
        ({"bytes_value": b"abc"}, DataType.Int16Array),
        ({"bytes_value": b"\xff\xff\x00\x00\x01"}, DataType.BooleanArray),
    ],
)
def test_a_value_that_its_type_cannot_hold(message: Any, kind: DataType) -> None:
    with pytest.raises(WrongValue):
        value_in(message, kind)


# --- births, data, gaps


def test_data_by_alias_after_the_birth() -> None:
    read, _ = opener()
    born = read(topic("NBIRTH"), NBIRTH)
    assert isinstance(born[0], Notice)
    assert (born[0].kind, born[0].foreign_id) == ("online", "g/n")
    assert only(born) == {"timestamp": TIME, "Temperature": 21.5}
    (packet,) = packets(read(topic("NDATA"), NDATA))
    assert packet.foreign_id == "g/n"
    assert packet.document == {"timestamp": TIME, "Temperature": 22.5}
    (reading,) = MACHINE.map(packet.document, packet.payload)
    assert isinstance(reading, Reading)
    assert stated_metrics(MACHINE, reading) == {"temperature": 22.5}
    assert reading.time == TIME * 1000
    assert read.requests == []


def test_a_gap_is_stored_and_a_birth_requested() -> None:
    read, _ = opener()
    read(topic("NBIRTH"), NBIRTH)
    read(topic("NDATA"), NDATA)
    assert only(read(topic("NDATA"), NDATA_GAP)) == {"timestamp": TIME, "Temperature": 27.0}
    ((where, command),) = read.requests
    assert where == "spBv1.0/g/NCMD/n"
    message = decode_payload(command)
    assert message == {
        "timestamp": 1767225600000,
        "metrics": [
            {"name": "Node Control/Rebirth", "timestamp": 1767225600000, "datatype": 11, "boolean_value": True}
        ],
    }
    assert isinstance(read(where, command)[0], Notice)


def test_data_before_the_birth_is_refused_and_says_what_to_do() -> None:
    read, _ = opener()
    rejected = only(read(topic("NDATA"), NDATA))
    assert (rejected.layer, rejected.reason, rejected.value) == ("envelope", Reason.BEFORE_BIRTH, "alias 100 = 22.5")
    assert "asks the node for its births" in rejected.detail
    assert len(read.requests) == 1


def test_data_that_explains_itself_is_stored_before_any_birth() -> None:
    read, _ = opener()
    named, unnamed = packets(
        read(topic("DDATA", "d"), payload(metric("rpm", 9, DataType.Int32), {"alias": 3, "int_value": 1}, seq=4))
    )
    assert named.document == {"timestamp": TIME, "rpm": 9}
    assert isinstance(unnamed.document, Rejected)
    assert "DBIRTH of g/n/d" in unnamed.document.detail
    assert len(read.requests) == 1


def test_a_device_has_its_own_aliases_and_the_node_one_count() -> None:
    read, _ = opener()
    read(topic("NBIRTH"), payload(metric("x", 1, DataType.Int32, alias=1), seq=0))
    read(topic("DBIRTH", "d"), payload(metric("y", 2, DataType.Int16, alias=1), seq=1))
    data = payload({"alias": 1, "int_value": 0xFFFF}, seq=2)
    assert only(read(topic("DDATA", "d"), data)) == {"timestamp": TIME, "y": -1}
    assert only(read(topic("NDATA"), payload({"alias": 1, "int_value": 5}, seq=3))) == {"timestamp": TIME, "x": 5}
    assert read.requests == []
    assert [part.kind for part in read(topic("DDEATH", "d"), payload(seq=4)) if isinstance(part, Notice)] == ["offline"]
    assert isinstance(only(read(topic("DDATA", "d"), payload({"alias": 1, "int_value": 5}, seq=5))), Rejected)


def test_the_count_goes_round_at_256() -> None:
    read, _ = opener()
    read(topic("NBIRTH"), payload(metric("x", 1, DataType.Int32), seq=0))
    for number in range(1, 600):
        read(topic("NDATA"), payload(metric("x", 1, DataType.Int32), seq=number % 256))
    assert read.requests == []


@given(st.lists(st.tuples(st.integers(0, 255), st.floats(0, 100)), min_size=1, max_size=60))
@quick
def test_a_gap_leads_to_one_request_a_window(steps: list[tuple[int, float]]) -> None:
    read, clock = opener()
    read(topic("NBIRTH"), payload(metric("x", 1, DataType.Int32), seq=0))
    last, missing, asked = 0, False, []
    for seq, wait in steps:
        clock.now += wait
        read(topic("NDATA"), payload(metric("x", 1, DataType.Int32), seq=seq))
        missing = missing or seq != (last + 1) % 256
        last = seq
        asked += [clock.now for _ in read.requests]
        assert len(read.requests) <= 1
        read.requests.clear()
        assert not missing or clock.now - asked[-1] < REBIRTH_EVERY_S
    assert missing == bool(asked)
    assert all(after - before >= REBIRTH_EVERY_S for before, after in pairwise(asked))


def test_a_birth_ends_the_asking() -> None:
    read, clock = opener()
    read(topic("NDATA"), NDATA)
    read(topic("NBIRTH"), NBIRTH)
    clock.now += 1000
    read(topic("NDATA"), NDATA)
    assert len(read.requests) == 1


def test_requests_are_bounded() -> None:
    read, _ = opener()
    for number in range(MAX_REQUESTS + 50):
        read(topic("NDATA", node=f"n{number}"), NDATA)
    assert len(read.requests) == MAX_REQUESTS


# --- deaths, states, commands


def test_a_death_takes_the_devices_along() -> None:
    read, _ = opener()
    read(topic("NBIRTH"), payload(metric("bdSeq", 4, DataType.UInt64), seq=0))
    read(topic("DBIRTH", "d"), payload(metric("y", 2, DataType.Int16), seq=1))
    stale = read(topic("NDEATH"), payload(metric("bdSeq", 3, DataType.UInt64)))
    assert [(part.kind, "earlier session" in part.detail) for part in stale if isinstance(part, Notice)] == [
        ("other", True)
    ]
    dead = read(topic("NDEATH"), payload(metric("bdSeq", 4, DataType.UInt64)))
    assert [(part.foreign_id, part.kind) for part in dead if isinstance(part, Notice)] == [
        ("g/n", "offline"),
        ("g/n/d", "offline"),
    ]
    assert isinstance(only(read(topic("NDATA"), NDATA)), Rejected)


def test_death_of_an_unknown_node() -> None:
    (notice,) = opener()[0](topic("NDEATH"), NDEATH)
    assert notice == Notice("g/n", "offline", "NDEATH of g/n")


@pytest.mark.parametrize(
    ("where", "raw", "kind"),
    [
        ("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 1767225600000}', "online"),
        ("spBv1.0/STATE/scada", b'{"online": false, "timestamp": 1767225600000}', "offline"),
        ("STATE/scada", b"ONLINE", "online"),
        ("STATE/scada", b"OFFLINE", "offline"),
    ],
)
def test_state_of_a_host(where: str, raw: bytes, kind: str) -> None:
    (notice,) = opener()[0](where, raw)
    assert isinstance(notice, Notice)
    assert (notice.foreign_id, notice.kind) == ("STATE/scada", kind)


def test_a_state_that_is_none_is_refused() -> None:
    rejected = only(opener()[0]("spBv1.0/STATE/scada", b"\x08\x01"))
    assert "ONLINE" in rejected.detail


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("spAv1.0/g/NDATA/n", "Sparkplug B"),
        ("spBv1.0/g/DDATA/n", "/{node}/{device}"),
        ("spBv1.0/g/NDATA/n/d", "NDATA on a topic of 5 levels"),
        ("spBv1.0/g/NDATA/", "4 levels"),
    ],
)
def test_a_wrong_topic_is_named(where: str, words: str) -> None:
    rejected = only(opener()[0](where, NDATA))
    assert (rejected.layer, rejected.field) == ("envelope", "topic")
    assert words in rejected.detail


# --- what a metric can be


def test_what_serves_the_protocol_is_no_metric() -> None:
    read, _ = opener()
    control = (metric("Node Control/Next Server", False, DataType.Boolean), metric("bdSeq", 1, DataType.UInt64))
    (notice,) = read(topic("NBIRTH"), payload(*control, seq=0))
    assert isinstance(notice, Notice)
    (notice,) = read(topic("NDATA"), payload(metric("x", 1, DataType.Int32, is_transient=True), seq=1))
    assert isinstance(notice, Notice)


def test_every_time_has_a_reading_of_its_own() -> None:
    read, _ = opener()
    past = (
        metric("x", value, DataType.Int32, timestamp=TIME - 1000 * value, is_historical=True) for value in (3, 2, 1)
    )
    found = packets(read(topic("NDATA"), payload(*past, metric("x", 0, DataType.Int32), seq=1)))
    assert [packet.document for packet in found] == [{"timestamp": TIME - 1000 * x, "x": x} for x in (3, 2, 1, 0)]
    assert len({packet.payload for packet in found}) == 4


def test_templates_are_flattened_and_their_types_remembered() -> None:
    read, _ = opener()
    members = [metric("Speed", 1500, DataType.UInt16), metric("Temp", -4, DataType.Int8)]
    index = {"name": "Index", "type": 12, "string_value": "7"}
    instance = {"template_ref": "motor", "metrics": members, "parameters": [index]}
    motor = {"name": "Motor", "alias": 9, "datatype": 19, "template_value": instance}
    definition = {"name": "motor", "datatype": 19, "template_value": {"is_definition": True, "metrics": members}}
    born = only(read(topic("NBIRTH"), payload(motor, definition, seq=0)))
    assert born == {"timestamp": TIME, "Motor/Speed": 1500, "Motor/Temp": -4, "Motor/Index": "7"}
    changed = {"alias": 9, "template_value": {"metrics": [{"name": "Temp", "int_value": 0xF0}]}}
    assert only(read(topic("NDATA"), payload(changed, seq=1))) == {"timestamp": TIME, "Motor/Temp": -16}


def test_units_of_the_birth_serve_the_data() -> None:
    read, _ = opener()
    unit = {"keys": ["engUnit"], "values": [{"type": 12, "string_value": "°F"}]}
    read(topic("DBIRTH", "d"), payload(metric("Temperature", 14.0, DataType.Double, alias=1, properties=unit), seq=1))
    (packet,) = packets(read(topic("DDATA", "d"), payload({"alias": 1, "double_value": 32.0}, seq=2)))
    assert packet.document == {"timestamp": TIME, "Temperature": 32.0, "properties": {"Temperature": {"engUnit": "°F"}}}
    (reading,) = MACHINE.map(packet.document, packet.payload)
    assert isinstance(reading, Reading)
    assert stated_metrics(MACHINE, reading) == {"temperature": pytest.approx(0)}
    assert reading.extra is None


def test_bad_quality_nulls_data_sets_and_dots() -> None:
    read, _ = opener()
    bad = {"keys": ["Quality"], "values": [{"type": 3, "int_value": 500}]}
    rows = {
        "columns": ["a", "b"],
        "types": [1, 12],
        "rows": [{"elements": [{"int_value": 255}, {"string_value": "x"}]}],
    }
    document = only(
        read(
            topic("NDATA"),
            payload(
                metric("stale", 7, DataType.Int32, properties=bad),
                metric("nothing", None, DataType.Int32),
                {"name": "table", "datatype": 16, "dataset_value": rows},
                metric("Channel1.Device1.Tag", 2.5, DataType.Double),
                metric("Channel1.Device1", 1, DataType.Int8),
                metric("timestamp", 5, DataType.Int32),
                metric("picture", b"\xff" * 5000, DataType.Bytes),
                metric("wrong", 5, DataType.Int32) | {"datatype": 12},
                seq=1,
            ),
        )
    )
    assert document == {
        "timestamp": TIME,
        "stale": None,
        "nothing": None,
        "table": {"columns": ["a", "b"], "rows": [[-1, "x"]]},
        "Channel1": {"Device1": {"Tag": 2.5}},
        "Channel1.Device1": 1,
        "metric/timestamp": 5,
        "picture": {"bytes": 5000},
        "quality": {"stale": {"quality": 500, "value": 7}},
        "undecodable": {"wrong": "String stands in int_value; expected string_value"},
    }


@pytest.mark.parametrize("window", [zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_compressed_payloads(window: int) -> None:
    packer = zlib.compressobj(wbits=window)
    body = packer.compress(NBIRTH) + packer.flush()
    outer = encode_payload(
        {"uuid": "SPBV1.0_COMPRESSED", "body": body, "metrics": [metric("algorithm", "GZIP", DataType.String)]}
    )
    assert decode_payload(outer) == decode_payload(NBIRTH)
    cut = decode_payload(encode_payload({"uuid": "SPBV1.0_COMPRESSED", "body": body[:-20]}))
    assert isinstance(cut, Rejected)
    assert cut.field == "body"


def test_a_compression_bomb_is_refused() -> None:
    bomb = encode_payload({"uuid": "SPBV1.0_COMPRESSED", "body": zlib.compress(b"\0" * 10 * MAX_INFLATED)})
    rejected = decode_payload(bomb)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.field) == (Reason.TOO_LARGE, "body")


# --- bounds, JSON, any bytes


def test_memory_is_bounded_and_the_forgotten_are_asked() -> None:
    nodes = Nodes(max_nodes=50, max_bytes=20 * 3 * CELL)
    read, _ = opener(nodes)
    for number in range(200):
        read(topic("NBIRTH", node=f"n{number}"), payload(metric("x", 1, DataType.Int32, alias=1), seq=0))
    assert len(nodes) <= 50
    assert nodes.weight <= 20 * 3 * CELL
    assert isinstance(only(read(topic("NDATA", node="n0"), payload({"alias": 1, "int_value": 1}, seq=1))), Rejected)
    assert read.requests[-1][0] == "spBv1.0/g/NCMD/n0"
    assert only(read(topic("NDATA", node="n199"), payload({"alias": 1, "int_value": 1}, seq=1)))["x"] == 1


def test_a_birth_larger_than_is_remembered_is_stored_and_said() -> None:
    read, _ = opener(Nodes(max_bytes=20 * CELL))
    many = [metric(f"m{number}", number, DataType.Int32, alias=number) for number in range(30)]
    refused, stored = packets(read(topic("NBIRTH"), payload(*many, seq=0)))
    assert isinstance(refused.document, Rejected)
    assert refused.document.reason == Reason.TOO_LARGE
    assert isinstance(stored.document, dict)
    assert stored.document["m29"] == 29


@pytest.mark.parametrize(
    ("text", "document"),
    [
        (
            '{"timestamp": 5, "metrics": [{"name": "A/B", "dataType": "Int64", "value": "-7"}]}',
            {"timestamp": 5, "A/B": -7},
        ),
        (
            '{"metrics": [{"name": "a", "datatype": 10, "doubleValue": 2.5, "timestamp": "9"}]}',
            {"timestamp": 9, "a": 2.5},
        ),
        (
            '{"metrics": [{"name": "T", "value": {"metrics": [{"name": "m", "value": true}]}}]}',
            {"T/m": True},
        ),
    ],
)
def test_payloads_written_as_json(text: str, document: Any) -> None:
    assert only(opener()[0](topic("NDATA"), text.encode())) == document


@given(
    st.dictionaries(st.text("abcXYZ/ _1", min_size=1, max_size=9), st.sampled_from([*SAMPLES]), min_size=1, max_size=5),
    st.data(),
)
@quick
def test_what_is_kept_can_be_read_again_without_a_birth(kinds: dict[str, DataType], draw: st.DataObject) -> None:
    sent = [
        metric(name, draw.draw(SAMPLES[kind]), kind)
        for name, kind in kinds.items()
        if kind not in (DataType.Bytes, DataType.File)
    ]
    for packet in packets(opener()[0](topic("NBIRTH"), payload(*sent, seq=0))):
        assert json.loads(json.dumps(only(opener()[0](topic("NDATA"), packet.payload)))) == json.loads(
            json.dumps(packet.document)
        )


topics = st.sampled_from(
    [
        topic(kind, "d" if kind[0] == "D" else "")
        for kind in ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH", "NCMD")
    ]
)


@given(st.lists(st.tuples(topics, st.one_of(st.binary(max_size=60), messages.map(encode_payload))), max_size=8))
@quick
def test_any_bytes_in_any_order_are_answered(steps: list[tuple[str, bytes]]) -> None:
    read, _ = opener()
    for where, raw in steps:
        opened = read(where, raw)
        assert opened
        for part in packets(opened):
            assert MACHINE.map(part.document, part.payload)
    assert len(read.requests) <= 1


@given(st.binary(max_size=200), st.integers(0, 7))
@quick
def test_a_damaged_birth_is_answered(noise: bytes, bit: int) -> None:
    at = len(noise) % len(NBIRTH)
    damaged = NBIRTH[:at] + bytes([NBIRTH[at] ^ 1 << bit]) + NBIRTH[at + 1 :] + noise
    assert opener()[0](topic("NBIRTH"), damaged)


@given(st.text(max_size=40), st.binary(max_size=20))
@quick
def test_any_topic_is_answered(where: str, raw: bytes) -> None:
    assert opener()[0](where, raw)


def test_bad_wire_is_a_value_error() -> None:
    assert issubclass(BadWire, ValueError)
    assert isnan(float(value_in({"double_value": float("nan")}, DataType.Double)))


# --- messages that nobody here wrote


def files(folder: str, pattern: str) -> list[Path]:
    return sorted((FOLDER / folder).glob(pattern)) if FOLDER.is_dir() else []


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")
def test_published_vectors() -> None:
    found = {}
    for path in files("sparkplug-b", "*.bin"):
        expected = json.loads(path.with_name(path.name.replace(".spb.bin", ".expected.json")).read_text())
        read, _ = opener()
        if "BEFORE" not in path.name and expected["message_type"] == "NDATA":
            read(topic("NBIRTH"), (FOLDER / "sparkplug-b/NBIRTH_V1.spb.bin").read_bytes())
        message = decode_payload(path.read_bytes())
        assert isinstance(message, dict)
        assert len(message["metrics"]) == expected["metric_count"]
        assert encode_payload(message) == path.read_bytes() or "V1" in path.name
        found[path.name.removesuffix(".spb.bin")] = (
            read(topic(expected["message_type"]), path.read_bytes()),
            read.requests,
        )
    assert only(found["NDATA_V1"][0])["Temperature"] == 22.5
    assert not found["NDATA_V1"][1]
    assert only(found["NDATA_GAP"][0])["Temperature"] == 27.0
    assert len(found["NDATA_GAP"][1]) == 1
    assert only(found["NDATA_BEFORE_BIRTH"][0]).reason == Reason.BEFORE_BIRTH
    large = only(found["NBIRTH_LARGE"][0])
    assert [large[f"Metric_{number}"] for number in (1, 2, 100)] == [1.5, 3.0, 150.0]
    assert len(large) == 101


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")
def test_examples_of_the_specification() -> None:
    opened = {
        path.stem: opener()[0]("spBv1.0/Sparkplug", path.read_bytes()) for path in files("sparkplug-b-spec", "*.json")
    }
    assert only(opened["spec-3"])["Properties/Hardware Make"] == "Pibrella"
    assert only(opened["spec-7"]) == {
        "timestamp": 1486144502122,
        "Outputs/LEDs/Green": True,
        "Outputs/LEDs/Yellow": True,
    }
    assert [type(part) for name in ("spec-6", "spec-9") for part in opened[name]] == [Notice, Notice]
