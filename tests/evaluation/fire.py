"""Forest fires in a simulated city: how soon they are suspected and confirmed, and what is found where nothing burns.

`python -m tests.evaluation.fire [--days N]` prints both for the province's forest districts.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from analytics.detectors import detectors_of
from analytics.indices.fire_evidence import KIND, RULE, Evidence, Verdict, judged
from devices.family import FAMILIES
from simulators.fleet import Fleet, build, districts, zones_of
from simulators.scenario import QUIET, Scenario
from simulators.scenario_file import read
from tests.evaluation.city import START, of_family, portions, slots_of

DAY_S = 86_400.0
WATCHING = ("fire_watch", "air_quality", "camera_event")
FORESTS = ("215", "218", "219", "220", "221")


class Turn(NamedTuple):
    """A detector came on or went off. `device`: place in the fleet; `at`, `since`: µs since 1970."""

    at: int
    device: int
    detector: str
    metric: int
    on: bool
    since: int


class Sign(NamedTuple):
    """What was held at a moment, µs since 1970, of a place with evidence."""

    at: int
    verdict: Verdict


def forest(people: int = 40_000, seed: int = 1) -> Fleet:
    """The province's fire watch, air sensors and cameras, thinned to a province of so many people."""
    return build(districts(zones_of("bac-giang"), 3, people=people), seed, families=WATCHING)


def events(fleet: Fleet, seconds: float, *entries: dict[str, Any]) -> Scenario:
    """A scenario of these events."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "own.yaml"
        path.write_text(json.dumps({"events": list(entries)}))
        return read([str(path)], fleet, START, seconds, 1.0)


def turns(fleet: Fleet, seconds: float, scenario: Scenario = QUIET) -> list[Turn]:
    """What the detectors of fire say, in order of time."""
    found = [turn for family in WATCHING for turn in of_one(fleet, family, seconds, scenario)]
    return sorted(found)


def of_one(fleet: Fleet, family: str, seconds: float, scenario: Scenario) -> Iterator[Turn]:
    """What they say of one family."""
    places = of_family(fleet, family)
    detectors = [one for one in detectors_of(FAMILIES[family]) if one.name in KIND]
    for detector in detectors:
        detector.grow(slots_of(fleet, family))
    for portion in portions(fleet, family, seconds=seconds, scenario=scenario):
        for detector in detectors:
            said = [detector.update(portion.rows)] if portion.rows.size else []
            for changes in (*said, detector.tick(portion.now_us)):
                columns = (changes.at, places[changes.slot], changes.metric, changes.on, changes.since)
                for at, device, metric, on, since in zip(*(column.tolist() for column in columns), strict=True):
                    yield Turn(at, device, detector.name, metric, on, since)


def signs(fleet: Fleet, said: Sequence[Turn], danger: int | None = None) -> list[Sign]:
    """What is made of it: every place with evidence, each time that something comes on."""
    held: dict[tuple[int, str, int], Evidence] = {}
    found = []
    for turn in said:
        key = (turn.device, turn.detector, turn.metric)
        if not turn.on:
            held.pop(key, None)
            continue
        lat, lon = float(fleet.lat[turn.device]), float(fleet.lon[turn.device])
        held[key] = Evidence(turn.device, KIND[turn.detector], turn.since, 1.0, lat, lon)
        found += [Sign(turn.at, verdict) for verdict in judged(list(held.values()), danger, RULE)]
    return found


def first(found: Sequence[Sign], *stages: str) -> int | None:
    """When a stage was first held."""
    return min((sign.at for sign in found if sign.verdict.stage in stages), default=None)


def onsets(found: Sequence[Sign], stage: str, apart_us: int = 3_600_000_000) -> int:
    """How often a stage was reached: the same devices within an hour are one time."""
    count, last = 0, dict[int, int]()
    for sign in found:
        if sign.verdict.stage != stage:
            continue
        fresh = all(sign.at - last.get(device, -apart_us) >= apart_us for device in sign.verdict.devices)
        count += fresh
        last |= dict.fromkeys(sign.verdict.devices, sign.at)
    return count


def delays(fleet: Fleet, area: str, seconds: float = 5400.0, **how: Any) -> dict[str, float | None]:
    """Minutes after the ignition at which a fire in a district is suspected and confirmed; None: not at all."""
    fire = {"id": "fire", "kind": "fire_front", "start": 2700, "for": seconds - 2700, "where": {"areas": [area]}}
    said = turns(fleet, seconds, events(fleet, seconds, fire | how))
    begin = round((START + 2700) * 1e6)
    found = [sign for sign in signs(fleet, said) if sign.at >= begin]
    known = {"suspected": first(found, "suspected", "confirmed"), "confirmed": first(found, "confirmed")}
    return {stage: None if at is None else (at - begin) / 6e7 for stage, at in known.items()}


def say(line: str) -> None:
    """A line of the report."""
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Print fires and quiet days."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=float, default=2.0, help="quiet days (default 2)")
    asked.add_argument("--people", type=int, default=40_000, help="size of the province (default 40,000)")
    given = asked.parse_args()
    fleet = forest(given.people)
    counts = {family: len(of_family(fleet, family)) for family in WATCHING}
    say(f"devices: {counts}")
    for area in FORESTS:
        for growth in (300, 900):
            told = delays(fleet, area, growth=growth)
            shown = {stage: "never" if one is None else f"{one:.1f} min" for stage, one in told.items()}
            say(f"fire in {area}, full-grown after {growth} s: {shown}")
    said = turns(fleet, given.days * DAY_S)
    by_detector = {name: sum(turn.on and turn.detector == name for turn in said) for name in KIND}
    found = signs(fleet, said)
    years = counts["fire_watch"] * given.days / 365.25
    say(f"quiet {given.days:g} days, {years:.2f} site-years; on: {by_detector}")
    for stage in ("suspected", "confirmed"):
        times = onsets(found, stage)
        say(f"{stage}: {times} times, {times / years:.2f} per site-year")


if __name__ == "__main__":
    main()
