"""Roads and vehicles: the wave of traffic, its fundamental diagram, and trips that come back."""

from typing import NamedTuple

import numpy as np

from simulators import draw
from simulators.behaviour_days import clock, of_season
from simulators.behaviour_noise import phase_of
from simulators.behaviour_rhythm import RHYTHMS
from simulators.draw import Floats, Keys, salt
from simulators.sky import Place

WAVE_KM_PER_H, LONGEST_DELAY_H = 40.0, 1.5
"""The rush hour reaches outer districts later: it travels this fast, and no longer than this."""
LYCHEES, ORCHARDS_KM, HARVEST = Place(np.array(38.8), np.array(11.2)), 18.0, 0.45
"""Around Chũ in Lục Ngạn the lychee harvest fills the roads in June: where, how far around, by how much more."""
SEASON = of_season([0, 0, 0, 0, 0.15, 1, 0.4, 0, 0, 0, 0, 0])
REACH_KM, LEG_S = 10.0, 900.0
"""A trip leads up to this far to the east or west and to the north or south, in so many seconds, and back."""
_TRIP, _LOW, _S1 = np.uint64(salt("trip")), np.uint64(0xFFFF), np.uint64(1)


class Road(NamedTuple):
    """Traffic as shares: `density` of a standstill, `flow` of the capacity, `pace` of the speed on an empty road."""

    density: Floats
    flow: Floats
    pace: Floats


class Trip(NamedTuple):
    """km east and north of where a vehicle is registered, km/h and degrees from north."""

    east: Floats
    north: Floats
    speed: Floats
    heading: Floats


def delay_s(place: Place) -> Floats:
    """How much later than in the city the rush hour comes."""
    hours = np.hypot(place.east, place.north) / WAVE_KM_PER_H
    return np.asarray(3600.0 * np.minimum(hours, LONGEST_DELAY_H), dtype=np.float64)


def demand(place: Place, seconds: Floats) -> Floats:
    """How much traffic there is at places and moments, 0 to 1 and a little more where the harvest is carried away."""
    then = clock(seconds - delay_s(place))
    away = np.hypot(place.east - LYCHEES.east, place.north - LYCHEES.north) / ORCHARDS_KM
    return RHYTHMS["street"].level(then) * (1.0 + HARVEST * SEASON.at(then) * np.exp(-away * away))


def road(density: Floats) -> Road:
    """Flow and speed that go with a density: the parabola of Greenshields (1935), with the most flow at one half."""
    return Road(density, 4.0 * density * (1.0 - density), 1.0 - density)


def trip(keys: Keys, seconds: Floats) -> Trip:
    """Where vehicles are at `seconds`: there and back again, more often while there is much traffic."""
    mine = draw.finish(keys ^ _TRIP)
    phase = phase_of(mine)
    place = seconds / LEG_S + phase
    leg = np.floor(place)
    number = leg.astype(np.int64).astype(np.uint64)
    word = draw.finish(mine + (number >> _S1) * draw.GOLDEN)
    back = (number & _S1).astype(np.float64)
    part = place - leg
    way = np.abs(back - part)
    along = way * way * (3.0 - 2.0 * way)
    begun = clock((leg - back - phase) * LEG_S)
    driven = (_share(word, 0) < 0.1 + 0.8 * RHYTHMS["street"].level(begun)).astype(np.float64)
    east, north = (driven * REACH_KM * (2.0 * _share(word, shift) - 1.0) for shift in (16, 32))
    speed = np.hypot(east, north) * 6.0 * part * (1.0 - part) * (3600.0 / LEG_S)
    heading = driven * np.mod(np.degrees(np.arctan2(east, north)) + 180.0 * back, 360.0)
    return Trip(east * along, north * along, speed, heading)


def _share(word: Keys, shift: int) -> Floats:
    return ((word >> np.uint64(shift)) & _LOW).astype(np.float64) / 65_536.0
