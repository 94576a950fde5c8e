"""The Vietnamese fire danger index P (Nesterov's, modified by Phạm Ngọc Hưng) and its five levels.

P = K (P of the day before + t13 d13), with the air temperature t13 and its saturation deficit d13 at 13:00; K is 0 on a
day with at least as much rain as the province's rule says for zone and month, else 1. A level's bounds are in a legal
table (`fire_levels`); this module knows none.
"""

from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]

Millimetres = Annotated[float, Meta(gt=0, le=500)]
Bound = Annotated[float, Meta(gt=0)]
MONTHS = 12


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds in part of a province. `areas`: codes of districts, none: all that no other zone names; `rain_mm`:
    rain of a day that begins P anew, by month; `bounds`: the highest P of levels I to IV; `bounds_in`: others by month.
    """

    zone: str
    rain_mm: Annotated[list[Millimetres], Meta(min_length=MONTHS, max_length=MONTHS)]
    bounds: Annotated[list[Bound], Meta(min_length=4, max_length=4)]
    areas: list[str] = []
    bounds_in: dict[int, Annotated[list[Bound], Meta(min_length=4, max_length=4)]] = {}

    def __post_init__(self) -> None:
        for month, bounds in [("bounds", self.bounds), *self.bounds_in.items()]:
            if bounds != sorted(set(bounds)):
                raise ValueError(f"{month} of zone {self.zone}: {bounds}; each bound must be above the one before")
        if wrong := [month for month in self.bounds_in if not 1 <= month <= MONTHS]:
            raise ValueError(f"bounds_in of zone {self.zone} names month {wrong[0]}; there are 1 to 12")

    def bounds_of(self, month: int) -> list[float]:
        """The highest P of levels I to IV in a month, 1 to 12."""
        return self.bounds_in.get(month, self.bounds)


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of a table `fire_levels`."""

    zones: Annotated[list[Zone], Meta(min_length=1)]

    def zone_of(self, area: str) -> Zone:
        """The zone that names an area, else the first that names none, else the first."""
        named = next((zone for zone in self.zones if area in zone.areas), None)
        return named or next((zone for zone in self.zones if not zone.areas), self.zones[0])


def saturation(temperature: Floats) -> Floats:
    """Pressure of saturated water vapour, hPa, over water at Cel (Magnus, with the constants of the index)."""
    return np.asarray(6.1 * 10.0 ** (7.5 * temperature / (237.3 + temperature)))


def deficit(temperature: Floats, humidity: Floats) -> Floats:
    """Saturation deficit, hPa, of air at Cel and % relative humidity."""
    return saturation(temperature) * (1.0 - humidity / 100.0)


def next_p(before: Floats, temperature: Floats, humidity: Floats, rain: Floats, reset_mm: Floats | float) -> Floats:
    """P at the end of a day. `temperature` Cel and `humidity` % at 13:00, `rain` mm of the day; frost adds nothing.

    NaN where something is not known, except that enough rain makes 0 of anything.
    """
    more = np.maximum(temperature, 0.0) * deficit(temperature, humidity)
    return np.where(rain >= reset_mm, 0.0, np.where(np.isnan(rain), np.nan, before + more))


def level(p: Floats, bounds: npt.ArrayLike) -> Ints:
    """0 to 4 for levels I to V; a bound belongs to the lower one. -1 where P is NaN. `bounds`: four, rising."""
    return np.where(np.isnan(p), -1, np.searchsorted(np.asarray(bounds, np.float64), p, side="left"))


def nesterov(before: Floats, temperature: Floats, dew_point: Floats, rain: Floats) -> Floats:
    """Nesterov's own index, 1949: the sum of T (T - dew point), begun anew by more than 3 mm; Cel², bounds 300, 1000,
    4000 and 10000.
    """
    more = np.maximum(temperature, 0.0) * np.maximum(temperature - dew_point, 0.0)
    return np.where(rain > 3.0, 0.0, np.where(np.isnan(rain), np.nan, before + more))


def dew_point(temperature: Floats, humidity: Floats) -> Floats:
    """Dew point, Cel, of air at Cel and % relative humidity above 0: the inverse of `saturation`."""
    found = np.log10(np.maximum(humidity, 1e-6) / 100.0) + 7.5 * temperature / (237.3 + temperature)
    return 237.3 * found / (7.5 - found)
