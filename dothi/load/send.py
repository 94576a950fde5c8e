"""A city sent to a stack, with an account of it afterwards or without."""

import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dothi.load.progress import Progress
from dothi.load.record import write_record
from dothi.load.run import Run, Told, recording_in, rehearse
from dothi.load.sampler import Sampler
from dothi.output import stderr
from dothi.sending import pages
from dothi.settings import Stack
from simulators import truth
from simulators.city import City
from simulators.drive import LEAD_S, drive
from simulators.fleet import Fleet
from simulators.publish import Broker
from simulators.scenario import Scenario
from simulators.scenario_file import read
from simulators.spool import Spool
from simulators.tally import Tally

TRUTH = "truth.json"
MADE_PER_S = 1e6
"""Devices of a city that are made ready in a second, at least."""


@dataclass(frozen=True)
class Sending:
    """What is to be sent. `pace`: divides the intervals. `seconds`: None until stopped. `asked`: for the report."""

    fleet: Fleet
    pace: float
    seconds: float | None
    asked: dict[str, Any]
    settle_s: float
    record: Path | None = None
    metrics_port: int | None = None
    shard: tuple[int, int] = (1, 1)
    warm_s: float = 0.0
    scenarios: Sequence[str] = ()

    def city(self, lead_s: float) -> City:
        """The city, which begins to speak `lead_s` after it is made."""
        now = time.time()
        start = now + lead_s + len(self.fleet) / MADE_PER_S
        return City(
            self.fleet,
            start=start,
            boot=int(now),
            speed=self.pace,
            scenario=self.scenario(start),
            shard=self.shard,
        )

    def scenario(self, start: float) -> Scenario:
        """What happens to it when it starts then, s since 1970. Raises ScenarioError."""
        return read(self.scenarios, self.fleet, start, self.seconds, self.pace)


class Way(Protocol):
    """How messages get to the brokers."""

    @property
    def lead_s(self) -> float:
        """How long before a city's first message the way is to be prepared, s."""

    def speak(
        self, city: City, sending: Sending, folder: Path | None, stop: threading.Event, progress: Progress
    ) -> tuple[dict[str, Any], Sequence[Path]]:
        """Let the city speak until its time is over or it is stopped; returns the summary and, with a folder, the
        files of the record that it keeps there."""


@dataclass(frozen=True)
class Multiplexed:
    """Over a few gateway connections."""

    brokers: Sequence[Broker]
    lead_s: float = LEAD_S

    def speak(
        self, city: City, sending: Sending, folder: Path | None, stop: threading.Event, progress: Progress
    ) -> tuple[dict[str, Any], Sequence[Path]]:
        """As in `Way`."""
        tally, path = Tally(), folder / "sent.spool" if folder else None
        with pages(sending.metrics_port, tally), Spool(path) if path else nullcontext() as spool:
            summary = drive(
                city,
                self.brokers,
                start=city.start,
                seconds=sending.seconds,
                stop=stop,
                spool=spool,
                tally=tally,
                progress=progress.sending,
                progress_s=progress.every_s,
            )
        return summary, [path] if path else []


def accounted(
    stack: Stack, way: Way, sending: Sending, out: Path | None, stop: threading.Event, progress: Progress
) -> dict[str, Any]:
    """Send and account: the report's document."""
    city = sending.city(way.lead_s)
    tell_pace(city, sending.pace)

    def send(folder: Path, sampler: Sampler) -> tuple[dict[str, Any], Sequence[Path]]:
        progress.sampler = sampler
        summary, spools = way.speak(city, sending, folder, stop, progress)
        if sending.record:
            write_record(sending.record, sending.fleet, spools)
        return summary, spools

    run = Run(stack, city, sending.pace, sending.asked, sending.settle_s, sending.warm_s)
    document = rehearse(run, send, out, Told(progress.settling, progress.counting))
    if out and sending.scenarios:
        told, lasted = {"boot": city.boot, **sending.asked}, document["run"]["seconds"]
        truth.write(out / TRUTH, city.scenario, city.fleet, start=city.start, seconds=lasted, **told)
    return document


def plain(stack: Stack, way: Way, sending: Sending, stop: threading.Event, progress: Progress) -> dict[str, Any]:
    """Send: the sender's summary."""
    city = sending.city(way.lead_s)
    tell_pace(city, sending.pace)
    with recording_in(stack.folder) if sending.record else nullcontext() as folder:
        summary, spools = way.speak(city, sending, folder, stop, progress)
        if sending.record:
            write_record(sending.record, sending.fleet, spools)
    return {**head(city, sending.pace), **summary}


def head(city: City, pace: float) -> dict[str, Any]:
    """By what a run is told from others."""
    return {"devices": len(city.members), "seed": city.fleet.seed, "boot": city.boot, "speed": round(pace, 3)}


def brief(document: dict[str, Any]) -> dict[str, Any]:
    """A report's document for scripts: what a run is, the sender's summary, the account, the delays."""
    if "run" not in document:
        return dict(document["sending"])
    run = document["run"]
    return {
        **{name: run[name] for name in ("devices", "seed", "boot", "speed")},
        **document["sending"],
        "conservation": document["conservation"],
        "delays_s": document["delays"]["whole_s"],
        "cpu_s_per_100k": document["processes"]["cpu_s_per_100k"],
    }


def tell_pace(city: City, pace: float) -> None:
    """How fast it will speak, on stderr."""
    told = ""
    if pace != 1.0:
        word, times = ("shorter", pace) if pace > 1 else ("longer", 1 / pace)
        told = f" (time lapse: intervals {times:,.1f} times {word} than in the profiles)"
    stderr.print(f"{city.rate_per_s:,.1f} messages/s{told}; Ctrl-C stops", highlight=False, soft_wrap=True)
