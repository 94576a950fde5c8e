"""Which worker hosts which inbox: read from the stack's document, and the commands that change it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from dothi import settings
from dothi.commands.readiness import readiness
from dothi.errors import Refused, WrongUsage
from dothi.output import console
from dothi.settings import stack_at
from dothi.stack.hosts import MOST_WORKERS, ask, deal_by_load
from ingest.batch import Limits
from ingest.inbox import Inbox, area_inbox, route_inbox
from ingest.worker import Worker

MOVED_WITHIN_S = 20.0
LOADS = (
    "select inbox, sum(received)::float8 from city.ledger where minute > now() - interval '10 minutes' group by inbox"
)

RunningFolder = Annotated[Path, typer.Option("--dir", help="Folder of a running stack.")]


def all_inboxes(document: dict[str, Any]) -> list[Inbox]:
    """The inboxes of a stack, from the part of its document that ingest reads."""
    from devices.route import ROUTES

    inboxes = [area_inbox(area, broker["url"]) for broker in document["brokers"] for area in broker["areas"]]
    inboxes += [
        route_inbox(route, ROUTES[route].topics, broker["url"], ROUTES[route].retained)
        for broker in document["brokers"]
        for route in broker["routes"]
        if route in ROUTES
    ]
    return inboxes


def hosted(document: dict[str, Any], number: int) -> tuple[Inbox, ...]:
    """The inboxes of one worker."""
    hosts = document["hosts"]
    return tuple(inbox for inbox in all_inboxes(document) if hosts.get(inbox.name) == number)


def watched(folder: Path, number: int) -> Callable[[], tuple[Inbox, ...] | None]:
    """What a worker asks twice a second: its inboxes when stack.json was written anew, else None."""
    path = folder / "stack.json"
    known = path.stat().st_mtime_ns

    def look() -> tuple[Inbox, ...] | None:
        nonlocal known
        try:
            written = path.stat().st_mtime_ns
            if written == known:
                return None
            inboxes = hosted(json.loads(path.read_text())["ingest"], number)
        except (OSError, ValueError, KeyError):
            return None  # there is always a next time
        known = written
        return inboxes

    return look


def worker_of(folder: Path, number: int, limits: Limits) -> Worker:
    """What `dothi ingest run` tells a worker. Raises WrongUsage for a number that the stack does not have."""
    look = watched(folder, number) if (folder / "stack.json").exists() else None
    document = stack_at(folder).document
    ingest = document["ingest"]
    if number >= ingest["workers"]:
        raise WrongUsage(f"--worker {number} is not one of this stack's workers 0 to {ingest['workers'] - 1}")
    run = folder / "run"
    url = document["metrics"].get(f"worker {number}")
    return Worker(
        number,
        ingest["database"],
        hosted(ingest, number),
        limits,
        ready_file=run / f"worker-{number}.ready",
        assignment=look or (lambda: None),
        locks=run,
        port=int(url.rpartition(":")[2]) if url else None,
    )


def workers(
    count: Annotated[int, typer.Argument(help="Ingest processes from now on.")],
    folder: RunningFolder = settings.DEFAULT_FOLDER,
    by_load: Annotated[
        bool, typer.Option("--by-load", help="Deal the inboxes by what each received in the last ten minutes.")
    ] = False,
) -> None:
    """Change the number of ingest workers while the stack runs; inboxes move, nothing is lost.

    Example: dothi ingest workers 2 --dir .dothi
    """
    if not 1 <= count <= MOST_WORKERS:
        raise WrongUsage(f"{count} workers: allowed: 1 to {MOST_WORKERS}")
    document = stack_at(folder).document
    names = [inbox.name for inbox in all_inboxes(document["ingest"])]
    wanted = deal_by_load(names, loads(document["reader"]), count) if by_load else {}
    ask(folder, count, wanted)
    wait_moved(folder, count, wanted)


def move(
    inbox: Annotated[str, typer.Argument(help="An area's code, or a route.")],
    number: Annotated[int, typer.Option("--worker", min=0, help="The worker that is to host it.")],
    folder: RunningFolder = settings.DEFAULT_FOLDER,
) -> None:
    """Move one inbox to another worker while the stack runs.

    Example: dothi ingest move 213 --worker 1 --dir .dothi
    """
    document = stack_at(folder).document["ingest"]
    names = [known.name for known in all_inboxes(document)]
    if inbox not in names:
        raise WrongUsage(f"inbox {inbox!r} is not known; known: {', '.join(names)}")
    if number >= document["workers"]:
        raise WrongUsage(f"--worker {number}: allowed: 0 to {document['workers'] - 1}")
    wanted = {**document["hosts"], inbox: number}
    ask(folder, document["workers"], wanted)
    wait_moved(folder, document["workers"], wanted)


def loads(reader: str) -> dict[str, float]:
    """Readings of the last ten minutes by inbox."""
    with psycopg.connect(reader, connect_timeout=5) as connection:
        return dict(connection.execute(LOADS).fetchall())


def wait_moved(folder: Path, count: int, wanted: dict[str, int]) -> None:
    """Until every worker says that it is ready with what it was given. Raises Refused when that takes too long."""
    until = time.monotonic() + MOVED_WITHIN_S
    said: dict[str, str] = {}
    while time.monotonic() < until:
        time.sleep(0.6)  # workers look twice a second
        document = stack_at(folder).document
        hosts = document["ingest"]["hosts"]
        if document["ingest"]["workers"] == count and all(hosts.get(name) == at for name, at in wanted.items()):
            said = {f"worker {n}": readiness(document["metrics"].get(f"worker {n}")) for n in range(count)}
            if all(word == "ready" for word in said.values()):
                console.print(f"{count} workers host {len(hosts)} inboxes")
                return
    raise Refused(f"not done within {MOVED_WITHIN_S:.0f} s, still under way: {said or 'dothi up has not reacted'}")
