"""The MQTT reader: whatever the broker sends and however the network cuts it, packets come out whole or not at all."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import mqtt


def publish_packet(message: mqtt.Publish, properties: bytes) -> bytes:
    """A PUBLISH as a broker writes it."""
    head = 0x30 | (0x02 if message.pid else 0) | message.retain
    pid = message.pid.to_bytes(2) if message.pid else b""
    body = mqtt.text(message.topic) + pid + mqtt.encode_length(len(properties)) + properties + message.payload
    return mqtt.packet(head, body)


# Properties are passed over by their length, so any bytes do; 0, 1 and 2 bytes of length are reached.
PROPERTIES = st.one_of(st.just(b""), st.binary(max_size=40), st.binary(min_size=128, max_size=200))
MESSAGES = st.builds(
    mqtt.Publish,
    topic=st.binary(min_size=1, max_size=60),
    payload=st.one_of(st.binary(max_size=300), st.binary(min_size=16_384, max_size=17_000)),
    pid=st.integers(0, 65_535),
    retain=st.booleans(),
)


@given(
    messages=st.lists(st.tuples(MESSAGES, PROPERTIES), max_size=8), cuts=st.lists(st.integers(0, 4_000), max_size=12)
)
def test_any_fragmentation_gives_the_same_messages(messages: list[tuple[mqtt.Publish, bytes]], cuts: list[int]) -> None:
    stream = b"".join(publish_packet(message, properties) for message, properties in messages)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = mqtt.Reader()
    found: list[mqtt.Publish] = []
    for start, end in pairwise(edges):
        found += reader.feed(stream[start:end])[0]
    assert found == [message for message, _ in messages]


@given(st.binary(max_size=200))
def test_any_bytes_are_packets_or_a_protocol_error(stream: bytes) -> None:
    with contextlib.suppress(mqtt.ProtocolError):
        mqtt.Reader().feed(stream)


@given(MESSAGES, PROPERTIES, st.integers(0, 10_000))
def test_a_packet_cut_short_inside_never_becomes_a_message(message: mqtt.Publish, properties: bytes, keep: int) -> None:
    """A remaining length that lies must not let a message borrow bytes from the next packet's header unnoticed."""
    whole = publish_packet(message, properties)
    reader = mqtt.Reader()
    assert reader.feed(whole[: min(keep, len(whole) - 1)]) == ([], [])


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"\x32\x02\x00\x05", "cut short"),
        (b"\x34\x08\x00\x01t\x00\x01\x00xy", "QoS 2"),
        (b"\x32\x06\x00\x01t\x00\x00\x00", "without a packet id"),
        (b"\x30\x03\x00\x00\x00", "without a topic"),
        (b"\x30\x05\x00\x01t\x05x", "longer than the packet"),
        (b"\x30\xff\xff\xff\xff\x7f", "more than four"),
        (b"\x30\xff\xff\xff\x7f", "at most"),
        (b"\xf0\x00", "unexpected packet"),
        (b"\x10\x00", "unexpected packet"),
    ],
)
def test_what_mqtt_does_not_allow_is_named(stream: bytes, said: str) -> None:
    with pytest.raises(mqtt.ProtocolError, match=said):
        mqtt.Reader().feed(stream)


def test_connack_with_all_its_properties() -> None:
    properties = (
        b"\x11\x00\x00\x00\x10\x21\x00\x14\x24\x01\x25\x01\x27\x00\x01\x00\x00\x12\x00\x02id\x22\x00\x0a"
        b"\x26\x00\x01k\x00\x02vv\x13\x00\x3c\x28\x01\x29\x01\x2a\x01"
    )
    stream = mqtt.packet(0x20, b"\x01\x00" + mqtt.encode_length(len(properties)) + properties)
    assert mqtt.Reader().feed(stream) == ([], [mqtt.Connack(True, 0, 60)])


def test_control_packets() -> None:
    stream = b"\x20\x03\x00\x86\x00" + b"\x90\x05\x00\x01\x00\x01\x87" + b"\xd0\x00" + b"\xe0\x01\x8e" + b"\xe0\x00"
    assert mqtt.Reader().feed(stream)[1] == [
        mqtt.Connack(False, 0x86, None),
        mqtt.Suback(b"\x01\x87"),
        mqtt.Pingresp(),
        mqtt.Disconnect(0x8E),
        mqtt.Disconnect(0),
    ]


@given(st.integers(0, 268_435_455))
def test_lengths_round_trip(value: int) -> None:
    encoded = mqtt.encode_length(value)
    assert mqtt.read_length(encoded, 0) == (value, len(encoded))


def test_acknowledgements_keep_their_order() -> None:
    assert mqtt.pubacks([1, 258, 65_535]) == b"\x40\x02\x00\x01\x40\x02\x01\x02\x40\x02\xff\xff"
