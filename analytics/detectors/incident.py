"""Traffic incidents: speed falls and the road fills up at once, other than it does on the way into a rush hour.

The standard normal deviate of the last minutes (Nuckles, Messer & Dudek 1974: two critical values in a row, mean and
deviation frozen meanwhile), of speed and occupancy together, and only where the hour of the week is not slow anyway.
Where it falls slowly, see congestion.py.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Rows, State
from analytics.detectors.roadside import Roadside, measured
from analytics.detectors.rows import Bools, Ints
from analytics.detectors.seasonal import SIGMA, Floats, Weekly, arrays
from devices.family import Family

MINUTE_US = 60_000_000


class Parameters(NamedTuple):
    """`critical`: the deviate of both together that is too much; `least`: of each alone, at least; `drop`: share of
    the speed that must be lost at least; `usual`: share of what is usual at the hour of the week below which it is
    slow even then; `floor_kmh`, `floor_share`, `floor_occupancy`: the smallest deviations (of a speed the greater of
    the first two); `memory`, `spread_memory`: readings that mean and deviation go back; `evidence`: readings before
    anything is found; `calm`: readings after which it is over; `watch`: readings for which mean and deviation stand
    still because something begins; `longest_h`: hours after which it is no incident any more; `gap_min`: minutes of
    silence that break a series."""

    critical: float = 4.5
    least: float = 2.0
    drop: float = 0.25
    usual: float = 0.75
    floor_kmh: float = 1.5
    floor_share: float = 0.05
    floor_occupancy: float = 0.03
    memory: int = 3
    spread_memory: int = 20
    evidence: int = 20
    calm: int = 3
    watch: int = 8
    longest_h: float = 4.0
    gap_min: float = 15.0


class Incident(Roadside):
    """Score: the deviate as a share of the critical one, at most 0.9 until two in a row were critical."""

    name = "incident"
    grace = 20
    arrays: ClassVar[dict[str, State]] = {
        "speed": State("f4", per_device=True),  # km/h, mean of the last minutes
        "speed_off": State("f4", per_device=True),  # mean absolute deviation from it
        "full": State("f4", per_device=True),  # 1, mean occupancy
        "full_off": State("f4", per_device=True),
        "seen": State("u1", per_device=True),  # readings in these, up to the evidence
        "watched": State("u1", per_device=True),  # readings in a row beyond the critical deviate, slow or not
        "hits": State("u1", per_device=True),  # critical readings in a row
        "calm": State("u1", per_device=True),  # readings in a row that are not, while one is on
        "newest": State("i8", per_device=True),  # µs since 1970
        "since": State("i8", per_device=True),  # the first critical reading
        **arrays(per_device=True),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        self._weekly = Weekly(self.state, smooth=True)

    def _round(self, rows: Rows) -> Changes:
        slot, time, speed, full = measured(rows)
        state, asked = self.state, self.parameters
        on = state["on"][slot, 0]
        broken = ~on & (time - state["newest"][slot] > asked.gap_min * MINUTE_US)
        seen = np.where(broken, 0, state["seen"][slot])
        deviate = self._deviate(slot, speed, full) / asked.critical * (seen >= asked.evidence)
        watched = np.where(deviate >= 1.0, np.minimum(state["watched"][slot] + 1, asked.watch + 1), 0)
        slow = (speed < (1.0 - asked.drop) * state["speed"][slot]) & ~(
            speed >= asked.usual * self._weekly.expected(slot, time)
        )
        evidence = np.where(slow, deviate, 0.0)
        hit = evidence >= 1.0
        hits = np.where(hit, np.minimum(state["hits"][slot] + 1, 200), 0)
        since = np.where(hit & (hits == 1) & ~on, time, state["since"][slot])
        calm = np.where(on & (evidence < 0.5), state["calm"][slot] + 1, 0)
        over = on & ((calm >= asked.calm) | (time - since > asked.longest_h * 60 * MINUTE_US))
        now = (on & ~over) | (~on & (hits >= 2))
        self._learn(slot, speed, full, seen, now | ((watched > 0) & (watched <= asked.watch)), over)
        state["watched"][slot] = watched
        self._weekly.update(slot, time, speed)
        state["hits"][slot], state["since"][slot], state["newest"][slot] = np.where(over, 0, hits), since, time
        expected = state["speed"][slot].astype(np.float64)
        state["calm"][slot] = np.where(now, calm, 0)
        held = 1.0 - 0.5 * calm / asked.calm
        state["score"][slot, 0] = np.where(now, held, np.clip(0.9 * np.nan_to_num(evidence), 0.0, 0.9))
        return self.switched(
            slot, now[:, None], time[:, None], since[:, None], speed[:, None], np.where(now, expected, np.nan)[:, None]
        )

    def _deviate(self, slot: Ints, speed: Floats, full: Floats) -> Floats:
        """How many deviations it is slower and fuller than in the last minutes: of both sums, as one deviate (Stouffer
        1949). Without an occupancy speed alone."""
        state, asked = self.state, self.parameters
        usual = state["speed"][slot].astype(np.float64)
        least = np.maximum(asked.floor_kmh, asked.floor_share * usual)
        slower = (usual - speed) / np.maximum(SIGMA * state["speed_off"][slot], least)
        spread = np.maximum(SIGMA * state["full_off"][slot], asked.floor_occupancy)
        fuller = (full - state["full"][slot]) / spread
        fuller = np.where(np.isnan(fuller), 0.4 * slower, fuller)
        both = np.minimum(slower, fuller) >= asked.least
        return np.where(both, (slower + fuller) * np.sqrt(0.5), 0.0)

    def _learn(self, slot: Ints, speed: Floats, full: Floats, seen: Ints, frozen: Bools, over: Bools) -> None:
        """Move mean and deviation along, except while something is critical; begin anew when that is over."""
        state, asked = self.state, self.parameters
        begin = over | (seen == 0)
        seen = np.where(begin, 1, np.where(frozen, seen, np.minimum(seen + 1, asked.evidence)))
        weight = np.where(begin, 1.0, np.where(frozen, 0.0, 1.0 / np.minimum(seen, asked.memory)))
        spread_weight = np.where(begin | frozen, weight, 1.0 / np.minimum(seen, asked.spread_memory))
        for name, value in (("speed", speed), ("full", full)):
            there = ~np.isnan(value)
            at, share, seen_at = slot[there], weight[there], begin[there]
            off = np.abs(value[there] - state[name][at])
            before = np.where(seen_at, 0.0, state[f"{name}_off"][at])
            state[f"{name}_off"][at] = np.where(seen_at, 0.0, before + (off - before) * spread_weight[there])
            state[name][at] += (value[there] - state[name][at]) * share
        state["seen"][slot] = seen


DETECTORS = (Incident,)
