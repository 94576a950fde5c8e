"""Random numbers without a stream: every draw is a hash of who draws, what for, and when.

A draw depends on nothing but its arguments, so a city is the same in any order and slice, on any machine.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_PIECE, _S16, _S32, _S48 = np.uint64(0xFFFF), np.uint64(16), np.uint64(32), np.uint64(48)


def salt(*words: object) -> int:
    """A 64-bit number for a purpose, stable across runs and machines."""
    text = "\x1f".join(str(word) for word in words)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def stir(keys: Keys, purpose: int, turn: Ints | int = 0) -> Keys:
    """A new 64-bit key per key, purpose and turn (splitmix64's finaliser, applied twice)."""
    turns = np.asarray(turn, dtype=np.int64).astype(np.uint64)
    return finish(finish(keys ^ np.uint64(purpose)) + turns * GOLDEN)


def uniform(keys: Keys, purpose: int, turn: Ints | int = 0) -> Floats:
    """Uniform in [0, 1)."""
    return (stir(keys, purpose, turn) >> _S11).astype(np.float64) * 2.0**-53


def normal(keys: Keys, purpose: int, turn: Ints | int = 0) -> Floats:
    """Nearly normal, mean 0, deviation 1, never beyond 3.5: the sum of four uniform pieces of one hash."""
    word = stir(keys, purpose, turn)
    total = (word & _PIECE) + ((word >> _S16) & _PIECE) + ((word >> _S32) & _PIECE) + (word >> _S48)
    return np.asarray((total.astype(np.float64) / 65536.0 - 2.0 + 2.0 / 65536.0) * 3.0**0.5, dtype=np.float64)


def pick(keys: Keys, purpose: int, turn: Ints | int, weights: Floats) -> Ints:
    """An index into `weights` (which need not add up to one) per key."""
    edges = np.cumsum(weights) / np.sum(weights)
    choice = np.searchsorted(edges, uniform(keys, purpose, turn), side="right")
    return np.minimum(choice, len(weights) - 1).astype(np.int64)


def finish(x: Keys) -> Keys:
    """splitmix64's finaliser: every bit of the result depends on every bit of `x`."""
    x = x ^ (x >> _S30)
    x *= _FIRST
    x ^= x >> _S27
    x *= _SECOND
    x ^= x >> _S31
    return x
