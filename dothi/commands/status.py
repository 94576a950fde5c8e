"""`dothi status`."""

from typing import Any

import psycopg
import typer
from psycopg.rows import dict_row

from dothi.commands.options import AsJson, Folder
from dothi.commands.readiness import queue, readiness
from dothi.output import print_json, print_table
from dothi.settings import Stack, stack_at

TOTALS = """
select (select coalesce(sum(received), 0)::bigint from city.ledger) as received,
       (select coalesce(sum(stored), 0)::bigint from city.ledger) as stored,
       (select coalesce(sum(duplicate), 0)::bigint from city.ledger) as duplicate,
       (select coalesce(sum(quarantined), 0)::bigint from city.ledger) as quarantined,
       (select coalesce(sum(partial), 0)::bigint from city.ledger) as partial,
       (select coalesce(sum(in_flight), 0)::bigint from city.worker where at > now() - interval '10 s') as in_flight,
       (select coalesce(sum(rate_per_s), 0) from city.worker where at > now() - interval '10 s') as rate_per_s,
       (select coalesce(max(lag_s), 0) from city.worker where at > now() - interval '10 s') as lag_s,
       (select count(*) from city.worker where at > now() - interval '10 s') as workers,
       (select coalesce(sum(devices), 0)::bigint from city.plan) as devices,
       (select count(*) from city.alarm where cleared is null) as alarms
"""
UNITS = {"rate_per_s": "messages/s", "lag_s": "s", "in_flight": "messages", "devices": "devices", "alarms": "alarms"}


def status(folder: Folder = None, as_json: AsJson = False) -> None:
    """What came in, where it went, how far behind we are, and what is wrong, if anything is.

    Exit code 1 when the database cannot be asked: then the counts are missing, the state is there.

    Example: dothi status --dir .dothi --json
    """
    stack = stack_at(folder)
    document = read_status(stack)
    if as_json:
        print_json(document)
    else:
        rows = [(name, shown(document[name]), UNITS.get(name, "readings")) for name in COUNTED if name in document]
        if held := document.get("queue"):
            rows.append(("queue of the brokers", f"{held['messages']:,}, {held['share']:.1%} full", "messages"))
        print_table(("what", "value", "unit"), [*rows, ("state", document["state"], "")])
    if "received" not in document:
        raise typer.Exit(1)


COUNTED = (
    "received",
    "stored",
    "duplicate",
    "quarantined",
    "partial",
    "in_flight",
    "rate_per_s",
    "lag_s",
    "devices",
    "alarms",
)


def read_status(stack: Stack) -> dict[str, Any]:
    """The document of `dothi status --json`; without the counts when the database cannot be asked."""
    pages: dict[str, str] = stack.document.get("metrics", {})
    trouble = [f"{name}: {said}" for name, url in pages.items() if (said := readiness(url)) != "ready"]
    numbers: dict[str, Any] = {}
    try:
        with psycopg.connect(stack.reader, row_factory=dict_row, connect_timeout=5) as connection:
            totals = connection.execute(TOTALS).fetchone()
        assert totals is not None  # a select without from always gives a row
        numbers = {name: round(value, 3) if isinstance(value, float) else value for name, value in totals.items()}
    except psycopg.OperationalError as error:
        if not pages:
            raise
        trouble.append(f"database cannot be asked: {str(error).strip().splitlines()[-1]}")
    state: dict[str, Any] = {"state": state_of(trouble), "trouble": trouble}
    if held := queue(pages.get("up")):
        state["queue"] = held
    known = {
        key: stack.document[key]
        for key in ("broker", "tls", "ca", "pid", "processes", "metrics")
        if key in stack.document
    }
    return numbers | state | known


def state_of(trouble: list[str]) -> str:
    """One line: the database first, then the window, then whatever there is.

    >>> state_of(["worker 0: window full since 10:00", "worker 1: database away since 10:01: gone"])
    'database away since 10:01: gone'
    """
    said = [line.partition(": ")[2] if line.startswith(("worker ", "up: ")) else line for line in trouble]
    said.sort(key=lambda line: (not line.startswith("database away"), not line.startswith("window full")))
    return said[0] if said else "running"


def shown(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
