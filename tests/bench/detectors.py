"""What each detector costs: CPU nanoseconds per reading and bytes of state per device, and all of them together.

    python -m tests.bench.detectors [--family air_quality] [--devices 100000] [--rounds 12]
                                     [--metrics 3] [--json FILE]

Synchronous: each round has one reading of every device, in the order of slots. Scattered: rounds of 20,000 readings of
devices by chance, as a batch of a second brings them. The engine's own work (sorting, late readings) is told apart.
With --metrics 1 a detector judges one value a reading: then its cost as a multiple of the bare arithmetic that it is
built around compares like with like: `table`, what research/analytics.md section 5 says of it, which is the measure
that was set, and `here`, what kernels.py takes in the same run. The kernel's state lies in the cache, for it is swept
again and again; that of a detector does not, for fifteen others were asked since.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analytics.columns import Columns
from analytics.detectors import all_detectors
from analytics.detectors.detector import Detector
from analytics.detectors.rows import Fleet, Ints
from analytics.detectors.watch import Watch
from devices.family import FAMILIES, Family
from tests.bench import kernels
from tests.detector_world import BEGIN_US, SECOND_US, fleet_of

SCATTERED = 20_000
WAYS = kernels.WAYS
LIMIT = 3
"""Times the cost of its kernel that a detector may cost."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="air_quality", choices=sorted(FAMILIES))
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--metrics", type=int, default=3, help="that each reading has; a family may know more")
    parser.add_argument("--warm", type=int, default=70, help="rounds before anything is measured")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    family = FAMILIES[asked.family]
    watch = warm(family, asked)
    measured = {way: measure(watch, asked, way) for way in WAYS}
    bare = kernels.measure(asked.devices)
    show(measured, asked.devices)
    compare(measured, bare)
    if asked.json:
        asked.json.write_text(json.dumps({"detectors": measured, "kernels": bare}, indent=2) + "\n")


def warm(family: Family, asked: argparse.Namespace) -> Watch:
    """Detectors that have seen so many rounds that most of them judge."""
    watch = Watch(family, all_detectors(), fail)
    watch.grow(spread(asked.devices))
    for slot, columns in synchronous(family, asked.devices, asked.warm, asked.metrics, BEGIN_US):
        watch.take(slot, columns)
    return watch


def spread(devices: int) -> Fleet:
    """Devices some kilometres apart: who are whose neighbours is worked out once an hour at most and not measured."""
    side = int(np.ceil(np.sqrt(devices)))
    north, east = np.divmod(np.arange(devices, dtype=np.float32), side)
    return fleet_of(devices)._replace(lat=10 + 0.04 * north, lon=100 + 0.04 * east)


def measure(watch: Watch, asked: argparse.Namespace, way: str) -> dict[str, dict[str, float]]:
    """By detector: ns of CPU per reading, bytes of state per device."""
    made, rounds = (synchronous, asked.rounds) if way == "synchronous" else (scattered, 5 * asked.rounds)
    begin = int(watch.newest.max()) + 60 * SECOND_US
    rows, whole = 0, 0.0
    watch.seconds.clear()
    for slot, columns in made(watch.family, asked.devices, rounds, asked.metrics, begin):
        began = time.thread_time()
        watch.take(slot, columns)
        whole += time.thread_time() - began
        rows += len(slot)
    every = {detector.name: detector for detector in watch.detectors}
    spent = {name: watch.seconds[name] for name in every}
    began = time.thread_time()
    watch.tick(int(watch.newest.max()) + SECOND_US)
    tick_s = time.thread_time() - began
    found = {
        name: {"ns": 1e9 * seconds / rows, "bytes": state_bytes(every[name], asked.devices)}
        for name, seconds in spent.items()
    }
    found["(sorting, late)"] = {"ns": 1e9 * (whole - sum(spent.values())) / rows, "bytes": 8.0}
    found["(all)"] = {"ns": 1e9 * whole / rows, "bytes": sum(one["bytes"] for one in found.values())}
    found["(a tick)"] = {"ns": 1e9 * tick_s / asked.devices, "bytes": 0.0}
    return found


def state_bytes(detector: Detector, devices: int) -> float:
    """Bytes per device, filled up to whole lines where its row is."""
    if detector.in_rows:
        return detector.records.rows.nbytes / max(devices, len(detector.records.rows))
    return sum(array.nbytes for array in detector.state.values()) / max(devices, len(detector.state["on"]))


Batches = Iterator[tuple[Ints, Columns]]


def synchronous(family: Family, devices: int, rounds: int, metrics: int, begin: int) -> Batches:
    """Each device once in each round."""
    random = np.random.default_rng(1)
    for number in range(rounds):
        yield rows_of(family, metrics, random, np.arange(devices), begin + 60 * SECOND_US * number)


def scattered(family: Family, devices: int, rounds: int, metrics: int, begin: int) -> Batches:
    """Some readings, by chance, some devices twice."""
    random = np.random.default_rng(2)
    for number in range(rounds):
        yield rows_of(family, metrics, random, random.integers(0, devices, SCATTERED), begin + SECOND_US * number)


def rows_of(family: Family, metrics: int, random: np.random.Generator, slot: Ints, at: int) -> tuple[Ints, Columns]:
    """A batch of readings with ordinary values of some metrics."""
    n = len(slot)
    values = np.full((n, len(family.metrics)), np.nan)
    gauges = [place for place, metric in enumerate(family.metrics) if metric.kind == "gauge"][:metrics]
    for place in gauges:
        metric = family.metrics[place]
        middle = metric.low + (metric.high - metric.low) * (0.1 + 0.01 * (slot % 7))
        values[:, place] = middle * (1 + 0.05 * random.standard_normal(n))
    time_us = at + random.integers(0, SECOND_US, n)
    seq = np.arange(n)
    columns = Columns(family, slot.astype(np.int32), np.full(n, 213, np.int16), time_us, seq, time_us + 10_000, values)
    return slot.astype(np.int64), columns


def fail(detector: Detector, error: Exception) -> None:
    """A benchmark of a detector that fails says nothing."""
    raise error


def show(measured: dict[str, dict[str, dict[str, float]]], devices: int) -> None:
    """A table."""
    lines: list[Any] = [f"{'detector':<20}{'synchronous ns':>16}{'scattered ns':>14}{'state bytes':>13}"]
    for name, one in measured["synchronous"].items():
        other = measured["scattered"][name]
        lines.append(f"{name:<20}{one['ns']:>16.0f}{other['ns']:>14.0f}{one['bytes']:>13.0f}")
    whole = measured["scattered"]["(all)"]
    lines.append(f"all, CPU s per 100,000 readings: {measured['synchronous']['(all)']['ns'] / 1e4:.3f} synchronous, ")
    lines[-1] += (
        f"{whole['ns'] / 1e4:.3f} scattered; state of {devices:,} devices {whole['bytes'] * devices / 1e9:.2f} GB"
    )
    lines.append(f"state of 3,700,000 devices {whole['bytes'] * 3.7e6 / 1e9:.1f} GB")
    print("\n".join(lines))  # noqa: T201 - the table is what is asked for


def compare(measured: dict[str, dict[str, dict[str, float]]], bare: dict[str, dict[str, float]]) -> None:
    """Each detector beside the kernel that it is built around: what that was said to cost, and what it costs here."""
    for way in WAYS:
        lines = [f"{way + ', ns':<17}{'kernel':<17}{'table':>8}{'here':>8}{'ours':>8}{'x table':>9}{'x here':>8}"]
        within = np.zeros(2, np.int64)
        judged = [name for name in kernels.BUILT_AROUND if name in measured[way]]
        for name in judged:
            kernel = kernels.BUILT_AROUND[name]
            ours, table, here = measured[way][name]["ns"], kernels.told_ns(kernel, way), bare[kernel][way]
            within += np.array([ours / table, ours / here]) <= LIMIT
            lines.append(
                f"{name:<17}{kernel:<17}{table:>8.1f}{here:>8.1f}{ours:>8.1f}{ours / table:>9.1f}{ours / here:>8.1f}"
            )
        lines.append(f"within {LIMIT} times, of {len(judged)}: the table {within[0]}, the kernel here {within[1]}")
        print("\n".join(lines))  # noqa: T201 - the table is what is asked for


if __name__ == "__main__":
    main()
