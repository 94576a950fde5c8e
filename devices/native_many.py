"""Many of our own messages at once → arrays: those that are exactly as they should be; the others are left to `native`.

A message that passes here gives the readings that `native_reader` would have made of it. Whatever is out of the
ordinary (another field, a value out of range, a time as text, a null) is left out, to be read alone and with care.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from math import nan
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.codecs import MAX_PAYLOAD
from devices.family import Family, Metric
from devices.native import MAX_SEQ, MAX_TIME_MS
from devices.native_cbor import Layouts
from devices.native_text import Text
from devices.profile import MAX_ELEMENTS
from devices.reading import hash_seq

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ABSENT = -1
"""Stands for a time, seq or boot that was not sent."""
ALONE = -1
"""Stands for the place in a list of a message that is no list."""
UNKNOWN_FIELD = "unknown field"
"""What msgspec says of a metric that nobody sent before; all else that it objects to is wrong with any metrics."""
OTHER, TEXT, BINARY = 0, 1, 2
KINDS = np.zeros(256, dtype=np.uint8)
"""Of a message, by its first byte."""
KINDS[list(b"{[ \t\n\r")] = TEXT
KINDS[0x80:] = BINARY


class Rows(NamedTuple):
    """Readings in columns, in the order of their messages. `message`: place of the message among those given;
    `element`: place in its list, or ALONE; `time`: microseconds since 1970 UTC, or ABSENT; `boot`: or ABSENT;
    `values`: rows × metrics of the family, NaN = absent, a state as its place."""

    message: Ints
    element: Ints
    time: Ints
    seq: Ints
    boot: Ints
    values: Floats

    def only(self, kept: Flags) -> "Rows":
        """Some of them."""
        if kept.all():
            return self
        message, element, time, seq, boot, values = self
        return Rows(message[kept], element[kept], time[kept], seq[kept], boot[kept], values[kept])


class Shape(NamedTuple):
    """Decoders of messages that hold some of a family's metrics and no others, alone and in lists."""

    metrics: tuple[Metric, ...]
    one: Callable[[bytes], Any]
    several: Callable[[bytes], Any]


Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]


def shape_of(family: Family, names: Iterable[str]) -> Shape:
    """What decodes messages with these metrics. Absent ones are NaN, absent states None."""
    wanted = frozenset(names)
    chosen = tuple(metric for metric in family.metrics if metric.name in wanted)
    fields: list[Any] = [(m.name, Literal[m.states], None) if m.states else (m.name, float, nan) for m in chosen]
    metrics = msgspec.defstruct("Metrics", fields, gc=False, forbid_unknown_fields=True)
    whole: list[Any] = [("metrics", metrics)]
    whole += [("time", Milliseconds, ABSENT), ("seq", Count, ABSENT), ("boot", Count, ABSENT)]
    message: Any = msgspec.defstruct("Message", whole, gc=False, forbid_unknown_fields=True)
    return Shape(chosen, msgspec.json.Decoder(message).decode, msgspec.json.Decoder(list[message]).decode)


class Many:
    """Reads messages of one family. It learns which metrics the devices send: most send few of the many there are, and
    columns that nobody fills cost as much as others."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._all = shape_of(family, family.index)
        self._usual = shape_of(family, ())
        self._states = {metric.name: places_of(metric) for metric in family.metrics if metric.states}
        self._layouts = Layouts(family)
        self._text = Text(family)

    def read(self, payloads: list[bytes]) -> Rows:
        """The rows of those messages that are as they should be, all elements of a list or none."""
        if max(map(len, payloads), default=0) > MAX_PAYLOAD:  # such a one is refused, as an empty one is
            payloads = [payload if len(payload) <= MAX_PAYLOAD else b"" for payload in payloads]
        return in_order([*self._pieces(payloads)], len(self._family.metrics))

    def _pieces(self, payloads: list[bytes]) -> Iterator[Rows]:
        """Nearly all are JSON, and read in one pass; the others are JSON that is written in another way, read from
        objects, or CBOR."""
        taken, left = self._text.read(payloads)
        for row in np.flatnonzero(taken.seq == ABSENT).tolist():
            taken.seq[row] = hash_seq(payloads[taken.message[row]])
        if len(taken.message):
            yield Rows(*taken)
        if not len(left):
            return
        text, binary = (left[places] for places in sorted_out(some_of(payloads, left)))
        if len(text):
            wanted = some_of(payloads, text)
            rows = self._rows(*spread(*self._decode(wanted)), wanted)
            yield self._checked(rows._replace(message=text[rows.message]), self._usual.metrics, len(payloads))
        if len(binary):
            rows = in_order([*self._binary(payloads, binary)], len(self._family.metrics))
            yield self._checked(rows, self._family.metrics, len(payloads))

    def _binary(self, payloads: list[bytes], places: Ints) -> Iterator[Rows]:
        """The rows of messages in CBOR."""
        for mine, layout, found in self._layouts.read(some_of(payloads, places)):
            message = places[mine[found.fine]]
            rows, elements = len(message), len(layout.elements)
            time, seq, boot = (found.counts[name][found.fine].ravel() for name in ("time", "seq", "boot"))
            time[time >= 0] *= 1000
            if layout.alone and "seq" not in layout.elements[0].counts:
                seq[:] = [hash_seq(payloads[place]) for place in message.tolist()]
            metrics = len(self._family.metrics)
            values = np.full((rows, elements, metrics), nan)
            values[:, :, : found.values.shape[2]] = found.values[found.fine]
            element = np.full(rows, ALONE) if layout.alone else np.tile(np.arange(elements), rows)
            yield Rows(message.repeat(elements), element, time, seq, boot, values.reshape(rows * elements, metrics))

    def _decode(self, payloads: list[bytes]) -> tuple[list[Any], list[int]]:
        """A message each; a list or None at the places that come second. From the start when a metric was new."""
        usual, items, others = self._usual, list[Any](), list[int]()
        rest = iter(payloads)
        while True:
            try:
                items.extend(map(usual.one, rest))  # what came before an exception stays
                break
            except msgspec.ValidationError as error:
                items.append(self._look_again(payloads[len(items)], str(error)))
            except (ValueError, RecursionError):
                items.append(None)  # no JSON, whatever is expected of it
            others.append(len(items) - 1)
        return (items, others) if self._usual is usual else self._decode(payloads)

    def _look_again(self, payload: bytes, said: str) -> Any:
        """The message or the list of messages, perhaps with metrics that nobody sent before; else None. `said`: why it
        is not the usual message."""
        if payload[:1] == b"[":
            attempts = [(shape, shape.several) for shape in (self._usual, self._all)]
        elif UNKNOWN_FIELD in said:
            attempts = [(self._all, self._all.one)]
        else:
            return None
        for shape, decode in attempts:
            try:
                found = decode(payload)
            except (ValueError, RecursionError):
                continue
            if shape is self._all:
                self._learn(found if type(found) is list else [found])
            return found
        return None

    def _learn(self, messages: list[Any]) -> None:
        known = {metric.name for metric in self._usual.metrics}
        sent = {m.name for m in self._all.metrics for one in messages if is_there(getattr(one.metrics, m.name))}
        if not sent <= known:
            self._usual = shape_of(self._family, known | sent)

    def _rows(self, items: list[Any], message: Ints, element: Ints, payloads: list[bytes]) -> Rows:
        count = len(items)
        time, seq, boot = (
            np.fromiter(map(attrgetter(name), items), dtype=np.int64, count=count) for name in ("time", "seq", "boot")
        )
        time[time >= 0] *= 1000
        for row in np.flatnonzero((seq < 0) & (element == ALONE)).tolist():
            seq[row] = hash_seq(payloads[message[row]])
        values = np.full((count, len(self._family.metrics)), nan)
        metrics = list(map(attrgetter("metrics"), items))
        for metric in self._usual.metrics:
            column = map(attrgetter(metric.name), metrics)
            if metric.states:
                column = map(self._states[metric.name].__getitem__, column)
            values[:, self._family.index[metric.name]] = np.fromiter(column, dtype=np.float64, count=count)
        return Rows(message, element, time, seq, boot, values)

    def _checked(self, rows: Rows, sent: Sequence[Metric], messages: int) -> Rows:
        """The rows of messages all of whose rows are what they should be: some metric, all in range, a seq within a
        list. `sent`: the metrics that anybody sends."""
        fine = np.ones(len(rows.seq), dtype=np.bool_)
        nothing = np.ones(len(rows.seq), dtype=np.bool_)
        for metric in sent:
            column = rows.values[:, self._family.index[metric.name]]
            fine &= ~((column < metric.low) | (column > metric.high))
            nothing &= np.isnan(column)
        fine &= ~nothing
        fine &= (rows.seq != ABSENT) | (rows.element == ALONE)
        return rows.only(whole_messages(fine, rows.message, messages))


def some_of(payloads: list[bytes], places: Ints) -> list[bytes]:
    """Those at some places, ascending."""
    return payloads if len(places) == len(payloads) else [payloads[place] for place in places.tolist()]


def whole_messages(fine: Flags, message: Ints, messages: int) -> Flags:
    """Rows whose messages are fine in every row."""
    if fine.all():
        return fine
    bad = np.zeros(messages, dtype=np.bool_)
    bad[message[~fine]] = True
    sound: Flags = ~bad[message]
    return sound


def in_order(pieces: list[Rows], metrics: int) -> Rows:
    """All rows, in the order of their messages."""
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        none = np.zeros(0, dtype=np.int64)
        return Rows(none, none, none, none, none, np.zeros((0, metrics)))
    order = np.argsort(np.concatenate([piece.message for piece in pieces]), kind="stable")
    message, element, time, seq, boot, values = (np.concatenate(column)[order] for column in zip(*pieces, strict=True))
    return Rows(message, element, time, seq, boot, values)


def sorted_out(payloads: list[bytes]) -> tuple[Ints, Ints]:
    """Places of the payloads that can be messages in JSON, and of those in CBOR."""
    sizes = np.fromiter(map(len, payloads), dtype=np.int64, count=len(payloads))
    places = np.flatnonzero(sizes)
    kind = KINDS[np.frombuffer(bytes(map(itemgetter(0), some_of(payloads, places))), dtype=np.uint8)]
    return places[kind == TEXT], places[kind == BINARY]


def spread(items: list[Any], others: list[int]) -> tuple[list[Any], Ints, Ints]:
    """Messages and lists of messages one after the other; of each its place among the items, and in its list.
    `others`: places of what is no single message: lists, None for nothing, and messages that were found late."""
    if not any(type(items[place]) is list for place in others):
        return without_nothing(items, others)
    counts, pieces, start = np.ones(len(items), dtype=np.int64), [], 0
    for place in others:
        found = items[place]
        whole = found if type(found) is list else [] if found is None else [found]
        whole = whole if len(whole) <= MAX_ELEMENTS else []
        counts[place] = len(whole)
        pieces += [items[start:place], whole]
        start = place + 1
    message = np.repeat(np.arange(len(items)), counts)
    element = np.full(len(message), ALONE)
    firsts = np.cumsum(counts) - counts
    for place in others:
        if type(items[place]) is list:
            element[firsts[place] : firsts[place] + counts[place]] = np.arange(counts[place])
    return list(chain(*pieces, items[start:])), message, element


def without_nothing(items: list[Any], others: list[int]) -> tuple[list[Any], Ints, Ints]:
    """The same where there are no lists: garbage comes in thousands."""
    nothing = [place for place in others if items[place] is None]
    if not nothing:
        return items, np.arange(len(items)), np.full(len(items), ALONE)
    kept = np.ones(len(items), dtype=np.bool_)
    kept[nothing] = False
    message = np.flatnonzero(kept)
    return [item for item in items if item is not None], message, np.full(len(message), ALONE)


def places_of(metric: Metric) -> dict[str | None, float]:
    """Of each state, as a number; NaN for none."""
    return {None: nan} | {state: float(place) for place, state in enumerate(metric.states)}


def is_there(value: float | str | None) -> bool:
    """Whether a metric was sent."""
    return value is not None and value == value
