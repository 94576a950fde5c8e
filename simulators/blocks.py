"""The rows of spools, sorted into files of which each fits into memory: some devices of one family."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Ints
from simulators.fleet import Fleet
from simulators.spool import slices

BLOCK = 1_000_000
"""Messages of a block, give or take those of one device."""


class Block(NamedTuple):
    """Some devices of one family (indices, ascending), and the file with the rows of their messages."""

    family: int
    devices: Ints
    path: Path


def split(spools: Sequence[Path], fleet: Fleet, folder: Path, most: int = BLOCK) -> list[Block]:
    """Sort the rows of spools into files, one for each block; devices that sent nothing are in none."""
    counts = np.zeros(len(fleet), dtype=np.int64)
    for rows in slices(spools):
        counts += np.bincount(rows["device"], minlength=len(fleet))
    number = blocks_of(counts, fleet, most)
    paths = [folder / f"block-{place}" for place in range(int(number.max(initial=-1)) + 1)]
    for path in paths:
        path.write_bytes(b"")
    for rows in slices(spools):
        of = number[rows["device"]]
        order = np.argsort(of, kind="stable")
        edges = np.searchsorted(of[order], np.arange(len(paths) + 1))
        for place in np.unique(of).tolist():
            with paths[place].open("ab") as file:
                file.write(rows[order[edges[place] : edges[place + 1]]].tobytes())
    if not paths:
        return []
    spoke = np.flatnonzero(counts)
    by_block = spoke[np.argsort(number[spoke], kind="stable")]
    parts = np.split(by_block, np.searchsorted(number[by_block], np.arange(1, len(paths))))
    return [Block(int(fleet.family[part[0]]), part, path) for part, path in zip(parts, paths, strict=True) if len(part)]


def blocks_of(counts: Ints, fleet: Fleet, most: int) -> NDArray[np.int32]:
    """The block of each device of a fleet, by messages sent: of one family, and at most so many messages."""
    number = np.full(len(fleet), -1, dtype=np.int32)
    last = -1
    for family in range(len(fleet.families)):
        devices = np.flatnonzero((fleet.family == family) & (counts > 0))
        if not len(devices):
            continue
        before = np.cumsum(counts[devices]) - counts[devices]
        _, place = np.unique(before // most, return_inverse=True)
        number[devices] = last + 1 + place
        last += 1 + int(place[-1])
    return number
