"""River stations: alarm levels by station, and which device is the gauge of which."""

import re
import unicodedata
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from analytics import tables

Floats = npt.NDArray[np.float64]
NO_LEVELS = (np.nan, np.nan, np.nan)
Heights = Annotated[list[float | None], Meta(min_length=3, max_length=3)]


def check_rising(name: str, heights: list[float | None]) -> None:
    """Raises ValueError where a level is not above the one before."""
    known = [height for height in heights if height is not None]
    if known != sorted(set(known)):
        raise ValueError(f"levels_m of {name}: {heights}; each level must be above the one before")


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A station of the table `river_levels`. `levels_m`: I, II, III in m above the gauge's zero, null: not known."""

    station: str
    river: str
    levels_m: Heights
    note: str = ""

    def __post_init__(self) -> None:
        check_rising(self.station, self.levels_m)


class Stations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of a table `river_levels`."""

    stations: list[Station]


class Gauge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the table `river_gauges`: devices, by id or pattern such as `wl-218-*`, and where they stand.

    `offset_m` is added to what the device says, where its zero is not that of the station; `levels_m` counts instead of
    the station's.
    """

    device: str
    station: str
    offset_m: Annotated[float, Meta(ge=-1000, le=1000)] = 0.0
    levels_m: Heights | None = None

    def __post_init__(self) -> None:
        check_rising(self.device, self.levels_m or [])


class Gauges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of a table `river_gauges`; the first entry that fits a device counts."""

    gauges: list[Gauge]


class Placed(NamedTuple):
    """A device at a station: `levels` I, II, III in m on the device's own scale less `offset`, NaN where unknown."""

    station: str
    river: str
    levels: tuple[float, float, float]
    offset: float
    table: str


def folded(name: str) -> str:
    """A name without accents, case and punctuation: `Phủ Lạng Thương`, `phu-lang-thuong` → `phulangthuong`.

    >>> folded("Trạm Đáp Cầu")
    'dapcau'
    """
    flat = unicodedata.normalize("NFKD", name.replace("đ", "d").replace("Đ", "D"))
    plain = "".join(letter for letter in flat if not unicodedata.combining(letter)).lower()
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(tram|station|tv)\b", "", plain.strip()))


def heights(levels: list[float | None]) -> tuple[float, float, float]:
    """Levels of a table as numbers, NaN for those not known."""
    one, two, three = (np.nan if height is None else height for height in levels)
    return one, two, three


class Places:
    """Which device is the gauge of which station, by the tables that hold on a day.

    A device is a station's gauge where `river_gauges` says so, else where its name in the registry is the station's.
    """

    def __init__(self, province: str, on: date) -> None:
        """Raises TableRefused."""
        self.levels = tables.load("river_levels", province, on, Stations)
        self.gauges = tables.load("river_gauges", province, on, Gauges)
        self.stations = {folded(one.station): one for one in self.levels.held.stations}

    def station(self, name: str) -> Station | None:
        """The station of a name, however it is spelt; None: there is none."""
        return self.stations.get(folded(name))

    def placed(self, device: str, name: str | None) -> Placed | None:
        """Where a device stands, by its id and its name in the registry; None: at no station."""
        for gauge in self.gauges.held.gauges:
            if fnmatchcase(device, gauge.device):
                return self._by_table(gauge)
        station = self.station(name or "")
        return self._at(station, station.levels_m, 0.0, self.levels.set) if station else None

    def _by_table(self, gauge: Gauge) -> Placed:
        station = self.station(gauge.station)
        if gauge.levels_m is not None:
            named = station or Station(gauge.station, "", gauge.levels_m)
            return self._at(named, gauge.levels_m, gauge.offset_m, self.gauges.set)
        named = station or Station(gauge.station, "", [None, None, None])
        return self._at(named, named.levels_m, gauge.offset_m, self.levels.set)

    @staticmethod
    def _at(station: Station, levels: Heights, offset: float, table: str) -> Placed:
        return Placed(station.station, station.river, heights(levels), offset, table)
