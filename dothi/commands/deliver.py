"""`dothi analytics deliver`: the process that tells others of alarms."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from dothi import log, settings
from dothi.errors import Refused
from dothi.settings import stack_at

if TYPE_CHECKING:
    from analytics.delivery.routes import Routes


def deliver(
    folder: Annotated[Path, typer.Option("--dir", help="Folder of a running stack.")] = settings.DEFAULT_FOLDER,
) -> None:
    """Tell others of alarms until told to stop: MQTT, and the receivers of DOTHI_ALARM_ROUTES. `dothi up` starts it.

    Example: dothi analytics deliver --dir .dothi
    """
    log.configure()
    routes = settings.alarm_routes()
    asyncio.run(delivering(stack_at(folder).document, folder, routes))


async def delivering(document: dict[str, Any], folder: Path, routes: "Routes") -> None:
    """The messenger with its pages."""
    from analytics.delivery.messenger import Messenger, run
    from analytics.delivery.meters import Meters
    from analytics.delivery.outbox import Pace
    from ingest.serve import Pages, prometheus_text, serve

    meters, stop = Meters(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    brokers = {f"broker {n}": entry["url"] for n, entry in enumerate(document["ingest"]["brokers"])}
    ready_file = folder / "run/messenger.ready"

    def ready() -> None:
        ready_file.write_text(f"{os.getpid()}\n")

    pages = None
    if url := document["metrics"].get("messenger"):
        shown = Pages(lambda: prometheus_text(meters), meters.trouble)
        pages = asyncio.create_task(serve(int(url.rpartition(":")[2]), shown))
    pace = Pace(give_up_s=routes.give_up_after_h * 3600.0)
    told = Messenger(document["analyst"], brokers, routes, meters, stop, ready, pace, rereading(settings.routes_file()))
    await run(told)
    structlog.get_logger("dothi.analytics").info("messenger leaves")
    if pages:
        pages.cancel()


def rereading(file: Path | None) -> "Callable[[], Routes | None]":
    """Reads the routes again when their file has changed. A faulty one is said in one line, and the old ones hold."""
    log = structlog.get_logger("dothi.analytics")
    seen = stamp(file)

    def reread() -> "Routes | None":
        nonlocal seen
        before, seen = seen, stamp(file)
        if file is None or before == seen:
            return None
        try:
            routes = settings.alarm_routes()
        except Refused as refusal:
            log.error("routes refused, those from before hold", reason=str(refusal))
            return None
        log.info("routes read again", receivers=len(routes.receivers), routes=len(routes.routes))
        return routes

    return reread


def stamp(file: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file does; None: it is not there."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found else None
