"""Where and when devices measure, and what goes on around them there: the drivers that a `behaviour` may follow."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

import numpy as np

from simulators import sky, sky_past
from simulators.behaviour_days import Clock, clock
from simulators.behaviour_noise import Wander, Words, character, noise, odds, wander
from simulators.behaviour_rhythm import RHYTHMS
from simulators.behaviour_road import Road, Trip, demand, road, trip
from simulators.draw import Floats, Keys
from simulators.sky import Place

CENTRE = (21.2731, 106.1946)
"""Latitude and longitude of Bắc Giang city."""
KM_PER_DEGREE = (111.2, 103.7)
"""Of latitude, and of longitude at 21.3° north."""
HOUSEHOLD, DUST, ROAD = (odds([name], "driver") for name in ("home", "dust", "road"))
Driver = Callable[["Around"], Floats]


class Around:
    """Devices `keys` at `seconds` since 1970, standing at `lat`, `lon` (degrees); what is asked is worked out once."""

    def __init__(self, keys: Keys, seconds: Floats, lat: Floats, lon: Floats, drivers: Iterable[str] = ()) -> None:
        """`drivers`: those that will be asked for; what they share of the sky is worked out together."""
        self._sky = tuple(dict.fromkeys(name for driver in drivers for name in SKY.get(driver, ())))
        self._fields: dict[str, Floats] = {}
        self.keys, self.seconds, self.lat, self.lon = keys, seconds, lat, lon
        self.grown: dict[str, Floats] = {}
        """What rhythms have added up to, by name, as far as somebody asked."""
        self._drivers: dict[str, Floats] = {}

    @cached_property
    def clock(self) -> Clock:
        """Local time."""
        return clock(self.seconds)

    @cached_property
    def place(self) -> Place:
        """Where the devices stand."""
        return Place((self.lon - CENTRE[1]) * KM_PER_DEGREE[1], (self.lat - CENTRE[0]) * KM_PER_DEGREE[0])

    @cached_property
    def words(self) -> Wander:
        """What the devices' noise is made of."""
        return wander(self.keys, self.seconds)

    @cached_property
    def wave(self) -> tuple[Floats, Floats]:
        """Cosine and sine of the time of day."""
        turn = self.clock.hour * (2.0 * np.pi / 24.0)
        return np.cos(turn), np.sin(turn)

    @cached_property
    def trip(self) -> Trip:
        """Where the vehicles are."""
        return trip(self.keys, self.seconds)

    @cached_property
    def road(self) -> Road:
        """The traffic where a device stands: the wave that gets here now, in a street of its own."""
        vehicles = 0.4 * demand(self.place, self.seconds) * self.varied(ROAD, 0.25, 0.15)
        return road(np.minimum(0.03 + vehicles, 0.95))

    def driver(self, name: str) -> Floats:
        """One of `devices.behaviour.DRIVERS`, a value per device and moment."""
        if name not in self._drivers:
            self._drivers[name] = DRIVERS[name](self)
        return self._drivers[name]

    def field(self, name: str) -> Floats:
        """One of `sky.FIELDS` where the devices stand."""
        if name not in self._fields:
            asked = self._sky if name in self._sky else (name,)
            self._fields |= sky.fields(self.place, self.seconds, asked)
        return self._fields[name]

    def varied(self, odd: Words, own: float, moving: float) -> Floats:
        """A factor about 1, never below 0.1, with these deviations between devices and over time."""
        factor = (1.0 + own * character(self.words, odd)[0]) * (1.0 + moving * noise(self.words, odd)[0])
        return np.asarray(np.maximum(factor, 0.1), dtype=np.float64)


def _rhythm(name: str) -> Driver:
    return lambda around: RHYTHMS[name].level(around.clock)


def _home(around: Around) -> Floats:
    return RHYTHMS["home"].level(around.clock) * around.varied(HOUSEHOLD, 0.4, 0.35)


def _humidity(around: Around) -> Floats:
    air = around.driver("heat") + sky.MEAN_HEAT
    return sky.humidity(around.clock, around.field("moist"), air) - sky.MEAN_HUMIDITY


def _dust(around: Around) -> Floats:
    there = sky.dust(around.clock, around.field("dust"), around.field("spell"))
    return there * around.varied(DUST, 0.12, 0.07)


SKY: Mapping[str, tuple[str, ...]] = {
    "heat": ("weather",),
    "humidity": ("weather", "moist"),
    "pressure": ("weather",),
    "rain": ("spell", "cell"),
    "wind": ("wind",),
    "wind_from": ("wind_from",),
    "sun": ("spell",),
    "dust": ("dust", "spell"),
}
"""What each driver looks at of the sky."""
DRIVERS: Mapping[str, Driver] = {
    **{name: _rhythm(name) for name in RHYTHMS},
    "home": _home,
    "heat": lambda around: sky.heat(around.clock, around.field("weather")) - sky.MEAN_HEAT,
    "season": lambda around: sky.HEAT.at(around.clock) - sky.MEAN_HEAT,
    "humidity": _humidity,
    "pressure": lambda around: sky.pressure(around.clock, around.field("weather")) - sky.MEAN_PRESSURE,
    "rain": lambda around: sky.rain(around.clock, around.field("spell"), around.field("cell")),
    "wet": lambda around: sky_past.wet(around.place, around.seconds),
    "wind": lambda around: sky.wind(around.clock, around.field("wind")),
    "wind_from": lambda around: sky.wind_from(around.clock, around.field("wind_from")),
    "sun": lambda around: sky.sun(around.clock, around.field("spell")),
    "dust": _dust,
    "density": lambda around: around.road.density,
    "flow": lambda around: around.road.flow,
    "pace": lambda around: around.road.pace,
    "latitude": lambda around: around.lat + around.trip.north / KM_PER_DEGREE[0],
    "longitude": lambda around: around.lon + around.trip.east / KM_PER_DEGREE[1],
    "ride": lambda around: around.trip.speed,
    "heading": lambda around: around.trip.heading,
}
