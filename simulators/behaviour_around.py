"""Where and when devices measure, and what goes on around them there: the drivers that a `behaviour` may follow."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulators.behaviour_noise import Wander, wander
from simulators.draw import Floats, Ints, Keys

LOCAL_OFFSET_S = 7 * 3600
"""Asia/Ho_Chi_Minh is UTC+7 all year."""
DAY_S = 86_400.0


class Clock(NamedTuple):
    """Local time: days since 1970-01-01 and hours of the day, 0 to 24."""

    day: Ints
    hour: Floats


def clock(seconds: Floats) -> Clock:
    """Local time of moments given in seconds since 1970 (UTC)."""
    days = (seconds + LOCAL_OFFSET_S) / DAY_S
    day = np.floor(days)
    return Clock(day.astype(np.int64), (days - day) * 24.0)


class Around:
    """Devices `keys` at `seconds` since 1970, standing at `lat`, `lon` (degrees); what is asked is worked out once."""

    def __init__(self, keys: Keys, seconds: Floats, lat: Floats, lon: Floats) -> None:
        self.keys, self.seconds, self.lat, self.lon = keys, seconds, lat, lon
        self._drivers: dict[str, Floats] = {}

    @cached_property
    def clock(self) -> Clock:
        """Local time."""
        return clock(self.seconds)

    @cached_property
    def words(self) -> Wander:
        """What the devices' noise is made of."""
        return wander(self.keys, self.seconds)

    @cached_property
    def wave(self) -> tuple[Floats, Floats]:
        """Cosine and sine of the time of day."""
        turn = self.clock.hour * (2.0 * np.pi / 24.0)
        return np.cos(turn), np.sin(turn)

    def driver(self, name: str) -> Floats:
        """One of DRIVERS, a value per device and moment."""
        if name not in self._drivers:
            self._drivers[name] = DRIVERS[name](self)
        return self._drivers[name]


Driver = Callable[[Around], Floats]
DRIVERS: Mapping[str, Driver] = {}
