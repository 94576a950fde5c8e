"""Clocks of devices and rollups, set forward so that hours end when a benchmark wants them to."""

import time
from pathlib import Path

from dothi.stack.embedded import Embedded


def clock_of(stack: Embedded) -> Path:
    """The file that says how many seconds the clocks of devices and rollups are ahead."""
    return stack.plan.folder / "run/clock"


def ahead(stack: Embedded) -> float:
    """What it says."""
    return float(clock_of(stack).read_text())


def set_clocks(stack: Embedded, wanted: float) -> None:
    """It is now so many seconds since 1970."""
    fresh = clock_of(stack).with_suffix(".new")
    fresh.write_text(str(wanted - time.time()))
    fresh.rename(clock_of(stack))
