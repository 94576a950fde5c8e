"""MQTT 5 as bytes, as far as publishers and devices speak it: sections named are those of MQTT 5.0 (OASIS, 2019)."""

from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14
PINGREQ = b"\xc0\x00"
GONE_FOR_GOOD = b"\xe0\x07\x04\x05\x11\0\0\0\0"
"""DISCONNECT with the will (reason 0x04), and the session ends with the connection (section 3.14)."""
STATUS_ID = 0xFFFF
"""Packet identifier of `online`; messages have those below."""
LARGEST = 1 << 20

REASONS = {
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x84: "protocol version not supported",
    0x85: "client id not valid",
    0x86: "bad user name or password",
    0x87: "not authorised",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x93: "receive maximum exceeded",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x9F: "connection rate exceeded",
}


class StreamError(Exception):
    """What came is no MQTT."""


class Welcome(NamedTuple):
    """A CONNACK: whether the session was there, the reason (0: come in), keep-alive in s and messages in flight."""

    session: bool
    reason: int
    keepalive: int | None
    window: int


def reason_name(code: int) -> str:
    """A reason code in words."""
    return REASONS.get(code, f"reason 0x{code:02x}")


def connect(topic: bytes, device: bytes, token: bytes, *, keepalive: int, session: int, clean: bool) -> bytes:
    """CONNECT of a device whose topics begin with `topic`; its will is a retained `offline` on `…/status`.

    `keepalive`, `session`: s; how long the broker keeps the session after the connection.
    """
    flags = 0b1110_1100 | (0b10 if clean else 0)  # user, password, will: retained, QoS 1
    head = b"\0\4MQTT\5" + bytes([flags]) + keepalive.to_bytes(2, "big") + b"\5\x11" + session.to_bytes(4, "big")
    will = b"\0" + text(topic + b"/status") + text(b"offline")
    return packet(0x10, head + text(device) + will + text(device) + text(token))


def knock(device: bytes, token: bytes) -> bytes:
    """CONNECT without will and session: asks whether a device is let in."""
    head = b"\0\4MQTT\5" + bytes([0b1100_0010]) + b"\0\x0a" + b"\0"
    return packet(0x10, head + text(device) + text(device) + text(token))


def online(topic: bytes) -> bytes:
    """A retained `online` on `…/status`, QoS 1."""
    return packet(0x33, text(topic + b"/status") + STATUS_ID.to_bytes(2, "big") + b"\0online")


def listen(topic: bytes) -> bytes:
    """SUBSCRIBE, QoS 0, to acknowledgements and commands."""
    return packet(0x82, STATUS_ID.to_bytes(2, "big") + b"\0" + b"".join(text(topic + e) + b"\0" for e in ENDS))


ENDS = (b"/ack", b"/down")


def text(said: bytes) -> bytes:
    """A string with its length, section 1.5.4."""
    return len(said).to_bytes(2, "big") + said


def packet(head: int, body: bytes) -> bytes:
    """A packet with its fixed header, section 2.1."""
    return bytes([head]) + length(len(body)) + body


def length(size: int) -> bytes:
    """A variable byte integer, section 1.5.5."""
    digits = bytearray()
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    digits.append(size)
    return bytes(digits)


def whole(stream: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Packets (first byte, body) that are complete, and the rest. Raises StreamError."""
    found, at = [], 0
    while len(stream) - at >= 2:
        size, body = remaining(stream, at + 1)
        if size > LARGEST:
            raise StreamError(f"a packet of {size} bytes")
        if not body or len(stream) < body + size:
            break
        found.append((stream[at], stream[body : body + size]))
        at = body + size
    return found, stream[at:]


def remaining(stream: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer, section 1.5.5, and where the next field is; (0, 0): not complete."""
    size = 0
    for place in range(4):
        if at + place >= len(stream):
            return 0, 0
        digit = stream[at + place]
        size |= (digit & 127) << 7 * place
        if digit < 128:
            return size, at + place + 1
    raise StreamError("a length of five bytes")


def welcome(body: bytes) -> Welcome:
    """Read a CONNACK, section 3.2. Raises StreamError."""
    if len(body) < 2:
        raise StreamError("a CONNACK of less than two bytes")
    keepalive, window = None, 0xFFFF
    size, at = remaining(body, 2)
    end = min(at + size, len(body))
    while at < end:
        kind = body[at]
        if kind == 0x13:
            keepalive = int.from_bytes(body[at + 1 : at + 3], "big")
        elif kind == 0x21:
            window = int.from_bytes(body[at + 1 : at + 3], "big")
        at += 1 + size_of(kind, body, at + 1)
    return Welcome(bool(body[0] & 1), body[1], keepalive, window)


def size_of(kind: int, body: bytes, at: int) -> int:
    """Bytes of a property's value, section 2.2.2.2."""
    if kind in (0x24, 0x25, 0x28, 0x29, 0x2A):
        return 1
    if kind in (0x13, 0x21, 0x22):
        return 2
    if kind in (0x11, 0x27):
        return 4
    first = 2 + int.from_bytes(body[at : at + 2], "big")
    return first if kind != 0x26 else first + 2 + int.from_bytes(body[at + first : at + first + 2], "big")


def publish_ack(body: bytes) -> tuple[int, int]:
    """A PUBACK's packet identifier and reason, section 3.4. Raises StreamError."""
    if len(body) < 2:
        raise StreamError("a PUBACK of less than two bytes")
    return body[0] << 8 | body[1], body[2] if len(body) > 2 else 0


def heard(head: int, body: bytes) -> tuple[bytes, int]:
    """Topic and packet identifier (0: QoS 0) of a PUBLISH that came, section 3.3."""
    size = 2 + int.from_bytes(body[:2], "big")
    return body[2:size], int.from_bytes(body[size : size + 2], "big") if head & 0b0110 else 0


def acknowledge(number: int) -> bytes:
    """PUBACK of a packet identifier."""
    return b"\x40\x02" + number.to_bytes(2, "big")
