"""Our own processes as parts of a stack: each is a command of ours that finds what it needs to know in stack.json."""

import signal
import sys
from pathlib import Path

from dothi.stack.account import ourselves, starter
from dothi.stack.parts import Part
from dothi.stack.plan import Plan

ANALYST = "analyst"
MESSENGER = "messenger"


def worker(folder: Path, number: int) -> Part:
    """One ingest worker."""
    arguments = ["ingest", "run", "--dir", str(folder), "--worker", str(number)]
    return part(folder, f"worker {number}", arguments, folder / f"run/worker-{number}.ready")


def analyst(folder: Path) -> Part:
    """What follows the stored batches."""
    return part(folder, ANALYST, ["analytics", "run", "--dir", str(folder)], folder / "run/analyst.ready")


def messenger(folder: Path) -> Part:
    """What tells others of alarms."""
    return part(folder, MESSENGER, ["analytics", "deliver", "--dir", str(folder)], folder / "run/messenger.ready")


def keeper(folder: Path) -> Part:
    """What looks after retention, the lake and the disk."""
    return part(folder, "keeper", ["storage", "keep", "--dir", str(folder)], None)


def simulator(plan: Plan, metrics_port: int) -> Part:
    """A city that sends."""
    arguments = ["simulate", "run", "--dir", str(plan.folder), "--people", str(plan.people), "--no-account"]
    arguments += ["--metrics-port", str(metrics_port)]
    if plan.density is not None:
        arguments += ["--density", str(plan.density)]
    return part(plan.folder, "simulator", arguments, None)


def part(folder: Path, name: str, arguments: list[str], ready: Path | None) -> Part:
    """A command as a part: ready when the file is there, or at once."""
    start = starter(ourselves(), [], signal.SIGTERM)
    return Part(
        name=name,
        command=[*start, sys.executable, "-m", "dothi", *arguments],
        log=folder / f"log/{name.replace(' ', '-')}.log",
        folder=folder,
        ready=ready.exists if ready else lambda: True,
        before=(lambda: ready.unlink(missing_ok=True)) if ready else lambda: None,
    )
