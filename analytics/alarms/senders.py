"""What readings give away of who sends them → events: devices that send far too much, names under which two count.

A gateway may speak for every device, so the gate at the broker cannot tell that somebody else does. But a device
numbers its readings (`seq`), and numbers go on: where two numberings take turns, each going on where it was, two send
under one name. One that starts anew begins a numbering and leaves the other for good; what was held back comes with
times that are past, and is not looked at.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import psycopg

from analytics.alarms.telling import tell
from analytics.columns import Columns
from analytics.detectors.compiled import Array, compiled, i8

MOST_A_MINUTE = 600
"""Readings of one device with times in one minute: 50 times as many as the liveliest profile has. Judgement."""
TURNS = 4
"""So often two numberings have taken turns: each of two senders was heard twice between readings of the other."""
REACH = 100
"""Numbers that may be lost between two readings of one numbering."""
OTHER = 128
FLOODS, TWO = 1, 2
PAUSE_S = 600.0
"""A device is told of again after so long, and one that floods is not also called two: what it sends too much may have
numbers of its own."""
MOST_EACH = 10
"""Devices that are told of one by one in a look."""

NAMES = "select id, device from registry.device where id = any(%s) order by device"
KINDS = (("flood", FLOODS), ("spoof", TWO))
SAID = {
    "flood": (
        "{device} sends more than {most} readings a minute",
        "{device} gửi hơn {most} bản ghi mỗi phút",
    ),
    "spoof": (
        "two number readings under the name of {device}: another sends under its name",
        "hai nguồn cùng đánh số bản ghi mang tên {device}: có nguồn khác mạo danh",
    ),
    "floods": (
        "{devices} devices send more than {most} readings a minute each, such as {device}",
        "{devices} thiết bị gửi hơn {most} bản ghi mỗi phút, như {device}",
    ),
    "spoofs": (
        "two number readings under the names of {devices} devices, such as {device}",
        "hai nguồn cùng đánh số bản ghi mang tên của {devices} thiết bị, như {device}",
    ),
}


class Heard(NamedTuple):
    """By registry id, 19 bytes a device. `newest`: time of its newest reading, µs since 1970; `one`, `other`: the last
    number of two numberings, their lowest 32 bits; `turns`: how often they took turns, and whether `other` spoke last;
    `many`: readings in the minute of the newest."""

    newest: Array
    one: Array
    other: Array
    turns: Array
    many: Array


def heard(size: int) -> Heard:
    """Of nobody anything."""
    one, other = np.zeros((2, size), np.uint32)
    return Heard(np.zeros(size, np.int64), one, other, np.zeros(size, np.uint8), np.zeros(size, np.uint16))


class Senders:
    """Follows the readings; told from time to time."""

    def __init__(self) -> None:
        self._heard = heard(0)
        self._found: dict[int, int] = {}  # device → FLOODS, TWO or both, since the last look
        self._told: dict[tuple[int, int], float] = {}  # device and what → until when it is known, s since 1970

    def take(self, columns: Columns) -> None:
        """Rows of one family."""
        most = int(columns.device.max())
        if most >= len(self._heard.newest):
            self._heard = grown(self._heard, most + most // 4 + 1)
        for device, what in sweep(columns.device, columns.time, columns.seq, self._heard):
            self._found[device] = self._found.get(device, 0) | what

    def look(self, connection: psycopg.Connection, now_s: float) -> None:
        """Write events for what was found. `now_s`: seconds since 1970."""
        self._told = {what: until for what, until in self._told.items() if until > now_s}
        for kind, bit in KINDS:
            found = [device for device, what in self._found.items() if what & bit and not self._known(device, bit)]
            self._told |= {(device, bit): now_s + PAUSE_S for device in found}
            tell_of(connection, now_s, kind, found)
        self._found = {}

    def _known(self, device: int, bit: int) -> bool:
        return (device, bit) in self._told or (device, FLOODS) in self._told


def grown(kept: Heard, size: int) -> Heard:
    """The same for more devices."""
    larger = heard(size)
    for before, after in zip(kept, larger, strict=True):
        after[: len(before)] = before
    return larger


@compiled
def sweep(devices: Array, times: Array, numbers: Array, kept: Heard) -> list[tuple[int, int]]:
    """Device and what was found of it, of readings that are newer than all before."""
    told = [(0, 0)]
    for i in range(len(devices)):
        device, time = devices[i], times[i]
        before = kept.newest[device]
        if time <= before:
            continue
        kept.newest[device] = time
        many = i8(kept.many[device]) + 1 if time // 60_000_000 == before // 60_000_000 else 1
        kept.many[device] = min(many, 60_000)
        if many % MOST_A_MINUTE == 0:
            told.append((i8(device), FLOODS))
        if numbers[i] < 0:  # it sends none
            continue
        number = numbers[i] & 0xFFFFFFFF
        turns, is_other = i8(kept.turns[device]) & ~OTHER, i8(kept.turns[device]) & OTHER
        now, rest = (kept.other, kept.one) if is_other else (kept.one, kept.other)
        more, more_rest = number - i8(now[device]), number - i8(rest[device])
        if more != 1 and (more_rest == 1 or not 0 < more <= REACH):  # what follows at once is surely meant
            turns = turns + 1 if 0 < more_rest <= REACH else 0  # else one that has begun anew, in place of the other
            if turns == TURNS:
                told.append((i8(device), TWO))
                turns = 0
            now, is_other = rest, OTHER - is_other
        now[device] = number
        kept.turns[device] = is_other | turns
    return told[1:]


def tell_of(connection: psycopg.Connection, now_s: float, kind: str, devices: Sequence[int]) -> None:
    """An event for each of a few devices, one for all where there are many."""
    if not devices:
        return
    names = [name for _, name in connection.execute(NAMES, (list(devices),))]
    if len(names) > MOST_EACH:
        write(connection, now_s, kind, f"{kind}s", None, names)
        return
    for name in names:
        write(connection, now_s, kind, kind, name, [name])


def write(
    connection: psycopg.Connection, now_s: float, kind: str, what: str, device: str | None, names: list[str]
) -> None:
    """`what`: a key of SAID, `device`: whose event it is, None: of many."""
    given = {"device": names[0], "devices": len(names), "most": MOST_A_MINUTE}
    tell(connection, now_s, (kind, "major", device), SAID[what], given, {"devices": len(names)})
