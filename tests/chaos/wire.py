"""MQTT 5 as a device speaks it, apart from the platform's own reader: an error in one must not hide in the other."""

from collections.abc import Iterator
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9
PINGREQ = b"\xc0\x00"


class Packet(NamedTuple):
    """Type, flags and what follows the fixed header."""

    kind: int
    flags: int
    body: bytes


def length(value: int) -> bytes:
    """Variable byte integer.

    >>> length(321).hex()
    'c102'
    """
    encoded = bytearray()
    while True:
        value, low = divmod(value, 128)
        encoded.append(low | 0x80 if value else low)
        if not value:
            return bytes(encoded)


def text(value: str) -> bytes:
    """A string with its two bytes of length."""
    raw = value.encode()
    return len(raw).to_bytes(2) + raw


def connect(client_id: str, user: str, password: str) -> bytes:
    """CONNECT with a clean start: what is unacknowledged is this side's business."""
    body = text("MQTT") + b"\x05\xc2" + (60).to_bytes(2) + b"\x00" + text(client_id) + text(user) + text(password)
    return b"\x10" + length(len(body)) + body


def subscribe(topic: str) -> bytes:
    """SUBSCRIBE at QoS 0."""
    body = (1).to_bytes(2) + b"\x00" + text(topic) + b"\x00"
    return b"\x82" + length(len(body)) + body


def publish(topic: bytes, pid: int, payload: bytes) -> bytes:
    """PUBLISH at QoS 1."""
    size = len(topic) + len(payload) + 5
    return b"\x32" + length(size) + len(topic).to_bytes(2) + topic + pid.to_bytes(2) + b"\x00" + payload


def published(packet: Packet) -> tuple[str, bytes]:
    """Topic and payload of a PUBLISH that came in."""
    body = packet.body
    at = 2 + int.from_bytes(body[:2])
    topic = body[2:at].decode()
    at += 2 if packet.flags & 0x06 else 0
    properties, at = variable(body, at)
    return topic, body[at + properties :]


def variable(stream: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; (-1, at) when it is not whole."""
    value = 0
    for index, byte in enumerate(stream[at : at + 4]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    return -1, at


class Stream:
    """Bytes as they come → packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Packet]:
        """All packets that are whole now."""
        stream, at = self._rest + chunk, 0
        while len(stream) - at >= 2:
            size, body = variable(stream, at + 1)
            if size < 0 or len(stream) - body < size:
                break
            yield Packet(stream[at] >> 4, stream[at] & 0x0F, stream[body : body + size])
            at = body + size
        self._rest = stream[at:]
