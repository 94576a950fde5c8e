"""Many CBOR messages of our own at once → arrays. A device's messages differ in their numbers alone: where those stand
is found out once (a layout), then they are taken out of all messages of that layout together.

What has no layout (tags, indefinite lengths, unknown keys, keys twice, texts that are no state) is read with care
elsewhere.
"""

from collections.abc import Iterator
from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.family import Family
from devices.native_layout import COUNTS, HERE, Layout, NoLayout, Number, Scan

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_LAYOUTS = 256
"""Of one family; the one that was not seen for longest gives way."""
MOST_NEW = 4
"""Layouts that are looked for at a time: garbage has none, and must not cost what looking costs."""


class Found(NamedTuple):
    """Readings of messages of one layout, messages × elements; `fine`: by message, whether its numbers can be taken."""

    fine: Flags
    counts: dict[str, Ints]
    values: Floats


class Layouts:
    """The layouts of one family's messages, as they become known."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._known: dict[bytes, Layout] = {}  # by what is fixed in it, the one that was seen last at the end

    def read(self, payloads: list[bytes]) -> Iterator[tuple[Ints, Layout, Found]]:
        """Of each layout: places of its messages, and what they say. Messages without a layout do not come."""
        sizes = np.fromiter(map(len, payloads), dtype=np.int64, count=len(payloads))
        chances = MOST_NEW
        for size in np.unique(sizes).tolist():
            left = np.flatnonzero(sizes == size)
            raw = np.frombuffer(b"".join(payloads[place] for place in left.tolist()), dtype=np.uint8)
            raw = raw.reshape(len(left), size)
            for layout in [one for one in self._known.values() if len(one.fixed) == size]:
                left, raw, taken = split(layout, left, raw)
                if taken:
                    self._keep(layout)
                    yield taken[0], layout, taken[1]
            while len(left) and chances:
                chances -= 1
                new = self._new(payloads[int(left[0])])
                if new is None:
                    left, raw = left[1:], raw[1:]
                    continue
                left, raw, taken = split(new, left, raw)
                if taken:
                    yield taken[0], new, taken[1]
                else:
                    left, raw = left[1:], raw[1:]

    def _new(self, payload: bytes) -> Layout | None:
        try:
            layout = Scan(self._family, payload).layout()
        except NoLayout:
            return None
        if len(self._known) >= MOST_LAYOUTS:
            self._known.pop(next(iter(self._known)))
        self._keep(layout)
        return layout

    def _keep(self, layout: Layout) -> None:
        key = layout.fixed.tobytes() + layout.mask.tobytes()
        self._known.pop(key, None)
        self._known[key] = layout


def split(
    layout: Layout, places: Ints, raw: NDArray[np.uint8]
) -> tuple[Ints, NDArray[np.uint8], tuple[Ints, Found] | None]:
    """The messages (places, bytes) of other layouts, and those of this one with what they say."""
    same = ~((raw & layout.mask) != layout.fixed).any(axis=1)
    for number in layout.numbers():
        if number.head is not None:
            same &= (raw[:, number.at] >= number.head) & (raw[:, number.at] < number.head + HERE)
    if not same.any():
        return places, raw, None
    mine = raw if same.all() else raw[same]
    return places[~same], raw[~same], (places[same], taken_out(layout, mine))


def taken_out(layout: Layout, raw: NDArray[np.uint8]) -> Found:
    """The numbers of messages of one layout."""
    messages = np.ascontiguousarray(raw).view(layout.dtype)[:, 0]
    count, elements = len(raw), len(layout.elements)
    fine = np.ones(count, dtype=np.bool_)
    counts = {name: np.full((count, elements), -1, dtype=np.int64) for name in COUNTS}
    width = 1 + max(place for one in layout.elements for place in (*one.metrics, *one.states))
    values = np.full((count, elements, width), nan)
    for index, element in enumerate(layout.elements):
        for name, number in element.counts.items():
            column = number_of(messages, number)
            fine &= column <= COUNTS[name]
            counts[name][:, index] = column.astype(np.int64)
        for place, number in element.metrics.items():
            column = number_of(messages, number).astype(np.float64)
            values[:, index, place] = -1.0 - column if number.negative else column
            fine &= ~np.isnan(column)
        for place, state in element.states.items():
            values[:, index, place] = state
    return Found(fine, counts, values)


def number_of(messages: NDArray[np.void], number: Number) -> Any:
    """One number of each message, in an array of its own kind."""
    column = messages[f"at{number.at}"]
    return column if number.head is None else column - np.uint8(number.head)
