"""`dothi simulate`: what a province would send, and a small seeded city that sends it."""

import csv
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import psycopg
import typer

from devices.registry import ProfileChange, enroll
from dothi import settings
from dothi.commands.options import AsJson, Folder
from dothi.commands.simulate_plan import Density, ProvinceName, plan_command, spoken_plainly
from dothi.errors import Refused, WrongUsage
from dothi.output import print_json, print_table, stderr
from dothi.sending import pages
from simulators.city import City, natural_rate
from simulators.drive import LEAD_S, drive
from simulators.fleet import Fleet, build, districts, rows
from simulators.messages import KINDS, Messages
from simulators.plan import check_density
from simulators.province import province_at
from simulators.publish import Broker
from simulators.spool import Spool, acknowledged, messages_of, slices
from simulators.tally import Tally

KNOWN_WITHIN_S = 2.5
"""How long to wait for ingest, which looks at the registry every second, to notice new devices."""
LIVELY_RATE = 300.0
"""Messages per second at which a small city looks alive and a laptop stays cool."""
NAMES = ("seed", "boot")
PROGRESS_S, PROGRESS_IN_LOG_S = 2.0, 30.0
MOST_PEOPLE = 10_000_000

app = typer.Typer(
    help="The city as load: what a province would send, and a small city that sends it.", no_args_is_help=True
)

app.command("plan")(plan_command)


@app.command("run")
def run_command(
    folder: Folder = None,
    people: Annotated[
        int, typer.Option(help="People of the city, spread over the districts as the province's are.")
    ] = 2000,
    density: Density = 50.0,
    province: ProvinceName = "bac-giang",
    seed: Annotated[int, typer.Option(help="The same seed gives the same city.")] = 1,
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop after this many seconds; otherwise on Ctrl-C.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Divide all intervals by this, 1: as in the profiles; else about 300 messages/s."),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Messages per second; chooses --speed.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write every acknowledged message there: area,device,boot,seq,time,kind.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Serve /metrics, /healthz and /readyz on this loopback port.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Enrol a small seeded city and let it publish until it is stopped.

    2 % of the readings are minutes to hours late, 1 % of the messages are sent twice, 0.5 % are faulty, so that
    quarantine and counters have something to show.

    Example: dothi simulate run --dir .dothi --people 2000 --density 50 --for 60
    """
    with spoken_plainly():
        home = province_at(province)
        check_run(people, check_density(density), seconds, speed, rate)
        fleet = build(districts(home.zones, density, people=people, province=home), seed)
    stack = settings.stack_at(folder)
    brokers = brokers_of(stack)
    stop = stop_on_signals()
    enroll_fleet(stack.database, fleet, stop)
    with spoken_plainly():
        summary = publish(fleet, brokers, pace_of(fleet, speed, rate), seconds, record, stop, metrics_port)
    print_json(summary) if as_json else print_summary(summary)


def check_run(people: int, density: float, seconds: float | None, speed: float | None, rate: float | None) -> None:
    """Refuse what cannot be run, before anything is enrolled or sent."""
    if not 1 <= people <= MOST_PEOPLE:
        raise WrongUsage(f"--people {people}: allowed: 1 to {MOST_PEOPLE:,}")
    if round(people * density / 100) < 1:
        raise WrongUsage(f"--people {people} at --density {density:g} makes no device; raise either")
    if speed is not None and rate is not None:
        raise WrongUsage(f"--speed {speed:g} and --rate {rate:g}: give one of the two")
    for name, value, most in (("--for", seconds, 1e9), ("--speed", speed, 1e6), ("--rate", rate, 1e6)):
        if value is not None and not 0 < value <= most:
            raise WrongUsage(f"{name} {value:g}: allowed: above 0, up to {most:,.0f}")


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def enroll_fleet(url: str, fleet: Fleet, stop: threading.Event) -> None:
    """Make the fleet known; waits until ingest has noticed devices that are new."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="dothi simulate") as connection:
            result = enroll(connection, rows(fleet))
    except (psycopg.Error, ProfileChange) as error:
        raise Refused(f"the fleet cannot be enrolled: {str(error).strip().splitlines()[0]}") from None
    stderr.print(f"{len(fleet):,} devices enrolled ({result.new:,} new, {result.changed:,} changed)")
    if result.new or result.changed:
        stop.wait(KNOWN_WITHIN_S)


def brokers_of(stack: settings.Stack) -> list[Broker]:
    """The brokers of a stack with the areas each one serves."""
    entries = stack.document.get("brokers") or ([{"url": stack.broker, "areas": []}] if stack.broker else [])
    if not entries:
        raise WrongUsage("DOTHI_BROKER_URL is not set; allowed: mqtt://user:password@host:port")
    return [Broker(entry["url"], tuple(entry.get("areas") or ())) for entry in entries]


def pace_of(fleet: Fleet, speed: float | None, rate: float | None) -> float:
    """How many times shorter than in the profiles the intervals are: as asked, else fast enough to look alive."""
    natural = natural_rate(fleet)
    if rate is not None:
        return rate / natural
    return speed if speed is not None else max(1.0, LIVELY_RATE / natural)


def publish(
    fleet: Fleet,
    brokers: list[Broker],
    pace: float,
    seconds: float | None,
    record: Path | None,
    stop: threading.Event,
    metrics_port: int | None = None,
) -> dict[str, Any]:
    """Connect and let the city speak until its time is over or it is stopped; returns the summary."""
    boot, tally = int(time.time()), Tally()
    start = time.time() + LEAD_S
    city = City(fleet, start=start, boot=boot, speed=pace)
    stderr.print(f"{city.rate_per_s:,.1f} messages/s{told_pace(pace)}; Ctrl-C stops", highlight=False, soft_wrap=True)
    with pages(metrics_port, tally), recording(record, fleet) as spool:
        summary = drive(
            city,
            brokers,
            start=start,
            seconds=seconds,
            stop=stop,
            spool=spool,
            tally=tally,
            progress=print_progress,
            progress_s=PROGRESS_S if stderr.is_terminal else PROGRESS_IN_LOG_S,
        )
    return {"devices": len(fleet), "seed": fleet.seed, "boot": boot, "speed": round(pace, 3), **summary}


def told_pace(pace: float) -> str:
    """What the time lapse does, for the screen."""
    if pace == 1.0:
        return ""
    word, times = ("shorter", pace) if pace > 1 else ("longer", 1 / pace)
    return f" (time lapse: intervals {times:,.1f} times {word} than in the profiles)"


@contextmanager
def recording(path: Path | None, fleet: Fleet) -> Iterator[Spool | None]:
    """Write acknowledged messages as CSV; a time is that of the reading in ms since 1970."""
    if path is None:
        yield None
        return
    try:
        file = path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise WrongUsage(
            f"--record {path}: cannot be written ({error.strerror}); allowed: a file in a folder of yours"
        ) from None
    with file, TemporaryDirectory(dir=path.parent) as folder:
        with Spool(Path(folder) / "sent.spool") as spool:
            yield spool
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("area", "device", "boot", "seq", "time", "kind"))
        for rows in slices([spool.path]):
            writer.writerows(recorded(fleet, messages_of(rows[acknowledged(rows)])))


def recorded(fleet: Fleet, messages: Messages) -> Iterator[tuple[Any, ...]]:
    """Messages as the record names them."""
    areas = [fleet.areas[area] for area in fleet.area[messages.device].tolist()]
    kinds = zip(messages.kind.tolist(), messages.again.tolist(), strict=True)
    names = ["duplicate" if again else KINDS[kind].name.lower() for kind, again in kinds]
    numbers = (messages.boot.tolist(), messages.seq.tolist(), messages.time.tolist())
    return zip(areas, fleet.ids(messages.device.astype(np.int64)), *numbers, names, strict=True)


def print_progress(seconds: float, tally: Tally) -> None:
    """One line on stderr."""
    stderr.print(
        f"{seconds:,.0f} s  sent {tally.sent:,}  acknowledged {tally.acknowledged:,}  in flight {tally.in_flight:,}  "
        f"overdue {tally.overdue:,}  unsent {tally.unsent:,}",
        soft_wrap=True,
        highlight=False,
    )


def print_summary(summary: dict[str, Any]) -> None:
    """The summary as a table."""
    rows = [(name.replace("_", " "), f"{value:,}" if name not in NAMES else value) for name, value in summary.items()]
    print_table(("simulated city", "count"), rows)
