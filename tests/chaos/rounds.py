"""One round: a fresh fleet, a load, faults one after another, silence, and the count."""

import asyncio
import random
import time
from typing import NamedTuple

from devices.area import ZONES
from tests.chaos.checker import Balance, Verdict, balance, fetch, judge
from tests.chaos.generator import fleet
from tests.chaos.nemesis import FAULTS
from tests.chaos.publisher import Line
from tests.chaos.record import Track
from tests.chaos.recovery import Recovery, Watch
from tests.chaos.stand import Stand

AREAS = [zone.code for zone in ZONES[:4]]  # dealt to the workers one by one
SETTLE_S = 60.0


class Plan(NamedTuple):
    """What a round does; the same plan publishes the same messages. `per_s`: messages per second of all areas."""

    number: int
    seed: int
    faults: tuple[str, ...]
    per_s: float
    per_family: int = 6
    clocks: bool = False  # clocks jump: readings may rightly be quarantined as from the future

    @property
    def broker_dies(self) -> bool:
        """Whether the broker's memory is lost, and with it what only the broker has acknowledged."""
        return any(FAULTS[name].broker for name in self.faults)


class Happened(NamedTuple):
    """One fault and what followed."""

    fault: str
    kills: int
    at_s: float
    recovery: Recovery
    trouble: str | None = None


class Round(NamedTuple):
    """A round's result."""

    plan: Plan
    happened: list[Happened]
    messages: int
    verdict: Verdict
    balance: Balance
    platform_acknowledges: bool
    seconds: float

    @property
    def complaints(self) -> list[str]:
        """What breaks a promise; empty when all is kept."""
        v, plan = self.verdict, self.plan
        wrong = {
            "acknowledged by the platform and lost": v.lost_by_platform,
            "acknowledged by the broker and lost": 0 if plan.broker_dies else v.lost_by_broker,
            "bad messages acknowledged and not in quarantine": 0 if plan.broker_dies else v.extras_lost,
            "never settled by the platform": v.unsettled if self.platform_acknowledges else 0,
            "stored but never published": v.invented,
            "stored with other values": v.altered,
            "stored twice": v.doubled,
            "quarantined without cause": 0 if plan.clocks else v.wrongly_quarantined,
        }
        said = [f"{count} {what}" for what, count in wrong.items() if count]
        if not self.platform_acknowledges:
            said.append("the platform acknowledged nothing")
        if not self.balance.closes:
            said.append(f"the ledger does not balance: {self.balance}")
        said += [f"{one.fault}: {one.trouble}" for one in self.happened if one.trouble]
        said += [f"{one.fault}: not recovered" for one in self.happened if not one.trouble and one.recovery[1] is None]
        return said


async def play(stand: Stand, plan: Plan) -> Round:
    """Run one round on a running stack."""
    began = time.monotonic()
    prefix = f"c{plan.number}"
    start_ms = int(time.time() * 1000) - 60_000
    devices = fleet(prefix, AREAS, plan.per_family, plan.seed, start_ms, conflicts=not plan.broker_dies)
    numbers = await stand.enroll(devices)
    tracks = [Track(device) for device in devices]
    lines = [line_of(stand, prefix, area, tracks, plan) for area in AREAS]
    watch = Watch(stand, lines, numbers)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(line.run()) for line in lines] + [tasks.create_task(watch.run())]
        happened = await inject_all(stand, plan, watch)
        await quiesce(lines, tracks, watch)
        for task in running:
            task.cancel()
    verdict, sums = await counted(stand, plan, tracks, numbers, prefix)
    return Round(
        plan,
        happened,
        sum(track.published + len(track.extras) for track in tracks),
        verdict,
        sums,
        any(track.settled >= 0 for track in tracks),
        round(time.monotonic() - began, 1),
    )


def line_of(stand: Stand, prefix: str, area: str, tracks: list[Track], plan: Plan) -> Line:
    """The connection of one area; its first device, of air quality, is the probe."""
    own = [track for track in tracks if track.device.area == area]
    return Line(stand.document["broker"], area, own, plan.per_s / len(AREAS), f"chaos-{prefix}-{area}")


async def inject_all(stand: Stand, plan: Plan, watch: Watch) -> list[Happened]:
    """Faults one after another, each when the one before is over."""
    chance = random.Random(plan.seed)  # noqa: S311 - the same faults for the same seed
    began = time.monotonic()
    await watch.recovered(began)
    happened = []
    for name in plan.faults:
        await asyncio.sleep(chance.uniform(0.3, 1.2))
        at_s = round(time.monotonic() - began, 2)
        trouble = None
        try:
            since = await FAULTS[name].inject(stand, chance)
            recovery = await watch.recovered(since)
        except AssertionError as error:
            trouble, recovery = str(error), Recovery(None, None)
        happened.append(Happened(name, FAULTS[name].kills, at_s, recovery, trouble))
    return happened


async def quiesce(lines: list[Line], tracks: list[Track], watch: Watch) -> None:
    """No new messages; wait until the broker has all, the newest probe is stored and the platform has said its word."""
    for line in lines:
        line.stop_sending()
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        if all(line.quiet and watch.stored[line.area] >= len(line.sent) - 1 for line in lines) and settled(tracks):
            return
        await asyncio.sleep(0.1)


def settled(tracks: list[Track]) -> bool:
    """Whether the platform has acknowledged all it was asked to, if it acknowledges at all."""
    asking = [track for track in tracks if track.device.asks and track.published]
    return not any(track.settled >= 0 for track in asking) or not any(track.unsettled for track in asking)


async def counted(
    stand: Stand, plan: Plan, tracks: list[Track], numbers: dict[str, int], prefix: str
) -> tuple[Verdict, Balance]:
    """The set differences; once more after a while when something is missing, as it may still be on its way."""
    for last in (False, False, True):
        verdict = judge(tracks, *await asyncio.to_thread(fetch, stand.document["database"], tracks, numbers, prefix))
        sums = await asyncio.to_thread(balance, stand.document["database"])
        missing = verdict.lost_by_platform + (0 if plan.broker_dies else verdict.lost_by_broker + verdict.extras_lost)
        if last or (not missing and sums.closes):
            break
        await asyncio.sleep(4)
    return verdict, sums
