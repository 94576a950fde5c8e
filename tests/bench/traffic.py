"""Incidents on simulated roads: precision, recall, time to detect, onsets. `python -m tests.bench.traffic [--json]`

Each line of `incident` is played at five hours of three seeded cities; a counter that the queue reaches is one to be
found. `noisy` adds what the simulator leaves out: every reading's own error, 4 km/h and a fifth of the occupancy.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from analytics.detectors.incident import Incident
from analytics.detectors.rows import Rows
from simulators.scenario import QUIET
from tests.traffic_world import DAY_S, FAMILY, MONDAY_S, Score, city_of, fleet_of, play, rows, scenario_of, score

SEEDS, HOURS = (1, 2, 3), (2.0, 7.0, 10.0, 17.0, 22.0)
HOUR_S = 3600.0
SPEED, FULL = FAMILY.index["average_vehicle_speed"], FAMILY.index["occupancy"]


class Line(NamedTuple):
    """A line of the table. `device_days`: counters times days that were played."""

    scenario: str
    score: Score
    device_days: float
    cpu_s: float
    readings: int


def noisy(portions: Iterator[Rows], seed: int) -> Iterator[Rows]:
    """The same with an error of each reading."""
    random = np.random.default_rng(seed)
    for portion in portions:
        values = portion.values.copy()
        values[:, SPEED] = np.maximum(values[:, SPEED] + random.normal(0, 4, portion.size), 0)
        values[:, FULL] = np.clip(values[:, FULL] * random.normal(1, 0.2, portion.size), 0, 1)
        yield replace(portion, told=values, column=None)


def played(name: str, seed: int, start: float, seconds: float, event: dict[str, Any] | None, noise: bool) -> Line:
    """One run of one city."""
    city = city_of(seed)
    detector = Incident(FAMILY)
    detector.grow(fleet_of(city))
    with tempfile.TemporaryDirectory() as folder:
        scenario = scenario_of(city, Path(folder), start, seconds, event) if event else QUIET
        portions = rows(city, start, seconds, scenario)
        data = list(noisy(portions, seed) if noise else portions)
    begun = time.process_time()
    changes = play(detector, iter(data))
    spent = time.process_time() - begun
    truths = [effect.truth(city) for effect in scenario]
    incidents = [truth for truth in truths if truth.kind == "traffic_incident"]
    readings = sum(portion.size for portion in data)
    return Line(name, score(changes, incidents), len(city) * seconds / DAY_S, spent, readings)


def together(lines: list[Line]) -> Line:
    """Several runs as one line."""
    scores = [line.score for line in lines]
    total = Score(
        sum(one.reached for one in scores),
        sum(one.found for one in scores),
        sum(one.false for one in scores),
        np.concatenate([one.delays_s for one in scores]),
        sum(one.incidents for one in scores),
        sum(one.incidents_found for one in scores),
    )
    days, spent, readings = (sum(column) for column in zip(*(line[2:] for line in lines), strict=True))
    return Line(lines[0].scenario, total, days, spent, int(readings))


def lines(noise: bool) -> Iterator[Line]:
    """All of the table, ordinary traffic or noisy."""
    mark = ", noisy" if noise else ""
    for blocked in (0.8, 0.5, 0.3):
        event = {"kind": "traffic_incident", "where": {"largest": 1}, "start": HOUR_S, "for": 1800, "queue_km_h": 60}
        name = f"incident, {100 * blocked:.0f} % of the lanes{mark}"
        yield together(
            [
                played(name, s, MONDAY_S + (h - 1) * HOUR_S, 2.5 * HOUR_S, {**event, "blocked": blocked}, noise)
                for s in SEEDS
                for h in HOURS
            ]
        )
    for factor in (2, 3):
        event = {"kind": "rush_hour", "where": {"largest": 9}, "factor": factor, "start": HOUR_S, "for": HOUR_S}
        name = f"rush hour, {factor} times the traffic{mark}"
        yield together(
            [played(name, s, MONDAY_S + h * HOUR_S, 3 * HOUR_S, event, noise) for s in SEEDS for h in (9, 15.5)]
        )
    yield together([played(f"ordinary week{mark}", s, MONDAY_S, 7 * DAY_S, None, noise) for s in SEEDS])


def main() -> None:
    """Print the table."""
    table = []
    for noise in (False, True):
        for line in lines(noise):
            reached, found, false, delays, incidents, incidents_found = line.score
            table.append(
                {
                    "scenario": line.scenario,
                    "incidents": incidents,
                    "incidents_found": incidents_found,
                    "reached": reached,
                    "found": found,
                    "false": false,
                    "recall": found / reached if reached else None,
                    "precision": found / (found + false) if found + false else None,
                    "median_s": float(np.median(delays)) if len(delays) else None,
                    "p90_s": float(np.quantile(delays, 0.9)) if len(delays) else None,
                    "false_per_device_day": false / line.device_days,
                    "cpu_s_per_100000": line.cpu_s / line.readings * 100_000,
                }
            )
    if "--json" in sys.argv[1:]:
        print(json.dumps(table))  # noqa: T201
        return
    heads = "scenario | incidents found | counters reached | recall | precision | median, s | p90, s"
    print(f"| {heads} | false per counter, day |")  # noqa: T201
    print("|---|---|---|---|---|---|---|---|")  # noqa: T201
    for row in table:
        cells = [
            row["scenario"],
            f"{row['incidents_found']} of {row['incidents']}",
            row["reached"],
            *(shown(row[key], 3) for key in ("recall", "precision")),
        ]
        cells += [*(shown(row[key], 0) for key in ("median_s", "p90_s")), shown(row["false_per_device_day"], 4)]
        print("| " + " | ".join(map(str, cells)) + " |")  # noqa: T201


def shown(value: Any, places: int) -> str:
    """A number, or a dash for none."""
    return "–" if value is None else f"{value:.{places}f}"


if __name__ == "__main__":
    main()
