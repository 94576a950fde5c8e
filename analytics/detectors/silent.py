"""A device that is expected to speak and is not heard any more, by the registry's interval."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import Array, Number, compiled, f4, fetch, later, lines_of
from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State, latched
from analytics.detectors.layout import Records
from analytics.detectors.rows import Bools, Floats
from devices.family import Family

US = 1e6


class Parameters(NamedTuple):
    """`slack`: intervals beyond those that the profile lets a device miss; `times`: of the gap that this device leaves
    in one case of twenty, for those that speak less often than their profile says.

    `crowd`: so many expected devices of a family do not fall silent at once by themselves: when none of them was heard
    for `stalled` of the shortest intervals, the stream is interrupted, and nobody is judged until it flows again.
    """

    slack: float = 0.25
    times: float = 1.5
    step: float = 0.1
    crowd: int = 10
    stalled: float = 2.5


class Silent(Detector):
    """Score: the time since the device was heard, as a share of the time that is too long.

    Only what is received counts, so a wrong clock is not silence. Nobody is judged for the time before we listened.
    """

    name = "silent"
    whole = True
    in_rows = True
    grace = 2
    late = True
    arrays: ClassVar[dict[str, State]] = {
        "heard": State("i8"),  # µs since 1970: newest receipt
        "usual": State("f4"),  # s: 95th percentile of the gaps between receipts, followed step by step
        "readings": State("u1"),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        self._listening = -1
        self._stalled = False

    def update(self, rows: Rows) -> Changes:
        """As every detector; nobody is silent who is heard, but that is for `tick` to tell."""
        assert self.fleet is not None
        listen(rows.slot, rows.received, self.fleet.interval_s, self.records, self.parameters.step)
        return NO_CHANGES

    def tick(self, now_us: int) -> Changes:
        """Who is not heard at `now_us`, µs since 1970."""
        if self.fleet is None or not self.fleet.size:
            return NO_CHANGES
        size, state = self.fleet.size, self.state
        heard = state["heard"][:size, 0]
        judged = self.fleet.expected & (state["readings"][:size, 0] >= self.grace)
        self._listen(now_us, heard, judged)
        gone_s = (now_us - np.maximum(heard, self._listening)) / US
        score = np.clip(gone_s / self.too_long_s(), 0, 1) * judged
        was = state["on"][:size, 0]
        score = np.where(self._stalled & ~was, np.minimum(score, 0.99), score)
        # Having been heard ends it; that we listen anew does not.
        still = was & (gone_s > 0) & ((now_us - heard) / US >= self.too_long_s()) & judged
        score = np.where(still, 1.0, score)
        changed = np.flatnonzero(latched(was, score) != was)
        state["score"][:size, 0] = score
        on = latched(was, score)[changed, None]
        at = np.where(on, now_us, heard[changed, None])
        return self.switched(changed, on, at, heard[changed, None], gone_s[changed, None])

    def too_long_s(self) -> Floats:
        """Per slot the silence that is too long, s."""
        assert self.fleet is not None
        fleet, asked = self.fleet, self.parameters
        usual = self.state["usual"][: fleet.size, 0]
        return np.maximum(fleet.silent_s + asked.slack * fleet.interval_s, asked.times * usual)

    def _listen(self, now_us: int, heard: "np.ndarray[tuple[int], np.dtype[np.int64]]", judged: Bools) -> None:
        """Since when there was something to hear: since the start, or since the stream flows again."""
        assert self.fleet is not None
        if self._listening < 0:
            self._listening = now_us
        if np.count_nonzero(judged) < self.parameters.crowd:
            self._stalled = False
            return
        longest_s = self.parameters.stalled * float(self.fleet.interval_s[judged].min())
        stalled = (now_us - int(heard[judged].max())) / US > max(longest_s, 60.0)
        if self._stalled and not stalled:
            self._listening = now_us
        self._stalled = stalled


@compiled
def listen(slots: Array, receipts: Array, interval_s: Array, kept: Records, step: Number) -> None:
    """Note who was heard, and follow the gaps between receipts."""
    each, lines, end = kept.each, lines_of(kept.rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        entry, received, interval = each[slots[i], 0], receipts[i], interval_s[slots[i]]
        heard, usual = entry.heard, entry.usual
        if entry.readings == 0:
            entry.usual = interval
        else:
            longer = 1.0 if (received - heard) / US > usual else 0.0
            moved = usual + f4(step) * interval * (longer - 0.05)
            entry.usual = min(max(moved, 0.0), f4(100) * interval)
        entry.heard = max(heard, received)
        entry.readings = min(entry.readings + 1, 100)


DETECTORS = (Silent,)
