"""Loops over single readings, compiled: what a detector does at every value is written down as plain arithmetic.

Compiled once for each kind of arguments, some 15 s of CPU in all, and kept beside this module, or where NUMBA_CACHE_DIR
says; where nothing can be written each process compiles again. What is kept is asked for again when its own module has
changed, or this one; so helpers lie in the module of their loop, or here. Compiled functions take arrays, named tuples
of them and numbers, and call none but compiled ones. Nothing checks places: one that is outside of an array is a fault
that ends the process.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import njit

from analytics.detectors.rows import NO_CHANGES, Changes, Ints

Array = npt.NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])
Change = tuple[int, int, bool, int, int, float, float, float]
"""Slot, column, on, at, since, score, value, expected."""
Told = tuple[Array, Array]
"""Changes as loops tell them, in order: whole numbers (5 × changes), numbers (3 × changes)."""
Number = Any
"""A number of whatever width, as compiled functions pass them on."""
i8, f4, f8 = (cast(Any, kind) for kind in (np.int64, np.float32, np.float64))
SECOND_US = 1_000_000

HERE = Path(__file__)
SHELF = HERE.parent / "__pycache__" / f"loops-{hashlib.sha256(HERE.read_bytes()).hexdigest()[:12]}"
settings = cast(Any, numba.config)
settings.CACHE_DIR = settings.CACHE_DIR or str(SHELF)


def compiled(function: F) -> F:
    """Division by zero gives inf or NaN, as with arrays."""
    return made(function)


def inlined(function: F) -> F:
    """The same for what others call: it becomes a part of them. A call would cost more than most of these do, for it
    counts who uses each array of a tuple."""
    return made(function, forceinline=True)


def made(function: F, forceinline: bool = False) -> F:
    """The compiled function."""
    try:
        return cast(F, njit(cache=True, error_model="numpy", forceinline=forceinline)(function))
    except RuntimeError:  # there is no place that can be written to
        return cast(F, njit(error_model="numpy", forceinline=forceinline)(function))


@inlined
def change(
    slot: Number, column: int, on: Number, at: Number, since: Number, score: Number, value: Number, expected: Number
) -> Change:
    """A change of state of an entry; times in µs since 1970 UTC."""
    return i8(slot), column, on, i8(at), i8(since), f8(score), f8(value), f8(expected)


@inlined
def tally(readings: Array, same: Array, at: tuple[int, int], again: Number, full: int) -> Number:
    """Count a reading, and whether it says the same `again`; where they come to `full`, what is long ago counts half.
    Returns how many there were before."""
    n = i8(readings[at])
    readings[at] = n + 1
    same[at] += again
    if n >= full - 1:
        readings[at] //= 2
        same[at] //= 2
    return n


@inlined
def latched(was: bool, score: Number) -> Number:
    """What is on: it comes on at score 1 and stays until the score is below 0.5."""
    return score >= 0.5 if was else score >= 1


@inlined
def columns(told: list[Change]) -> Told:
    """As arrays: to hand over a list would cost a microsecond for each change."""
    whole, numbers = np.empty((5, len(told)), np.int64), np.empty((3, len(told)))
    for n, (slot, column, on, at, since, score, value, expected) in enumerate(told):
        whole[0, n], whole[1, n], whole[2, n], whole[3, n], whole[4, n] = slot, column, on, at, since
        numbers[0, n], numbers[1, n], numbers[2, n] = score, value, expected
    return whole, numbers


def changes_of(told: Told, judged: Ints) -> Changes:
    """What a loop told, as detectors tell it. `judged`: the metric of each column."""
    (slot, column, on, at, since), numbers = told
    return Changes(slot, judged[column], on != 0, at, since, *numbers) if len(slot) else NO_CHANGES
