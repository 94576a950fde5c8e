"""The table of credentials that the broker's gate has mapped: one record per device, found by its id.

The layout is that of `struct header` and `struct record` in table.h. We write id, token hashes and which of them count;
the gate writes what happens at the door. Both see the other's writes at once: nothing is ever reloaded.
"""

import mmap
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAGIC = b"dothigt1"
HEADER_BYTES, RECORD_BYTES, ID_BYTES = 65536, 256, 64
MOST_AREAS, AREA_BYTES, KICKS = 64, 16, 512
CAPACITY, COUNT, MADE, LIMIT, BOOT, UNKNOWN, KICKS_WANTED, KICKS_DONE = 8, 16, 24, 32, 36, 40, 48, 56
AREAS = 64
UNKNOWN_ID = AREAS + MOST_AREAS * AREA_BYTES
RING = UNKNOWN_ID + ID_BYTES
MOVING = RING + KICKS * ID_BYTES
ASTRAY = MOVING + 4
HASHES, VALID, SEEN = ID_BYTES, ID_BYTES + 64, ID_BYTES + 68
TOPIC = RECORD_BYTES - 32
SYNCED = 60_000
FULLEST = 0.7
SMALLEST = 1024
NOBODY = bytes(32)

Hashes = tuple[bytes | None, bytes | None]
"""SHA-256 of a device's two tokens; None where there is none, or it was revoked."""


class Seen(NamedTuple):
    """What the gate saw of one device; times in seconds since 1970, 0 = never; counts since the table was made."""

    used_at: tuple[int, int]
    connected: int
    left_at: int
    failed_at: int
    failed: int
    taken_at: int
    taken: int
    denied_at: int
    denied: int
    flooded_at: int
    flooded: int
    topic: str


class Table:
    """An open table; writes go straight into the mapping that the gate shares. One writer at a time."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError when the file is no table, OSError when it cannot be mapped."""
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.capacity = self._number(CAPACITY)
        if self._map[:8] != MAGIC or len(self._map) < HEADER_BYTES + self.capacity * RECORD_BYTES:
            raise ValueError(f"{path} is no table of credentials; remove it, it is made again from the registry")

    def close(self) -> None:
        """Unmap."""
        self._map.close()

    def __len__(self) -> int:
        """Devices in the table, revoked ones included."""
        return self._number(COUNT)

    def _number(self, at: int) -> int:
        return int.from_bytes(self._map[at : at + 8], "little")

    @property
    def room(self) -> int:
        """Devices that it takes at most."""
        return int(FULLEST * self.capacity)

    @property
    def synced(self) -> int:
        """The registry's xmin up to which changes are in the table; 0 for a new one."""
        return self._number(SYNCED)

    @synced.setter
    def synced(self, xmin: int) -> None:
        self._map[SYNCED : SYNCED + 8] = struct.pack("<Q", xmin)

    def set_areas(self, areas: Sequence[str]) -> None:
        """The areas under which devices may publish."""
        names = [area.encode() for area in areas][:MOST_AREAS]
        packed = b"".join(name.ljust(AREA_BYTES, b"\0") for name in names)
        self._map[AREAS : AREAS + MOST_AREAS * AREA_BYTES] = packed.ljust(MOST_AREAS * AREA_BYTES, b"\0")

    def set_limit(self, per_second: int) -> None:
        """Messages per second of one device; 0: no limit."""
        self._map[LIMIT : LIMIT + 4] = struct.pack("<I", per_second)

    def put(self, device: str, hashes: Hashes) -> None:
        """Write a device's tokens; the last use of one that changes is forgotten. Raises ValueError when full."""
        at = self._place(device, add=True)
        record = self._map[at : at + SEEN + 8]
        for slot, new in enumerate(hashes):
            if new is not None and new != record[HASHES + 32 * slot : HASHES + 32 * slot + 32]:
                self._map[at + SEEN + 4 * slot : at + SEEN + 4 * slot + 4] = bytes(4)
        # A hash is written while it does not count, so that the gate never compares with half of one.
        keeps = sum(1 << slot for slot, new in enumerate(hashes) if new == record[HASHES + 32 * slot :][:32])
        self._map[at + VALID : at + VALID + 4] = struct.pack("<I", keeps & valid_bits(hashes))
        self._map[at + HASHES : at + VALID] = packed_hashes(hashes)
        self._map[at + VALID : at + VALID + 4] = struct.pack("<I", valid_bits(hashes))

    def tokens(self, device: str) -> Hashes:
        """The hashes that count; none for a device that is not in the table."""
        try:
            at = self._place(device, add=False)
        except KeyError:
            return None, None
        valid, hashes = self._map[at + VALID], self._map[at + HASHES : at + VALID]
        return (hashes[:32] if valid & 1 else None, hashes[32:] if valid & 2 else None)

    def kick(self, devices: Sequence[str]) -> int:
        """Ask the gate to end sessions of these devices that came in by a token which counts no more.

        How many fitted: the others in a moment, when it has done these.
        """
        wanted, done = self._number(KICKS_WANTED), self._number(KICKS_DONE)
        fitting = devices[: KICKS - (wanted - done)]
        for number, device in enumerate(fitting, wanted):
            at = RING + number % KICKS * ID_BYTES
            self._map[at : at + ID_BYTES] = device.encode().ljust(ID_BYTES, b"\0")
        self._map[KICKS_WANTED : KICKS_WANTED + 8] = struct.pack("<Q", wanted + len(fitting))
        return len(fitting)

    def seen(self, device: str) -> Seen | None:
        """What happened at the door; None for a device that is not in the table."""
        try:
            at = self._place(device, add=False)
        except KeyError:
            return None
        numbers = struct.unpack_from("<13I", self._map, at + SEEN)
        used, (boot, connected, left), rest = numbers[0:2], numbers[2:5], numbers[5:]
        now = struct.unpack_from("<I", self._map, BOOT)[0]
        topic = self._map[at + TOPIC : at + RECORD_BYTES].split(b"\0")[0].decode(errors="replace")
        return Seen((used[0], used[1]), connected if boot == now else 0, left, *rest, topic)  # type: ignore[call-arg]  # eight numbers

    def used_since(self, since: int) -> list[tuple[str, int, int]]:
        """Tokens used at or after `since` (seconds since 1970): device, slot, when."""
        records = np.frombuffer(self._map, np.uint8, self.capacity * RECORD_BYTES, HEADER_BYTES)
        records = records.reshape(-1, RECORD_BYTES)
        used = np.ascontiguousarray(records[:, SEEN : SEEN + 8]).view("<u4")
        found: list[tuple[str, int, int]] = []
        for row, slot in np.argwhere(used >= max(since, 1)).tolist():
            name = records[row, :ID_BYTES].tobytes().rstrip(b"\0").decode()
            found.append((name, slot, int(used[row, slot])))
        return found

    @property
    def unknown(self) -> tuple[int, int, str]:
        """Connections under ids that nobody enrolled: how many, when the last one, under which id."""
        number, at = struct.unpack_from("<II", self._map, UNKNOWN)
        name = self._map[UNKNOWN_ID : UNKNOWN_ID + ID_BYTES].split(b"\0")[0].decode(errors="replace")
        return number, at, name

    @property
    def astray(self) -> tuple[int, int]:
        """Messages of gateways for which there is no area and no route: how many, when the last one."""
        number, at = struct.unpack_from("<II", self._map, ASTRAY)
        return number, at

    def _place(self, device: str, *, add: bool) -> int:
        """Where the record stands. Raises KeyError when it is not there, ValueError when there is no room for it."""
        name = device.encode()
        if not 0 < len(name) < ID_BYTES:
            raise KeyError(device)
        padded, start = name.ljust(ID_BYTES, b"\0"), fnv1a(name)
        for probe in range(self.capacity):
            at = HEADER_BYTES + ((start + probe) & (self.capacity - 1)) * RECORD_BYTES
            there = self._map[at : at + ID_BYTES]
            if there == padded:
                return at
            if there[0] == 0:
                if not add:
                    raise KeyError(device)
                if len(self) >= self.room:
                    raise ValueError(f"{self.path} is full at {len(self)} devices")
                self._map[at : at + ID_BYTES] = padded
                self._map[COUNT : COUNT + 8] = struct.pack("<Q", len(self) + 1)
                return at
        raise KeyError(device)


def create(path: Path, tokens: Mapping[str, Hashes], room: int = 0, before: Table | None = None) -> Table:
    """Write a table anew and put it in place at once; the gate takes it up within a second.

    `room`: for so many devices at least; `before`: the table it replaces, whose observations are taken along.
    """
    capacity = SMALLEST
    while capacity * FULLEST <= max(room, len(tokens)) * 1.1:
        capacity *= 2
    header = bytearray(HEADER_BYTES)
    if before is not None:
        # From now on the gate notes which records it writes, and carries them over when it takes up the new file.
        header[:] = before._map[:HEADER_BYTES]
        before._map[MOVING : MOVING + 4] = struct.pack("<I", 1)
    struct.pack_into("<8sQQQ", header, 0, MAGIC, capacity, len(tokens), int.from_bytes(os.urandom(8), "little"))
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(header)
        file.truncate(HEADER_BYTES + capacity * RECORD_BYTES)
    fill(temporary, capacity, tokens, before)
    if before is not None:
        owned = before.path.stat()
        temporary.chmod(owned.st_mode & 0o777)
        os.chown(temporary, owned.st_uid, owned.st_gid)
    temporary.replace(path)
    table = Table(path)
    if before is not None:  # what was set meanwhile
        table._map[LIMIT : LIMIT + 4] = before._map[LIMIT : LIMIT + 4]
        table._map[AREAS:UNKNOWN_ID] = before._map[AREAS:UNKNOWN_ID]
    return table


def fill(path: Path, capacity: int, tokens: Mapping[str, Hashes], before: Table | None) -> None:
    """Put all devices into an empty table at once."""
    records = np.memmap(path, np.uint8, "r+", HEADER_BYTES, (capacity, RECORD_BYTES))
    ids = np.array([name.encode() for name in tokens], f"S{ID_BYTES}")
    places = place_all(ids, capacity)
    records[places, :ID_BYTES] = ids.view(np.uint8).reshape(-1, ID_BYTES)
    both = b"".join(map(packed_hashes, tokens.values()))
    records[places, HASHES:VALID] = np.frombuffer(both, np.uint8).reshape(-1, 64)
    valid = np.fromiter(map(valid_bits, tokens.values()), "<u4", len(tokens))
    records[places, VALID : VALID + 4] = valid.view(np.uint8).reshape(-1, 4)
    if before is not None:
        old = np.frombuffer(before._map, np.uint8, before.capacity * RECORD_BYTES, HEADER_BYTES)
        old = old.reshape(-1, RECORD_BYTES)
        names = old[:, :ID_BYTES].copy().view(f"S{ID_BYTES}").ravel()
        _, new_rows, old_rows = np.intersect1d(ids, names, return_indices=True)
        records[places[new_rows], SEEN:] = old[old_rows, SEEN:]
    records.flush()


def place_all(ids: "npt.NDArray[np.bytes_]", capacity: int) -> "npt.NDArray[np.int64]":
    """Where each id goes by linear probing, none twice."""
    places = (fnv1a_all(ids) & np.uint64(capacity - 1)).astype(np.int64)
    taken = np.zeros(capacity, bool)
    waiting = np.arange(len(ids))
    while len(waiting):
        _, first = np.unique(places[waiting], return_index=True)
        winners = waiting[first[~taken[places[waiting[first]]]]]
        taken[places[winners]] = True
        lost = np.ones(len(ids), bool)
        lost[winners] = False
        waiting = waiting[lost[waiting]]
        places[waiting] = (places[waiting] + 1) & (capacity - 1)
    return places


def fnv1a(name: bytes) -> int:
    """FNV-1a, 64 bits (draft-eastlake-fnv): spreads ids over the table, keeps no secret."""
    number = 0xCBF29CE484222325
    for byte in name:
        number = ((number ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return number


def fnv1a_all(ids: "npt.NDArray[np.bytes_]") -> "npt.NDArray[np.uint64]":
    """The same of many ids at once."""
    letters = ids.view(np.uint8).reshape(-1, ID_BYTES).astype(np.uint64)
    numbers = np.full(len(ids), 0xCBF29CE484222325, np.uint64)
    with np.errstate(over="ignore"):
        for column in letters.T:
            numbers = np.where(column == 0, numbers, (numbers ^ column) * np.uint64(0x100000001B3))
    return numbers


def packed_hashes(hashes: Iterable[bytes | None]) -> bytes:
    """Both hashes side by side."""
    return b"".join(one or NOBODY for one in hashes)


def valid_bits(hashes: Iterable[bytes | None]) -> int:
    """Which of the two count."""
    return sum(1 << slot for slot, one in enumerate(hashes) if one is not None)
