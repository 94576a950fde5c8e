"""What `dothi up --live` shows: dashboards as files or in the host's Grafana, and the city in the terminal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import structlog

from dashboards.tree import tree, write
from dothi.errors import Refused
from dothi.grafana import reader_database, start_if_present
from dothi.live import watch

log = structlog.get_logger("dothi.demo")


def show(document: dict[str, Any], folder: Path, stop: threading.Event, until: float | None) -> None:
    """Run the terminal view over a stack that is ready. `folder`: that of the stack."""
    with dashboards(document, folder / "grafana") as shown:
        watch(document | shown, stop, until)


@contextmanager
def dashboards(document: dict[str, Any], folder: Path) -> Iterator[dict[str, str]]:
    """Hand the dashboards to the host's Grafana, or lay them down as files; what the view is to say about them.

    A Grafana that does not come up costs its page, not the demo.
    """
    try:
        grafana = start_if_present(document, folder)
    except Refused as refusal:
        log.warning("grafana not started", reason=str(refusal))
        grafana = None
    if grafana:
        try:
            yield {"grafana": f"{grafana.url}  user {grafana.user}, password {grafana.password}"}
        finally:
            grafana.stop()
        return
    files = tree("grafana-postgresql-datasource", reader_database(document["reader"]), PurePosixPath(folder.absolute()))
    write(folder, files, secret=True)
    yield {"dashboards": str(folder)}
