"""A province of 2.8 million devices with a hundred million readings in its last day, and what is asked of it.

    python -m tests.bench.day load --folder DIR        fills a stack of its own; goes on where it was
    python -m tests.bench.day ask --folder DIR         asks it, while 20,000 messages/s come in; bench/day.json
    python -m tests.bench.day ask --folder DIR --rate 0 --times 50
    python -m tests.bench.day ask --folder DIR --boards 20                then every query of every board as well

Loading goes through ingest's writer, minute after minute of the city, sorted by receipt; one device in eleven sends as
often as its profile says, the others four times a day; two metrics of a family are sent. Chunks are as long as the
keeper makes them at 20,000/s. Rollups are filled by a statement for each family (`day_rollups`); newest values are made
by the analyst, from the readings, when the stack is started first. The folder stays, and can be used as any other:
`dothi up --dir DIR`.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import time
from pathlib import Path

from dashboards.preview.database import Database
from dothi.load.fleet import fleet_of
from dothi.settings import stack_at
from tests.bench.day_ask import ask_all, document, questions, told
from tests.bench.day_fill import CITY, load, say
from tests.bench.day_rollups import fill
from tests.bench.day_stack import caught_up, hand_over, sent_to, started, stored_per_s
from tests.bench.panels import asked_by, measure, plan, table, wants
from tests.bench.storage import database_in
from tests.dashboard_questions import boards

READINGS = 100_000_000
WARM_S = 30.0
LIMIT_MS = 300.0


def main() -> None:
    """Load, or ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("load")
    one.add_argument("--ahead-s", type=float, default=3600.0, help="the day ends so long after the loading began")
    one.add_argument("--pause", type=Path, help="wait while this file exists")
    one.add_argument("--keep-free", type=float, default=8.0, help="GB that are left on the disk")
    other = commands.add_parser("ask")
    other.add_argument("--rate", type=float, default=20_000.0, help="messages/s meanwhile; 0: none")
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
        with sent_to(folder, arguments.rate):
            time.sleep(WARM_S if arguments.rate else 0)
            found = ask_all(stack.reader, some, arguments.times, say)
            say(f"asked; load {os.getloadavg()[0]:.1f}, {stored_per_s(stack.database):,.0f} readings/s stored")
            shown = of_boards(stack.reader, arguments.boards, arguments.slowest) if arguments.boards else ""
            say(f"load {os.getloadavg()[0]:.1f}, {stored_per_s(stack.database):,.0f} readings/s stored")
    beside = {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg(), "rate": arguments.rate}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(document(found, beside))
    sys.stdout.write("\n".join([*told(found), "", shown]) + "\n")
    return all("failed" not in one and (not one["aim_ms"] or one["p95"] < one["aim_ms"]) for one in found.values())


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
