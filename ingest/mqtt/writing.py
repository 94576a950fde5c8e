"""What a receiver sends: packets as bytes. Sections are those of MQTT 5.0."""

from collections.abc import Iterable, Sequence
from struct import pack
from typing import NamedTuple

PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"
FOREVER = 0xFFFFFFFF  # session expiry: the broker keeps our queue until we come back
PUBACK_HEAD = 0x4002_0000


class Subscription(NamedTuple):
    """A topic filter at QoS 1. `retained`: whether the broker first sends what it holds retained; `always`: at every
    connect, not only when the session is new."""

    filter: str
    retained: bool
    always: bool = False


def encode_length(value: int) -> bytes:
    """Variable byte integer, section 1.5.5."""
    encoded = bytearray()
    while True:
        value, low = divmod(value, 128)
        encoded.append(low | 0x80 if value else low)
        if not value:
            return bytes(encoded)


def text(value: str | bytes) -> bytes:
    """A string or binary field with its two bytes of length."""
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2) + raw


def packet(head: int, body: bytes) -> bytes:
    """Fixed header and body."""
    return bytes((head,)) + encode_length(len(body)) + body


def connect(
    client_id: str,
    username: str | None,
    password: str | None,
    keepalive: int,
    receive_maximum: int,
    expiry_s: int = FOREVER,
) -> bytes:
    """CONNECT that takes up the session of `client_id`. `keepalive` in seconds, `expiry_s`: how long the session stays
    after its connection."""
    flags = (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    properties = b"\x11" + expiry_s.to_bytes(4) + b"\x21" + receive_maximum.to_bytes(2)
    head = text("MQTT") + b"\x05" + bytes((flags,)) + keepalive.to_bytes(2)
    credentials = b"".join(text(value) for value in (username, password) if value is not None)
    return packet(0x10, head + encode_length(len(properties)) + properties + text(client_id) + credentials)


def subscribe(pid: int, subscriptions: Iterable[Subscription]) -> bytes:
    """SUBSCRIBE at QoS 1; the retain flag is kept as published (section 3.8.3.1)."""
    filters = b"".join(
        text(one.filter) + bytes((0x01 | 0x08 | (0x20 if not one.retained else 0x00 if one.always else 0x10),))
        for one in subscriptions
    )
    return packet(0x82, pid.to_bytes(2) + b"\x00" + filters)


def pubacks(pids: Sequence[int]) -> bytes:
    """PUBACK with reason success for each packet id, in their order."""
    return pack(f">{len(pids)}I", *map(PUBACK_HEAD.__or__, pids))


def publish(topic: bytes, payload: bytes) -> bytes:
    """PUBLISH at QoS 0, section 3.3. In one piece where it is short: these are sent by the thousand."""
    size, named = 3 + len(topic) + len(payload), len(topic)
    if size < 128:
        return b"\x30%c%c%c%b\x00%b" % (size, named >> 8, named & 0xFF, topic, payload)
    return packet(0x30, text(topic) + b"\x00" + payload)
