"""Rain and heat: what weather stations, gauges and all that stands outside measure of them."""

import numpy as np

from simulators.draw import Floats, Ints
from simulators.effects.event import Happening, Part, away, swell
from simulators.effects.kinds import Sort, always, number
from simulators.fleet import Fleet, native_profile
from simulators.scenario import Alarm

EDGE = 0.35
"""Strength of the weather at the farthest device of its place; it is 1 in the middle."""


class Weather(Happening):
    """Something that swells and fades, strongest in the middle of its place."""

    def strength(self, fleet: Fleet, device: Ints, seconds: Floats) -> Floats:
        """0 to 1 per reading."""
        event = self.event
        distance, _ = away(fleet, device, event.lat, event.lon)
        reach = max(float(event.where["radius_km"]), 1e-3)
        near = 1.0 - (1.0 - EDGE) * np.minimum(distance / reach, 1.0) ** 2
        return np.asarray(near * swell((seconds - event.start) / event.seconds), dtype=np.float64)


class Rain(Weather):
    """Monsoon rain: wet, cooler, soil fills. Counters of rain are not touched: they count what fell without it."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        strength = self.strength(fleet, device, seconds)
        falling = self.event.given["mm_per_h"] * strength
        part.add("rain_intensity", falling)
        metric = "rain" if part.family == "water_level" else "precipitation"
        part.add(metric, falling * native_profile(part.family).interval_s / 3600.0)
        if part.family == "soil":
            part.add("soil_moisture", 0.15 * strength)
        else:
            part.add("relative_humidity", 0.2 * strength)
            part.add("temperature", -4.0 * strength if part.family != "water_level" else 0.0 * strength)


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
