"""The packets that a receiver at QoS 1 gets, and the rules that each must keep. Sections are those of MQTT 5.0."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ingest.mqtt.properties import Bounds, ProtocolError, read_properties, read_short

CONNACK, PUBLISH, SUBACK, PINGRESP, DISCONNECT = 2, 3, 9, 13, 14

REFUSALS = {
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "the broker does not speak MQTT 5",
    0x85: "client id not valid",
    0x86: "wrong user name or password",
    0x87: "not authorised",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "session taken over by another client with this id",
    0x8F: "topic filter not valid",
    0x90: "topic name not valid",
    0x91: "packet id in use",
    0x93: "receive maximum exceeded",
    0x94: "topic alias not valid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format not valid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}

# Properties that each packet may carry, section 2.2.2.2.
OF_CONNACK = frozenset((0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28))
OF_CONNACK |= {0x29, 0x2A}
OF_PUBLISH = frozenset((0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26))
OF_SUBACK = frozenset((0x1F, 0x26))
OF_DISCONNECT = frozenset((0x1C, 0x1F, 0x26))
SERVER_KEEP_ALIVE, TOPIC_ALIAS = 0x13, 0x23


class Publish(NamedTuple):
    """One application message. `pid` is 0 for QoS 0, which is not acknowledged."""

    topic: bytes
    payload: bytes
    pid: int
    retain: bool


class Messages:
    """Application messages side by side: topics, payloads, packet ids (0 at QoS 0); the places of those that were
    retained. Lists of plain values cost a third of an object for each message."""

    __slots__ = ("payloads", "pids", "retained", "topics")

    def __init__(self) -> None:
        self.topics: list[bytes] = []
        self.payloads: list[bytes] = []
        self.pids: list[int] = []
        self.retained: set[int] = set()

    def __len__(self) -> int:
        """How many."""
        return len(self.topics)

    def __iter__(self) -> Iterator[Publish]:
        """One by one."""
        for place, (topic, payload, pid) in enumerate(zip(self.topics, self.payloads, self.pids, strict=True)):
            yield Publish(topic, payload, pid, place in self.retained)

    def add(self, message: Publish) -> None:
        """One more."""
        if message.retain:
            self.retained.add(len(self.topics))
        self.topics.append(message.topic)
        self.payloads.append(message.payload)
        self.pids.append(message.pid)

    @classmethod
    def of(cls, messages: Iterable[Publish]) -> "Messages":
        """Those given."""
        made = cls()
        for message in messages:
            made.add(message)
        return made


class Connack(NamedTuple):
    """The broker's answer to CONNECT. `keepalive` is None where the broker leaves ours."""

    session_present: bool
    reason: int
    keepalive: int | None


class Suback(NamedTuple):
    """One reason code per topic filter, in the order of the request."""

    reasons: bytes


class Disconnect(NamedTuple):
    """The broker closes the connection and says why."""

    reason: int


class Pingresp(NamedTuple):
    """The broker is there."""


Packet = Connack | Suback | Disconnect | Pingresp


def read_publish(stream: bytes, head: int, bounds: Bounds, aliases: dict[int, bytes], most_aliases: int) -> Publish:
    """Section 3.3. `aliases`: topics by alias so far, of which there may be `most_aliases`."""
    qos, at, end = head >> 1 & 0x03, *bounds
    if qos > 1 or (head & 0x08 and not qos):
        raise ProtocolError(f"a PUBLISH of QoS {qos}" + (", sent again" if head & 0x08 else ""))
    length, at = read_short(stream, at, end)
    topic, at = stream[at : at + length], at + length
    pid = 0
    if qos:
        pid, at = read_short(stream, at, end)
        if not pid:
            raise ProtocolError("a PUBLISH without a packet id")
    properties, at = read_properties(stream, at, end, OF_PUBLISH)
    if TOPIC_ALIAS in properties or not topic:
        topic = unaliased(topic, properties.get(TOPIC_ALIAS), aliases, most_aliases)
    return Publish(topic, stream[at:end], pid, bool(head & 0x01))


def unaliased(topic: bytes, alias: int | None, aliases: dict[int, bytes], most: int) -> bytes:
    """The topic that an alias stands for, or that it stands for from now on (section 3.3.2.3.4)."""
    if alias is None:
        raise ProtocolError("a PUBLISH without a topic")
    if not 0 < alias <= most:
        raise ProtocolError(f"topic alias {alias}, at most {most} are offered")
    if topic:
        aliases[alias] = topic
    elif alias not in aliases:
        raise ProtocolError(f"a PUBLISH without a topic, under alias {alias} that was never said")
    return aliases[alias]


def read_other(stream: bytes, head: int, bounds: Bounds) -> Packet:
    """The packets that are not messages. What has no place in a receiver's stream is a ProtocolError."""
    start, end = bounds
    match head:
        case 0x20:
            return read_connack(stream, start, end)
        case 0x90:
            return read_suback(stream, start, end)
        case 0xD0 if start == end:
            return Pingresp()
        case 0xE0:
            return read_disconnect(stream, start, end)
    raise ProtocolError(f"an unexpected packet of type {head >> 4}, flags {head & 15}, {end - start} bytes")


def read_connack(stream: bytes, start: int, end: int) -> Connack:
    """Section 3.2."""
    if end - start == 2 and stream[start + 1]:
        raise ProtocolError("the broker does not speak MQTT 5")  # and says so as older versions do, section 3.1.2.2
    if end - start < 3 or stream[start] > 1:
        raise ProtocolError("a CONNACK that is cut short or has unknown flags")
    present, reason = bool(stream[start]), stream[start + 1]
    properties, at = read_properties(stream, start + 2, end, OF_CONNACK)
    if at != end or (reason and (present or reason not in REFUSALS)):
        raise ProtocolError(f"a CONNACK with reason {reason:#04x} that contradicts itself")
    return Connack(present, reason, properties.get(SERVER_KEEP_ALIVE))


def read_suback(stream: bytes, start: int, end: int) -> Suback:
    """Section 3.9."""
    pid, at = read_short(stream, start, end)
    _, at = read_properties(stream, at, end, OF_SUBACK)
    reasons = stream[at:end]
    if not pid or not reasons or any(2 < reason < 0x80 for reason in reasons):
        raise ProtocolError("a SUBACK without packet id or reasons")
    return Suback(reasons)


def read_disconnect(stream: bytes, start: int, end: int) -> Disconnect:
    """Section 3.14; without a reason it is the normal one, without properties there are none."""
    if end - start < 2:
        return Disconnect(stream[start] if end > start else 0)
    _, at = read_properties(stream, start + 1, end, OF_DISCONNECT)
    if at != end:
        raise ProtocolError("a DISCONNECT that goes on after its end")
    return Disconnect(stream[start])
