"""`anomaly`: how unusual each value of a series is, by what came before it alone."""

from datetime import datetime

import numpy as np
import numpy.typing as npt

from analytics.detectors.anomaly_score import evidence_of, score
from analytics.detectors.anomaly_state import new_series
from dothi.computing.kind import Column, Columns, Kind, Options, Result, results_from
from dothi.output import LOCAL

BACK_SHARE = 0.01
"""Of the rows: so many may go back in time, as series do that change to winter time; more is another order."""
PER_SECOND = ((1e14, 1.0), (1e11, 1e3), (0.0, 1e6))
"""Plain numbers from so large on are µs, ms, s since 1970; the factor makes them µs."""


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per row, in the order of the file."""
    times = forward(np.array([moment(cell, row) for row, cell in enumerate(columns["timestamp"].tolist(), 1)], "i8"))
    evidence = evidence_of(new_series(1), np.zeros(len(times), np.int64), times, columns["value"])
    return results_from({"timestamp": columns["timestamp"], "score": score(evidence)})


def moment(cell: str, row: int) -> int:
    """µs since 1970 UTC."""
    try:
        number = float(cell)
    except ValueError:
        return written(cell, row)
    if not np.isfinite(number) or abs(number) >= 9e18:
        raise ValueError(f"row {row}, timestamp: {cell!r} is no time")
    return int(number * next(factor for least, factor in PER_SECOND if abs(number) >= least))


def written(cell: str, row: int) -> int:
    """The same of a date and time; local time where it names no zone."""
    try:
        time = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError(
            f"row {row}, timestamp: {cell[:40]!r} is no time; write 2026-01-31 14:00, or seconds since 1970"
        ) from None
    return int((time if time.tzinfo else time.replace(tzinfo=LOCAL)).timestamp() * 1e6)


def forward(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Times that never go back. Raises ValueError where too many do."""
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back) > max(1, BACK_SHARE * len(times)):
        raise ValueError(f"timestamps go back in {len(back)} rows, first in row {back[0] + 2}; sort them by timestamp")
    return np.maximum.accumulate(times) if len(times) else times


KIND = Kind(
    "anomaly",
    "anomaly score of a series, from the rows up to each one alone; 0.5 is the threshold for any series",
    (
        Column("timestamp", says="date and time, local unless it names a zone, or s or ms since 1970", kind="text"),
        Column("value", says="in any unit; an empty cell is a missing value, score 0", gaps=True),
    ),
    (
        Column("timestamp", says="as in the file"),
        Column("score", says="0 (nothing new) to 1; after a detection only what is stronger counts for 100 rows"),
    ),
    reckon,
)
