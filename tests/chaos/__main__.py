"""Break a stack again and again under load and count what was promised and is missing.

make chaos N=300
python -m tests.chaos --kills 300 --minutes 60      the report lies beside the file that is named at the start
python -m tests.chaos --kills 300 --resume FILE     go on where a run has ended
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path

from tests.chaos.report import page, summary
from tests.chaos.run import Asked, Row, Run, rows_in


def arguments_of(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="stop after so many kills")
    parser.add_argument("--minutes", type=float, default=120, help="or after so many minutes")
    parser.add_argument("--seed", type=int, help="the same seed publishes and breaks the same; without one, any")
    parser.add_argument("--rate", type=float, default=6000, help="messages per second")
    parser.add_argument("--resume", type=Path, help="file of an earlier run to go on with")
    parser.add_argument("--only", choices=("clocks", "small disk", "ordinary"), default="", help="one kind of stand")
    parser.add_argument("--merge", type=Path, nargs="+", help="run nothing, report on these files together")
    parser.add_argument("--report", type=Path, help="where the report goes, as .md and .json")
    return parser.parse_args(given)


def asked_by(arguments: argparse.Namespace) -> Asked:
    """What the command line asks for; a run that goes on keeps its seed."""
    earlier = rows_in(arguments.resume) if arguments.resume else []
    seed = arguments.seed or (earlier[0]["run_seed"] if earlier else time.time_ns() // 1_000_000 % 1_000_000)
    file = arguments.resume or Path(f"bench/chaos-{seed}.jsonl")
    file.parent.mkdir(parents=True, exist_ok=True)
    return Asked(file, seed, arguments.kills, arguments.minutes, arguments.rate, arguments.only)


def write_report(rows: list[Row], name: Path) -> str:
    """NAME.json and NAME.md; returns the page."""
    found = summary(rows)
    text = page(found)
    name.parent.mkdir(parents=True, exist_ok=True)
    name.with_suffix(".json").write_text(json.dumps({**found, "by_round": rows}, indent=1) + "\n")
    name.with_suffix(".md").write_text(text)
    return text


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)  # noqa: T201


def main() -> int:
    """Run, or only report. 1 when a promise was broken."""
    arguments = arguments_of()
    if arguments.merge:
        rows = [one for file in arguments.merge for one in rows_in(file)]
        say(write_report(rows, arguments.report or Path("bench/chaos")))
        return int(any(one["complaints"] for one in rows))
    asked = asked_by(arguments)
    say(f"seed {asked.seed}; to go on with this run: --resume {asked.file}")
    run = Run(asked, say)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(run.play_all())
    finally:
        if run.rows:
            say(write_report(run.rows, arguments.report or asked.file))
        for folder in run.failed_in:
            say(f"logs of what went wrong: {folder}")
    return int(any(one["complaints"] for one in run.rows))


if __name__ == "__main__":
    sys.exit(main())
