"""The Canadian Forest Fire Weather Index System: three moisture codes carried from day to day, and what they mean.

Equations: C. E. Van Wagner, T. L. Pickett, "Equations and FORTRAN program for the Canadian Forest Fire Weather Index
System", Forestry Technical Report 33, 1985, with the constant 147.2 of its moisture scale (some later programs use
147.27723 and differ by up to 0.12). Day lengths by latitude: B. D. Lawson, O. B. Armitage, "Weather guide for the
Canadian Forest Fire Danger Rating System", 2008.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]

SCALE = 147.2
"""Of the relation between moisture content and the fine fuel moisture code."""

_NORTH_46 = (6.5, 7.5, 9.0, 12.8, 13.9, 13.9, 12.4, 10.9, 9.4, 8.0, 7.0, 6.0)
_NORTH_20 = (7.9, 8.4, 8.9, 9.5, 9.9, 10.2, 10.1, 9.7, 9.1, 8.6, 8.1, 7.8)
_SOUTH_20 = (10.1, 9.6, 9.1, 8.5, 8.1, 7.8, 7.9, 8.3, 8.9, 9.4, 9.9, 10.2)
_SOUTH_40 = (11.5, 10.5, 9.2, 7.9, 6.8, 6.2, 6.5, 7.4, 8.7, 10.0, 11.2, 11.8)
DAY_LENGTHS = np.array([_SOUTH_40, _SOUTH_20, [9.0] * 12, _NORTH_20, _NORTH_46])
"""Effective hours of drying for the duff: bands of latitude from the south × months."""
DAY_BANDS = (-30.0, -10.0, 10.0, 30.0)
"""Degrees north at which one band ends, its northern edge included."""
_NORTH = (-1.6, -1.6, -1.6, 0.9, 3.8, 5.8, 6.4, 5.0, 2.4, 0.4, -1.6, -1.6)
_SOUTH = (6.4, 5.0, 2.4, 0.4, -1.6, -1.6, -1.6, -1.6, -1.6, 0.9, 3.8, 5.8)
DRYING = np.array([_SOUTH, [1.4] * 12, _NORTH])
"""Day length factor of the drought code: bands of latitude from the south × months."""
DRYING_BANDS = (-20.0, 20.0)


class Codes(NamedTuple):
    """Moisture codes at the end of a day, one per station: fine fuel (0 to 101), duff and drought (0 and up)."""

    ffmc: Floats
    dmc: Floats
    dc: Floats


class Noon(NamedTuple):
    """Weather at noon, local standard time, one entry per station.

    `temperature` Cel, `humidity` %, `wind` km/h at 10 m (not m/s), `rain` mm of the 24 hours before. NaN: not known.
    """

    temperature: Floats
    humidity: Floats
    wind: Floats
    rain: Floats


class FireWeather(NamedTuple):
    """A day's result, all without unit; `codes` is what the next day begins with."""

    codes: Codes
    isi: Floats
    bui: Floats
    fwi: Floats
    dsr: Floats


def start(stations: int) -> Codes:
    """The codes of spring after snow or soaking rain: 85, 6, 15."""
    return Codes(*(np.full(stations, value) for value in (85.0, 6.0, 15.0)))


def day(codes: Codes, noon: Noon, month: Ints | int, latitude: Floats | float) -> FireWeather:
    """One day for all stations. `codes`: of the day before; `month`: 1 to 12; `latitude`: degrees, north positive.

    Where something is not known, what depends on it is NaN. Humidity of 100 % and more counts as 99.9999 %, air below
    -1.1 Cel (duff) and -2.8 Cel (drought) dries nothing.
    """
    noon = noon._replace(humidity=np.where(noon.humidity >= 100.0, 99.9999, noon.humidity))
    ffmc = fine_fuel(codes.ffmc, noon)
    dmc = duff(codes.dmc, noon, month, latitude)
    dc = drought(codes.dc, noon, month, latitude)
    isi, bui = spread(ffmc, noon.wind), buildup(dmc, dc)
    fwi = weather_index(isi, bui)
    return FireWeather(Codes(ffmc, dmc, dc), isi, bui, fwi, 0.0272 * fwi**1.77)


def fine_fuel(before: Floats, noon: Noon) -> Floats:
    """The fine fuel moisture code, equations 1 to 10."""
    temperature, humidity, wind, rain = noon
    moisture = rained(SCALE * (101.0 - before) / (59.5 + before), rain)
    warm = 0.18 * (21.1 - temperature) * (1.0 - np.exp(-0.115 * humidity))
    damp = np.exp((humidity - 100.0) / 10.0)
    dry_to = 0.942 * humidity**0.679 + 11.0 * damp + warm
    wet_to = 0.618 * humidity**0.753 + 10.0 * damp + warm
    dried = dry_to + (moisture - dry_to) * 10.0 ** -_rate(humidity / 100.0, wind, temperature)
    wetted = wet_to - (wet_to - moisture) * 10.0 ** -_rate(1.0 - humidity / 100.0, wind, temperature)
    drying, wetting = moisture > dry_to, (moisture < dry_to) & (moisture < wet_to)
    left = np.where(drying, dried, np.where(wetting, wetted, moisture))
    unknown = np.isnan(dried) | np.isnan(rain)
    return np.where(unknown, np.nan, np.clip(59.5 * (250.0 - left) / (SCALE + left), 0.0, 101.0))


def rained(moisture: Floats, rain: Floats) -> Floats:
    """Moisture content of fine fuel, %, after a day's rain in mm; equations 2 and 3."""
    net = np.maximum(rain - 0.5, 1e-12)
    more = 42.5 * net * np.exp(-100.0 / (251.0 - moisture)) * -np.expm1(-6.93 / net)
    more = more + np.where(moisture > 150.0, 0.0015 * (moisture - 150.0) ** 2 * np.sqrt(net), 0.0)
    return np.asarray(np.where(rain > 0.5, np.minimum(moisture + more, 250.0), moisture))


def _rate(dryness: Floats, wind: Floats, temperature: Floats) -> Floats:
    """Log of the rate at which fine fuel dries or takes up moisture in a day; equations 4 to 7."""
    still = 0.424 * (1.0 - dryness**1.7) + 0.0694 * np.sqrt(wind) * (1.0 - dryness**8)
    return np.asarray(still * 0.581 * np.exp(0.0365 * temperature))


def duff(before: Floats, noon: Noon, month: Ints | int, latitude: Floats | float) -> Floats:
    """The duff moisture code, equations 11 to 17."""
    hours = DAY_LENGTHS[np.digitize(latitude, DAY_BANDS, right=True), np.asarray(month) - 1]
    dried = 1.894 * (np.maximum(noon.temperature, -1.1) + 1.1) * (100.0 - noon.humidity) * hours * 1e-4
    net = np.maximum(0.92 * noon.rain - 1.27, 0.0)
    known = np.maximum(before, 1.0)
    slope = np.where(before <= 65.0, 14.0 - 1.3 * np.log(known), 6.2 * np.log(known) - 17.2)
    slope = np.where(before <= 33.0, 100.0 / (0.5 + 0.3 * before), slope)
    left = 280.0 / np.exp(0.023 * before) + 1000.0 * net / (48.77 + slope * net)
    wetted = np.maximum(43.43 * (5.6348 - np.log(left)), 0.0)
    return np.where(np.isnan(noon.rain), np.nan, np.where(noon.rain > 1.5, wetted, before) + dried)


def drought(before: Floats, noon: Noon, month: Ints | int, latitude: Floats | float) -> Floats:
    """The drought code, equations 18 to 23; never fed by frost."""
    factor = DRYING[np.digitize(latitude, DRYING_BANDS, right=True), np.asarray(month) - 1]
    dried = np.maximum(0.36 * (np.maximum(noon.temperature, -2.8) + 2.8) + factor, 0.0) / 2.0
    net = np.maximum(0.83 * noon.rain - 1.27, 0.0)
    wetted = np.maximum(before - 400.0 * np.log1p(3.937 * net / (800.0 * np.exp(-before / 400.0))), 0.0)
    return np.where(np.isnan(noon.rain), np.nan, np.where(noon.rain > 2.8, wetted, before) + dried)


def spread(ffmc: Floats, wind: Floats) -> Floats:
    """The initial spread index from the fine fuel code and wind in km/h, equations 24 to 26."""
    moisture = SCALE * (101.0 - ffmc) / (59.5 + ffmc)
    return np.asarray(
        0.208 * np.exp(0.05039 * wind) * 91.9 * np.exp(-0.1386 * moisture) * (1.0 + moisture**5.31 / 4.93e7)
    )


def buildup(dmc: Floats, dc: Floats) -> Floats:
    """The buildup index, equation 27."""
    both = np.maximum(dmc + 0.4 * dc, 1e-300)
    dry = 0.8 * dmc * dc / both
    wet = dmc - (1.0 - 0.8 * dc / both) * (0.92 + (0.0114 * dmc) ** 1.7)
    return np.asarray(np.where(dmc <= 0.4 * dc, dry, np.maximum(wet, 0.0)))


def weather_index(isi: Floats, bui: Floats) -> Floats:
    """The fire weather index, equations 28 to 30."""
    fuel = np.where(bui <= 80.0, 0.626 * bui**0.809 + 2.0, 1000.0 / (25.0 + 108.64 * np.exp(-0.023 * bui)))
    strength = 0.1 * isi * fuel
    return np.asarray(
        np.where(strength > 1.0, np.exp(2.72 * (0.434 * np.log(np.maximum(strength, 1.0))) ** 0.647), strength)
    )


def season(codes: Codes, noons: Noon, months: Ints, latitude: Floats | float) -> list[FireWeather]:
    """Day after day: the arrays of `noons` have a row per day, `months` an entry per day."""
    days = []
    for number, month in enumerate(months.tolist()):
        made = day(codes, Noon(*(column[number] for column in noons)), month, latitude)
        days.append(made)
        codes = made.codes
    return days
