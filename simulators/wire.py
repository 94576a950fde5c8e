"""MQTT 5 as a publisher at QoS 1 speaks it: packets out, bytes in, no sockets and no clock.

PUBACKs are taken from the stream many at a time, which is why this is our own: a client library spends more on one of
them than writing and sending a message costs here. Sections are those of MQTT 5.0 (OASIS, 2019).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Ints
from simulators.mqtt import StreamError, length, packet, remaining, text, welcome

CONNACK, PUBACK, PINGRESP, DISCONNECT = 0x20, 0x40, 0xD0, 0xE0
GOODBYE_PACKET = b"\xe0\x07\x00\x05\x11\0\0\0\0"  # the session ends with the connection
IDS = 65_535
"""Packet identifiers: 1 to 65,535."""
DUP = 0x08


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
    body = text(b"MQTT") + bytes([5, flags]) + keepalive.to_bytes(2) + length(len(properties)) + properties
    body += b"".join(text(word.encode()) for word in (client_id, user, password) if word is not None)
    return packet(0x10, body)


class Reader:
    """Cuts what a broker sends into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Heard:
        """All packets that are whole by now. Raises StreamError."""
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
        size, begin = remaining(stream, at + 1)
        if not begin or begin + size > len(stream):
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
            met = welcome(body)
            heard = heard._replace(connack=Connack(met.reason, met.window))
        elif kind == DISCONNECT:
            heard = heard._replace(closed=body[0] if body else 0)
        elif kind != PINGRESP:
            raise StreamError(f"a packet of type {kind >> 4}, which no publisher expects")
    return heard
