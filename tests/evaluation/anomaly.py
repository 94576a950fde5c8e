"""What the anomaly score is worth on labelled series: `python -m tests.evaluation.anomaly [--windows FILE FOLDER]`.

Without arguments on series made from a seed. With a folder of CSV files (`timestamp,value`) and a JSON file of labelled
windows by file name ({"name.csv": [["first time", "last time"], …]}), as public benchmarks have them, on these.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from analytics.detectors.anomaly_score import evidence_of, score
from analytics.detectors.anomaly_state import DEFAULTS, Parameters, new_series
from dothi.computing.anomaly import forward, moment
from tests.evaluation.anomaly_score import FALSE_POSITIVE, Floats, Labelled, learning, points, sweep
from tests.evaluation.anomaly_series import Series, labelled

THRESHOLD = 0.5
CAREFUL = 2 * FALSE_POSITIVE  # the profile that punishes false detections
BASELINE_ROWS = 300


def scored(series: Sequence[Series], parameters: Parameters = DEFAULTS) -> list[Labelled]:
    """Scores of all series."""

    def of(one: Series) -> Floats:
        rows = len(one.time)
        return score(evidence_of(new_series(1), np.zeros(rows, int), one.time * 1_000_000, one.values, parameters))

    return [Labelled(of(one), one.windows) for one in series]


def baseline(values: Floats) -> Floats:
    """The simple rule to beat: deviations from the mean of the last rows, as a tail of the normal distribution."""
    sums, squares = (np.cumsum(np.r_[0.0, (values - values[0]) ** power]) for power in (1, 2))
    row = np.arange(len(values))
    first = np.maximum(row - BASELINE_ROWS, 0)
    count = np.maximum(row - first, 1)
    mean = (sums[row] - sums[first]) / count
    spread = np.sqrt(np.maximum((squares[row] - squares[first]) / count - mean**2, 0.0))
    away = np.abs(values - values[0] - mean)
    found = 1 - np.exp(-np.divide(away, spread, out=np.zeros(len(values)), where=spread > 0))
    return np.where(row < BASELINE_ROWS // 3, 0.0, found)


def files(folder: Path, windows: Path, names: Iterable[str] = ()) -> list[Series]:
    """The labelled series of a folder; `names`: only these."""
    labels = json.loads(windows.read_text())
    return [_read(folder / name, name, labels[name]) for name in (list(names) or sorted(labels))]


def _read(file: Path, name: str, labels: list[list[str]]) -> Series:
    with file.open() as lines:
        cells = list(csv.reader(lines))[1:]
    stamps = np.array([moment(row[0], line) for line, row in enumerate(cells, 1)], "i8")
    ends = [(moment(first.split(".")[0], 0), moment(last.split(".")[0], 0)) for first, last in labels]
    # A window is where its times first occur in the file, as they stand there; the clock may go back in it.
    places = [(int(np.flatnonzero(stamps == first)[0]), int(np.flatnonzero(stamps == last)[0])) for first, last in ends]
    return Series(name, forward(stamps) // 1_000_000, np.array([float(row[1]) for row in cells]), places)


def main() -> None:
    """Print points and detections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--windows", type=Path)
    parser.add_argument("--names", type=Path, help="a file of names, one a line: only these")
    asked = parser.parse_args()
    names = asked.names.read_text().split() if asked.names else ()
    series = files(asked.folder, asked.windows, names) if asked.folder else list(labelled(seed=2))
    for says, found in (("score", scored(series)), ("baseline", [_simple(one) for one in series])):
        swept = sweep(found)
        at = THRESHOLD if says == "score" else swept.best()[0]
        alarms = sum(int((one.scores[learning(len(one.scores)) :] >= at).sum()) for one in found)
        sys.stdout.write(
            f"{says:9} {len(series)} series, {sum(len(one.windows) for one in series)} windows: "
            f"{swept.at(at):.1f} points at {at:.3f}, {points(found, at, CAREFUL):.1f} where false ones cost twice, "
            f"{alarms} detections; best {swept.best()[1]:.1f} at {swept.best()[0]:.3f}\n"
        )


def _simple(one: Series) -> Labelled:
    return Labelled(baseline(one.values), one.windows)


if __name__ == "__main__":
    main()
