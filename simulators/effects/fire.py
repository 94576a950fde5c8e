"""Forest fire: what cameras see, smoke and CO on the wind, a front that arrives; and who was at the gate before.

The front is an ellipse with the ignition at its rear focus, as wind-driven fires burn (M. E. Alexander, "Estimating the
length-to-breadth ratio of elliptical forest fire patterns", 1985); what it gives off grows with the square of time, as
design fires do (NFPA 72, t-squared fires).
"""

from dataclasses import replace

import numpy as np

from simulators.draw import Floats, Ints
from simulators.effects.event import KM_PER_DEGREE, Event, Happening, Part, away, ramp
from simulators.effects.kinds import Parameter, Sort, always, duration, number
from simulators.fleet import Fleet
from simulators.scenario import Alarm, Devices, Truth

ECCENTRICITY = 0.9
"""Of the front's ellipse: a length-to-breadth ratio of 2.3, as in a fresh wind."""
PLUME = np.radians(20.0)
"""Angle from the wind at which the plume has 1/e of the smoke of its middle."""
THIN_KM = 3.0
"""Distance at which smoke has thinned to one half."""
FAINT = 0.15
"""Sight and smoke below this share of the strongest are not counted as reached."""
BEFORE_KM = 0.8
"""Where a scenario names no point, the fire begins so far before a device."""
SEEN = 0.1
"""Share of what a camera will be sure of, or a sensor smell, at which the truth says that the device is reached."""


class Fire(Happening):
    """One fire. Only devices that it reaches in time are its devices."""

    def __init__(self, event: Event, fleet: Fleet) -> None:
        event = event if event.pointed else upwind(event)
        sight, smoke, drifted, front = geometry(event, fleet, event.devices)
        watches = np.isin(fleet.family[event.devices], watching(fleet))
        sight = np.where(watches, sight, 0.0)
        growth = float(event.given["growth"])
        since = np.minimum.reduce(
            [
                np.where(sight > 0, growth * np.sqrt(SEEN / np.maximum(sight, SEEN)), np.inf),
                np.where(smoke > 0, drifted + growth * np.sqrt(SEEN / np.maximum(smoke, SEEN)), np.inf),
                front,
            ]
        )
        reached = since < event.seconds
        super().__init__(event.narrowed(fleet, reached))
        self._sight, self._smoke, self._drifted, self._front, self._since = (
            column[reached] for column in (sight, smoke, drifted, front, since)
        )

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        at = np.searchsorted(self.event.devices, device)
        burning = seconds - self.event.start
        begun = burning >= self._since[at]
        seen = np.where(begun, self._sight[at] * self.grown(burning), 0.0)
        smelt = np.where(begun, self._smoke[at] * self.grown(burning - self._drifted[at]), 0.0)
        hot = np.where(begun, ramp((burning - self._front[at]) / 60.0 + 0.3), 0.0)
        self.sure(part, np.maximum(seen, hot), hot)
        self.air(part, np.maximum(smelt, hot))
        part.add("temperature", 45.0 * hot + 2.0 * smelt)
        part.add("relative_humidity", -0.3 * hot - 0.05 * smelt)

    def sure(self, part: Part, seen: Floats, hot: Floats) -> None:
        """What cameras and detectors conclude; `seen`, `hot`: 0 to 1."""
        for metric, most in (("smoke_confidence", 0.97), ("fire_confidence", 0.93), ("heat_confidence", 0.95)):
            if metric in part:
                part.set(metric, np.maximum(part[metric], most * seen))
        part.add("hot_spot_temperature", 500.0 * np.maximum(seen, hot))
        part.state("flame", "flame", hot > 0.5)
        part.state("alarm_state", "alarm", np.maximum(seen, hot) > 0.8)

    def air(self, part: Part, smelt: Floats) -> None:
        """Smoke and carbon monoxide, ug/m3; `smelt`: 0 to 1."""
        part.add("smoke", 4_000.0 * smelt)
        part.add("co", 35_000.0 * smelt)
        part.add("pm25", 600.0 * smelt)
        part.add("pm10", 750.0 * smelt)

    def grown(self, seconds: Floats) -> Floats:
        """What a fire gives off that began so long ago, 0 to 1."""
        return np.asarray(np.clip(seconds / self.event.given["growth"], 0.0, 1.0) ** 2, dtype=np.float64)

    def truth(self, fleet: Fleet) -> Truth:
        """With the moment at which the fire reached each device, by sight, smoke or flame."""
        e = self.event
        until = np.full(len(e.devices), e.end)
        found = {"ignition": {"lat": round(e.lat, 5), "lon": round(e.lon, 5)}}
        since = e.start + self._since
        return Truth(
            *(e.id, e.kind, e.cause, e.start, e.end, e.where, e.devices, e.alarms, e.given, since, until, None, found)
        )


def upwind(event: Event) -> Event:
    """The event with its point moved `BEFORE_KM` to where the wind comes from, away from the device it was at."""
    turn, shrunk = np.radians(event.given["wind_from"]), np.cos(np.radians(event.lat))
    north, east = BEFORE_KM / KM_PER_DEGREE * np.array([np.cos(turn), np.sin(turn) / shrunk])
    return replace(event, lat=event.lat + float(north), lon=event.lon + float(east))


def watching(fleet: Fleet) -> list[int]:
    """The families whose devices see far."""
    return [number for number, family in enumerate(fleet.families) if family == "fire_watch"]


def geometry(event: Event, fleet: Fleet, devices: Devices) -> tuple[Floats, Floats, Floats, Floats]:
    """How well each device sees the place (0 to 1), how much smoke comes to it (0 to 1), when that smoke and when the
    front arrive (s after the ignition).
    """
    given = event.given
    distance, bearing = away(fleet, devices, event.lat, event.lon)
    angle = np.angle(np.exp(1j * (bearing - np.radians(given["wind_from"] + 180.0))))
    sight = 1.0 - (distance / given["sight_km"]) ** 2
    smoke = np.exp(-((angle / PLUME) ** 2)) / (1.0 + distance / THIN_KM)
    spread = given["front_km_h"] * (1.0 - ECCENTRICITY) / (1.0 - ECCENTRICITY * np.cos(angle))
    return (
        np.where(sight < FAINT, 0.0, sight),
        np.where(smoke < FAINT, 0.0, smoke),
        distance / given["wind_km_h"] * 3600.0,
        distance / spread * 3600.0,
    )


class ForestGate(Happening):
    """Cameras at a forest gate see a person or a vehicle."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        everyone = np.ones(len(device), dtype=np.bool_)
        who = self.event.given["who"]
        part.state("event_kind", f"gate_{who}", everyone)
        part.state("object_class", "person" if who == "person" else "motorcycle", everyone)
        part.set("confidence", np.maximum(part["confidence"], 0.88))


SORTS = {
    "fire_front": Sort(
        "a forest fire: cameras grow sure, smoke and CO drift with the wind, the front arrives with heat",
        ("fire_watch", "air_quality"),
        {
            "wind_from": number("deg", 60, 0, 360, "where the wind comes from, clockwise from north"),
            "wind_km_h": number("km/h", 20, 1, 150, "how fast smoke travels"),
            "front_km_h": number("km/h", 2, 0.05, 30, "how fast the front runs before the wind"),
            "sight_km": number("km", 10, 0.5, 50, "how far cameras see smoke"),
            "growth": duration("30 %", "how long the fire grows until it gives off all that it will", least=0.001),
        },
        always(Alarm("forest_fire", "critical", "cause")),
        Fire,
    ),
    "forest_gate": Sort(
        "a person or vehicle at a forest gate, as cameras see it",
        ("camera_event",),
        {"who": Parameter("word", "person", 0, 0, "who is there", ("person", "vehicle"))},
        always(Alarm("forest_gate", "minor", "cause")),
        lambda event, _fleet: ForestGate(event),
        None,
        1,
    ),
}
