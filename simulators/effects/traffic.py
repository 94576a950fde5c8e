"""Streets: the rush hour, and an incident behind which a queue grows."""

import numpy as np

from simulators.draw import Floats, Ints
from simulators.effects.event import Event, Happening, Part, away, ramp, swell
from simulators.effects.kinds import Sort, always, duration, number
from simulators.fleet import Fleet
from simulators.scenario import Alarm, Truth

FULL = 0.95
"""Occupancy of a road on which nothing fits any more."""


class RushHour(Happening):
    """More vehicles, fuller roads, slower and louder, at its worst in the middle of the time."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        more = (self.event.given["factor"] - 1.0) * swell((seconds - self.event.start) / self.event.seconds)
        part.times("intensity", 1.0 + more)
        if "occupancy" in part:
            part.set("occupancy", np.minimum(part["occupancy"] * (1.0 + more), FULL))
        part.times("average_vehicle_speed", 1.0 / (1.0 + 0.6 * more))
        part.times("speed", 1.0 / (1.0 + 0.6 * more))
        part.add("laeq", 5.0 * np.log10(1.0 + more) + 2.0 * (more > 0))
        part.add("lamax", 3.0 * (more > 0))


class Incident(Happening):
    """Blocked lanes: the queue reaches counters farther away later, and dissolves for all when it is cleared."""

    def __init__(self, event: Event, fleet: Fleet) -> None:
        distance, _ = away(fleet, event.devices, event.lat, event.lon)
        late = distance / float(event.given["queue_km_h"]) * 3600.0
        super().__init__(event.narrowed(fleet, late < event.seconds))
        self._since = event.start + late[late < event.seconds]

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        since = self._since[np.searchsorted(self.event.devices, device)]
        jam = np.where(seconds < since, 0.0, 0.5 + 0.5 * ramp((seconds - since) / self.event.given["builds"]))
        open_lanes = 1.0 - self.event.given["blocked"]
        part.times("intensity", 1.0 - jam * (1.0 - open_lanes) * 0.8)
        part.times("average_vehicle_speed", 1.0 - 0.9 * jam * self.event.given["blocked"])
        if "occupancy" in part:
            before = part["occupancy"]
            part.set("occupancy", before + (np.maximum(FULL, before) - before) * jam * self.event.given["blocked"])
        part.state("congested", "yes", jam > 0)

    def truth(self, fleet: Fleet) -> Truth:
        """With the moment at which the queue reached each counter."""
        e = self.event
        until = np.full(len(e.devices), e.end)
        return Truth(
            *(e.id, e.kind, e.cause, e.start, e.end, e.where, e.devices, e.alarms, e.given, self._since, until)
        )


SORTS = {
    "rush_hour": Sort(
        "traffic swells, gets slower and louder, and fades",
        ("traffic_flow", "noise", "vehicle"),
        {"factor": number("1", 1.8, 1.1, 5, "vehicles at the height, as a multiple of the usual")},
        always(),
        lambda event, _fleet: RushHour(event),
    ),
    "traffic_incident": Sort(
        "lanes are blocked at a point; the queue grows from there, and dissolves at the end",
        ("traffic_flow",),
        {
            "blocked": number("1", 0.8, 0.3, 1, "share of the lanes that is blocked"),
            "queue_km_h": number("km/h", 30, 1, 200, "how fast the end of the queue travels"),
            "builds": duration("5 %", "how long it takes at a counter from slow to jammed", least=0.001),
        },
        always(Alarm("traffic_incident", "major", "cause")),
        Incident,
    ),
}
