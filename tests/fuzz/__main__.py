"""Fuzz all targets side by side for a bounded time: python -m tests.fuzz [--seconds 600] [--target NAME] [--jobs N].

Exits 1 when something was found; the input is then kept in tests/fuzz/findings, where the quick tests replay it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from dothi.output import print_table
from tests.fuzz.targets import FOLDER, TARGETS

SLOW_S = 10
MEMORY_MB = 2_048


class Ended(NamedTuple):
    """How the fuzzing of one target ended. `findings`: files that were written; `said`: the end of what it said."""

    target: str
    seconds: int
    executions: int
    covered: int
    inputs: int
    findings: list[Path]
    said: str


def fuzz(target: str, seconds: int, work: Path) -> Ended:
    """One target for so many seconds, or until something is found."""
    grown, seeds, findings = work / target, FOLDER / "corpus" / target, FOLDER / "findings" / target
    for folder in (grown, seeds, findings):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = [
        *(sys.executable, "-m", "tests.fuzz.one", target, str(grown), str(seeds)),
        *(f"-max_total_time={seconds}", f"-timeout={SLOW_S}", f"-rss_limit_mb={MEMORY_MB}"),
        *("-print_final_stats=1", f"-artifact_prefix={findings}/"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    new = sorted(set(findings.iterdir()) - before)
    if done.returncode and not new:
        raise RuntimeError(f"the fuzzer of {target} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Ended(
        target,
        number(r"Done \d+ runs in (\d+) second", done.stderr) or number(r"stat::average_exec_per_sec:\s+(\d+)", ""),
        number(r"stat::number_of_executed_units:\s+(\d+)", done.stderr),
        number(r"cov: (\d+)", done.stderr),
        len(list(grown.iterdir())),
        new,
        (done.stdout + done.stderr)[-3000:] if new else "",
    )


def number(pattern: str, text: str) -> int:
    """The last number that the pattern finds, or 0."""
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def main() -> int:
    """Run the targets, print the table, tell what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what parses bytes from outside.")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets side by side")
    parser.add_argument("--work", type=Path, help="where the grown corpora are kept; default: nowhere")
    wanted = parser.parse_args()
    if find_spec("atheris") is None:
        version = ".".join(map(str, sys.version_info[:2]))
        print(f"atheris is not installed for Python {version}: make fuzz installs it where it has a wheel")  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(wanted.jobs) as pool:
        work = wanted.work or Path(scratch)
        targets = wanted.target or list(TARGETS)
        ended = list(pool.map(lambda target: fuzz(target, wanted.seconds, work), targets))
    print_table(
        ["target", "seconds", "inputs tried", "points of code reached", "inputs kept", "findings"],
        [[e.target, e.seconds, f"{e.executions:,}", e.covered, e.inputs, len(e.findings)] for e in ended],
    )
    for one in ended:
        for path in one.findings:
            print(f"\n{one.target}: {path}\n{one.said}")  # noqa: T201
    return 1 if any(one.findings for one in ended) else 0


if __name__ == "__main__":
    sys.exit(main())
