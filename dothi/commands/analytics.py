"""`dothi analytics …`."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from dothi import log, settings
from dothi.commands.compute import compute
from dothi.commands.deliver import deliver
from dothi.commands.findings import findings
from dothi.settings import stack_at

if TYPE_CHECKING:
    from analytics.meters import Meters

SWITCH_S = 0.001
"""For how long a thread may keep the interpreter while others wait. With Python's 5 ms the strand of boards, at 20,000
messages/s, was idle in its transaction for 0.4 of the time, and reckoned for 0.1: the rest it waited for the other."""

app = typer.Typer(help="Keep what dashboards ask for, and decide.", no_args_is_help=True)

app.command()(compute)
app.command()(findings)
app.command()(deliver)


@app.callback()
def group() -> None:
    """Keep what dashboards ask for: newest values, rollups, counts.

    Example: dothi analytics run --dir .dothi
    """


@app.command()
def run(
    folder: Annotated[Path, typer.Option("--dir", help="Folder of a running stack.")] = settings.DEFAULT_FOLDER,
) -> None:
    """Run the analyst until it is told to stop. `dothi up` starts and watches it by itself.

    Example: dothi analytics run --dir .dothi
    """
    from analytics import analyst
    from analytics.meters import Meters

    log.configure()
    settings.use_tables()
    settings.use_rules()
    document = stack_at(folder).document
    meters, stop = Meters(), threading.Event()
    if url := document["metrics"].get("analyst"):
        start_pages(int(url.rpartition(":")[2]), meters)
    ready_file = folder / "run/analyst.ready"

    def ready() -> None:
        ready_file.write_text(f"{os.getpid()}\n")

    def leave(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        raise KeyboardInterrupt  # psycopg cancels the query under way

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    sys.setswitchinterval(SWITCH_S)
    try:
        told = analyst.Analyst(document["analyst"], analyst.ringing(), meters, stop, ready, analyst.shown())
        analyst.run(told._replace(round_s=analyst.SOON_S, longest_s=analyst.LONGEST_SOON_S))
    except KeyboardInterrupt:
        structlog.get_logger("dothi.analytics").info("analyst leaves")  # what was under way comes again


def start_pages(port: int, meters: "Meters") -> None:
    """Serve /metrics, /healthz and /readyz beside the work; they end with the process."""
    from ingest.serve import Pages, prometheus_text, serve

    pages = Pages(lambda: prometheus_text(meters), meters.trouble)
    threading.Thread(target=lambda: asyncio.run(serve(port, pages)), name="pages", daemon=True).start()
