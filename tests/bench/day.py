"""A province of 2.8 million devices with a hundred million readings in its last day, and what is asked of it.

    python -m tests.bench.day load --folder DIR        fills a stack of its own; goes on where it was
    python -m tests.bench.day ask --folder DIR         asks it, while 20,000 messages/s are stored; bench/day.json
    python -m tests.bench.day ask --folder DIR --rate 0 --times 50
    python -m tests.bench.day ask --folder DIR --boards 20                then every query of every board as well

Loading goes through ingest's writer, minute after minute of the city, sorted by receipt; one device in eleven sends as
often as its profile says, the others four times a day; two metrics of a family are sent. Chunks are as long as the
keeper makes them at 20,000/s. Rollups are filled by a statement for each family (`day_rollups`); newest values are made
by the analyst, from the readings, when the stack is started first. The folder stays, and can be used as any other:
`dothi up --dir DIR`.

It is asked when the analyst has caught up, nearly all that comes in is from devices that were heard, and as much is
stored as is sent. How much was stored meanwhile is printed with the answers; where it was less, the run has failed.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dashboards.preview.database import Database
from dothi.load.fleet import fleet_of
from dothi.settings import stack_at
from tests.bench.day_ask import ask_all, document, questions, told
from tests.bench.day_fill import CITY, load, say
from tests.bench.day_pace import ENOUGH, Pace, heard_after_s, last_day
from tests.bench.day_rollups import fill
from tests.bench.day_stack import caught_up, hand_over, sent_to, started
from tests.bench.panels import asked_by, measure, plan, table, wants
from tests.bench.storage import database_in
from tests.dashboard_questions import boards

READINGS = 100_000_000
LIMIT_MS = 300.0


def main() -> None:
    """Load, or ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("load")
    one.add_argument("--ahead-s", type=float, default=3600.0, help="the day ends so long after the loading began")
    one.add_argument("--pause", type=Path, help="wait while this file exists")
    one.add_argument("--keep-free", type=float, default=8.0, help="GB that are left on the disk")
    one.add_argument("--no-rollups", dest="rollups", action="store_false", help="what is asked of hours finds nothing")
    other = commands.add_parser("ask")
    other.add_argument("--rate", type=float, default=20_000.0, help="messages/s meanwhile; 0: none")
    other.add_argument("--warm-s", type=float, help="asked so long after sending began; else when devices were heard")
    other.add_argument("--running", action="store_true", help="the stack runs already, and goes on running")
    other.add_argument("--times", type=int, default=200, help="each question; 0: only let the analyst catch up")
    other.add_argument("--boards", type=int, default=0, help="then every query of every board so many times")
    other.add_argument("--slowest", type=int, default=3, help="so many plans of boards' queries are printed")
    other.add_argument("--wait", type=Path, help="begin when this file exists")
    other.add_argument("--out", type=Path, default=Path("bench/day.json"))
    for command in (one, other):
        command.add_argument("--folder", type=Path, required=True)
        command.add_argument("--readings", type=int, default=READINGS)
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    done = loaded(arguments) if arguments.command == "load" else asked(arguments)
    sys.exit(0 if done else 1)


def loaded(arguments: argparse.Namespace) -> bool:
    """Whether the whole day is there now."""
    folder = arguments.folder.absolute()
    folder.mkdir(exist_ok=True)
    with database_in(folder) as stack:
        assert stack.database is not None
        owner, free = stack.database.owner, int(arguments.keep_free * 1e9)
        urls = owner, stack.database.writer
        done = load(urls, folder, arguments.readings, arguments.ahead_s, arguments.pause, free)
        if done:
            hand_over(owner)
            if arguments.rollups:
                fill(owner)
    return done


def asked(arguments: argparse.Namespace) -> bool:
    """Whether what is promised was kept."""
    folder = arguments.folder.absolute()
    with contextlib.nullcontext(stack_at(folder)) if arguments.running else started(folder) as stack:
        done = caught_up(stack)
        say("caught up" if done else "still behind")
        if not arguments.times:
            return done
        some = questions(fleet_of(CITY), arguments.readings)
        while arguments.wait and not arguments.wait.exists():
            time.sleep(1.0)
        with sent_to(folder, arguments.rate), contextlib.closing(Pace(stack.database)) as pace:
            steady = not arguments.rate or settled(pace, arguments)
            since = len(pace.looks)
            found = ask_all(stack.reader, some, arguments.times, say)
            beside = surroundings(stack.database, arguments.rate, steady, pace.document(since))
            say(f"asked; {beside}")
            shown = of_boards(stack.reader, arguments.boards, arguments.slowest) if arguments.boards else ""
            say(f"load {os.getloadavg()[0]:.1f}; {pace.document(since)}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(document(found, beside))
    sys.stdout.write("\n".join([*told(found), "", told_beside(beside), shown]) + "\n")
    return done and stored(beside) and all(kept(one) for one in found.values())


def settled(pace: Pace, arguments: argparse.Namespace) -> bool:
    """Wait until devices were heard and what is sent is stored; whether it is."""
    warm_s = heard_after_s(fleet_of(CITY), arguments.rate) if arguments.warm_s is None else arguments.warm_s
    say(f"{arguments.rate:,.0f} messages/s are sent; {warm_s:.0f} s until nearly all devices were heard")
    time.sleep(warm_s)
    return pace.steady(arguments.rate)


def surroundings(database: str, rate: float, steady: bool, meanwhile: dict[str, Any]) -> dict[str, Any]:
    """What else there was while it was asked."""
    return {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load": os.getloadavg(),
        "rate": rate,
        "steady_before": steady,
        "meanwhile": meanwhile,
        "readings_of_24_h": last_day(database),
    }


def told_beside(beside: dict[str, Any]) -> str:
    """The same as a line."""
    meanwhile = beside["meanwhile"]
    shares = "; ".join(f"{name}: {value}" for name, value in meanwhile.items())
    return f"{beside['readings_of_24_h']:,} readings of 24 hours; {beside['rate']:,.0f}/s sent; {shares}"


def stored(beside: dict[str, Any]) -> bool:
    """Whether as much was stored as was sent."""
    rates = beside["meanwhile"].get("readings_per_s", {"p50": 0.0})
    return bool(rates["p50"] >= ENOUGH * beside["rate"])


def kept(one: dict[str, Any]) -> bool:
    """Whether a question was answered as soon as is promised."""
    return "failed" not in one and (not one["aim_ms"] or one["p95"] < one["aim_ms"])


def of_boards(reader: str, runs: int, slowest: int) -> str:
    """What every query of every board takes, as a table, and the plans of the slowest."""
    with contextlib.closing(Database(reader)) as database:
        chosen = [board for uid, board in boards().items() if wants(uid, [], english=False)]
        found = measure(database, asked_by(chosen, database, {}), runs)
        first = [one.question for one in found if one.error is None][:slowest]
        return "\n\n".join([table(found, LIMIT_MS), *(f"{one.where}\n{plan(database, one)}" for one in first)])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
