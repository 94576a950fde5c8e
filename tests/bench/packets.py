"""PUBLISH packets made beforehand and all of one size, so that whoever sends them has next to nothing to do."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest import mqtt

IN_A_LIST = 50
SHAPES = ("json", "cbor", "list", "cbor-list")
FIRST_SEQ = 1_000_000  # from here on seven digits, and four bytes in CBOR
NAME = b"bench-%07d"

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Load(NamedTuple):
    """What is sent. `garbage`: share of messages that are no JSON; `devices`: over how many it goes round."""

    shape: str
    devices: int
    area: str
    now_ms: int
    garbage: float = 0.0
    base: int = 0  # number of the first of its devices

    @property
    def readings(self) -> int:
        """Of a message."""
        return IN_A_LIST if self.shape.endswith("list") else 1


def packets(load: Load, first: int, count: int) -> Bytes:
    """Packets of the messages with these numbers, a row each. A reading has three metrics, about 120 bytes of JSON."""
    numbers = np.arange(first, first + count)
    readings = (numbers[:, None] * load.readings + np.arange(load.readings)).ravel()
    elements = (cbor if load.shape.startswith("cbor") else json)(load, readings)
    payload = elements.reshape(count, -1)
    if load.shape == "list":
        payload[:, -1] = ord("]")
        payload = np.hstack([column(b"[", count), payload])
    elif load.shape == "cbor-list":
        payload = np.hstack([column(bytes((0x98, load.readings)), count), payload])
    elif load.shape == "json":
        payload = payload[:, :-1]
    if load.garbage:
        payload[np.random.default_rng(first).random(count) < load.garbage, 0] = ord("x")
    topic = [column(b"dothi/v1/%s/bench-" % load.area.encode(), count), digits(load.base + numbers % load.devices, 7)]
    topic.append(column(b"/up", count))
    length = sum(piece.shape[1] for piece in topic)
    pid = np.ascontiguousarray((numbers % 60_000 + 1).astype(">u2")[:, None]).view(np.uint8)
    body = [column(length.to_bytes(2), count), *topic, pid, column(b"\0", count), payload]
    size = sum(piece.shape[1] for piece in body)
    return np.hstack([column(b"\x32" + mqtt.encode_length(size), count), *body])


def json(load: Load, numbers: Ints) -> Bytes:
    """Elements as text, each with a comma behind it."""
    count = len(numbers)
    parts = [column(b'{"time": ', count), digits(load.now_ms + numbers // load.devices, 13)]
    parts += [column(b', "seq": ', count), digits(numbers + FIRST_SEQ, 7)]
    parts += [column(b', "metrics": {"pm25": ', count), digits(20 + numbers % 30, 2), column(b".", count)]
    parts += [digits(numbers % 10, 1), column(b', "temperature": ', count), digits(25 + numbers % 9, 2)]
    parts += [column(b".", count), digits(numbers % 7, 1), column(b', "relative_humidity": 0.', count)]
    return np.hstack([*parts, digits(numbers % 100, 2), column(b"}},", count)])


def cbor(load: Load, numbers: Ints) -> Bytes:
    """The same elements in CBOR."""
    count = len(numbers)
    parts = [column(b"\xa3\x64time\x1b", count), raw(load.now_ms + numbers // load.devices, ">u8")]
    parts += [column(b"\x63seq\x1a", count), raw(numbers + FIRST_SEQ, ">u4")]
    parts += [column(b"\x67metrics\xa3\x64pm25\xfb", count), raw(20 + numbers % 30 + numbers % 10 / 10, ">f8")]
    parts += [column(b"\x6btemperature\xfb", count), raw(25 + numbers % 9 + numbers % 7 / 10, ">f8")]
    return np.hstack([*parts, column(b"\x71relative_humidity\xfb", count), raw(numbers % 100 / 100, ">f8")])


def column(text: bytes, count: int) -> Bytes:
    """The same bytes in every row."""
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (count, len(text)))


def digits(numbers: Ints, width: int) -> Bytes:
    """Numbers in decimal, with zeros in front."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def raw(numbers: NDArray[np.generic], kind: str) -> Bytes:
    """Numbers in binary."""
    return np.ascontiguousarray(numbers.astype(kind)[:, None]).view(np.uint8)
