"""Simulated roads as rows in memory: ordinary days, and days with incidents of which the truth is known."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analytics.detectors.detector import Detector
from analytics.detectors.rows import Changes, Fleet, Rows, joined
from devices.family import FAMILIES
from simulators.behaviour import values, voices
from simulators.districts import districts, zones_of
from simulators.fleet import Fleet as City
from simulators.fleet import build, native_profile
from simulators.scenario import QUIET, Scenario, Truth
from simulators.scenario_file import read

FAMILY = FAMILIES["traffic_flow"]
MONDAY_S = 1_773_594_000.0  # 2026-03-16, local midnight
DAY_S, PIECE_S, STEP_S = 86_400.0, 3600.0, 60.0


def city_of(seed: int, people: int = 8000, density: float = 3) -> City:
    """A city of traffic counters alone: people × density / 100 of them."""
    return build(districts(zones_of("bac-giang"), density, people=people), seed, families=("traffic_flow",))


def fleet_of(city: City) -> Fleet:
    """The counters as detectors know them."""
    n = len(city)
    interval = np.full(n, STEP_S, np.float32)
    numbers = np.arange(n)
    return Fleet(numbers, numbers * 0, city.area, interval, interval * 10, city.lat, city.lon, np.ones(n, np.bool_))


def scenario_of(city: City, folder: Path, start_s: float, seconds: float, *events: dict[str, object]) -> Scenario:
    """A scenario of these events in a run."""
    path = folder / f"{int(start_s)}.yaml"
    path.write_text(json.dumps({"events": list(events)}))
    return read([str(path)], city, start_s, seconds)


def rows(
    city: City, start_s: float, seconds: float, scenario: Scenario = QUIET, step_s: float = STEP_S
) -> Iterator[Rows]:
    """What all counters tell, once in a step and each at its own second, in portions of an hour."""
    spoken = voices(native_profile("traffic_flow"))
    offset = city.key % np.uint64(60)
    for begin in np.arange(start_s, start_s + seconds, PIECE_S):
        moments = np.arange(begin, min(begin + PIECE_S, start_s + seconds), step_s)
        device = np.repeat(np.arange(len(city)), len(moments))
        at = np.tile(moments, len(city)) + offset[device]
        columns = values(spoken, city.key[device], at, city.lat[device], city.lon[device])
        for effect in scenario:
            effect.change(city, "traffic_flow", device, at, columns)
        table = np.full((len(device), len(FAMILY.metrics)), np.nan)
        for name, column in columns.items():
            table[:, FAMILY.index[name]] = column
        time = (at * 1e6).astype(np.int64)
        yield Rows(FAMILY, device, time, time + 1_000_000, table)


class Score(NamedTuple):
    """Of incidents found: how many counters a queue reached (`reached`), at how many it was found while it lasted
    (`found`), how many findings began anywhere else (`false`), the delays of those found, s; `incidents`, and how many
    of them were found at any counter."""

    reached: int
    found: int
    false: int
    delays_s: np.ndarray
    incidents: int
    incidents_found: int


def play(detector: Detector, portions: Iterator[Rows]) -> Changes:
    """What a detector says."""
    return joined([detector.update(portion) for portion in portions])


def score(changes: Changes, truths: list[Truth]) -> Score:
    """Compare onsets with the truth of incidents; each counter that a queue reached is to be found by itself."""
    slot, at = changes.slot[changes.on], changes.at[changes.on] / 1e6
    right = np.zeros(len(slot), np.bool_)
    delays: list[list[float]] = []
    for truth in truths:
        since = np.full(len(truth.devices), truth.start) if truth.since is None else truth.since
        delays.append([])
        for device, begin in zip(truth.devices.tolist(), since.tolist(), strict=True):
            mine = (slot == device) & (at >= begin) & (at < truth.end)
            right |= mine
            delays[-1] += [float(at[mine].min() - begin)] if mine.any() else []
    together = np.array([delay for one in delays for delay in one])
    reached = sum(len(truth.devices) for truth in truths)
    return Score(reached, len(together), int((~right).sum()), together, len(truths), sum(map(bool, delays)))
