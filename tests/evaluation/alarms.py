"""Scenarios as alarms: what detectors find in a simulated city goes through the engine of alarms, without a database.

    python -m tests.evaluation.alarms [SCENARIO …] [--devices N] [--learn-h H]
    python -m tests.evaluation.alarms --ordinary --devices 100000

Where nothing is said all scenarios are played that are about connections, fires and the whole of a bad day.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from analytics.alarms.engine import Engine, World
from analytics.alarms.matching import Sign
from analytics.alarms.outage import There
from analytics.alarms.record import Rehearsed, Rung
from analytics.alarms.rules import read
from analytics.alarms.signs import SLACK
from analytics.alarms.silences import Known
from simulators.fleet import Fleet, build, districts, native_name, native_profile, zones_of
from simulators.scenario_file import parse
from tests.evaluation import fleet as simulated
from tests.evaluation.city import START, families_in
from tests.evaluation.judge import OPEN, Found
from tests.evaluation.scenarios import share_as_seconds

STEP_S = 10.0
HEARD = Known({}, frozenset())
USUAL = ("gateway-cut", "power-cut", "late-burst", "disorder", "forest-fire", "bad-day")
CENTRE = ("critical", "major", "minor", "warning")


class Played(NamedTuple):
    """Alarms that were raised after `begin`, µs since 1970, in a run of so many hours."""

    name: str
    devices: int
    hours: float
    begin: int
    alarms: list[Rung]


def city(devices: int, seed: int) -> Fleet:
    """So many devices in the platform's usual mix, all over a province."""
    return build(districts(zones_of("bac-giang"), 200.0, people=round(devices / 2)), seed)


def scene(name: str, fleet: Fleet, learn_s: float, lasts_s: float = 0.0) -> simulated.World:
    """A scenario that begins after some time of quiet, and half an hour after it. `lasts_s`: else as it is made."""
    scenario = parse(name)
    lasts_s = lasts_s or scenario.lasts
    events = []
    for event in scenario.events:
        made = {key: share_as_seconds(value, lasts_s) for key, value in event.items()}
        begin = float(made.get("start", 0.0))
        events.append({"for": lasts_s - begin} | made | {"start": learn_s + begin})
    return simulated.World(fleet, events, learn_s + lasts_s + 1800.0)


class Asked(NamedTuple):
    """How to play: devices, seed, quiet before it, how long (0: as it is made), with which detectors (none: all)."""

    devices: int = 10_000
    seed: int = 1
    learn_s: float = 3600.0
    lasts_s: float = 0.0
    detectors: tuple[str, ...] = ()
    processes: int = 1


def played(name: str, asked: Asked) -> Played:
    """One scenario; `ordinary`: none, for a day."""
    fleet, ordinary = city(asked.devices, asked.seed), name == "ordinary"
    quiet = simulated.World(fleet, [], asked.learn_s + 86_400.0, 300.0)
    world = quiet if ordinary else scene(name, fleet, asked.learn_s, asked.lasts_s)
    step_s = 300.0 if ordinary else STEP_S
    families = sorted(families_in(fleet), key=lambda family: native_profile(family).interval_s)
    work = partial(found_in, world, step_s=step_s, names=asked.detectors)
    with ProcessPoolExecutor(asked.processes) as pool:
        found = [one for part in pool.map(work, families) for one in part]
    begin = round((START + asked.learn_s) * 1e6)
    alarms = [one for one in rung(fleet, found, world.seconds, step_s) if one.raised >= begin]
    return Played(name, len(fleet), (world.seconds - asked.learn_s) / 3600.0, begin, alarms)


def found_in(world: simulated.World, family: str, step_s: float, names: Sequence[str]) -> list[Found]:
    """What the detectors of a family say."""
    return simulated.watched(world, family, step_s=step_s, names=names).found


def rung(
    fleet: Fleet, found: Sequence[Found], seconds: float, step_s: float, record: Rehearsed | None = None
) -> list[Rung]:
    """The alarms that findings raise, in a record that may be given."""
    engine, record = Engine(read(), registry(fleet)), Rehearsed() if record is None else record
    changes = sorted(changes_of(fleet, found), key=lambda change: (change[0], change[1].finding))
    place = 0
    for now in range(round(START * 1e6), round((START + seconds) * 1e6) + 1, round(step_s * 1e6)):
        some = []
        while place < len(changes) and changes[place][0] <= now:
            some.append(changes[place][1])
            place += 1
        engine.take(some)
        engine.settle(record, now, HEARD)
    return record.alarms


def changes_of(fleet: Fleet, found: Sequence[Found]) -> Iterator[tuple[int, Sign]]:
    """When each finding came and when it ended."""
    ids = fleet.ids()
    for number, one in enumerate(found, 1):
        profile = native_profile(one.family)
        sign = Sign(
            *(number, one.device, ids[one.device], int(fleet.areas[fleet.area[one.device]]), one.family),
            *(native_name(one.family), one.detector, one.metric or "", one.since, one.at, None, one.score, one.value),
            *(one.expected, float(fleet.lat[one.device]), float(fleet.lon[one.device]), profile.interval_s),
            (profile.offline_after + SLACK) * profile.interval_s,
        )
        yield one.at, sign
        if one.until != OPEN:
            yield max(one.until, one.at), sign._replace(until=one.until)


def registry(fleet: Fleet) -> World:
    """What the registry would say: all devices are active."""
    area = np.array([int(code) for code in fleet.areas])[fleet.area]
    profiles = [native_profile(family) for family in fleet.families]
    silent_s = np.array([(one.offline_after + SLACK) * one.interval_s for one in profiles])[fleet.family]
    counts = Counter(zip(area.tolist(), [fleet.families[number] for number in fleet.family.tolist()], strict=True))

    def population(where: int | None, families: frozenset[str]) -> int:
        return sum(n for (one, family), n in counts.items() if family in families and where in (None, one))

    def there(where: int) -> There:
        here = area == where
        return There(fleet.lat[here].astype("f8"), fleet.lon[here].astype("f8"), silent_s[here])

    return World(population, there, lambda _area: None)


def show(one: Played) -> None:
    """What rang."""
    for_centre = [alarm for alarm in one.alarms if alarm.severity in CENTRE]
    say(f"{one.name}: {one.devices:,} devices, {one.hours:.1f} h: {len(for_centre)} alarms for the centre, "
        f"{len(for_centre) / one.hours:.2f} an hour; {len(one.alarms) - len(for_centre)} of severity info")  # fmt: skip
    for alarm in sorted(one.alarms, key=lambda alarm: (alarm.severity == "info", alarm.raised)):
        after = (alarm.raised - one.begin) / 60e6
        lasted = "lasts" if alarm.cleared is None else f"{(alarm.cleared - alarm.raised) / 60e6:.1f} min"
        say(f"  {after:7.1f} min  {alarm.severity:9}{alarm.call.key:40}{len(alarm.devices):6} devices  {lasted}")


def say(line: str) -> None:
    """A line of the report."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Play and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=USUAL)
    parser.add_argument("--ordinary", action="store_true")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learn-h", type=float, default=1.0)
    parser.add_argument("--lasts-h", type=float, default=0.0, help="how long a scenario is; 0: as it is made")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--detectors", default="", help="only these, by commas")
    asked = parser.parse_args()
    for name in ["ordinary"] if asked.ordinary else asked.names:
        only = tuple(filter(None, asked.detectors.split(",")))
        times = (asked.learn_h * 3600.0, asked.lasts_h * 3600.0)
        show(played(name, Asked(asked.devices, asked.seed, *times, only, asked.processes)))


if __name__ == "__main__":
    main()
