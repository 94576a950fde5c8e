"""A run: rounds until so many kills or so much time. Each is written down when it is over, so a run can go on later."""

import asyncio
import json
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.decks import clock_plan, disk_plan, plan_of
from tests.chaos.rounds import Plan, Round, play
from tests.chaos.stand import Stand
from tests.chaos.stands import Impossible, ordinary, small_disk, with_clocks

Row = dict[str, Any]
Say = Callable[[str], None]
EXTRA_EVERY = 100  # kills for each round on the special stands


class Asked(NamedTuple):
    """What a run shall do: so many kills, but no longer than so many minutes; rounds go to `file`."""

    file: Path
    seed: int
    kills: int
    minutes: float
    rate: float
    only: str = ""


class Stage(NamedTuple):
    """Rounds on one kind of stand: until enough kills, or so many rounds."""

    name: str
    stand: Callable[[Path], AbstractAsyncContextManager[Stand]]
    plan: Callable[[int, int, float], Plan]
    rounds: int | None = None


def stages(kills_wanted: int) -> list[Stage]:
    """The ordinary stand carries the kills; the others run a few rounds each."""
    few = max(1, kills_wanted // EXTRA_EVERY)
    return [
        Stage("clocks", with_clocks, clock_plan, few),
        Stage("small disk", small_disk, disk_plan, few),
        Stage("ordinary", ordinary, plan_of),
    ]


def row(done: Round, stage: str) -> Row:
    """A round as it is written down."""
    return {
        "stand": stage,
        "round": done.plan.number,
        "seed": done.plan.seed,
        "per_s": done.plan.per_s,
        "broker_dies": done.plan.broker_dies,
        "messages": done.messages,
        "seconds": done.seconds,
        "faults": [
            {
                "fault": one.fault,
                "kills": one.kills,
                "at_s": one.at_s,
                "first_commit_s": one.recovery.first_commit_s,
                "lag_below_1_s": one.recovery.lag_below_1_s,
            }
            for one in done.happened
        ],
        "verdict": done.verdict._asdict(),
        "balance": {**done.balance._asdict(), "closes": done.balance.closes},
        "platform_acknowledges": done.platform_acknowledges,
        "complaints": done.complaints,
    }


def rows_in(file: Path) -> list[Row]:
    """Rounds of a run's file; a last line that was cut short by a kill is left out."""
    rows = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def kills(rows: list[Row]) -> int:
    """Processes killed so far."""
    return sum(fault["kills"] for one in rows for fault in one["faults"])


class Run:
    """What was asked for, and what has been done of it."""

    def __init__(self, asked: Asked, say: Say) -> None:
        self.rows = rows_in(asked.file)
        self.failed_in: list[Path] = []
        self._asked = asked
        self._say = say
        self._until = time.monotonic() + asked.minutes * 60

    async def play_all(self) -> None:
        """All stages; Ctrl-C and SIGTERM end the run in order, with what is done written down."""
        me = asyncio.current_task()
        assert me is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, me.cancel)
        for stage in stages(self._asked.kills):
            if self._asked.only in ("", stage.name):
                await self._stage(stage)

    async def _stage(self, stage: Stage) -> None:
        coming = iter(self._plans(stage))
        first = next(coming, None)
        if first is None:
            return
        try:
            async with self._folder(stage) as folder, stage.stand(folder) as stand:
                await self._round(stage, stand, first)
                for plan in coming:
                    await self._round(stage, stand, plan)
        except Impossible as error:
            self._say(f"skipped, {stage.name}: {error}")

    @asynccontextmanager
    async def _folder(self, stage: Stage) -> AsyncIterator[Path]:
        """A folder that others may enter; it stays, for its logs, when something in it went wrong."""
        path = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="chaos-"))
        await asyncio.to_thread(path.chmod, 0o755)
        good = False
        try:
            yield path
            good = not any(one["complaints"] for one in self._of(stage))
        except (Impossible, asyncio.CancelledError):
            good = not any(one["complaints"] for one in self._of(stage))
            raise
        finally:
            if good:
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            else:
                self.failed_in.append(path)

    async def _round(self, stage: Stage, stand: Stand, plan: Plan) -> None:
        done = {"run_seed": self._asked.seed, **row(await play(stand, plan), stage.name)}
        self.rows.append(done)
        with self._asked.file.open("a") as file:
            file.write(json.dumps(done) + "\n")
        self._say(line_of(done, kills(self.rows), self._asked.kills))

    def _of(self, stage: Stage) -> list[Row]:
        return [one for one in self.rows if one["stand"] == stage.name]

    def _plans(self, stage: Stage) -> Iterator[Plan]:
        """The rounds of a stage that are still to come, while there is time."""
        number = max((one["round"] for one in self._of(stage)), default=-1) + 1
        while time.monotonic() < self._until and (
            number < stage.rounds if stage.rounds is not None else kills(self.rows) < self._asked.kills
        ):
            yield stage.plan(self._asked.seed, number, self._asked.rate)
            number += 1


def line_of(done: Row, so_far: int, wanted: int) -> str:
    """One round in one line."""
    longest = max((fault["lag_below_1_s"] or 99 for fault in done["faults"]), default=0)
    verdict = done["verdict"]
    return (
        f"{done['stand']} round {done['round']}: {so_far}/{wanted} kills, {done['messages']:,} messages in "
        f"{done['seconds']:.0f} s, broker {verdict['readings_by_broker']:,} lost {verdict['lost_by_broker']}"
        f"{' (broker killed)' if done['broker_dies'] else ''}, platform {verdict['readings_by_platform']:,} "
        f"lost {verdict['lost_by_platform']}, longest recovery {longest:.1f} s"
        + (f"; SEED {done['seed']}: {'; '.join(done['complaints'])}" if done["complaints"] else "")
    )
