"""The life of a device: planned → enrolled → active → maintenance → retired, and how it came to each state.

Enrolment begins it; the first stored reading makes a device active; the rest people say.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

Connection = psycopg.Connection[Any]

STATES = ("planned", "enrolled", "active", "maintenance", "retired")
NEXT: dict[str, frozenset[str]] = {
    "planned": frozenset(("enrolled", "maintenance", "retired")),
    "enrolled": frozenset(("planned", "active", "maintenance", "retired")),
    "active": frozenset(("maintenance", "retired")),
    "maintenance": frozenset(("enrolled", "active", "retired")),
    "retired": frozenset(("enrolled", "planned")),
}
"""From each state those to which people may bring a device."""


class NoSuchStep(ValueError):
    """A device cannot come to a state from where it is, or is not there. The message says why."""


class Stay(NamedTuple):
    """A state, since when, and why; `was` None: the device was new."""

    since: datetime
    was: str | None
    state: str
    reason: str | None


def change_state(connection: Connection, devices: Sequence[str], state: str, reason: str | None) -> int:
    """Bring devices to a state, all or none; how many were not in it. Raises NoSuchStep."""
    with connection.transaction():
        connection.execute("select registry.lock_counts()")
        refuse_steps(connection, devices, state)
        connection.execute("select set_config('dothi.reason', %s, true)", (reason or "",))
        changed = connection.execute(
            "update registry.device set state = %s, changed = pg_current_xact_id()"
            " where device = any(%s) and state <> %s",
            (state, list(devices), state),
        ).rowcount
        connection.execute("select set_config('dothi.reason', '', true)")
    return changed


def refuse_steps(connection: Connection, devices: Sequence[str], state: str) -> None:
    """Raise NoSuchStep for the first device that is unknown or cannot come to a state."""
    known = dict(
        connection.execute("select device, state from registry.device where device = any(%s)", (list(devices),))
    )
    for device in devices:
        was = known.get(device)
        if was is None:
            raise NoSuchStep(
                f"device {device} is not enrolled; dothi devices list --find {device} shows what is like it"
            )
        if state != was and state not in NEXT[was]:
            allowed = ", ".join(one for one in STATES if one in NEXT[was])
            raise NoSuchStep(f"device {device} is {was}: from there it becomes {allowed}, not {state}")


def history(connection: Connection, device: str) -> list[Stay]:
    """Every state of a device, the oldest first; empty for one that is not enrolled."""
    row = connection.execute("select id, enrolled, state from registry.device where device = %s", (device,)).fetchone()
    if row is None:
        return []
    number, enrolled, state = row
    changes = connection.execute(
        "select since, was, state, reason from registry.history where device = %s order by since, id", (number,)
    )
    stays = [Stay(*change) for change in changes]
    return [Stay(enrolled, None, stays[0].was or state if stays else state, None), *stays]
