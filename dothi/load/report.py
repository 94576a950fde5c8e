"""The report of a run as one JSON document, and the folder that it is kept in."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dothi.errors import Refused, WrongUsage
from simulators.curves import QUANTILES

FORMAT = 1
"""Of report.json; another number when what is there changes its meaning or goes."""
NAME = "report.json"
PAGE = "report.html"
SECTIONS = ("run", "sending", "conservation", "rates", "delays", "processes", "machine", "platform", "versions")


def assemble(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The document. `sections`: all of SECTIONS."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"format": FORMAT, "made": made, **{name: sections[name] for name in SECTIONS}}


def seen_quantiles(delays: NDArray[np.float64]) -> dict[str, float | int | None]:
    """Percentiles (s) of what the probe saw; `count` of it, of `asked` that were looked for."""
    seen = delays[~np.isnan(delays)]
    found: dict[str, float | int | None] = dict.fromkeys((*QUANTILES, "max"))
    if len(seen):
        found = {name: round(float(np.quantile(seen, share)), 4) for name, share in QUANTILES.items()}
        found["max"] = round(float(seen.max()), 4)
    return found | {"count": len(seen), "asked": len(delays)}


def per_100k(cpu_s: Mapping[str, float], messages: int) -> dict[str, float | None]:
    """CPU seconds of each part for 100,000 messages."""
    return {name: round(spent / messages * 1e5, 3) if messages else None for name, spent in cpu_s.items()}


def checked_folder(path: Path) -> Path:
    """A folder for a report, made if it is not there. Raises WrongUsage, before anything is sent."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        said = error.strerror or str(error)
        raise WrongUsage(f"--report {path}: cannot be written ({said}); allowed: a folder of yours") from None
    return path


def write(folder: Path, document: Mapping[str, Any]) -> None:
    """Both files of a report."""
    from simulators.report_html import page

    text = msgspec.json.format(msgspec.json.encode(document), indent=1)
    (folder / NAME).write_bytes(text + b"\n")
    (folder / PAGE).write_text(page(document), encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The document of a report. Raises Refused."""
    path = folder / NAME
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}); give the folder that --report named") from None
    except ValueError:
        raise Refused(f"{path}: is no report") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT or missing_sections(document):
        raise Refused(f"{path}: is no report of this version (format {FORMAT})")
    return document


def missing_sections(document: Mapping[str, Any]) -> Sequence[str]:
    """Sections that a document lacks."""
    return [name for name in SECTIONS if name not in document]
