"""Loops over single readings, compiled: what a detector does at every value is written down as plain arithmetic.

Compiled once for each kind of arguments and kept beside the module, or where NUMBA_CACHE_DIR says; where nothing can be
written it is compiled again by each process, some seconds in all. Compiled functions take arrays, named tuples of them
and numbers, and call none but compiled ones.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

from analytics.detectors.rows import NO_CHANGES, Changes, Ints

Array = npt.NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])
Told = list[tuple[int, int, bool, int, int, float, float, float]]
"""Changes as loops tell them, in order: slot, column, on, at, since, score, value, expected."""
Number = Any
"""A number of whatever width, as compiled functions pass them on."""
i8, f4, f8 = (cast(Any, kind) for kind in (np.int64, np.float32, np.float64))
SECOND_US = 1_000_000


def compiled(function: F) -> F:
    """Division by zero gives inf or NaN, as with arrays."""
    try:
        return cast(F, njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # there is no place that can be written to
        return cast(F, njit(error_model="numpy")(function))


@compiled
def change(
    slot: Number, column: int, on: Number, at: Number, since: Number, score: Number, value: Number, expected: Number
) -> tuple[int, int, bool, int, int, float, float, float]:
    """A change of state of an entry; times in µs since 1970 UTC."""
    return i8(slot), column, on, i8(at), i8(since), f8(score), f8(value), f8(expected)


@compiled
def latched(was: bool, score: Number) -> Number:
    """What is on: it comes on at score 1 and stays until the score is below 0.5."""
    return score >= 0.5 if was else score >= 1


def changes_of(told: Told, judged: Ints) -> Changes:
    """What a loop told, as detectors tell it. `judged`: the metric of each column."""
    if not told:
        return NO_CHANGES
    slot, column, on, at, since, *numbers = (np.array(entries) for entries in zip(*told, strict=True))
    return Changes(slot, judged[column], on, at, since, *numbers)
