"""A fleet into the registry, before it is sent."""

import threading
import time
from collections.abc import Callable

import psycopg

from devices.enroll_columns import enroll_columns
from devices.registry import NotEnrolled
from dothi.errors import Refused
from dothi.output import stderr
from simulators.fleet import Fleet, pieces

KNOWN_WITHIN_S = 2.5
"""How long to wait for ingest, which looks at the registry every second, to notice new devices."""
PROGRESS_S = 2.0


def enroll_fleet(url: str, fleet: Fleet, stop: threading.Event, known_s: float = KNOWN_WITHIN_S) -> None:
    """Make the fleet known, all of it or nothing; waits until ingest has noticed devices that are new.

    Raises Refused when it cannot be enrolled or is stopped.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="dothi simulate") as connection:
            result = enroll_columns(connection, lambda: pieces(fleet), progress(len(fleet), stop))
    except (psycopg.Error, NotEnrolled) as error:
        raise Refused(f"the fleet cannot be enrolled: {str(error).strip().splitlines()[0]}") from None
    stderr.print(f"{len(fleet):,} devices enrolled ({result.new:,} new, {result.changed:,} changed)", highlight=False)
    if result.new or result.changed:
        stop.wait(known_s)


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
