"""A worker's reading in a whole city: CPU seconds per 100,000 messages of 28 families; no broker, no database.

    python -m tests.bench.mixed [--at-once 1000 4000 16000] [--batch 5000] [--rounds 40]

Messages of the simulator's city, as they come: decoded together when so many wait (`--at-once`) or the batch is full.
By turns, so that what else the machine does falls on all alike.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

import ingest.intake
from devices.changed import Devices, Standing
from devices.profile import PROFILES
from ingest.batch import Batch, Limits
from ingest.intake import Intake
from ingest.mqtt import Messages, Publish
from ingest.pack import pack
from ingest.recent import Recent
from ingest.route import Router
from ingest.sight import Sight
from ingest.window import Arrival
from simulators.city import City, natural_rate
from simulators.districts import zones_of
from simulators.fleet import Fleet, build, districts, native_name
from simulators.schedule import Shares

READ = 60
"""Messages that one read of a socket brings."""


class Source:
    """Where they come from; nobody listens."""

    inbox = "213"

    def acknowledge(self, pids: Sequence[int]) -> None:
        """Nobody waits."""

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Nobody listens."""

    def pause(self) -> None:
        """Nothing flows."""

    def resume(self) -> None:
        """Nothing flows."""


def knowing(fleet: Fleet) -> Router:
    """A router that knows the fleet."""
    router = Router({})
    kinds = sorted({(int(a), int(f)) for a, f in zip(fleet.area, fleet.family, strict=True)})
    standings = [
        Standing(native_name(fleet.families[family]), fleet.areas[area], int(fleet.areas[area]), False)
        for area, family in kinds
    ]
    place = {kind: number for number, kind in enumerate(kinds)}
    standing = np.array([place[int(a), int(f)] for a, f in zip(fleet.area, fleet.family, strict=True)])
    names = [name.encode() for name in fleet.ids()]
    router.take(Devices(names, np.arange(1, len(fleet) + 1), standing, standings))
    return router


def arrivals(fleet: Fleet, messages: int) -> Iterator[Arrival]:
    """What the reads of sockets bring, without faults."""
    shares, start = Shares(0.0, 0.0, 0.0), time.time()
    city = City(fleet, start=start, boot=int(start), speed=messages / natural_rate(fleet, shares), shares=shares)
    said = [Publish(one.topic.encode(), one.payload, 1, False) for one in city.each(city.until(start + 1.0))]
    now = time.time_ns() // 1000 + 1_000_000
    for first in range(0, len(said), READ):
        some = said[first : first + READ]
        yield Arrival(Source(), now, Messages.of(some), sum(len(one.payload) + 60 for one in some))


def fill(intake: Intake, come: Sequence[Arrival]) -> Batch:
    """A batch of all that came."""
    batch = Batch(Limits())
    for arrival in come:
        intake.take(arrival, batch)
    intake.finish(batch)
    return batch


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1_000, 2_000, 4_000, 16_000])
    parser.add_argument("--batch", type=int, default=5_000, help="messages of a batch")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--people", type=int, default=50_000)
    asked = parser.parse_args()
    assert PROFILES
    fleet = build(districts(zones_of("bac-giang"), 200, people=asked.people), 1)
    router, recent = knowing(fleet), Recent()
    come = list(arrivals(fleet, asked.batch))
    cost: dict[tuple[int, str], float] = defaultdict(float)
    rows, intake = 0, Intake(router)
    fill(intake, come)  # it learns which metrics are sent
    for _ in range(asked.rounds):
        for many in asked.at_once:
            ingest.intake.AT_ONCE = many
            began = time.process_time()
            batch = fill(intake, come)
            read = time.process_time()
            sights = [Sight(columns, recent) for columns in batch.columns.values()]
            seen = time.process_time()
            for sight in sights:
                pack(sight.columns, 1)
            packed = time.process_time()
            for what, seconds in (("read", read - began), ("marks", seen - read), ("pack", packed - seen)):
                cost[many, what] += seconds
            rows += batch.rows
    per = 1e5 * len(asked.at_once) / rows
    for many in asked.at_once:
        found = {what: round(seconds * per, 3) for (which, what), seconds in cost.items() if which == many}
        sys.stdout.write(json.dumps({"at_once": many, "families": len(fleet.families), **found}) + "\n")


if __name__ == "__main__":
    main()
