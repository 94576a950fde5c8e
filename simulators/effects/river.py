"""Rising rivers: gauges that climb hours after the rain, downstream later, up to the alarm levels I to III."""

from typing import Any

import numpy as np

from simulators.draw import Floats, Ints
from simulators.effects.event import Event, Happening, Part, quiet, swell
from simulators.effects.kinds import Parameter, Sort, duration, number
from simulators.fleet import Fleet
from simulators.scenario import Alarm, Truth

LEVELS = ("I", "II", "III")
SEVERITY = ("minor", "major", "critical")
PROBES, MOMENTS = 40, 200
"""Gauges per area and moments at which the truth looks for the crossing of a level."""


class River(Happening):
    """Every gauge is drawn to the peak, area after area in the order in which the scenario names them."""

    def __init__(self, event: Event, fleet: Fleet) -> None:
        super().__init__(event)
        order = [fleet.areas.index(code) for code in event.where["areas"]]
        late = np.zeros(len(fleet.areas))
        late[order] = np.arange(len(order)) * float(event.given["travel"])
        self._late, self._lasts = late, event.seconds - late.max()

    def strength(self, fleet: Fleet, device: Ints, seconds: Floats) -> Floats:
        """0: as without the flood, 1: at the peak."""
        begun = self.event.start + self._late[fleet.area[device]]
        return swell((seconds - begun) / self._lasts, 0.5, 0.7)

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        strength = self.strength(fleet, device, seconds)
        part.set("water_level", self.level(part["water_level"], strength))
        if "flow" in part:
            part.times("flow", 1.0 + 5.0 * strength)

    def level(self, before: Floats, strength: Floats) -> Floats:
        """The gauge in m: at the peak when the strength is 1, whatever it showed before."""
        peak = np.maximum(before, self.event.given["peak_m"])
        return np.asarray(before + (peak - before) * strength, dtype=np.float64)

    def truth(self, fleet: Fleet) -> Truth:
        """With the areas' crossings of the levels, s since 1970, as the first gauge of each area shows them."""
        event, devices = self.event, self.event.devices
        begun = event.start + self._late[fleet.area[devices]]
        found: dict[str, Any] = {"crossed": self.crossings(fleet)}
        return Truth(
            *(event.id, event.kind, event.cause, event.start, event.end, event.where, devices, event.alarms),
            *(event.given, begun, begun + self._lasts, None, found),
        )

    def crossings(self, fleet: Fleet) -> list[dict[str, Any]]:
        """Per area and level when the first of its gauges stood at it, for those that it reached."""
        event, crossed = self.event, []
        moments = np.linspace(event.start, event.end, MOMENTS)
        for code in event.where["areas"]:
            here = event.devices[fleet.area[event.devices] == fleet.areas.index(code)][:PROBES].astype(np.int64)
            device, seconds = np.repeat(here, MOMENTS), np.tile(moments, len(here))
            before = quiet(fleet, "water_level", device, seconds)["water_level"]
            level = self.level(before, self.strength(fleet, device, seconds)).reshape(len(here), MOMENTS)
            for name, height in zip(LEVELS, event.given["levels_m"], strict=True):
                reached = np.flatnonzero((level >= height).any(axis=0))
                if len(reached):
                    crossed.append({"area": code, "level": name, "m": height, "first": float(moments[reached[0]])})
        return crossed


def expected(given: Any) -> tuple[Alarm, ...]:
    """One alarm per area, as severe as the highest level that the peak reaches."""
    reached = sum(given["peak_m"] >= height for height in given["levels_m"])
    return (Alarm("river_level", SEVERITY[reached - 1], "area", "water_level"),) if reached else ()


SORTS = {
    "river_rise": Sort(
        "gauges rise to a peak and fall again; the areas are named from upstream to downstream",
        ("water_level",),
        {
            "peak_m": number("m", 6.6, 0.1, 60, "what the gauges show at the height of the flood"),
            "levels_m": Parameter("m", (4.3, 5.3, 6.3), -10, 200, "alarm levels I, II and III of the gauges"),
            "travel": duration("5 %", "how much later the water rises in the next area"),
        },
        expected,
        River,
    ),
}
