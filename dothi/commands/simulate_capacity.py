"""`dothi simulate capacity`: the highest rate that an installation sustains."""

import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from devices.family import FAMILIES
from dothi import settings
from dothi.commands.options import AsJson, Folder
from dothi.commands.simulate_options import Enroll, People, PerHundred, Preset, Seed, Settle
from dothi.commands.simulate_plan import Areas, MixFile, ProvinceName, spoken_plainly
from dothi.commands.simulate_run import stop_on_signals
from dothi.commands.storage_plan import measured_rows
from dothi.errors import WrongUsage
from dothi.load.enroll import enroll_fleet
from dothi.load.fleet import Asked, checked, fleet_of
from dothi.load.place import disk, machine_document
from dothi.load.progress import Progress, shown
from dothi.load.run import SETTLE_S
from dothi.load.send import Multiplexed, Sending, accounted
from dothi.load.sockets import brokers_of
from dothi.output import console, print_json, print_table, stderr
from dothi.settings import Stack
from dothi.storage_plan import family_bytes
from simulators.capacity import Range, Slo, Step, failure, figures_of, next_rate, sustained
from simulators.city import natural_rate
from simulators.fleet import Fleet, native_profile
from simulators.publish import Broker

WARM_SHARE, WARM_S = 0.25, 10.0
"""Of a step's length, and at most: what comes before the part that is judged."""
GB = 1e9
DAY_S = 86_400
SLO = Slo()
RANGE = Range()


def capacity_command(
    folder: Folder = None,
    people: People = None,
    density: PerHundred = None,
    province: ProvinceName = "bac-giang",
    preset: Preset = None,
    area: Areas = None,
    mix: MixFile = None,
    seed: Seed = 1,
    first: Annotated[float, typer.Option("--from", help="The rate to begin with, messages/s.")] = RANGE.first,
    most: Annotated[float, typer.Option("--to", help="The rate to end with, messages/s.")] = RANGE.most,
    step_s: Annotated[float, typer.Option("--step-s", help="Length of one try, s, after warming up.")] = 30.0,
    late_ms: Annotated[
        float, typer.Option("--slo-late-ms", help="99 % of the messages are sent so soon after they are due, ms.")
    ] = SLO.late_ms,
    lag_s: Annotated[
        float, typer.Option("--slo-lag-s", help="99 % of what is stored was received so soon after it was sent, s.")
    ] = SLO.lag_s,
    p99_ms: Annotated[
        float, typer.Option("--slo-p99-ms", help="99 % of the PUBACKs come so soon after the message, ms.")
    ] = SLO.p99_ms,
    enrolled: Enroll = True,
    settle_s: Settle = SETTLE_S,
    as_json: AsJson = False,
) -> None:
    """The highest rate that this installation sustains, and what it means in devices, bytes and days.

    The rate is doubled until a try fails twice, then the gap is halved to 5 %. Each try is a run of a city of its own
    that is warmed up, waited for, and set against the tables; what it stores stays there. Ctrl-C tells what is known.

    Example: dothi simulate capacity --dir .dothi --people 20000 --density 200 --step-s 30
    """
    with spoken_plainly():
        asked = checked(Asked(province, people, density, preset, area or (), mix, seed))
        check_search(
            first, most, step_s, (("--slo-late-ms", late_ms), ("--slo-lag-s", lag_s), ("--slo-p99-ms", p99_ms))
        )
        fleet = fleet_of(asked)
    stack = settings.stack_at(folder)
    brokers = brokers_of(stack)
    stop = stop_on_signals()
    if enrolled:
        enroll_fleet(stack, fleet, stop)
    search = Search(stack, brokers, fleet, step_s, settle_s, Slo(late_ms, lag_s, p99_ms), asked.document())
    with spoken_plainly(), shown() as progress:
        search.run(Range(first, most), stop, progress)
    document = search.document(folder)
    print_json(document) if as_json else print_capacity(document)
    if document["messages_per_s"] is None:
        raise typer.Exit(1)


def check_search(first: float, most: float, step_s: float, slo: tuple[tuple[str, float], ...]) -> None:
    """Refuse a search that cannot end, before anything is sent."""
    if not 1 <= first <= most <= 1e6:
        raise WrongUsage(f"--from {first:g} --to {most:g}: allowed: 1 to 1,000,000 messages/s, from at most to")
    if not 5 <= step_s <= DAY_S:
        raise WrongUsage(f"--step-s {step_s:g}: allowed: 5 to {DAY_S:,} s")
    for name, value in slo:
        if not 0 < value <= 1e6:
            raise WrongUsage(f"{name} {value:g}: allowed: above 0, up to 1,000,000")


class Search:
    """Tries one rate after the other and keeps what came of each."""

    def __init__(
        self,
        stack: Stack,
        brokers: list[Broker],
        fleet: Fleet,
        step_s: float,
        settle_s: float,
        slo: Slo,
        asked: dict[str, Any],
    ) -> None:
        self.stack, self.brokers, self.fleet, self.slo = stack, brokers, fleet, slo
        self.steps: list[Step] = []
        self.told: list[dict[str, Any]] = []
        self.complete = False
        self._step_s, self._settle_s, self._asked = step_s, settle_s, asked

    def run(self, within: Range, stop: threading.Event, progress: Progress) -> None:
        """Until the answer is known or `stop` is set; a step that was cut short counts for nothing."""
        while (rate := next_rate(self.steps, within)) is not None and not stop.is_set():
            stderr.print(f"trying {rate:,.0f} messages/s", highlight=False)
            found = figures_of(
                accounted(self.stack, Multiplexed(self.brokers), self._sending(rate), None, stop, progress)
            )
            if stop.is_set():
                return
            step = Step(rate, failure(found, self.slo))
            self.steps.append(step)
            self.told.append({"messages_per_s": round(rate, 1), "failure": step.failure, **found._asdict()})
            stderr.print(f"{rate:,.0f} messages/s: {step.failure or 'sustained'}", highlight=False)
        self.complete = not stop.is_set()

    def document(self, folder: Path | None) -> dict[str, Any]:
        """What is known, and what it means."""
        rate = sustained(self.steps)
        found = {
            "complete": self.complete,
            "messages_per_s": None if rate is None else round(rate, 1),
            "slo": self.slo._asdict(),
            "step_s": self._step_s,
            "city": self._asked | {"devices": len(self.fleet)},
            "steps": self.told,
            "machine": machine_document(self.stack.folder or Path()),
        }
        return found | (meaning(self.fleet, rate, folder, self.stack) if rate else {})

    def _sending(self, rate: float) -> Sending:
        warm = min(WARM_S, WARM_SHARE * self._step_s)
        return Sending(
            self.fleet,
            rate / natural_rate(self.fleet),
            self._step_s + warm,
            self._asked | {"sender": "multiplexed"},
            self._settle_s,
            warm_s=warm,
        )


def meaning(fleet: Fleet, rate: float, folder: Path | None, stack: Stack) -> dict[str, Any]:
    """A rate in devices of this city's mix, in bytes a day with rollups, and in days on the stack's disk."""
    interval = len(fleet) / natural_rate(fleet)
    devices = round(rate * interval)
    measured = measured_rows(folder)
    stored = 0.0
    for family, count in fleet.count_by_family().items():
        share = round(count * devices / len(fleet))
        found = family_bytes(FAMILIES[family], share, native_profile(family).interval_s, measured[family])
        stored += found.readings + found.rollup_1h + found.rollup_1d
    free = disk(stack.folder or Path())["free_bytes"]
    return {
        "devices": devices,
        "interval_s": round(interval, 1),
        "bytes_per_day": round(stored),
        "disk_free_bytes": free,
        "days_on_disk": round(free / stored, 2) if stored else None,
    }


def sentence(document: dict[str, Any]) -> str:
    """The answer as it may be quoted."""
    if document["messages_per_s"] is None:
        return "nothing was sustained that was tried"
    begin = "this machine sustains" if document["complete"] else "so far, this machine sustains at least"
    return (
        f"{begin} {document['messages_per_s']:,.0f} messages/s = {document['devices']:,} devices at "
        f"{document['interval_s']:g} s, {document['bytes_per_day'] / GB:,.1f} GB/day, "
        f"{document['days_on_disk']:,.1f} days on this disk"
    )


def print_capacity(document: dict[str, Any]) -> None:
    """Every try, and the sentence."""
    rows = [
        (
            f"{step['messages_per_s']:,.0f}",
            f"{step['sent']:,}",
            *map(seconds, (step["late"], step["answer"], step["received"])),
            step["failure"] or "sustained",
        )
        for step in document["steps"]
    ]
    print_table(("messages/s", "sent", "late p99, s", "PUBACK p99, s", "lag p99, s", "verdict"), rows)
    console.print(sentence(document), soft_wrap=True, highlight=False, style="bold")


def seconds(value: float | None) -> str | None:
    """A delay with three digits."""
    return None if value is None else f"{value:.3g}"
