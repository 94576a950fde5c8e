"""What is a device's own: its lasting character, and noise that wanders between hashed nodes at two time scales.

Value noise (Perlin 1985, simplified to one dimension): each device has nodes in time at which it draws, and goes from
one to the next in between. A message needs five hashes however many metrics it has: each metric multiplies the hashes
by an odd number of its own, which gives it other high bits.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators import draw
from simulators.draw import Floats, Keys, salt

Words = NDArray[np.uint32]
Singles = NDArray[np.float32]

SCALES_S = (14_400.0, 600.0)
"""Seconds between nodes: what lasts for hours, and what changes within minutes."""
SHARES = (0.8, 0.6)
"""How much each scale weighs; the squares add up to one."""
UNIT = 3.0**0.5 / 2.0**31
"""From a signed 32-bit word to a number of mean 0 and deviation 1, never beyond 1.73."""
_HIGH, _PURPOSE = np.uint64(32), np.uint64(salt("wander"))
_LENGTHS, _SCALE = np.array([SCALES_S]).T, np.array([[0], [1]], dtype=np.uint64)
_WEIGHTS = np.array([SHARES + SHARES]).T * UNIT


class Wander(NamedTuple):
    """Devices at moments: `own` (n) is the device's word, `nodes` (4, n) and `weights` (4, n) those of its noise.

    `key` (n): 64 bits of which `own` are the higher ones.
    """

    key: Keys
    own: Words
    nodes: Words
    weights: Singles


def wander(keys: Keys, seconds: Floats) -> Wander:
    """The words from which all noise of devices `keys` at `seconds` since 1970 is made."""
    own = draw.finish(keys ^ _PURPOSE)
    place = seconds / _LENGTHS + phase_of(own)
    step = np.floor(place)
    turn = step.astype(np.int64).view(np.uint64) * draw.GOLDEN + own + _SCALE
    words = draw.finish(np.concatenate((turn, turn + draw.GOLDEN))) >> _HIGH
    weights = np.concatenate(blend(place - step)) * _WEIGHTS
    return Wander(own, (own >> _HIGH).astype(np.uint32), words.astype(np.uint32), weights.astype(np.float32))


def phase_of(own: Keys) -> Floats:
    """Where in a step a device stands, 0 to 1, so that a city does not turn at once."""
    return (own & np.uint64(0xFFFF)).astype(np.float64) * 2.0**-16


def blend(part: Floats) -> tuple[Floats, Floats]:
    """Weights of the node before and after, `part` of the way between: their squares add up to one."""
    before = 1.0 - part
    size = np.sqrt(before * before + part * part)
    return before / size, part / size


def odds(names: Iterable[str], purpose: str) -> Words:
    """An odd multiplier per metric, as a column (m, 1)."""
    return np.array([salt(purpose, name) & 0xFFFFFFFF | 1 for name in names], dtype=np.uint32).reshape(-1, 1)


def noise(words: Wander, odd: Words) -> Singles:
    """Per metric (row of `odd`) and message noise of mean 0 and deviation about 1, never beyond 3.5; shape (m, n)."""
    parts = _signed(words.nodes[:, np.newaxis] * odd) * words.weights[:, np.newaxis]
    return np.asarray((parts[0] + parts[1]) + (parts[2] + parts[3]))


def character(words: Wander, odd: Words) -> Singles:
    """Per metric and message what sets the device apart for good: mean 0, deviation 1, never beyond 1.73; (m, n)."""
    return np.asarray(_signed(words.own * odd) * np.float32(UNIT))


def shares(words: Wander, odd: Words) -> Floats:
    """As `character`, but anywhere from 0 to 1."""
    return np.asarray((words.own * odd) * 2.0**-32, dtype=np.float64)


def _signed(words: Words) -> Singles:
    return np.asarray(words.view(np.int32).astype(np.float32))
