"""Rhythms of people: how a day goes on workdays, Saturdays and days off, and what adds up over many of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from simulators.behaviour_days import DAYS, KIND, MONTH, Clock
from simulators.draw import Floats

Day = Sequence[tuple[float, float]]
"""(hour, level) with straight ways between; before the first and after the last as there."""
QUARTERS = np.arange(97) / 4.0


class Rhythm:
    """A level of 0 to 1 over the day, by the kind of day."""

    def __init__(self, workday: Day, saturday: Day, off: Day, *, summer: float = 1.0) -> None:
        """`summer`: what is left of it in June, July and August."""
        shapes = np.array(
            [
                np.interp(QUARTERS, [hour for hour, _ in day], [level for _, level in day])
                for day in (workday, saturday, off)
            ]
        )
        grown = np.zeros_like(shapes)
        grown[:, 1:] = np.cumsum((shapes[:, 1:] + shapes[:, :-1]) / 8.0, axis=1)
        self._shapes, self._grown = shapes.ravel(), grown.ravel()
        self._factor = np.where((MONTH >= 6) & (MONTH <= 8), summer, 1.0)
        daily = self._factor * grown[KIND, 96]
        self._before = np.concatenate(([0.0], np.cumsum(daily)))[:-1]
        self.mean = float(daily.mean()) / 24.0

    def level(self, now: Clock) -> Floats:
        """Its level at local times."""
        place, part = _quarter(now)
        before = self._shapes[place]
        return np.asarray(self._factor[now.day] * (before + (self._shapes[place + 1] - before) * part))

    def grown(self, now: Clock) -> Floats:
        """The integral of the level since the tables begin, in hours."""
        place, part = _quarter(now)
        before = self._shapes[place]
        today = self._grown[place] + (before + (self._shapes[place + 1] - before) * part / 2.0) * part / 4.0
        return np.asarray(self._before[now.day] + self._factor[now.day] * today, dtype=np.float64)


class Darkness:
    """As a Rhythm: 1 while the sun is down."""

    mean = DAYS.dark_share

    def level(self, now: Clock) -> Floats:
        """0 or 1 at local times."""
        return DAYS.dark(now)

    def grown(self, now: Clock) -> Floats:
        """Hours of darkness since the tables begin."""
        return DAYS.dark_hours(now)


def _quarter(now: Clock) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
    """Where in the flattened shapes a time stands, and how far it is to the next quarter."""
    quarters = now.hour * 4.0
    begun = np.minimum(np.floor(quarters), 95.0)
    return KIND[now.day] * 97 + begun.astype(np.int64), quarters - begun


HOME = [(0, 0.2), (4.5, 0.15), (6.2, 0.55), (7.7, 0.3), (10.5, 0.3), (11.7, 0.6), (13, 0.35), (16.5, 0.4)]
EVENING = [(18.7, 0.95), (20.2, 1.0), (22, 0.6), (23.4, 0.28), (24, 0.2)]
AT_HOME = [(0, 0.22), (5, 0.16), (7, 0.5), (9, 0.5), (11.5, 0.75), (13, 0.5), (16.5, 0.55)]
WORK = [(0, 0.1), (6, 0.12), (7.5, 0.7), (8.5, 1), (11.3, 1), (12.2, 0.55), (13.3, 0.6), (14, 1), (16.7, 0.95)]
AFTER_WORK = [(17.7, 0.45), (20, 0.25), (22, 0.14), (24, 0.1)]
MORNING_SHIFT = [
    (0, 0.1),
    (6, 0.12),
    (7.5, 0.6),
    (8.5, 0.85),
    (11.3, 0.8),
    (12.5, 0.4),
    (16, 0.35),
    (20, 0.18),
    (24, 0.1),
]
SCHOOL = [(6.6, 0), (7.1, 1), (11.1, 1), (11.6, 0.08), (13.2, 0.08), (13.7, 0.9), (16.6, 0.9), (17.1, 0.04), (18, 0)]
NIGHT_STREET = [(0, 0.08), (4, 0.06), (5.5, 0.25)]
RUSH = [(6.4, 0.7), (7.1, 1), (8, 0.72), (9.5, 0.5), (11.2, 0.62), (12.7, 0.45), (14.2, 0.5), (16, 0.7), (17.2, 1)]
LATE_STREET = [(18.2, 0.8), (19.5, 0.5), (21, 0.34), (22.5, 0.18), (24, 0.08)]
WEEKEND_STREET = [
    (7.5, 0.45),
    (9.5, 0.6),
    (11.2, 0.6),
    (13, 0.45),
    (16, 0.6),
    (18.5, 0.68),
    (20, 0.55),
    (22, 0.25),
    (24, 0.08),
]
AWAKE = [(0, 0.03), (5, 0.06), (6, 0.7), (7, 0.95), (11.5, 0.95), (12.5, 0.6), (13.5, 0.7), (14.5, 0.95), (21, 0.85)]
TO_BED = [(22.3, 0.4), (23.2, 0.08), (24, 0.03)]
LONG_SLEEP = [
    (0, 0.05),
    (5.5, 0.05),
    (7, 0.6),
    (8, 0.9),
    (12, 0.9),
    (13, 0.5),
    (14.5, 0.85),
    (21.5, 0.85),
    (23.5, 0.15),
    (24, 0.05),
]
ON_AIR = [(4.95, 0), (5, 1), (6, 1), (6.05, 0), (16.95, 0), (17, 1), (18, 1), (18.05, 0)]
TOWN = [
    (0, 0.1),
    (5, 0.15),
    (8, 0.75),
    (10, 0.95),
    (11.7, 0.75),
    (13, 0.7),
    (15, 0.95),
    (17, 0.9),
    (19, 0.75),
    (21, 0.4),
    (24, 0.1),
]
OUTING = [(0, 0.12), (6, 0.18), (9, 0.7), (11, 0.8), (13, 0.6), (16, 0.8), (19, 1), (21, 0.6), (24, 0.12)]

RHYTHMS: Mapping[str, Rhythm | Darkness] = {
    "awake": Rhythm([*AWAKE, *TO_BED], LONG_SLEEP, LONG_SLEEP),
    "broadcast": Rhythm(ON_AIR, ON_AIR, ON_AIR),
    "dark": Darkness(),
    "home": Rhythm([*HOME, *EVENING], [*AT_HOME, *EVENING], [*AT_HOME, *EVENING]),
    "school": Rhythm(SCHOOL, [(0, 0)], [(0, 0)], summer=0.1),
    "street": Rhythm([*NIGHT_STREET, *RUSH, *LATE_STREET], *2 * [[*NIGHT_STREET, *WEEKEND_STREET]]),
    "town": Rhythm(TOWN, OUTING, OUTING),
    "work": Rhythm([*WORK, *AFTER_WORK], MORNING_SHIFT, [(0, 0.1), (8, 0.22), (17, 0.22), (20, 0.15), (24, 0.1)]),
}
