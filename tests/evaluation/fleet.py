"""A fleet with seeded faults, and what detectors make of it: `judged` is recall, delay and false detections."""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from analytics.detectors import detectors_of
from devices.family import FAMILIES
from simulators.effects.event import quiet, spoken
from simulators.fleet import Fleet, build, districts, native_profile, zones_of
from simulators.mix import Mix, Parts, Sector
from simulators.scenario import QUIET, Scenario, Truth
from simulators.scenario_file import MOST_EVENTS, read
from tests.evaluation.city import START, families_in, of_family, only, portions, slots_of
from tests.evaluation.judge import Fault, Found, Watch

DAY_S = 86_400.0
MIX: dict[str, int] = {
    **dict.fromkeys(("air_quality", "weather", "noise", "traffic_flow", "water_level", "rain", "soil"), 60),
    **dict.fromkeys(("classroom", "water_quality", "greenhouse", "aquaculture", "telecom_site", "meter"), 50),
    **dict.fromkeys(("street_light", "water_meter", "wearable", "parking", "contact", "fill_level"), 35),
    **dict.fromkeys(("public_address", "notice_board", "fire_watch", "camera_health", "machine", "server"), 10),
    **dict.fromkeys(("camera_event", "vehicle", "security_event"), 5),
}
"""Devices per family: about a thousand, more of those whose sensors fail in the ways that are injected."""
SILENCE = 2.0
"""Intervals that a device is silent beyond those that its profile lets it miss; at least an hour."""


class World(NamedTuple):
    """A fleet, what happens to it, and for how long (s from `start`).

    `slow_s`: devices that speak more often than so do it once in `slow_s`, so that a month is played in minutes.
    """

    fleet: Fleet
    events: list[dict[str, Any]]
    seconds: float
    slow_s: float = 0.0
    start: float = START

    def speed(self, family: str) -> float:
        """What the intervals of a family are divided by."""
        return min(1.0, native_profile(family).interval_s / self.slow_s) if self.slow_s else 1.0

    def scenario(self, speed: float = 1.0) -> Scenario:
        """The events as effects."""
        if not self.events:
            return QUIET
        with TemporaryDirectory() as folder:
            paths = []
            for first in range(0, len(self.events), MOST_EVENTS):
                paths.append(str(Path(folder) / f"faults-{first}.yaml"))
                Path(paths[-1]).write_text(json.dumps({"events": self.events[first : first + MOST_EVENTS]}))
            return read(paths, self.fleet, self.start, self.seconds, speed)


def fleet_of(counts: dict[str, int], seed: int) -> Fleet:
    """So many devices of each family, in one province."""
    weights = {family: float(count) for family, count in counts.items()}
    mix = Mix(sectors={"all": Sector(share=Parts(1, 1), families=weights)})
    people = 4000 + 40 * sum(counts.values())
    fleet = build(districts(zones_of("bac-giang"), 5, people=people), seed, families=tuple(counts), mix=mix)
    chosen = [
        of_family(fleet, family)[:: max(1, int((fleet.family == n).sum()) // count)][:count]
        for n, (family, count) in enumerate(counts.items())
    ]
    return only(fleet, np.sort(np.concatenate(chosen)))


def ordinary_city(devices: int, seed: int) -> Fleet:
    """About so many devices in the platform's usual mix."""
    density = 200.0  # devices per 100 people, as planned for 2030
    return build(districts(zones_of("bac-giang"), density, people=round(100 * devices / density)), seed)


def movers(family: str) -> list[str]:
    """Metrics of a family that move by themselves at every reading: faults of the sensor can be seen in them."""
    found = []
    for voice in spoken(family):
        section = voice.section
        noisy = section["curve"] == "day" and float(section.get("noise", 0)) > 0
        if noisy and voice.metric.unit != "deg" and "battery" not in voice.metric.name:
            found.append(voice.metric.name)
    return found


def spread_of(fleet: Fleet, device: int, metric: str) -> tuple[float, float, float]:
    """Standard deviation, least and most of what a device says of a metric in the first ten days."""
    family = fleet.families[int(fleet.family[device])]
    seconds = START + np.arange(0, 10 * DAY_S, 600.0)
    said = quiet(fleet, family, np.full(len(seconds), device), seconds)[metric]
    return float(said.std()), float(said.min()), float(said.max())


def faults_in(
    fleet: Fleet, seed: int, days: float, each: int = 24, learn: float = 9.0, slow_s: float = 0.0
) -> list[dict[str, Any]]:
    """Seeded events, `each` of every kind, none on a device that has another. The first `learn` days are quiet."""
    random = np.random.default_rng(seed)
    free = {family: random.permutation(of_family(fleet, family)).tolist() for family in families_in(fleet)}
    movable = [
        family for family in free if movers(family) and family not in ("security_event", "vehicle", "camera_event")
    ]
    powered = [f for f in free if {"battery_level", "battery_voltage"} & {v.metric.name for v in spoken(f)}]
    events: list[dict[str, Any]] = []
    for kind in ("stuck", "drift", "spikes", "bias", "gateway_cut", "clock_skew", "battery_death"):
        families = {"stuck": movable, "drift": movable, "spikes": movable, "bias": movable, "battery_death": powered}
        for nth in range(each):
            open_to = [f for f in families.get(kind, list(free)) if free[f]]
            family = open_to[int(random.integers(len(open_to)))]
            device = free[family].pop()
            lasting = {"drift": 3.0, "battery_death": 9.0, "bias": 3.0}.get(kind, 1.0)
            if kind == "gateway_cut":
                profile = native_profile(family)
                missed = (profile.offline_after + SILENCE) * max(profile.interval_s, slow_s)
                lasting = max(missed, 3600.0) / DAY_S
            begin = float(random.uniform(learn, days - lasting - 0.5))
            event = {"kind": kind, "id": f"{kind.replace('_', '-')}-{nth}", "devices": fleet.ids(np.array([device]))}
            event |= {"start": begin * DAY_S, "for": lasting * DAY_S} | _how(kind, fleet, device, family, random)
            events.append(event)
    return events


def _how(kind: str, fleet: Fleet, device: int, family: str, random: np.random.Generator) -> dict[str, Any]:
    """The parameters of a fault."""
    sign = float(random.choice([-1.0, 1.0]))
    if kind == "gateway_cut":
        return {"buffers": 0.0, "back": 1.0, "drain": 1.0}
    if kind == "clock_skew":
        return {"by": sign * float(random.uniform(600, 7200))}
    if kind == "battery_death":
        return {}
    metric = str(random.choice(movers(family)))
    if kind == "stuck":
        return {"metric": metric}
    spread, least, most = spread_of(fleet, device, metric)
    known = FAMILIES[family].metrics[FAMILIES[family].index[metric]]
    room_up, room_down = known.high - most, least - known.low
    up = 1.0 if room_up > room_down else -1.0
    if kind == "drift":
        return {"metric": metric, "per_h": (sign if min(room_up, room_down) > 9 * spread else up) * 3 * spread / 24}
    if kind == "bias":
        return {"metric": metric, "by": up * 4 * spread}
    return {"metric": metric, "size": 8 * spread, "every": 6 * 3600.0}


KINDS = {"gateway_cut": "silence", "clock_skew": "clock"}


def faults_of(truths: Iterable[Truth], kinds: dict[str, str] = KINDS) -> list[Fault]:
    """The truth of a scenario, one fault per device."""
    found = []
    for truth in truths:
        since = np.full(len(truth.devices), truth.start) if truth.since is None else truth.since
        until = np.full(len(truth.devices), truth.end) if truth.until is None else truth.until
        metric = truth.parameters.get("metric")
        for device, start, end in zip(truth.devices.tolist(), since.tolist(), until.tolist(), strict=True):
            found.append(Fault(kinds.get(truth.kind, truth.kind), device, metric, int(start * 1e6), int(end * 1e6)))
    return found


def watch_of(world: World, family: str, names: Sequence[str] = ()) -> Watch:
    """Detectors of a family that have seen nothing yet. `names`: only these."""
    detectors = [one for one in detectors_of(FAMILIES[family]) if not names or one.name in names]
    for detector in detectors:
        detector.grow(slots_of(world.fleet, family, world.speed(family)))
    return Watch(FAMILIES[family], detectors, of_family(world.fleet, family).tolist())


def watched(
    world: World, family: str, step_s: float = 600.0, names: Sequence[str] = (), watch: Watch | None = None
) -> Watch:
    """The detectors of a family that have seen a world; `watch`: those of the days before it."""
    watch, speed = watch or watch_of(world, family, names), world.speed(family)
    scenario = world.scenario(speed)
    said = portions(
        world.fleet,
        family,
        seconds=world.seconds,
        start=world.start,
        scenario=scenario,
        step_s=step_s,
        speed=speed,
    )
    for portion in said:
        watch.update(portion.rows, portion.late)
        watch.tick(portion.now_us)
    return watch


def said_of(world: World, family: str, names: Sequence[str] = ()) -> list[Found]:
    """What the detectors of a family say of a world."""
    return watched(world, family, names=names).found


def findings(world: World, processes: int = 1, names: Sequence[str] = ()) -> list[Found]:
    """What all detectors say of a world, family by family."""
    families = sorted(families_in(world.fleet), key=lambda family: native_profile(family).interval_s)
    work = partial(said_of, world, names=names)
    if processes == 1:
        parts = [work(family) for family in families]
    else:
        with ProcessPoolExecutor(processes) as pool:
            parts = list(pool.map(work, families))
    return [one for part in parts for one in part]
