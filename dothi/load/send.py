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

    def city(self) -> City:
        """The city, about to speak."""
        now = time.time()
        return City(
            self.fleet,
            start=now + LEAD_S,
            boot=int(now),
            speed=self.pace,
            scenario=self.scenario(now + LEAD_S),
            shard=self.shard,
        )

    def scenario(self, start: float) -> Scenario:
        """What happens to it when it starts then, s since 1970. Raises ScenarioError."""
        return read(self.scenarios, self.fleet, start, self.seconds, self.pace)


def accounted(
    stack: Stack,
    brokers: Sequence[Broker],
    sending: Sending,
    out: Path | None,
    stop: threading.Event,
    progress: Progress,
) -> dict[str, Any]:
    """Send and account: the report's document."""
    city = sending.city()
    tell_pace(city, sending.pace)

    def send(folder: Path, sampler: Sampler) -> tuple[dict[str, Any], Sequence[Path]]:
        progress.sampler = sampler
        path = folder / "sent.spool"
        with Spool(path) as spool:
            summary = sent(city, brokers, sending, stop, progress, spool)
        if sending.record:
            write_record(sending.record, sending.fleet, [path])
        return summary, [path]

    if out and sending.scenarios:
        told = {"boot": city.boot, **sending.asked}
        truth.write(out / TRUTH, city.scenario, city.fleet, start=city.start, seconds=sending.seconds, **told)
    run = Run(stack, city, sending.pace, sending.asked, sending.settle_s, sending.warm_s)
    return rehearse(run, send, out, Told(progress.settling, progress.counting))


def plain(
    stack: Stack, brokers: Sequence[Broker], sending: Sending, stop: threading.Event, progress: Progress
) -> dict[str, Any]:
    """Send: the sender's summary."""
    city = sending.city()
    tell_pace(city, sending.pace)
    if not sending.record:
        summary = sent(city, brokers, sending, stop, progress, None)
    else:
        with recording_in(stack.folder) as folder:
            path = folder / "sent.spool"
            with Spool(path) as spool:
                summary = sent(city, brokers, sending, stop, progress, spool)
            write_record(sending.record, sending.fleet, [path])
    return {**head(city, sending.pace), **summary}


def sent(
    city: City,
    brokers: Sequence[Broker],
    sending: Sending,
    stop: threading.Event,
    progress: Progress,
    spool: Spool | None,
) -> dict[str, Any]:
    """Let the city speak until its time is over or it is stopped."""
    tally = Tally()
    with pages(sending.metrics_port, tally):
        return drive(
            city,
            list(brokers),
            start=city.start,
            seconds=sending.seconds,
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
