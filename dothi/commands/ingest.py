"""`dothi ingest …`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from dothi import log, settings
from dothi.errors import WrongUsage
from dothi.settings import stack_at
from ingest import worker
from ingest.batch import Limits
from ingest.session import Inbox, area_inbox, route_inbox

app = typer.Typer(help="Carry readings from the broker into the database.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Carry readings from the broker into the database.

    Example: dothi ingest run --dir .dothi --worker 0
    """


@app.command()
def run(
    folder: Annotated[Path, typer.Option("--dir", help="Folder of a running stack.")] = settings.DEFAULT_FOLDER,
    number: Annotated[int, typer.Option("--worker", min=0, help="Number of this worker, from 0.")] = 0,
) -> None:
    """Run one ingest worker until it is told to stop. `dothi up` starts and watches these by itself.

    Example: dothi ingest run --dir .dothi --worker 0
    """
    log.configure()
    document = stack_at(folder).document["ingest"]
    if number >= document["workers"]:
        raise WrongUsage(f"--worker {number} is not one of this stack's workers 0 to {document['workers'] - 1}")
    asyncio.run(
        worker.run(
            worker.Worker(
                number,
                document["database"],
                tuple(all_inboxes(document))[number :: document["workers"]],
                Limits(late_us=settings.late_limits()),
                folder / "run" / f"worker-{number}.ready",
            )
        )
    )


def all_inboxes(document: dict[str, Any]) -> list[Inbox]:
    """The inboxes of a stack in an order that every worker agrees on."""
    from devices.route import ROUTES

    inboxes = [area_inbox(area, broker["url"]) for broker in document["brokers"] for area in broker["areas"]]
    inboxes += [
        route_inbox(route, ROUTES[route].topics, broker["url"])
        for broker in document["brokers"]
        for route in broker["routes"]
    ]
    return inboxes
