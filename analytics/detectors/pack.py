"""What detectors remember of a range of slots ↔ bytes.

    int32 n | int32 device × n | uint32 length of the head | head (JSON) | arrays, one after the other

The head names each detector's judged metrics and arrays (numpy type, shape behind the slot). What does not fit the
detectors of today is left out: a detector that keeps other things than before begins anew.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from analytics.detectors.carry import carry_over, judged_names
from analytics.detectors.rows import Ints
from analytics.detectors.watch import Watch

SPAN = 4096
"""Slots in a range."""
NEWEST = "newest"


class Head(msgspec.Struct):
    """One detector: names of what it judges, and its arrays in order: name, type, shape behind the slot."""

    detector: str
    judged: list[str]
    arrays: list[tuple[str, str, list[int]]]


def devices_of(packed: bytes) -> Ints:
    """The devices of the range; the beginning of the bytes is enough."""
    n = int(np.frombuffer(packed, "<i4", 1)[0])
    return np.frombuffer(packed, "<i4", n, 4).astype(np.int32)


def pack(watch: Watch, devices: Ints, first: int) -> bytes:
    """The range of slots that begins with `first`, of these devices."""
    part = slice(first, first + len(devices))
    heads, arrays = [Head("", [], [(NEWEST, "i8", [])])], [watch.newest[part]]
    for detector in watch.detectors:
        names = list(detector.state)
        shapes = [(name, detector.state[name].dtype.str[1:], list(detector.state[name].shape[1:])) for name in names]
        heads.append(Head(detector.name, judged_names(detector), shapes))
        arrays += [detector.state[name][part] for name in names]
    head = msgspec.json.encode(heads)
    numbers = np.r_[len(devices), devices].astype("<i4").tobytes()
    return b"".join([numbers, len(head).to_bytes(4, "little"), head, *(array.tobytes() for array in arrays)])


def unpack(watch: Watch, packed: bytes, first: int) -> None:
    """Put a range back where it was."""
    n = len(devices_of(packed))
    at = 4 + 4 * n
    length = int.from_bytes(packed[at : at + 4], "little")
    heads = msgspec.json.decode(packed[at + 4 : at + 4 + length], type=list[Head])
    at += 4 + length
    watch.widen({watch.family.index[n] for head in heads for n in head.judged if n in watch.family.index})
    by_name = {detector.name: detector for detector in watch.detectors}
    for head in heads:
        found: dict[str, npt.NDArray[Any]] = {}
        for name, kind, shape in head.arrays:
            dtype, size = np.dtype(kind).newbyteorder("<"), n * int(np.prod(shape, dtype=np.int64))
            found[name] = np.frombuffer(packed, dtype, size, at).reshape(n, *shape)
            at += size * dtype.itemsize
        if not head.detector:
            watch.newest[first : first + n] = found[NEWEST]
        elif head.detector in by_name:
            carry_over(by_name[head.detector], head.judged, found, slice(first, first + n))
