"""The record of a run as CSV: every message that a broker acknowledged, for whoever wants to look for them himself."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dothi.errors import WrongUsage
from simulators.fleet import Fleet
from simulators.messages import KINDS
from simulators.spool import Rows, acknowledged, slices

HEAD = ("area", "device", "boot", "seq", "time", "kind")
AT_ONCE = 50_000


def check_record(path: Path) -> None:
    """Refuse, before anything is sent, a file that cannot be written."""
    try:
        path.open("w").close()
    except OSError as error:
        raise WrongUsage(
            f"--record {path}: cannot be written ({error.strerror}); allowed: a file in a folder of yours"
        ) from None


def write_record(path: Path, fleet: Fleet, spools: Sequence[Path]) -> None:
    """Every acknowledged message, in the order in which their fates became known; `time`: of the reading, ms since
    1970. A message that was sent before has the kind `duplicate`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        for rows in slices(spools, AT_ONCE):
            writer.writerows(lines(fleet, rows[acknowledged(rows)]))


def lines(fleet: Fleet, rows: Rows) -> list[tuple[object, ...]]:
    """The rows as people read them."""
    device = rows["device"].astype(np.int64)
    areas = [fleet.areas[area] for area in fleet.area[device].tolist()]
    kinds = [
        "duplicate" if again else KINDS[kind].name.lower()
        for kind, again in zip(rows["kind"].tolist(), rows["again"].tolist(), strict=True)
    ]
    numbers = (rows[name].tolist() for name in ("boot", "seq", "time"))
    return list(zip(areas, fleet.ids(device), *numbers, kinds, strict=True))
