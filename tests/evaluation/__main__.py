"""Scores of all detectors: `python -m tests.evaluation open|fleet|ordinary|scenarios [--json FILE]`.

open       open series of ../shared with seeded faults, and what is said of them as they are
fleet      1,000 simulated devices for 30 days with seeded faults
ordinary   100,000 simulated devices for a day without any, after two to learn
scenarios  the scenarios that come along, each as it is written
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.evaluation import fleet as simulated
from tests.evaluation import open_data, scenarios, series
from tests.evaluation.judge import Fault, Found, Score, scores, unexplained

SHARED = Path(__file__).parents[3] / "shared" / "reference" / "open_data"


def main() -> None:
    """Print tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("open", "fleet", "ordinary", "scenarios"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the open series")
    parser.add_argument("--each", type=int, default=40, help="faults of each kind")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--slow-s", type=float, default=300.0, help="nobody speaks more often, s; 0: as they do")
    parser.add_argument("--names", default="", help="only these detectors, by commas")
    parser.add_argument("--scenarios", default="", help="only these, by commas")
    asked = parser.parse_args()
    document = {"open": opened, "fleet": fleet, "ordinary": ordinary, "scenarios": played}[asked.what](asked)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(document, enc_hook=float), indent=1) + b"\n")


def opened(asked: argparse.Namespace) -> dict[str, Any]:
    """Each series: recall per kind on copies with a fault, and all that is said of the series itself."""
    document = {}
    for read in (open_data.air_quality, open_data.metro_traffic, open_data.weather_seattle):
        one = read(asked.data)
        copies = series.copies_of(one, asked.each, asked.seed)
        found = series.judged(one, copies, names_in(asked))
        clean = series.judged(one, [series.untouched(one)], names_in(asked))
        days = (one.time[-1] - one.time[0]) / 86_400.0
        told = scores([copy.fault for copy in copies], found)
        say(f"{one.name}: {days:,.0f} days, {one.interval_s:g} s, {asked.each} copies per kind", told)
        counts = Counter(f"{f.detector} {f.metric or ''}".strip() for f in clean)
        show("as it is: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
        document[one.name] = {"scores": [s.row() for s in told], "clean": [row_of(f) for f in clean], "days": days}
    return document


def fleet(asked: argparse.Namespace) -> dict[str, Any]:
    """Recall per kind and false detections of a fleet with faults."""
    city = simulated.fleet_of(simulated.MIX, asked.seed)
    events = simulated.faults_in(city, asked.seed + 1, asked.days, asked.each, slow_s=asked.slow_s)
    world = simulated.World(city, events, asked.days * simulated.DAY_S, asked.slow_s)
    faults = simulated.faults_of(effect.truth(city) for effect in world.scenario())
    found = simulated.findings(world, asked.processes, names_in(asked))
    return judged(f"{len(city):,} devices, {asked.days:g} days", faults, found, len(city) * asked.days)


def ordinary(asked: argparse.Namespace) -> dict[str, Any]:
    """What is said in a day without faults, the last one, of a city in its usual mix."""
    city = simulated.ordinary_city(asked.devices, asked.seed)
    world = simulated.World(city, [], 3 * simulated.DAY_S, asked.slow_s)
    last = int((simulated.START + 2 * simulated.DAY_S) * 1e6)
    found = [one for one in simulated.findings(world, asked.processes, names_in(asked)) if one.at >= last]
    return judged(f"{len(city):,} devices, the third day", [], found, float(len(city)))


def played(asked: argparse.Namespace) -> dict[str, Any]:
    """The scenarios: precision, recall and time to detect per kind."""
    wanted = [name for name in asked.scenarios.split(",") if name] or scenarios.names()
    told = scenarios.played(wanted, asked.seed, asked.processes, names_in(asked))
    return {name: judged(name, *one) for name, one in told.items()}


def judged(title: str, faults: Sequence[Fault], found: Sequence[Found], device_days: float) -> dict[str, Any]:
    """Print and return what was found and what was said without a reason. That a limit of a profile is passed is no
    verdict on the device."""
    found = [one for one in found if not one.detector.startswith("limit-")]
    told, false = scores(faults, found), unexplained(faults, found)
    say(title, told)
    rate = 1000.0 * len(false) / device_days
    precision = 1.0 - len(false) / len(found) if found else 1.0
    show(f"detections {len(found)}, false {len(false)}: {rate:.2f} per 1,000 device-days; precision {precision:.3f}")
    for (detector, family, metric), count in Counter((f.detector, f.family, f.metric) for f in false).most_common():
        show(f"    {count:>4} {detector} {family} {metric or ''}")
    return {
        "scores": [score.row() for score in told],
        "detections": len(found),
        "false": [row_of(one) for one in false],
        "false_per_1000_device_days": rate,
        "precision": precision,
        "device_days": device_days,
    }


def say(title: str, told: Sequence[Score]) -> None:
    """A table of recalls."""
    show(f"\n{title}\n{'kind':<16}{'faults':>8}{'found':>8}{'recall':>8}{'median min':>12}{'p95 min':>10}")
    for score in told:
        row = score.row()
        figures = f"{row['recall']:>8.3f}{row['minutes_median']:>12.1f}{row['minutes_p95']:>10.1f}"
        show(f"{score.kind:<16}{score.faults:>8}{score.found:>8}{figures}")
        if score.missed:
            show(f"    missed: {dict(Counter(str(fault.metric) for fault in score.missed))}")


def row_of(one: Found) -> dict[str, Any]:
    """A finding as JSON: times in s since 1970, None while it lasts or where there is no number."""
    row = one._asdict()
    for key in ("since", "at", "until"):
        row[key] = None if row[key] > 1e18 else row[key] / 1e6
    return {key: None if value != value else value for key, value in row.items()}


def names_in(asked: argparse.Namespace) -> list[str]:
    """The detectors asked for."""
    return [name for name in asked.names.split(",") if name]


def show(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
