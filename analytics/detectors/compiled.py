"""Loops over single readings, compiled: what a detector does at every value is written down as plain arithmetic.

Compiled once for each kind of arguments, some 15 s of CPU in all, and kept beside this module, or where NUMBA_CACHE_DIR
says; where nothing can be written each process compiles again. What is kept is asked for again when its own module has
changed, or one of SHARED; so helpers lie in the module of their loop, or there. Compiled functions take arrays,
records, named tuples of them and numbers, and call none but compiled ones. Nothing checks places: one that is outside
of an array is a fault that ends the process.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped] # numba's own
from numba import njit, types
from numba.extending import intrinsic

from analytics.detectors.layout import LINE
from analytics.detectors.rows import NO_CHANGES, Changes, Ints

Array = npt.NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])
Change = tuple[int, int, bool, int, int, float, float, float]
"""Slot, column, on, at, since, score, value, expected."""
Told = tuple[Array, Array]
"""Changes as loops tell them, in order: whole numbers (5 × changes), numbers (3 × changes)."""
Number = Any
"""A number of whatever width, as compiled functions pass them on."""
Record = Any
"""What is kept of a metric of a device, or of the device; see layout.py."""
i8, f4, f8 = (cast(Any, kind) for kind in (np.int64, np.float32, np.float64))
SECOND_US = 1_000_000
AHEAD = 16
"""Readings by which what is kept of a device is fetched before it is looked at."""


class Lines(NamedTuple):
    """Rows of bytes: the address of the first, and bytes of each."""

    begin: int
    size: int


HERE = Path(__file__).parent
SHARED = ("compiled.py", "anomaly_season.py")
"""Modules of helpers for loops of other modules: when they change, all is compiled again."""
MARK = hashlib.sha256(b"".join(HERE.joinpath(name).read_bytes() for name in SHARED)).hexdigest()[:12]
SHELF = HERE / "__pycache__" / f"loops-{MARK}"
settings = cast(Any, numba.config)
settings.CACHE_DIR = str(Path(settings.CACHE_DIR) / SHELF.name if settings.CACHE_DIR else SHELF)


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
        return cast(F, njit(cache=True, nogil=True, error_model="numpy", forceinline=forceinline)(function))
    except RuntimeError:  # there is no place that can be written to
        return cast(F, njit(nogil=True, error_model="numpy", forceinline=forceinline)(function))


def fetched(_: Any, address: Any) -> Any:
    """Let the processor fetch the line of this address while it goes on with something else."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        takes = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        to_write, often, of_numbers = number(1), number(3), number(1)
        line = builder.inttoptr(given[0], byte)
        builder.call(
            builder.module.declare_intrinsic("llvm.prefetch", [byte], takes), [line, to_write, often, of_numbers]
        )
        return context.get_dummy_value()

    return types.void(types.int64), build


fetched_line = cast(Any, intrinsic(fetched))


@inlined
def lines_of(rows: Array) -> Lines:
    """Where rows of devices lie. In plain numbers: to hand over an array at every reading would count who uses it."""
    return Lines(i8(rows.ctypes.data), i8(rows.shape[1]))


@inlined
def later(i: int, last: int) -> Number:
    """The reading that comes AHEAD of others, or the last one. A branch at every reading would cost more than to fetch
    the last row over and over."""
    return min(i8(i) + AHEAD, i8(last))


@inlined
def fetch(lines: Lines, slot: Number) -> None:
    """Have the row of a device at hand that comes later. It may begin within a line: so its end is asked for, too."""
    begin = lines.begin + slot * lines.size
    fetched_line(begin)
    fetched_line(begin + lines.size - 1)
    if lines.size > LINE:
        for at in range(LINE, lines.size, LINE):
            fetched_line(begin + at)


def expected(_: Any, whether: Any) -> Any:
    """What is nearly always so: what comes otherwise is kept out of the way, and out of the registers."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        bit = ir.IntType(1)
        expect = builder.module.declare_intrinsic("llvm.expect", [bit], ir.FunctionType(bit, [bit, bit]))
        return builder.call(expect, [given[0], bit(1)])

    return types.boolean(types.boolean), build


likely = cast(Any, intrinsic(expected))


@inlined
def change(
    slot: Number, column: int, on: Number, at: Number, since: Number, score: Number, value: Number, expected: Number
) -> Change:
    """A change of state of an entry; times in µs since 1970 UTC."""
    return i8(slot), column, on, i8(at), i8(since), f8(score), f8(value), f8(expected)


@inlined
def none_told() -> list[Change]:
    """A list for changes that knows of what they are, so that it can be handed over before there is any."""
    return [change(0, 0, False, 0, 0, 0.0, 0.0, 0.0) for _ in range(0)]


@inlined
def tally(entry: Record, again: Number, full: int) -> Number:
    """Count a reading, and whether it says the same `again`; where they come to `full`, what is long ago counts half.
    Returns how many there were before."""
    n = i8(entry.readings)
    entry.readings = n + 1
    entry.same += again
    if n >= full - 1:
        entry.readings //= 2
        entry.same //= 2
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
