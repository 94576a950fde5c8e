"""A fleet into the registry, before it is sent."""

import threading
import time
from collections.abc import Callable

import psycopg

from devices.enroll_columns import enroll_columns
from devices.registry import NotEnrolled
from dothi.commands.readiness import metrics
from dothi.errors import Refused
from dothi.output import stderr
from dothi.settings import Stack
from simulators.fleet import Fleet, pieces

KNOWN_WITHIN_S = 2.5
"""How long to wait for ingest, which looks at the registry every second, to notice new devices."""
PROGRESS_S = 2.0
PATIENCE_S = 300.0
"""How long a worker may take to know millions of devices."""
KNOWN = "dothi_devices_known"
NAME = "dothi simulate"


def enroll_fleet(stack: Stack, fleet: Fleet, stop: threading.Event, known_s: float = KNOWN_WITHIN_S) -> None:
    """Make the fleet known, all of it or nothing; waits until ingest knows the devices that are new.

    Raises Refused when it cannot be enrolled or is stopped.
    """
    before = known_by(stack)
    try:
        with psycopg.connect(stack.database, autocommit=True, connect_timeout=10, application_name=NAME) as connection:
            result = enroll_columns(connection, lambda: pieces(fleet), progress(len(fleet), stop))
    except (psycopg.Error, NotEnrolled) as error:
        raise Refused(f"the fleet cannot be enrolled: {str(error).strip().splitlines()[0]}") from None
    stderr.print(f"{len(fleet):,} devices enrolled ({result.new:,} new, {result.changed:,} changed)", highlight=False)
    if result.new and before is not None:
        await_known(stack, before + result.new, stop)
    elif result.new or result.changed:
        stop.wait(known_s)


def known_by(stack: Stack) -> int | None:
    """Devices that every worker of ingest knows; None where none tells."""
    pages: dict[str, str] = stack.document.get("metrics", {})
    told = [gauge(url, KNOWN) for name, url in pages.items() if name.startswith("worker")]
    return min((number for number in told if number is not None), default=None) if None not in told else None


def await_known(stack: Stack, devices: int, stop: threading.Event) -> None:
    """Wait until every worker knows so many devices: what an unknown one says is quarantined."""
    end, next_at = time.monotonic() + PATIENCE_S, time.monotonic() + PROGRESS_S
    while (known := known_by(stack)) is None or known < devices:
        if stop.wait(0.2) or time.monotonic() > end:
            stderr.print(f"ingest knows {known or 0:,} of {devices:,} devices; what others say is quarantined")
            return
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + PROGRESS_S
            stderr.print(f"ingest takes up {devices:,} devices", highlight=False)


def gauge(url: str, name: str) -> int | None:
    """A number of a process's metrics page; None where it does not answer."""
    page = metrics(url) or ""
    found = [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(f"{name}{{")]
    return int(float(found[0])) if found else None


def progress(devices: int, stop: threading.Event) -> Callable[[int], None]:
    """Tells how far an enrolment is; ends it when the run is stopped."""
    done, next_at = 0, time.monotonic() + PROGRESS_S

    def told(further: int) -> None:
        nonlocal done, next_at
        if stop.is_set():
            raise Refused("stopped while the fleet was being enrolled; nothing of it is kept")
        done += further
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + PROGRESS_S
            stderr.print(f"{done:,} of {devices:,} devices enrolled", highlight=False)

    return told
