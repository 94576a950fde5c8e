"""What fell before: rain since midnight, and the rain of days as it passes a gauge, added up from the sky's rain."""

from collections.abc import Callable

import numpy as np

from simulators.behaviour_days import clock
from simulators.draw import Floats
from simulators.sky import Place, rain_at

UPSTREAM_KM = (12.0, 12.0)
"""Where the rain falls that passes a gauge: so far to the east and to the north of it."""
GAUGE_STEP_S, GAUGE_STEPS, GAUGE_PEAK_S = 14_400.0, 25, 64_800.0
"""A gauge feels rain most this long after it fell; rain is asked every four hours for four days."""
TOGETHER = 2048
"""Devices that are worked out at once: each asks for the rain of many moments."""


def rain_of_day(place: Place, seconds: Floats) -> Floats:
    """Rain since local midnight, mm."""
    return _piecewise(_fallen, place, seconds)


def wet(place: Place, seconds: Floats) -> Floats:
    """Rain upstream as it passes a gauge, mm: it comes up within a day and drains within three."""
    return _piecewise(_passing, place, seconds)


def _fallen(place: Place, seconds: Floats) -> Floats:
    """The integral of the rain since midnight, taken as straight between half hours."""
    hour = clock(seconds).hour
    halves = np.arange(int(hour.max(initial=0.0) * 2.0) + 2)[:, np.newaxis] * 0.5  # none of what is still to come
    moments: Floats = seconds + (halves - hour) * 3600.0
    rates = rain_at(Place(place.east[np.newaxis], place.north[np.newaxis]), moments)
    part = np.clip((hour - halves[:-1]) / 0.5, 0.0, 1.0)
    return _total(0.5 * (rates[:-1] * part + (rates[1:] - rates[:-1]) * part * part / 2.0))


def _passing(place: Place, seconds: Floats) -> Floats:
    """Rain of the steps before, each weighed by its age: a gamma function that ends with the last step."""
    newest: Floats = np.floor(seconds / GAUGE_STEP_S)
    moments: Floats = np.asarray((newest - np.arange(GAUGE_STEPS)[:, np.newaxis]) * GAUGE_STEP_S, dtype=np.float64)
    above = Place((place.east + UPSTREAM_KM[0])[np.newaxis], (place.north + UPSTREAM_KM[1])[np.newaxis])
    age = seconds - moments
    weight = age / GAUGE_PEAK_S * np.exp(1.0 - age / GAUGE_PEAK_S) * (1.0 - age / (GAUGE_STEP_S * GAUGE_STEPS))
    return _total(rain_at(above, moments) * (GAUGE_STEP_S / 3600.0) * weight)


def _total(rows: Floats) -> Floats:
    """The sum of the rows, one after the other: `sum` takes them in another order when they are short."""
    return np.asarray(np.cumsum(rows, axis=0)[-1], dtype=np.float64)


def _piecewise(of: Callable[[Place, Floats], Floats], place: Place, seconds: Floats) -> Floats:
    """As all at once, with less memory."""
    pieces = [slice(start, start + TOGETHER) for start in range(0, len(seconds), TOGETHER)]
    if len(pieces) < 2:
        return of(place, seconds)
    return np.concatenate([of(Place(place.east[at], place.north[at]), seconds[at]) for at in pieces])
