"""The compiled loop over the bytes of JSON messages of our own; see native_text.py.

It is compiled once (some seconds) and kept beside this module, or where NUMBA_CACHE_DIR says. Nothing checks places: a
zero byte after each message is no part of any JSON, so that nothing reads on behind it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from devices.native import MAX_TIME_MS
from devices.profile import MAX_ELEMENTS

Array = NDArray[Any]
Ints = NDArray[np.int64]
Number = Any
"""A number of whatever width, as compiled functions pass them on."""
Pointer = Any
F = TypeVar("F", bound=Callable[..., Any])
i8 = cast(Any, np.int64)

NO = -1
"""Stands for what was not sent, and for the end of what is not as it should be."""
FIELDS = ("time", "seq", "boot", "metrics")
TIME, SEQ, BOOT, METRICS = range(4)
QUOTE, MINUS, POINT, COMMA, COLON = b'"-.,:'
OPEN, CLOSE, LIST, LIST_END = b"{}[]"
NOUGHT, NINE, SPACE = b"09 "
MOST_DIGITS = 18
"""Numbers of so many are whole in 64 bits."""
EXACT = 2**53
"""Up to here a whole number is a float, and so the quotient of it and a power of ten is the float that is meant."""
TENS = 10 ** np.arange(MOST_DIGITS + 1)


class Words(NamedTuple):
    """What may stand between quotation marks: the fields, then the metrics, then their states. `first`: where each word
    begins in `letters`; `states`: by metric, which word its first state is; `usual`: by place in a message, the metric
    that stood there last. Arrays; in compiled functions pointers, for the uses of arrays are counted at every call,
    which took most of the time."""

    letters: Any
    first: Any
    states: Any
    low: Any
    high: Any
    usual: Any
    metrics: int


class Taken(NamedTuple):
    """Readings, a row each, as in `native_many.Rows`; arrays or pointers."""

    message: Any
    element: Any
    time: Any
    seq: Any
    boot: Any
    values: Any


def compiled(function: F) -> F:
    """What others call becomes a part of them."""
    return made(function, forceinline=function.__name__ != "all_of")


def made(function: F, forceinline: bool) -> F:
    """The compiled function."""
    try:
        return cast(F, njit(cache=True, nogil=True, forceinline=forceinline)(function))
    except RuntimeError:  # there is no place that can be written to
        return cast(F, njit(nogil=True, forceinline=forceinline)(function))


def first_of(_: Any, array: Any) -> Any:
    """Where the first of an array is."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, given[0]).data

    return types.CPointer(array.dtype)(array), build  # type: ignore[no-untyped-call]


pointer = cast(Any, intrinsic(first_of))


@compiled
def after(text: Pointer, at: Number) -> Number:
    """The first place from here on that is not blank."""
    while text[at] <= SPACE and text[at] != 0 and (text[at] == SPACE or 9 <= text[at] <= 10 or text[at] == 13):
        at += 1
    return at


@compiled
def stands(text: Pointer, at: Number, words: Words, word: Number) -> Number:
    """Where a word ends, behind its second quotation mark, if it stands here; else NO."""
    for place in range(words.first[word], words.first[word + 1]):
        if text[at] != words.letters[place]:
            return NO
        at += 1
    return at + 1 if text[at] == QUOTE else NO


@compiled
def digits(text: Pointer, at: Number) -> tuple[Number, Number]:
    """A number without sign, and where it ends."""
    number, most = i8(0), at + MOST_DIGITS
    while at < most and NOUGHT <= text[at] <= NINE:
        number = number * 10 + i8(text[at]) - NOUGHT
        at += 1
    return number, at


@compiled
def count_at(text: Pointer, at: Number) -> tuple[Number, Number]:
    """A whole number, and where it ends, or NO. What comes behind it must be looked at."""
    number, end = digits(text, at)
    if end == at or (text[at] == NOUGHT and end > at + 1):
        end = NO
    return number, end


@compiled
def value_at(text: Pointer, at: Number) -> tuple[Number, Number]:
    """A decimal number, and where it ends, or NO."""
    minus = text[at] == MINUS
    first = at + 1 if minus else at
    number, end = count_at(text, first)
    decimals = i8(0)
    if end != NO and text[end] == POINT:
        part, stop = digits(text, end + 1)
        decimals = stop - end - 1
        number = number * TENS[min(decimals, MOST_DIGITS)] + part
        end = stop if decimals > 0 and stop - first <= MOST_DIGITS + 1 else NO
    if number > EXACT or (number == 0 and minus):
        end = NO
    value = number / TENS[min(decimals, MOST_DIGITS)]
    return (-value if minus else value), end


@compiled
def metric_at(text: Pointer, at: Number, words: Words, nth: Number) -> tuple[Number, Number]:
    """Which metric stands here as the `nth` of its message, and where its name ends, or NO."""
    metric = words.usual[nth]
    end = stands(text, at, words, len(FIELDS) + metric)
    if end != NO:
        return metric, end
    for metric in range(words.metrics):
        end = stands(text, at, words, len(FIELDS) + metric)
        if end != NO:
            words.usual[nth] = metric
            return metric, end
    return i8(0), NO


@compiled
def state_at(text: Pointer, at: Number, words: Words, metric: Number) -> tuple[Number, Number]:
    """Which of its states a metric has, and where the word ends, or NO."""
    for word in range(words.states[metric], words.states[metric + 1]):
        end = stands(text, at, words, word)
        if end != NO:
            return float(word - words.states[metric]), end
    return 0.0, NO


@compiled
def metrics_at(text: Pointer, at: Number, words: Words, values: Pointer, first: Number) -> Number:
    """Take the object of metrics into a row; where it ends, or NO."""
    if text[at] != OPEN:
        return NO
    for nth in range(words.metrics):
        at = after(text, at + 1)
        if text[at] != QUOTE:
            return NO
        metric, end = metric_at(text, at + 1, words, nth)
        if end == NO or values[first + metric] == values[first + metric]:  # unknown, or for the second time
            return NO
        at = after(text, end)
        if text[at] != COLON:
            return NO
        at = after(text, at + 1)
        if words.states[metric] == words.states[metric + 1]:
            value, end = value_at(text, at)
        elif text[at] == QUOTE:
            value, end = state_at(text, at + 1, words, metric)
        else:
            return NO
        if end == NO or not words.low[metric] <= value <= words.high[metric]:
            return NO
        values[first + metric] = value
        at = after(text, end)
        if text[at] != COMMA:
            return at + 1 if text[at] == CLOSE else NO
    return NO


@compiled
def field_at(text: Pointer, at: Number, words: Words) -> tuple[Number, Number]:
    """Which field stands here, and where its name ends, or NO."""
    for field in range(len(FIELDS)):
        end = stands(text, at, words, field)
        if end != NO:
            return field, end
    return 0, NO


@compiled
def reading_at(text: Pointer, at: Number, words: Words, taken: Taken, row: Number) -> Number:
    """Take one reading into a row; where it ends, or NO."""
    taken.time[row] = taken.seq[row] = taken.boot[row] = NO
    for place in range(row * words.metrics, (row + 1) * words.metrics):
        taken.values[place] = np.nan
    seen = 0
    if text[at] != OPEN:
        return NO
    while True:
        at = after(text, at + 1)
        if text[at] != QUOTE:
            return NO
        field, end = field_at(text, at + 1, words)
        if end == NO or seen >> field & 1:
            return NO
        seen |= 1 << field
        at = after(text, end)
        if text[at] != COLON:
            return NO
        at = after(text, at + 1)
        if field == METRICS:
            end = metrics_at(text, at, words, taken.values, row * words.metrics)
        else:
            number, end = count_at(text, at)
            if field == TIME:
                if number > MAX_TIME_MS:
                    return NO
                taken.time[row] = number * 1000
            elif field == SEQ:
                taken.seq[row] = number
            else:
                taken.boot[row] = number
        if end == NO:
            return NO
        at = after(text, end)
        if text[at] != COMMA:
            return at + 1 if text[at] == CLOSE and seen >> METRICS & 1 else NO


@compiled
def message_at(text: Pointer, at: Number, stop: Number, words: Words, taken: Taken, row: Number) -> Number:
    """Take a message or a list of messages into rows; the row behind them, or NO. `stop`: where the message ends, for
    it may have zero bytes of its own."""
    first, at = row, after(text, at)
    if text[at] != LIST:
        taken.element[row] = NO
        at = reading_at(text, at, words, taken, row)
        return row + 1 if at != NO and after(text, at) == stop else NO
    while row - first < MAX_ELEMENTS:
        taken.element[row] = row - first
        at = reading_at(text, after(text, at + 1), words, taken, row)
        if at == NO or taken.seq[row] == NO:
            return NO
        row, at = row + 1, after(text, at)
        if text[at] != COMMA:
            return row if text[at] == LIST_END and after(text, at + 1) == stop else NO
    return NO


@compiled
def all_of(text: Array, stops: Ints, words: Words, taken: Taken, left: Array) -> int:
    """Take all messages, each whole or not at all; rows. `stops`: the places of the zero bytes behind them."""
    known = Words(
        pointer(words.letters),
        pointer(words.first),
        pointer(words.states),
        pointer(words.low),
        pointer(words.high),
        pointer(words.usual),
        words.metrics,
    )
    into = Taken(
        pointer(taken.message),
        pointer(taken.element),
        pointer(taken.time),
        pointer(taken.seq),
        pointer(taken.boot),
        pointer(taken.values),
    )
    bytes_of, row, start = pointer(text), i8(0), i8(0)
    for message in range(len(stops)):
        end = message_at(bytes_of, start, stops[message], known, into, row)
        start = stops[message] + 1
        if end == NO:
            left[message] = True
            continue
        for place in range(row, end):
            into.message[place] = message
        row = end
    return int(row)
