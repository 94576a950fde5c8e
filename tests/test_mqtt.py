"""The MQTT reader: whatever the broker sends and however the network cuts it, packets come out whole or not at all.

The judge is paho's own reading of properties and a decoder written here from the standard, byte by byte.
"""

import contextlib
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest import mqtt
from ingest.mqtt.properties import read_properties

GREETING = b"\x20\x03\x00\x00\x00"
SHORT, LONG = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
USER_PROPERTIES = st.lists(st.tuples(TEXTS, TEXTS), max_size=3)
TOPICS = st.sampled_from(["dothi/v1/213/d-1/up", "t", "zigbee2mqtt/phòng/1", "x" * 300])


class Sent(NamedTuple):
    """A packet as bytes, and what the reader must make of it."""

    raw: bytes
    meant: mqtt.Publish | mqtt.Packet


def properties_of(kind: int, fields: dict[str, Any]) -> bytes:
    """As paho writes them, with their length in front."""
    made = Properties(kind)
    for name, value in fields.items():
        setattr(made, name, value)
    return bytes(made.pack())


PUBLISH_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "PayloadFormatIndicator": st.integers(0, 1),
        "MessageExpiryInterval": LONG,
        "ContentType": TEXTS,
        "ResponseTopic": TOPICS,
        "CorrelationData": st.binary(max_size=200),
        "SubscriptionIdentifier": st.integers(1, 268_435_455),
        "UserProperty": USER_PROPERTIES,
    },
)
CONNACK_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "SessionExpiryInterval": LONG,
        "ReceiveMaximum": st.integers(1, 0xFFFF),
        "MaximumQoS": st.integers(0, 1),
        "RetainAvailable": st.integers(0, 1),
        "MaximumPacketSize": st.integers(1, 268_435_455),
        "AssignedClientIdentifier": TEXTS,
        "TopicAliasMaximum": SHORT,
        "ReasonString": TEXTS,
        "UserProperty": USER_PROPERTIES,
        "WildcardSubscriptionAvailable": st.integers(0, 1),
        "SubscriptionIdentifierAvailable": st.integers(0, 1),
        "SharedSubscriptionAvailable": st.integers(0, 1),
        "ServerKeepAlive": SHORT,
        "ResponseInformation": TEXTS,
        "ServerReference": TEXTS,
        "AuthenticationMethod": TEXTS,
        "AuthenticationData": st.binary(max_size=20),
    },
)
ANSWER_FIELDS = st.fixed_dictionaries({}, optional={"ReasonString": TEXTS, "UserProperty": USER_PROPERTIES})


def published(topic: str, payload: bytes, pid: int, retain: bool, again: bool, fields: dict[str, Any]) -> Sent:
    """A PUBLISH at QoS 0 or 1."""
    head = 0x30 | (0x02 if pid else 0) | (0x08 if pid and again else 0) | retain
    body = mqtt.text(topic) + (pid.to_bytes(2) if pid else b"") + properties_of(PacketTypes.PUBLISH, fields) + payload
    return Sent(mqtt.packet(head, body), mqtt.Publish(topic.encode(), payload, pid, retain))


PAYLOADS = st.one_of(st.binary(max_size=300), st.binary(min_size=16_384, max_size=17_000))
PUBLISHED = st.builds(
    published,
    TOPICS,
    PAYLOADS,
    SHORT,
    st.booleans(),
    st.booleans(),
    st.one_of(st.just({}), PUBLISH_FIELDS),
)
USUAL = st.builds(
    published, TOPICS, st.binary(max_size=140), st.integers(1, 9), st.just(False), st.just(False), st.just({})
)
ANSWERED = st.one_of(
    st.just(Sent(b"\xd0\x00", mqtt.Pingresp())),
    st.just(Sent(b"\xe0\x00", mqtt.Disconnect(0))),
    st.sampled_from([0, 0x8B, 0x8E]).map(lambda code: Sent(bytes((0xE0, 1, code)), mqtt.Disconnect(code))),
    st.builds(
        lambda code, fields: Sent(
            mqtt.packet(0xE0, bytes((code,)) + properties_of(PacketTypes.DISCONNECT, fields)), mqtt.Disconnect(code)
        ),
        st.sampled_from([0, 0x89, 0x9D]),
        ANSWER_FIELDS,
    ),
    st.builds(
        lambda pid, codes, fields: Sent(
            mqtt.packet(0x90, pid.to_bytes(2) + properties_of(PacketTypes.SUBACK, fields) + codes), mqtt.Suback(codes)
        ),
        st.integers(1, 0xFFFF),
        st.lists(st.sampled_from([0, 1, 0x80, 0x87, 0x8F]), min_size=1, max_size=5).map(bytes),
        ANSWER_FIELDS,
    ),
)


def greeted(present: bool, reason: int, fields: dict[str, Any]) -> Sent:
    """A CONNACK."""
    raw = bytes((present and not reason, reason)) + properties_of(PacketTypes.CONNACK, fields)
    return Sent(mqtt.packet(0x20, raw), mqtt.Connack(present and not reason, reason, fields.get("ServerKeepAlive")))


GREETED = st.builds(greeted, st.booleans(), st.sampled_from([0, 0x86, 0x8C, 0x97]), CONNACK_FIELDS)
STREAMS = st.builds(
    lambda first, rest: [first, *rest], GREETED, st.lists(st.one_of(USUAL, USUAL, PUBLISHED, ANSWERED), max_size=12)
)
CUTS = st.one_of(st.just([]), st.lists(st.integers(0, 4_000), max_size=12), st.just(list(range(1, 4_000))))


def read(reader: mqtt.Reader, stream: bytes, cuts: list[int]) -> tuple[list[mqtt.Publish], list[mqtt.Packet]]:
    """All that a stream brings, cut there."""
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    messages: list[mqtt.Publish] = []
    others: list[mqtt.Packet] = []
    for start, end in pairwise(edges):
        some, rest = reader.feed(stream[start:end])
        messages += some
        others += rest
    return messages, others


@given(STREAMS, CUTS)
def test_every_legal_stream_gives_its_packets_however_it_is_cut(stream: list[Sent], cuts: list[int]) -> None:
    messages, others = read(mqtt.Reader(), b"".join(sent.raw for sent in stream), cuts)
    assert messages == [sent.meant for sent in stream if isinstance(sent.meant, mqtt.Publish)]
    assert others == [sent.meant for sent in stream if not isinstance(sent.meant, mqtt.Publish)]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_packets_or_a_protocol_error(stream: bytes, after_greeting: bool) -> None:
    with contextlib.suppress(mqtt.ProtocolError):
        mqtt.Reader(greeted=after_greeting).feed(stream)


@given(STREAMS, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_stream_with_wrong_bytes_is_read_or_a_protocol_error(
    stream: list[Sent], changes: list[tuple[int, int]]
) -> None:
    """And whole or cut into bytes, it comes to the same."""
    raw = bytearray(b"".join(sent.raw for sent in stream)[:600])
    for place, byte in changes:
        raw[place % len(raw)] = byte
    found: list[Any] = []
    for cuts in ([], list(range(600))):
        try:
            found.append(read(mqtt.Reader(), bytes(raw), cuts))
        except mqtt.ProtocolError:
            found.append(None)
    assert found[0] == found[1]


@given(st.binary(max_size=40))
def test_properties_are_legal_where_paho_takes_them_whole(raw: bytes) -> None:
    """Whatever we take, paho takes, and finds as many bytes. It does not check all that we do, so not the other way."""
    allowed = frozenset((0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x26))
    try:
        _, end = read_properties(raw, 0, len(raw), allowed)
    except mqtt.ProtocolError:
        return
    made = Properties(PacketTypes.PUBLISH)
    assert made.unpack(raw)[1] == end


@given(st.one_of(USUAL, PUBLISHED), st.integers(0, 20_000))
def test_a_packet_that_is_not_whole_is_waited_for(sent: Sent, keep: int) -> None:
    messages, others = mqtt.Reader(greeted=True).feed(sent.raw[: min(keep, len(sent.raw) - 1)])
    assert (list(messages), others) == ([], [])


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"\x32\x02\x00\x05", "cut short"),
        (b"\x32\x06\x00\x05t\x00\x01\x00", "cut short"),
        (b"\x34\x08\x00\x01t\x00\x01\x00xy", "QoS 2"),
        (b"\x36\x08\x00\x01t\x00\x01\x00xy", "QoS 3"),
        (b"\x38\x05\x00\x01t\x00x", "QoS 0, sent again"),
        (b"\x32\x06\x00\x01t\x00\x00\x00", "without a packet id"),
        (b"\x30\x03\x00\x00\x00", "without a topic"),
        (b"\x32\x05\x00\x00\x00\x01\x00", "without a topic"),
        (b"\x30\x07\x00\x00\x03\x23\x00\x01x", "at most 0"),
        (b"\x30\x05\x00\x01t\x05x", "longer than the packet"),
        (b"\x30\x06\x00\x01t\x02\x01\x02", "property 0x01 of 2"),
        (b"\x30\x08\x00\x01t\x04\x01\x01\x01\x01", "comes twice"),
        (b"\x30\x06\x00\x01t\x02\x24\x01", "no place here"),
        (b"\x30\x06\x00\x01t\x02\x0b\x00", "property 0x0b of 0"),
        (b"\x30\x08\x00\x01t\x04\x03\x00\x01\xff", "not UTF-8"),
        (b"\x30\x08\x00\x01t\x04\x03\x00\x01\x00", "NUL"),
        (b"\x30\x07\x00\x01t\x03\x03\x00\x05", "cut short"),
        (b"\x30\xff\xff\xff\xff\x7f", "more than four"),
        (b"\x32\x80\x00", "more bytes than it needs"),
        (b"\x30\xff\xff\xff\x7f", "at most"),
        (b"\xf0\x00", "unexpected packet"),
        (b"\x10\x00", "unexpected packet"),
        (b"\xd0\x01x", "unexpected packet"),
        (b"\xd1\x00", "unexpected packet"),
        (GREETING, "second CONNACK"),
        (b"\x90\x02\x00\x01", "cut short"),
        (b"\x90\x03\x00\x01\x00", "without packet id or reasons"),
        (b"\x90\x04\x00\x00\x00\x01", "without packet id or reasons"),
        (b"\xe0\x04\x8e\x00xx", "goes on"),
    ],
)
def test_what_mqtt_does_not_allow_is_named(stream: bytes, said: str) -> None:
    with pytest.raises(mqtt.ProtocolError, match=said):
        mqtt.Reader(greeted=True).feed(stream)


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"\x30\x05\x00\x01t\x00x", "before the CONNACK"),
        (b"\xd0\x00", "before the CONNACK"),
        (b"\x20\x02\x00\x01", "does not speak MQTT 5"),
        (b"\x20\x03\x02\x00\x00", "unknown flags"),
        (b"\x20\x03\x01\x86\x00", "contradicts itself"),
        (b"\x20\x03\x00\x05\x00", "contradicts itself"),
        (b"\x20\x04\x00\x00\x00x", "contradicts itself"),
    ],
)
def test_a_greeting_that_is_none_is_named(stream: bytes, said: str) -> None:
    with pytest.raises(mqtt.ProtocolError, match=said):
        mqtt.Reader().feed(stream)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([b"a/b", b"c", b""])), max_size=12), st.integers(0, 3))
def test_topic_aliases_are_those_that_were_offered(said: list[tuple[int, bytes]], offered: int) -> None:
    """Section 3.3.2.3.4: an alias means the topic that was last sent with it."""
    reader, model = mqtt.Reader(topic_aliases=offered, greeted=True), dict[int, bytes]()
    for alias, topic in said:
        raw = mqtt.packet(0x30, mqtt.text(topic) + b"\x03\x23" + alias.to_bytes(2) + b"x")
        if alias > offered or (not topic and alias not in model):
            with pytest.raises(mqtt.ProtocolError):
                reader.feed(raw)
            return
        model[alias] = topic or model[alias]
        assert [message.topic for message in reader.feed(raw)[0]] == [model[alias]]


def test_a_packet_of_the_largest_size_is_taken_and_no_larger() -> None:
    raw = published("t", bytes(1_000), 1, False, False, {}).raw
    assert len(mqtt.Reader(len(raw) - 3, greeted=True).feed(raw)[0]) == 1
    with pytest.raises(mqtt.ProtocolError, match="at most"):
        mqtt.Reader(len(raw) - 4, greeted=True).feed(raw)


@given(st.integers(0, 268_435_455))
def test_lengths_round_trip(value: int) -> None:
    encoded = mqtt.encode_length(value)
    assert mqtt.read_length(encoded, 0) == (value, len(encoded))


def test_acknowledgements_keep_their_order() -> None:
    assert mqtt.pubacks([1, 258, 65_535]) == b"\x40\x02\x00\x01\x40\x02\x01\x02\x40\x02\xff\xff"
    assert mqtt.pubacks([]) == b""
