"""Rain and heat: what weather stations, gauges and all that stands outside measure of them."""

from collections.abc import MutableMapping
from dataclasses import replace

import numpy as np

from simulators.behaviour import Column
from simulators.draw import Floats, Ints
from simulators.effects.event import Happening, Part, away, overlaps, quiet, swell, swelled
from simulators.effects.kinds import Sort, always, number
from simulators.fleet import Fleet, native_profile
from simulators.scenario import Alarm, Truth

EDGE = 0.35
"""Strength of the weather at the farthest device of its place; it is 1 in the middle."""

DAY_S, LOCAL_OFFSET_S = 86_400.0, 7 * 3600.0
HOT = 40.0
"""Cel: extreme heat, as the profile of weather stations has it."""
PROBES, MOMENTS = 100, 100
"""Stations and moments at which the truth looks for the highest temperature."""


class Weather(Happening):
    """Something that swells and fades, strongest in the middle of its place."""

    def strength(self, fleet: Fleet, device: Ints, seconds: Floats) -> Floats:
        """0 to 1 per reading."""
        event = self.event
        return self.nearness(fleet, device) * swell((seconds - event.start) / event.seconds)

    def nearness(self, fleet: Fleet, device: Ints) -> Floats:
        """1 in the middle of the place, `EDGE` at its edge."""
        distance, _ = away(fleet, device, self.event.lat, self.event.lon)
        reach = max(float(self.event.where["radius_km"]), 1e-3)
        return np.asarray(1.0 - (1.0 - EDGE) * np.minimum(distance / reach, 1.0) ** 2, dtype=np.float64)


class Rain(Weather):
    """Monsoon rain: wet, cooler, soil fills. The day's total keeps what fell until local midnight."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        strength = self.strength(fleet, device, seconds)
        falling = self.event.given["mm_per_h"] * strength
        part.add("rain_intensity", falling)
        for metric in ("precipitation", "rain"):
            part.add(metric, falling * hours_of(part.family, metric))
        part.add("soil_moisture", 0.15 * strength)
        if part.family != "water_level":  # whose temperature is that of the water
            part.add("relative_humidity", 0.2 * strength)
            part.add("temperature", -4.0 * strength)

    def change(
        self, fleet: Fleet, family: str, device: Ints, seconds: Floats, columns: MutableMapping[str, Column]
    ) -> None:
        """As `Happening` says, and what fell since midnight."""
        super().change(fleet, family, device, seconds, columns)
        event = self.event
        if "rain_total" not in columns or not overlaps(seconds, event.start, event.end + DAY_S):
            return
        at = np.flatnonzero(event.mask[device] & (seconds >= event.start))
        midnight = np.floor((seconds[at] + LOCAL_OFFSET_S) / DAY_S) * DAY_S - LOCAL_OFFSET_S
        fell = (self.full_hours(seconds[at]) - self.full_hours(midnight)) * event.given["mm_per_h"]
        Part(family, at, columns).add("rain_total", fell * self.nearness(fleet, device[at]))

    def full_hours(self, seconds: Floats) -> Floats:
        """How many hours of the strongest rain had fallen by then in the middle of the place."""
        event = self.event
        return swelled((seconds - event.start) / event.seconds) * event.seconds / 3600.0


def hours_of(family: str, metric: str) -> float:
    """Of how many hours' rain a metric of a family tells: as its profile follows the rain, else of its interval."""
    profile = native_profile(family)
    own = profile.behaviour.get(metric, {}).get("follows", {}).get("rain")
    return float(own) if own else profile.interval_s / 3600.0


class Heat(Weather):
    """A heat wave: hotter and drier, in the open and in rooms."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        strength = self.strength(fleet, device, seconds)
        indoors = 0.6 if part.family in ("classroom", "contact") else 1.0
        part.add("temperature", self.event.given["hotter"] * indoors * strength)
        part.add("soil_temperature", 0.4 * self.event.given["hotter"] * strength)
        part.add("relative_humidity", -self.event.given["drier"] * strength)
        part.add("o3", 4.0 * self.event.given["hotter"] * strength)

    def truth(self, fleet: Fleet) -> Truth:
        """An operations centre is told where it gets hotter than `HOT`, as weather stations measure it."""
        plain, weather = super().truth(fleet), fleet.families.index("weather") if "weather" in fleet.families else -1
        stations = self.event.devices[fleet.family[self.event.devices] == weather][:PROBES].astype(np.int64)
        device = np.repeat(stations, MOMENTS)
        seconds = np.tile(np.linspace(self.event.start, self.event.end, MOMENTS), len(stations))
        before = quiet(fleet, "weather", device, seconds)["temperature"]
        hot = before + self.event.given["hotter"] * self.strength(fleet, device, seconds)
        peak = float(np.round(hot.max(initial=-np.inf), 1))
        alarms = plain.alarms if peak > HOT else ()
        return replace(plain, alarms=alarms, found={"hottest_Cel": peak} if len(stations) else {})


SORTS = {
    "rain": Sort(
        "monsoon rain: precipitation, humidity and soil moisture rise, it gets cooler",
        ("rain", "weather", "water_level", "soil"),
        {"mm_per_h": number("mm/h", 40, 1, 300, "rain in the middle of the place at its height")},
        lambda given: (Alarm("heavy_rain", "major", "cause", "precipitation"),) if given["mm_per_h"] >= 50 else (),
        lambda event, _fleet: Rain(event),
    ),
    "heat_wave": Sort(
        "hotter and drier air, ozone",
        ("weather", "air_quality", "fire_watch", "classroom", "soil", "greenhouse", "rain"),
        {
            "hotter": number("K", 12, 1, 25, "added to the temperature in the middle of the place at its height"),
            "drier": number("1", 0.25, 0, 0.6, "taken from the relative humidity"),
        },
        always(Alarm("heat", "minor", "cause", "temperature")),
        lambda event, _fleet: Heat(event),
    ),
}
