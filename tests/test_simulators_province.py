"""A plausible province: weather that travels, seasons, weeks, roads, rivers and air as people there know them."""

from typing import Any

import numpy as np
import pytest

from simulators import draw, sky
from simulators.behaviour import values, voices
from simulators.behaviour_around import KM_PER_DEGREE
from simulators.behaviour_days import clock
from simulators.fleet import native_profile
from simulators.sky import Place
from simulators.sky_past import TOGETHER, UPSTREAM_KM

NEW_YEAR = 1_767_200_400.0  # 2026-01-01 00:00 local time, a Thursday
MONDAY = NEW_YEAR + 67 * 86_400.0  # 2026-03-09
DAY_S, YEAR_S = 86_400.0, 365 * 86_400.0
CITY = (21.2731, 106.1946)


def keys_of(count: int, purpose: int = 1) -> draw.Keys:
    return draw.stir(np.arange(count, dtype=np.uint64), purpose)


def over_year(count: int, purpose: int = 9) -> draw.Floats:
    return NEW_YEAR + YEAR_S * draw.uniform(keys_of(count), purpose)


def said(family: str, keys: draw.Keys, seconds: draw.Floats, lat: Any = CITY[0], lon: Any = CITY[1]) -> dict[str, Any]:
    return values(voices(native_profile(family)), keys, seconds, lat, lon)


def at_hour(day: float, hour: float, count: int) -> draw.Floats:
    return np.full(count, day + 3600.0 * hour)


def alike(one: Any, other: Any) -> float:
    return float(np.corrcoef(one, other)[0, 1])


# The sky


@pytest.mark.parametrize("metric", ["temperature", "precipitation"])
def test_neighbours_have_the_same_weather_and_strangers_do_not(metric: str) -> None:
    count = 30_000
    moments, keys = over_year(count), keys_of(1)
    one = np.repeat(keys, count)
    north = 21.0 + 0.4 * draw.uniform(keys_of(count), 3)
    here = said("weather", one, moments, north)[metric]
    near = said("weather", one + np.uint64(1), moments, north + 5.0 / KM_PER_DEGREE[0])[metric]
    far = said("weather", one + np.uint64(1), moments, north + 80.0 / KM_PER_DEGREE[0])[metric]
    if metric == "temperature":  # what the season and the hour make is common to all
        usual = sky.heat(clock(moments), np.zeros(count))
        here, near, far = here - usual, near - usual, far - usual
    assert alike(here, near) > 0.8
    assert alike(here, far) < alike(here, near) - 0.2


def test_rain_travels() -> None:
    moments = over_year(40_000)
    home = Place(np.zeros(40_000), np.zeros(40_000))
    ahead, behind = (Place(home.east - way * 18.0, home.north + way * 9.0) for way in (1.0, -1.0))
    now = sky.rain_at(home, moments)
    assert alike(now, sky.rain_at(ahead, moments + 3600.0)) > alike(now, sky.rain_at(behind, moments + 3600.0)) + 0.2


def test_summers_are_hot_and_wet_and_winters_cool_and_dry() -> None:
    moments = over_year(60_000)
    weather, month = said("weather", keys_of(60_000), moments), (moments - NEW_YEAR) // (YEAR_S / 12)
    summer, winter = (month >= 5) & (month <= 7), (month <= 1) | (month == 11)
    assert weather["temperature"][summer].mean() - weather["temperature"][winter].mean() > 9
    monsoon = (month >= 4) & (month <= 8)
    assert weather["precipitation"][monsoon].sum() > 0.7 * weather["precipitation"].sum()
    assert 1000 < weather["precipitation"].mean() * 24 * 365 < 2200
    assert (weather["precipitation"] == 0).mean() > 0.8


def test_rain_of_the_past_is_the_same_for_many_as_for_few() -> None:
    count = 2 * TOGETHER + 5
    moments, keys = over_year(count), keys_of(count)
    lat = 21.1 + 0.5 * draw.uniform(keys, 2)
    for family, metric in (("rain", "rain_total"), ("water_level", "water_level")):
        together, few = said(family, keys, moments, lat), slice(TOGETHER - 3, TOGETHER + 3)
        apart = said(family, keys[few], moments[few], lat[few])
        assert apart[metric].tobytes() == together[metric][few].tobytes()


def test_dry_when_hot_within_a_day() -> None:
    keys, moments = np.repeat(keys_of(1), 4800), NEW_YEAR + 1800.0 * np.arange(4800)
    weather = said("weather", keys, moments)
    by_day = [weather[name].reshape(100, 48) for name in ("temperature", "relative_humidity")]
    within = [values_ - values_.mean(axis=1, keepdims=True) for values_ in by_day]
    assert alike(within[0].ravel(), within[1].ravel()) < -0.7


def test_noons_are_such_as_fire_indices_expect() -> None:
    days = NEW_YEAR + DAY_S * np.arange(365) + 12 * 3600.0
    noon = said("weather", np.repeat(keys_of(1), 365), days)
    assert 8 < noon["temperature"].min() < noon["temperature"].max() < 41
    assert 0.3 < noon["relative_humidity"].min() < 0.6
    assert noon["wind_speed"].max() * 3.6 < 30


# The air


VN_AQI_PM25 = ([0, 25, 50, 80, 150, 250, 350, 500], [0, 50, 100, 150, 200, 300, 400, 500])
"""Breakpoints of PM2.5, ug/m3 (Decision 1459/QD-TCMT of 2019)."""


def test_the_air_is_mostly_moderate_and_bad_in_winter_nights() -> None:
    moments = over_year(40_000)
    air, month = said("air_quality", keys_of(40_000), moments), (moments - NEW_YEAR) // (YEAR_S / 12)
    index = np.interp(air["pm25"], *VN_AQI_PM25)
    hour = clock(moments).hour
    nights = (hour < 6) & ((month <= 1) | (month == 11))
    assert 50 < np.median(index) < 100
    assert ((index > 30) & (index <= 150)).mean() > 0.8
    assert ((index > 50) & (index <= 150)).mean() > 0.5
    assert 1.8 * index[(month >= 5) & (month <= 7)].mean() < index[nights].mean()
    assert np.quantile(index[nights], 0.95) > 150
    assert alike(air["pm25"], air["pm10"]) > 0.9


# Rivers


def test_rivers_rise_after_rain_upstream_and_stay_below_the_first_alarm() -> None:
    count = 1500
    moments, keys = over_year(count), np.repeat(keys_of(1), count)
    level = said("water_level", keys, moments)["water_level"]
    above = Place(np.full(count, UPSTREAM_KM[0]), np.full(count, UPSTREAM_KM[1]))
    before = sum((sky.rain_at(above, moments - 3600.0 * hour) for hour in range(6, 42, 2)), np.zeros(count))
    soon = sum((sky.rain_at(above, moments + 3600.0 * hour) for hour in range(6, 42, 2)), np.zeros(count))
    assert alike(level, before) > 0.6
    assert alike(level, before) > alike(level, soon) + 0.3
    everywhere = said("water_level", keys_of(4000), over_year(4000), 21.1 + 0.5 * draw.uniform(keys_of(4000), 2))
    assert (everywhere["water_level"] < 4.3).mean() > 0.999


# Roads


def by_hour(day: float, lat: float = CITY[0]) -> list[float]:
    """Vehicles a minute at each quarter of an hour, the mean of many streets."""
    streets = keys_of(400)
    return [
        said("traffic_flow", streets, at_hour(day, quarter / 4, 400), lat)["intensity"].mean() for quarter in range(96)
    ]


def test_workdays_have_two_rush_hours_and_days_off_do_not() -> None:
    workday, sunday = by_hour(MONDAY), by_hour(MONDAY - DAY_S)
    morning, evening = int(np.argmax(workday[:48])) / 4, 12 + int(np.argmax(workday[48:])) / 4
    assert 6.5 <= morning <= 7.75
    assert 16.5 <= evening <= 18
    assert min(workday[36:60]) < 0.8 * max(workday)
    assert sunday[28] < 0.75 * workday[28]


def test_the_rush_hour_reaches_outer_districts_later() -> None:
    far = by_hour(MONDAY, CITY[0] + 40.0 / KM_PER_DEGREE[0])
    assert 0.75 <= (np.argmax(far[:48]) - np.argmax(by_hour(MONDAY)[:48])) / 4 <= 1.25


def test_lychees_fill_the_roads_around_them_in_june() -> None:
    may, june = MONDAY + 49 * DAY_S, MONDAY + 105 * DAY_S  # Mondays in the middle of both
    chu, elsewhere = (21.3738, 106.5685), (21.2731, 105.95)
    full = {
        (place, day): said("traffic_flow", keys_of(300), at_hour(day, 14.0, 300), *place)["occupancy"].mean()
        for place in (chu, elsewhere)
        for day in (may, june)
    }
    assert full[chu, june] > 1.25 * full[chu, may]
    assert full[elsewhere, june] == pytest.approx(full[elsewhere, may], rel=0.05)


def test_flow_density_and_speed_belong_together() -> None:
    roads = said("traffic_flow", keys_of(20_000), over_year(20_000))
    density = roads["occupancy"] / 0.55
    assert alike(density, roads["average_vehicle_speed"]) < -0.9
    assert np.abs(roads["intensity"] - 34 * 4 * density * (1 - density)).mean() < 2


def test_vehicles_move_as_fast_as_they_say_and_come_back() -> None:
    keys, step = np.repeat(keys_of(30), 5760), 15.0
    moments = np.tile(MONDAY + step * np.arange(5760), 30)
    trip = {name: column.reshape(30, 5760) for name, column in said("vehicle", keys, moments).items()}
    north, east = (np.diff(trip[name], axis=1) * km for name, km in zip(("latitude", "longitude"), KM_PER_DEGREE))  # noqa: B905
    moved = np.hypot(north, east) * 3600.0 / step
    assert np.abs(moved - (trip["speed"][:, 1:] + trip["speed"][:, :-1]) / 2).max() < 3
    home = np.abs(trip["latitude"] - CITY[0]) < 1e-3
    assert home.any(axis=1).all()
    assert moved.max() > 40


# People


def test_street_lights_burn_from_sunset_to_sunrise() -> None:
    lamps = keys_of(50)
    midsummer, midwinter = NEW_YEAR + 171 * DAY_S, NEW_YEAR + 354 * DAY_S
    burning = {
        (day, hour): said("street_light", lamps, at_hour(day, hour, 50))["power_state"].mean()
        for day in (midsummer, midwinter)
        for hour in (0.0, 3.0, 12.0, 18.2, 22.0)
    }
    assert all(burning[day, hour] == 1 for day in (midsummer, midwinter) for hour in (0.0, 3.0, 22.0))
    assert burning[midsummer, 12.0] == burning[midsummer, 18.2] == burning[midwinter, 12.0] == 0
    assert burning[midwinter, 18.2] == 1


def test_a_lamp_counts_the_hours_that_it_burns() -> None:
    before, after = (said("street_light", keys_of(20), at_hour(MONDAY, hour, 20)) for hour in (20.0, 23.0))
    assert after["burning_time"] - before["burning_time"] == pytest.approx(3.0, abs=0.11)


def test_schools_are_empty_on_sundays_and_in_summer() -> None:
    rooms = keys_of(400)
    full, sunday, summer = (
        said("classroom", rooms, at_hour(day, 9.0, 400))["co2"].mean()
        for day in (MONDAY, MONDAY - DAY_S, MONDAY + 126 * DAY_S)
    )
    assert full > 900
    assert sunday < 500
    assert summer < 600


def test_households_use_most_in_the_evening_each_in_its_own_way() -> None:
    homes = keys_of(2000)
    evening, night = (said("meter", homes, at_hour(MONDAY, hour, 2000)) for hour in (20.0, 3.0))
    assert evening["active_power"].mean() > 3 * night["active_power"].mean()
    assert alike(evening["active_power"], evening["current"]) > 0.9
    assert evening["active_power"].std() > 0.3 * evening["active_power"].mean()
