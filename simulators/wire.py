"""MQTT 5 as a publisher at QoS 1 speaks it: packets out, bytes in, no sockets and no clock.

PUBACKs are taken from the stream many at a time, which is why this is our own: a client library spends more on one of
them than writing and sending a message costs here. Sections are those of MQTT 5.0 (OASIS, 2019).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Ints
from simulators.packets import length

CONNACK, PUBACK, PINGRESP, DISCONNECT = 0x20, 0x40, 0xD0, 0xE0
PINGREQ_PACKET = b"\xc0\x00"
GOODBYE_PACKET = b"\xe0\x07\x00\x05\x11\0\0\0\0"  # the session ends with the connection
IDS = 65_535
"""Packet identifiers: 1 to 65,535."""
DUP = 0x08

REFUSALS = {
    0x84: "it does not speak MQTT 5",
    0x85: "client id not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x97: "quota exceeded",
    0x9F: "connection rate exceeded",
}
_SIZES = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
_RECEIVE_MAXIMUM, _USER_PROPERTY = 0x21, 0x26


class WireError(Exception):
    """The broker sent what no MQTT 5 broker sends to a publisher."""


class Connack(NamedTuple):
    """The answer to CONNECT (3.2): a reason code, and how many messages may be unacknowledged at a time."""

    reason: int
    receive_maximum: int


class Heard(NamedTuple):
    """What a piece of the stream held: of each PUBACK identifier, reason code, and where it ends in the piece.

    `closed`: the reason code with which the broker says goodbye.
    """

    ids: Ints
    codes: NDArray[np.uint8]
    ends: Ints
    connack: Connack | None = None
    closed: int | None = None


def connect(client_id: str, user: str | None, password: str | None, *, keepalive: int, session_s: int) -> bytes:
    """The CONNECT packet (3.1); the session is kept so long after a loss of the connection."""
    flags = (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    properties = b"\x11" + session_s.to_bytes(4)
    body = _text("MQTT") + bytes([5, flags]) + keepalive.to_bytes(2) + length(len(properties)) + properties
    body += b"".join(_text(word) for word in (client_id, user, password) if word is not None)
    return b"\x10" + length(len(body)) + body


class Reader:
    """Cuts what a broker sends into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Heard:
        """All packets that are whole by now. Raises WireError."""
        stream, before = self._rest + chunk, len(self._rest)
        packets = _alike(stream)
        if packets is None:
            heard, end = _mixed(stream)
        else:
            heard, end = _all_of(packets), packets.size
        self._rest = stream[end:]
        return heard._replace(ends=heard.ends - before)


def _alike(stream: bytes) -> NDArray[np.uint8] | None:
    """One packet a row where all are PUBACKs of one size, which is the rule."""
    if len(stream) < 4 or stream[0] != PUBACK or not 2 <= stream[1] <= 127:
        return None
    width = 2 + stream[1]
    packets = np.frombuffer(stream, dtype=np.uint8, count=len(stream) // width * width).reshape(-1, width)
    return packets if len(packets) and (packets[:, :2] == packets[0, :2]).all() else None


def _mixed(stream: bytes) -> tuple[Heard, int]:
    """What is heard, packet by packet, and where the first packet starts that is not whole."""
    starts, at = [], 0
    others: list[tuple[int, bytes]] = []
    while at + 1 < len(stream):
        size, begin = _length(stream, at + 1)
        if begin is None or begin + size > len(stream):
            break
        if stream[at] == PUBACK and 2 <= size <= 127:
            starts.append(at)
        else:
            others.append((stream[at] & 0xF0, stream[begin : begin + size]))
        at = begin + size
    data, place = np.frombuffer(stream, dtype=np.uint8), np.array(starts, dtype=np.int64)
    codes = np.where(data[place + 1] > 2, data[np.minimum(place + 4, len(data) - 1)], 0).astype(np.uint8)
    ids = data[place + 2].astype(np.int64) << 8 | data[place + 3]
    return _told(Heard(ids, codes, place + 2 + data[place + 1]), others), at


def _all_of(packets: NDArray[np.uint8]) -> Heard:
    count, width = packets.shape
    ids = packets[:, 2].astype(np.int64) << 8 | packets[:, 3]
    codes = packets[:, 4] if width > 4 else np.zeros(count, dtype=np.uint8)
    return Heard(ids, codes, np.arange(width, packets.size + 1, width))


def _told(heard: Heard, others: list[tuple[int, bytes]]) -> Heard:
    for kind, body in others:
        if kind == CONNACK:
            heard = heard._replace(connack=_connack(body))
        elif kind == DISCONNECT:
            heard = heard._replace(closed=body[0] if body else 0)
        elif kind != PINGRESP:
            raise WireError(f"a packet of type {kind >> 4}, which no publisher expects")
    return heard


def _connack(body: bytes) -> Connack:
    if len(body) < 2:
        raise WireError("a CONNACK that is cut short")
    return Connack(body[1], _receive_maximum(body[2:]))


def _receive_maximum(properties: bytes) -> int:
    """Property 0x21 (3.2.2.3.3), 65,535 where the broker says nothing."""
    size, at = _length(properties, 0)
    end = (at or 0) + size
    while at is not None and at < end:
        name, at = properties[at], at + 1
        if name == _RECEIVE_MAXIMUM:
            return int.from_bytes(properties[at : at + 2])
        for _ in range(2 if name == _USER_PROPERTY else 1):
            at += _SIZES.get(name, 2 + int.from_bytes(properties[at : at + 2]))
    return IDS


def _length(stream: bytes, at: int) -> tuple[int, int | None]:
    """A variable byte integer and where it ends, None while it is not whole. Raises WireError."""
    value = 0
    for place, byte in enumerate(stream[at : at + 4]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    if len(stream) - at >= 4:
        raise WireError("a length of more than four bytes")
    return value, None


def _text(word: str) -> bytes:
    encoded = word.encode()
    return len(encoded).to_bytes(2) + encoded
