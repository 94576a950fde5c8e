"""`dothi simulate run` and `report`: a seeded city that sends, and what became of every message."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from dothi import settings
from dothi.commands.options import AsJson, Folder
from dothi.commands.simulate_options import Enroll, People, PerHundred, Preset, Seed, Settle
from dothi.commands.simulate_plan import Areas, MixFile, ProvinceName, spoken_plainly
from dothi.errors import WrongUsage
from dothi.load.enroll import enroll_fleet
from dothi.load.fleet import Asked, checked, fleet_of
from dothi.load.progress import Progress, shown
from dothi.load.record import check_record
from dothi.load.report import checked_folder, read, write
from dothi.load.run import SETTLE_S
from dothi.load.screen import print_report
from dothi.load.send import Multiplexed, Sending, Way, accounted, brief, plain
from dothi.load.sockets import Asked as WayAsked
from dothi.load.sockets import brokers_of, check_multiplexed, checked_processes, connected
from dothi.output import print_json, print_table
from simulators.city import members_of, natural_rate
from simulators.fleet import Fleet
from simulators.shard import shard_of

LIVELY_RATE = 300.0
"""Messages per second at which a small city looks alive and a laptop stays cool."""
NAMES = ("seed", "boot")
MOST_SETTLE_S = 86_400.0


def run_command(
    folder: Folder = None,
    people: People = None,
    density: PerHundred = None,
    province: ProvinceName = "bac-giang",
    preset: Preset = None,
    area: Areas = None,
    mix: MixFile = None,
    seed: Seed = 1,
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop after this many seconds; otherwise on Ctrl-C.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Divide all intervals by this, 1: as in the profiles; else about 300 messages/s."),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Messages per second; chooses --speed.")] = None,
    shard: Annotated[
        str, typer.Option(help="One of several disjoint parts, as 2/8: the others run on other machines.")
    ] = "1/1",
    scenario: Annotated[
        list[str] | None,
        typer.Option(help="What happens meanwhile: a name of `simulate scenarios`, or a YAML file; repeatable."),
    ] = None,
    sockets: Annotated[
        bool, typer.Option("--sockets", help="A connection of its own for each device, with a new token for each.")
    ] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Over TLS; together with --sockets.")] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Deal the connections of --sockets to so many; else as the machine bears it."
        ),
    ] = None,
    enrolled: Enroll = True,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.json and report.html, which needs no network.")
    ] = None,
    account: Annotated[
        bool,
        typer.Option(
            "--account/--no-account",
            help="Look for every message in the database afterwards; keeps 43 bytes a message on disk until then.",
        ),
    ] = True,
    settle_s: Settle = SETTLE_S,
    record: Annotated[
        Path | None, typer.Option(help="Write every acknowledged message there: area,device,boot,seq,time,kind.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Serve /metrics, /healthz and /readyz on this loopback port.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a seeded city publish until it is stopped, then look for every message in the database.

    2 % of the readings are minutes to hours late, 1 % of the messages are sent twice, 0.5 % are faulty, so that
    quarantine and counters have something to show. Exit code 1 when a message that a broker acknowledged is neither
    stored nor quarantined nor a duplicate; the first of them are named.

    Example: dothi simulate run --dir .dothi --people 2000 --density 50 --for 60 --report out
    """
    with spoken_plainly():
        asked = checked(Asked(province, people, density, preset, area or (), mix, seed))
        check_pace(seconds, speed, rate)
        check_account(account, report, settle_s)
        way_asked = WayAsked(sockets, tls, processes).checked()
        part = shard_of(shard)
        fleet = fleet_of(asked)
        told = asked.document() | {"sender": way_asked.document(), "scenarios": scenario or []}
        sending = Sending(
            fleet=fleet,
            pace=pace_of(fleet, speed, rate),
            seconds=seconds,
            asked=told,
            settle_s=settle_s,
            record=record,
            metrics_port=metrics_port,
            shard=part,
            scenarios=scenario or (),
        )
        sending.scenario(time.time())  # refuses what cannot be played, before anything is sent
    if record:
        check_record(record)
    out = checked_folder(report) if report else None
    stack = settings.stack_at(folder)
    stop = stop_on_signals()
    with (
        spoken_plainly(),
        shown() as progress,
        way_of(stack, sending, enrolled, way_asked, stop, progress) as way,
    ):
        if account:
            document = accounted(stack, way, sending, out, stop, progress)
        else:
            document = {"sending": plain(stack, way, sending, stop, progress)}
    tell(document, out, as_json)


@contextmanager
def way_of(
    stack: settings.Stack,
    sending: Sending,
    enrolled: bool,
    asked: WayAsked,
    stop: threading.Event,
    progress: Progress,
) -> Iterator[Way]:
    """The way to the brokers while the block runs, with all it needs: devices that are known, connections of theirs."""
    brokers, processes = brokers_of(stack, asked.tls), 0
    if asked.sockets:
        members = members_of(sending.fleet, sending.shard)
        processes = checked_processes(stack, sending.fleet, members, brokers, asked)
    else:
        check_multiplexed(brokers, sending.fleet)
    if enrolled:
        enroll_fleet(stack, sending.fleet, stop)
    if asked.sockets:
        with connected(stack, sending, brokers, processes, asked.tls, stop, progress) as way:
            yield way
    else:
        yield Multiplexed(brokers)


def tell(document: dict[str, Any], out: Path | None, as_json: bool) -> None:
    """Print what a run gave; exit code 1 when something acknowledged is missing."""
    account = document.get("conservation")
    if as_json:
        print_json(brief(document))
    elif account:
        print_report(document, out)
    else:
        print_summary(document["sending"])
    if account and account["missing"]:
        raise typer.Exit(1)


def report_command(
    folder: Annotated[Path, typer.Argument(help="The folder that --report named.")], as_json: AsJson = False
) -> None:
    """Draw the report of a run again, from its report.json.

    Example: dothi simulate report out
    """
    document = read(folder)
    if as_json:
        print_json(document)
        return
    write(checked_folder(folder), document)
    print_report(document, folder)


def check_account(account: bool, report: Path | None, settle_s: float) -> None:
    """Refuse a report without what it is about, and waiting that is none."""
    if report and not account:
        raise WrongUsage(f"--report {report} and --no-account: a report is about the account; leave one of them out")
    if not 0 <= settle_s <= MOST_SETTLE_S:
        raise WrongUsage(f"--settle-s {settle_s:g}: allowed: 0 to {MOST_SETTLE_S:,.0f} s")


def check_pace(seconds: float | None, speed: float | None, rate: float | None) -> None:
    """Refuse a pace that cannot be kept, before anything is enrolled or sent."""
    if speed is not None and rate is not None:
        raise WrongUsage(f"--speed {speed:g} and --rate {rate:g}: give one of the two")
    for name, value, most in (("--for", seconds, 1e9), ("--speed", speed, 1e6), ("--rate", rate, 1e6)):
        if value is not None and not 0 < value <= most:
            raise WrongUsage(f"{name} {value:g}: allowed: above 0, up to {most:,.0f}")


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set; a second one ends the program, account or not."""
    stop = threading.Event()

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop


def pace_of(fleet: Fleet, speed: float | None, rate: float | None) -> float:
    """How many times shorter than in the profiles the intervals are: as asked, else fast enough to look alive."""
    natural = natural_rate(fleet)
    if rate is not None:
        return rate / natural
    return speed if speed is not None else max(1.0, LIVELY_RATE / natural)


def print_summary(summary: dict[str, Any]) -> None:
    """The summary as a table."""
    rows = [(name.replace("_", " "), value if name in NAMES else in_words(value)) for name, value in summary.items()]
    print_table(("simulated city", "count"), rows)


def in_words(value: Any) -> str:
    """A number, or how many for each reason.

    >>> in_words(12000), in_words({"not authorised": 3, "no answer": 1}), in_words({})
    ('12,000', '3 not authorised, 1 no answer', '0')
    """
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {reason}" for reason, count in value.items()) or "0"
    return f"{value:,}"
