"""MQTT 5 PUBLISH packets of many messages at once: a matrix of bytes, one row a packet, whose holes are then dropped.

A row is a list of parts, constant bytes and fields (`simulators.digits`), the same for all messages of a family. The
layout is that of MQTT 5.0 (OASIS, 2019), section 3.3, at QoS 1 without properties.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.digits import HOLE, Field
from simulators.draw import Ints
from simulators.mqtt import length

PUBLISH_QOS_1 = b"\x32"
LENGTH, IDENTIFIER = b"\1\1", b"\1\1"  # places that are filled in when the size of each packet is known
NO_PROPERTIES = b"\0"
LONGEST = 16_383
"""Bytes behind the length that two bytes of length can say."""

SHORT = 2 + 128
"""Packets below this size say their length in one byte."""
STRETCH = 1_024
"""Rows whose holes are dropped at once: few enough to stay in the cache of a core."""

Part = bytes | Field


class Packets(NamedTuple):
    """MQTT 5 PUBLISH packets (QoS 1, no properties) one after another, in the order of their messages.

    `body`: uint8. `ends`: where each packet ends in it. `ids`: where the two bytes of its packet identifier are, which
    hold 0 until a connection numbers them.
    """

    body: NDArray[np.uint8]
    ends: Ints
    ids: Ints


class Block(NamedTuple):
    """The messages of a family. `at`: their places among all. `topic`: bytes of each topic.

    `parts`: what follows the length of the packet: topic with its length, IDENTIFIER, NO_PROPERTIES, payload.
    """

    at: Ints
    topic: Ints
    parts: Sequence[Part]


class Paper:
    """Memory that packets are written on, the same again and again: fresh pages would cost as much as the writing."""

    def __init__(self) -> None:
        self._sheets = (np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.uint8))

    def sheets(self, first: int, second: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """So many bytes each, with anything in them; those given before are no longer valid."""
        if len(self._sheets[0]) < first or len(self._sheets[1]) < second:
            self._sheets = np.empty(first * 5 // 4, dtype=np.uint8), np.empty(second * 5 // 4, dtype=np.uint8)
        return self._sheets[0][:first], self._sheets[1][:second]


def packets_of(blocks: Sequence[Block], paper: Paper | None = None) -> Packets:
    """The packets of all messages of the blocks, in the order of their places.

    `paper`: holds them until it is written on again.
    """
    if not blocks:
        return Packets(np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    grouped, place, topic, body = _matrix(blocks, paper or Paper())
    count, width = len(place), grouped.shape[1]
    sizes = np.empty(count, dtype=np.int64)
    rows, there = np.empty((STRETCH, width), dtype=np.uint8), np.empty((STRETCH, width), dtype=np.bool_)
    end = 0
    for first in range(0, count, STRETCH):
        here = place[first : first + STRETCH]
        some, mask = rows[: len(here)], there[: len(here)]
        grouped.take(here, axis=0, out=some, mode="clip")
        np.not_equal(some, HOLE, out=mask)
        sizes[first : first + STRETCH] = _with_lengths(some, mask)
        written = some[mask]
        body[end : end + len(written)] = written
        end += len(written)
    ends = np.cumsum(sizes)
    ids = ends - sizes + (5 - (sizes < SHORT)) + topic
    body[ids] = body[ids + 1] = 0
    return Packets(body[:end], ends, ids)


def _with_lengths(rows: NDArray[np.uint8], there: NDArray[np.bool_]) -> Ints:
    """Bytes of each packet, once its length is written into its row: one byte of it, or two."""
    sizes = _row_sums(there)
    behind = sizes - len(PUBLISH_QOS_1 + LENGTH)
    short = behind < 128
    there[:, 2] = ~short
    rows[:, 1] = np.where(short, behind, behind & 127 | 128)
    rows[:, 2] = behind >> 7
    return np.asarray(sizes - short, dtype=np.int64)


def with_apart(usual: Packets, places: Ints, apart: Sequence[tuple[bytes, int]]) -> Packets:
    """A copy of `usual` with a few packets put between: at rising `places`, (packet, where its identifier is)."""
    if not apart:
        return usual._replace(body=usual.body.copy())
    is_usual = np.ones(len(usual.ends) + len(places), dtype=np.bool_)
    is_usual[places] = False
    starts = np.concatenate(([0], usual.ends))
    sizes, heads = np.empty(len(is_usual), dtype=np.int64), np.empty(len(is_usual), dtype=np.int64)
    sizes[is_usual], heads[is_usual] = np.diff(starts), usual.ids - starts[:-1]
    sizes[places], heads[places] = [len(one) for one, _ in apart], [head for _, head in apart]
    ends = np.cumsum(sizes)
    gaps = starts[places - np.arange(len(places))]
    return Packets(_spliced(usual.body, gaps, [one for one, _ in apart]), ends, ends - sizes + heads)


def _spliced(body: NDArray[np.uint8], gaps: Ints, pieces: Sequence[bytes]) -> NDArray[np.uint8]:
    whole = np.empty(len(body) + sum(map(len, pieces)), dtype=np.uint8)
    target, source, before, end = whole.data, body.data, 0, 0
    for gap, piece in zip([*gaps.tolist(), len(body)], [*pieces, b""], strict=True):
        middle = end + gap - before
        target[end:middle] = source[before:gap]
        before, end = gap, middle + len(piece)
        target[middle:end] = piece
    return whole


def in_line(pieces: Sequence[Packets]) -> Packets:
    """Packets one after another as one."""
    if len(pieces) == 1:
        return pieces[0]
    before = np.cumsum([0, *(len(piece.body) for piece in pieces[:-1])])
    return Packets(
        np.concatenate([piece.body for piece in pieces]),
        np.concatenate([piece.ends + first for piece, first in zip(pieces, before, strict=True)]),
        np.concatenate([piece.ids + first for piece, first in zip(pieces, before, strict=True)]),
    )


def packet(topic: bytes, payload: bytes) -> tuple[bytes, int]:
    """A PUBLISH packet and the place of its identifier."""
    head = PUBLISH_QOS_1 + length(2 + len(topic) + 2 + 1 + len(payload)) + len(topic).to_bytes(2, "big") + topic
    return head + b"\0\0" + NO_PROPERTIES + payload, len(head)


def _matrix(blocks: Sequence[Block], paper: Paper) -> tuple[NDArray[np.uint8], Ints, Ints, NDArray[np.uint8]]:
    """One row per message, as wide as the widest (a multiple of eight), block by block.

    With it the row and the bytes of topic of each message, and room for all packets.
    """
    whole = [(block, [PUBLISH_QOS_1 + LENGTH, *block.parts]) for block in blocks]
    widths = [sum(map(_width, parts)) for _, parts in whole]
    width = max(widths) + 7 & ~7
    if width > LONGEST:
        raise ValueError(f"a message of up to {width} bytes; packets of at most {LONGEST} are written")
    count = sum(len(block.at) for block in blocks)
    most = sum(wide * len(block.at) for block, wide in zip(blocks, widths, strict=True))
    sheet, body = paper.sheets(count * width, most)
    grouped, topic = sheet.reshape(count, width), np.empty(count, dtype=np.int64)
    place, first = np.empty(count, dtype=np.int64), 0
    for block, parts in whole:
        _fill(grouped[first : first + len(block.at)], parts)
        place[block.at] = np.arange(first, first + len(block.at))
        topic[block.at] = block.topic
        first += len(block.at)
    return grouped, place, topic, body


def _width(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part.dtype.itemsize


def _fill(rows: NDArray[np.uint8], parts: Sequence[Part]) -> None:
    """Write the constant parts of all rows at once, then each field; what is left of the width are holes."""
    row = b"".join(part if isinstance(part, bytes) else b"\xff" * part.dtype.itemsize for part in parts)
    count, width = rows.shape
    rows[:] = np.frombuffer(row.ljust(width, b"\xff"), dtype=np.uint8)
    at = 0
    for part in parts:
        if not isinstance(part, bytes):
            np.ndarray((count,), part.dtype, rows, at, (width,))[:] = part
        at += _width(part)


def _row_sums(there: NDArray[np.bool_]) -> Ints:
    """How many are true in each row: eight lanes of a byte added at once, rows of at most 2,040 in one go."""
    count, width = there.shape
    if width > 8 * 255:
        return np.asarray(np.count_nonzero(there, axis=1), dtype=np.int64)
    lanes = there.view(np.uint64).reshape(count, width // 8).sum(axis=1, dtype=np.uint64)
    low = np.uint64(0x00FF00FF00FF00FF)
    pairs = (lanes & low) + ((lanes >> np.uint64(8)) & low)
    return np.asarray((pairs * np.uint64(0x0001000100010001)) >> np.uint64(48), dtype=np.int64)
