"""A city sent to a stack, with an account of it afterwards or without."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dothi.load.progress import Progress
from dothi.load.record import write_record
from dothi.load.run import Run, Told, recording_in, rehearse
from dothi.load.sampler import Sampler
from dothi.load.sender import Tally, drive
from dothi.output import stderr
from dothi.sending import pages
from dothi.settings import Stack
from simulators.city import City
from simulators.fleet import Fleet
from simulators.publish import Broker
from simulators.spool import Spool

LEAD_S = 0.0


@dataclass(frozen=True)
class Wanted:
    """What is to be sent. `pace`: divides the intervals. `seconds`: None until stopped. `asked`: for the report."""

    fleet: Fleet
    pace: float
    seconds: float | None
    asked: dict[str, Any]
    settle_s: float
    record: Path | None
    metrics_port: int | None

    def city(self) -> City:
        """The city, about to speak."""
        now = time.time()
        return City(self.fleet, start=now + LEAD_S, boot=int(now), speed=self.pace)


def accounted(
    stack: Stack,
    brokers: Sequence[Broker],
    wanted: Wanted,
    out: Path | None,
    stop: threading.Event,
    progress: Progress,
) -> dict[str, Any]:
    """Send and account: the report's document."""
    city = wanted.city()
    tell_pace(city, wanted.pace)

    def send(folder: Path, sampler: Sampler) -> tuple[dict[str, Any], Sequence[Path]]:
        progress.sampler = sampler
        path = folder / "sent.spool"
        with Spool(path) as spool:
            summary = sent(city, brokers, wanted, stop, progress, spool)
        if wanted.record:
            write_record(wanted.record, wanted.fleet, [path])
        return summary, [path]

    run = Run(stack, city, city.start, wanted.pace, wanted.asked, wanted.settle_s)
    return rehearse(run, send, out, threading.Event(), Told(progress.settling, progress.counting))


def plain(
    stack: Stack, brokers: Sequence[Broker], wanted: Wanted, stop: threading.Event, progress: Progress
) -> dict[str, Any]:
    """Send: the sender's summary."""
    city = wanted.city()
    tell_pace(city, wanted.pace)
    if not wanted.record:
        summary = sent(city, brokers, wanted, stop, progress, None)
    else:
        with recording_in(stack.folder) as folder:
            path = folder / "sent.spool"
            with Spool(path) as spool:
                summary = sent(city, brokers, wanted, stop, progress, spool)
            write_record(wanted.record, wanted.fleet, [path])
    return {**head(city, wanted.pace), **summary}


def sent(
    city: City,
    brokers: Sequence[Broker],
    wanted: Wanted,
    stop: threading.Event,
    progress: Progress,
    spool: Spool | None,
) -> dict[str, Any]:
    """Let the city speak until its time is over or it is stopped."""
    tally = Tally()
    with pages(wanted.metrics_port, tally):
        return drive(
            city,
            list(brokers),
            start=city.start,
            seconds=wanted.seconds,
            stop=stop,
            spool=spool,
            tally=tally,
            progress=progress.sending,
            progress_s=progress.every_s,
        )


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
