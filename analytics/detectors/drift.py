"""A sensor that leaves the truth slowly: away from its neighbours, or, where it has none, away from its own past."""

from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.detectors.compiled import Array, compiled, f4, fetch, later, lines_of
from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State, latched
from analytics.detectors.layout import Records
from analytics.detectors.neighbours import NOBODY, nearest
from analytics.detectors.rows import Floats, Ints, joined
from devices.family import Family

HOUR_US = 3_600_000_000
PARTS = 8
"""Parts of the day for each of which an offset is learnt."""
MOST_HOURS = 48
"""That one tick judges."""
SLOW = ("water_level", "flow")
"""A flood passes one gauge and not the next, and takes days to go: these must be off for `patience` times as long."""
UNLIKE = ("precipitation", "rain", "altitude", "speed", "disk_", "backup_", "fuel_", "filling_")
"""Of one place and moment, or what fills and is emptied: neither neighbours nor the day before tell anything of it."""


class Parameters(NamedTuple):
    """A two-sided CUSUM (Page 1954) of hourly means in units of the usual deviation.

    `allowed`: deviations per hour that are forgiven, for devices with neighbours and without; `limit`: the sum at which
    it is drift; `most`: an hour counts no more deviations; `weight`: a reading of a device that speaks less than hourly
    counts as many hours as it stands for, at most so many, and `more` deviations more for each hour beyond the first:
    a day's drift lies between two of its readings. `idle`: share of hours with the same mean as the hour before from
    which a metric is not judged: it rests (no rain, dark) and says little when it does not. `evidence`: hours
    before anything is judged, `alone`: without neighbours. `memory`: of the offsets, days; `scale_memory`: of the
    deviation, hours. `least`: neighbours with a value. `patience`: see SLOW. `alike`: a device is off by more than so
    many times what its neighbours are off in that hour: the weather's doing, not a sensor's. `delay_us`: how long after
    its end an hour is judged.
    """

    allowed: tuple[float, float] = (1.2, 1.75)
    limit: tuple[float, float] = (80.0, 75.0)
    most: float = 6.0
    idle: float = 0.25
    weight: float = 10.0
    more: float = 0.3
    evidence: float = 72.0
    alone: float = 144.0
    memory: float = 10.0
    scale_memory: float = 240.0
    least: int = 3
    patience: float = 1.5
    alike: float = 1.5
    delay_us: int = 15 * 60_000_000


class Drift(Detector):
    """Score: the sum as a share of the limit.

    Hours are closed by the clock of `tick`, all devices at once: each is compared with the median of its nearest
    neighbours in the same hour, less the offset that it has to them at that time of the day. A device without
    neighbours is compared with its own mean at that time of the day, so weather that lasts must be forgiven; drift is
    found later.
    """

    name = "drift"
    general = True
    narrow = True
    in_rows = True
    grace = 72
    arrays: ClassVar[dict[str, State]] = {
        "hour": State("i4", -1, per_device=True),  # hours since 1970 of `sum`
        "closed": State("i4", -1, per_device=True),  # of `mean`
        "judged": State("i4", -1, per_device=True),  # newest that was judged
        "sum": State("f4"),
        "readings": State("u2"),
        "mean": State("f4", np.nan),
        "base": State("f4", np.nan),  # the first difference; half floats keep what is above it
        "offset": State("f2", np.nan, (PARTS,)),
        "scale": State("f4"),
        "square": State("f4"),
        "before": State("f4", np.nan),
        "idle": State("f2"),
        "hours": State("u2"),
        "up": State("f2"),
        "down": State("f2"),
        "since": State("i4"),  # hours since 1970
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Gauges; a battery's way down is no drift, and directions have no mean."""
        gauges = ((place, metric) for place, metric in enumerate(family.metrics) if metric.kind == "gauge")
        apart = ("battery_", *UNLIKE)
        return [place for place, metric in gauges if metric.unit != "deg" and not metric.name.startswith(apart)]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        self._near: npt.NDArray[np.int32] | None = None
        self._near_for = -1
        slow = [family.metrics[place].name in SLOW for place in self.judged]
        self._patience = np.where(slow, self.parameters.patience, 1.0)
        self._asked = -1

    def update(self, rows: Rows) -> Changes:
        """As every detector; the hours are judged by `tick`."""
        sum_up(rows.slot, rows.time, rows.short, self.judged, self.records)
        return NO_CHANGES

    def tick(self, now_us: int) -> Changes:
        """Judge the hours that are over since `delay_us`, each once; after a long rest those of the last two days."""
        hour = (now_us - self.parameters.delay_us) // HOUR_US - 1
        if self.fleet is None or not self.fleet.size or hour <= self._asked:
            return NO_CHANGES
        first = hour if self._asked < 0 else max(self._asked + 1, hour - MOST_HOURS + 1)
        self._asked = hour
        return joined([self._hour(one, self.fleet.size) for one in range(first, hour + 1)])

    def _hour(self, hour: int, size: int) -> Changes:
        """Judge all devices that have a mean of this hour."""
        state = self.state
        value = self._means(hour, size)
        slots = np.flatnonzero(~np.isnan(value).all(axis=1) & (state["judged"][:size] < hour))
        if not len(slots):
            return NO_CHANGES
        state["judged"][slots] = hour
        near = self._neighbours()[slots]
        usual, compared = self._usual(value, near)
        has = (near != NOBODY).sum(axis=1) >= self.parameters.least
        usual = np.where(has[:, None], usual, 0.0)
        judged = ~np.isnan(value[slots]) & (compared | ~has[:, None])
        return self._judge(slots, hour, judged, has, value[slots], usual)

    def _means(self, hour: int, size: int) -> Floats:
        """The mean of an hour, slots × judged, NaN where there is none."""
        state = self.state
        now, before = state["hour"][:size] == hour, state["closed"][:size] == hour
        n = state["readings"][:size]
        running = np.where(n > 0, state["sum"][:size] / np.maximum(n, 1), np.nan)
        return np.where(now[:, None], running, np.where(before[:, None], state["mean"][:size], np.nan))

    def _neighbours(self) -> npt.NDArray[np.int32]:
        """Made when devices have come; positions are looked at anew then, too."""
        assert self.fleet is not None
        fleet = self.fleet
        if self._near is None or self._near_for != fleet.size:
            self._near, self._near_for = nearest(fleet.lat, fleet.lon, fleet.profile), fleet.size
        return self._near

    def _restless(self, slots: Ints, residual: Floats) -> Floats:
        """How far the neighbours of each slot are off in this hour, by their own offsets: their median."""
        assert self.fleet is not None
        off = np.full((self.fleet.size, residual.shape[1]), np.nan)
        off[slots] = np.abs(residual)
        return self._usual(off, self._neighbours()[slots])[0]

    def _usual(self, value: Floats, near: npt.NDArray[np.int32]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The median of the neighbours, and where enough of them have a value."""
        around = np.where((near != NOBODY)[:, :, None], value[np.maximum(near, 0)], np.nan)
        known = ~np.isnan(around)
        n = known.sum(axis=1)
        around = np.sort(np.where(known, around, np.inf), axis=1)
        low = np.take_along_axis(around, np.maximum(n - 1, 0)[:, None, :] // 2, 1)[:, 0]
        high = np.take_along_axis(around, np.minimum(n // 2, around.shape[1] - 1)[:, None, :], 1)[:, 0]
        enough = n >= self.parameters.least
        return np.where(enough, (np.where(enough, low, 0) + np.where(enough, high, 0)) / 2, 0.0), enough

    def _judge(
        self,
        slots: Ints,
        hour: int,
        judged: npt.NDArray[np.bool_],
        has: npt.NDArray[np.bool_],
        value: Floats,
        usual: Floats,
    ) -> Changes:
        assert self.fleet is not None
        state, asked = self.state, self.parameters
        off = value - usual
        part = int((hour + 7) % 24 * PARTS // 24)
        base = np.where(np.isnan(state["base"][slots]) & judged, off, state["base"][slots])
        state["base"][slots] = base
        offset = base + state["offset"][slots, :, part]
        hours, scale, square = state["hours"][slots].astype("i4"), state["scale"][slots], state["square"][slots]
        short = value.astype("f4")
        idle = state["idle"][slots]
        idle = np.where(judged, idle + ((short == state["before"][slots]) - idle) / np.minimum(hours + 1, 48), idle)
        fresh = np.isnan(offset)
        residual = np.where(judged & ~fresh, off - np.where(fresh, 0.0, offset), 0.0)
        usually = np.maximum(np.maximum(1.25 * scale, np.sqrt(square)), asked.alike * self._restless(slots, residual))
        kind = np.where(has, 0, 1)
        allowed, limit = (np.array(pair)[kind][:, None] for pair in (asked.allowed, asked.limit))
        limit = limit * self._patience
        weight = np.clip(self.fleet.interval_s[slots] / 3600.0, 1.0, asked.weight)[:, None]
        most = asked.most + asked.more * (weight - 1.0)
        z = np.clip(residual / np.maximum(usually, 1e-9), -most, most)
        evidence = np.where(has, asked.evidence, asked.alone)[:, None] / np.minimum(weight, 4.0)
        known = judged & ~fresh & (hours >= evidence) & (idle < asked.idle)
        was = state["up"][slots], state["down"][slots]
        up = np.where(known, summed(was[0], z, allowed, weight, limit), was[0])
        down = np.where(known, summed(was[1], -z, allowed, weight, limit), was[1])
        score = np.minimum(np.maximum(up, down) / limit, 1.0)
        began = (np.maximum(*was) <= 0) & (np.maximum(up, down) > 0)
        since = np.where(began, hour, state["since"][slots]).astype(np.int64)
        # What is suspected is not learnt from; what goes on for weeks is how it is now, slowly.
        trust = np.where(score < 0.25, 1.0, 0.05)
        days = hours * weight / 24.0
        share = np.maximum(1.0 / (days + 1.0), 1.0 / asked.memory) * trust
        cut = np.clip(residual, -4 * scale - 1e-9, 4 * scale + 1e-9)
        learnt = offset + share * np.where(hours < 48 / weight, residual, cut)
        state["offset"][slots, :, part] = np.clip(
            np.where(judged, np.where(fresh, off, learnt), offset) - base, -60_000, 60_000
        )
        seen = judged & ~fresh
        pace = np.maximum(1.0 / (hours + 1.0), weight / asked.scale_memory) * trust
        grown = scale + pace * (np.minimum(np.abs(residual), np.where(hours < 24 / weight, np.inf, 4 * scale)) - scale)
        state["scale"][slots] = np.where(seen, grown, scale)
        tails = square + pace * (np.minimum(np.abs(residual), 12 * scale + 1e-9) ** 2 - square)
        state["square"][slots] = np.where(seen, tails, square)
        state["before"][slots], state["idle"][slots] = np.where(judged, short, state["before"][slots]), idle
        state["hours"][slots] = np.minimum(hours + seen, 30_000)
        state["up"][slots], state["down"][slots] = up, down
        state["since"][slots], state["score"][slots] = since, score
        on = latched(state["on"][slots], score)
        return self.switched(slots, on, (hour + 1) * HOUR_US + asked.delay_us, since * HOUR_US, value, usual + offset)


@compiled
def sum_up(slots: Array, times: Array, values: Array, places: Array, kept: Records) -> None:
    """Add readings to the sums of their hours; a new hour closes the one before."""
    each, devices, rows = kept
    lines, end = lines_of(rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot, hour = slots[i], times[i] // HOUR_US
        device = devices[slot]
        over = hour > device.hour
        if over:
            device.closed, device.hour = device.hour, hour
        for j in range(len(places)):
            entry, value = each[slot, j], values[i, places[j]]
            if over:
                n = entry.readings
                entry.mean = entry.sum / f4(n) if n > 0 else f4(np.nan)
                entry.sum = entry.readings = 0
            if value == value:
                entry.sum += value
                entry.readings = min(entry.readings + 1, 60_000)


def summed(was: Floats, z: Floats, allowed: Floats, weight: Floats, limit: Floats) -> Floats:
    """One step of a one-sided CUSUM that cannot grow beyond 1.5 limits and forgets sooner when nothing is left."""
    now = np.maximum(was + weight * (z - allowed), 0.0)
    calm = z < allowed / 2
    return np.asarray(np.minimum(np.where(calm, now * 0.8, now), 1.5 * limit))


DETECTORS = (Drift,)
