"""Labelled series made from a seed: every background a city's metrics have × every way they go wrong."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Random = np.random.Generator

DAY_S = 86_400
WINDOW_SHARE = 0.1  # of a series, shared by its anomalies


class Series(NamedTuple):
    """One labelled series: `time` in s since 1970 UTC, windows as (first row, last row)."""

    name: str
    time: npt.NDArray[np.int64]
    values: Floats
    windows: list[tuple[int, int]]


class Background(NamedTuple):
    """A way to be ordinary: `make(time, random)`, in rows `interval_s` apart."""

    rows: int
    interval_s: int
    make: Callable[[npt.NDArray[np.int64], Random], Floats]


def _noise(time: npt.NDArray[np.int64], random: Random) -> Floats:
    return random.normal(20, 2, len(time))


def _daily(time: npt.NDArray[np.int64], random: Random) -> Floats:
    return 50 + 20 * np.sin(2 * np.pi * time / DAY_S) + random.normal(0, 2, len(time))


def _weekly(time: npt.NDArray[np.int64], random: Random) -> Floats:
    weekend = (time // DAY_S % 7) >= 5
    day = np.clip(np.sin(2 * np.pi * time / DAY_S - 1.5), -0.3, 1)
    return 200 + np.where(weekend, 60, 150) * day + 0.01 * np.arange(len(time)) + random.normal(0, 8, len(time))


def _wandering(time: npt.NDArray[np.int64], random: Random) -> Floats:
    step = random.normal(0, 1, len(time))
    for row in range(1, len(step)):
        step[row] += 0.98 * step[row - 1]
    return 15 + step


def _counts(time: npt.NDArray[np.int64], random: Random) -> Floats:
    busy = 3 * (1 + np.sin(2 * np.pi * time / DAY_S))
    return np.where(random.random(len(time)) < 0.4, 0, random.poisson(busy * random.pareto(3, len(time)))).astype(float)


def _beating(time: npt.NDArray[np.int64], random: Random) -> Floats:
    phase = 2 * np.pi * np.arange(len(time)) / 37
    return np.exp(3 * np.sin(phase)) + 3 * np.cos(2 * phase) + random.normal(0, 0.4, len(time))


def _steps(time: npt.NDArray[np.int64], random: Random) -> Floats:
    return np.round(40 + 10 * np.sign(np.sin(2 * np.pi * time / DAY_S)) + random.normal(0, 1, len(time)))


BACKGROUNDS = {
    "noise": Background(4000, 300, _noise),
    "daily": Background(4000, 300, _daily),
    "weekly": Background(1700, 3600, _weekly),
    "wandering": Background(4000, 600, _wandering),
    "counts": Background(4000, 900, _counts),
    "beating": Background(4000, 300, _beating),
    "steps": Background(3000, 600, _steps),
}


def _spike(values: Floats, at: int, random: Random) -> None:
    values[at : at + int(random.integers(1, 4))] += random.choice([-1, 1]) * 1.2 * np.ptp(values)


def _shift(values: Floats, at: int, random: Random) -> None:
    values[at:] += random.choice([-1, 1]) * 4 * values[:at].std()


def _flat(values: Floats, at: int, random: Random) -> None:
    values[at : at + 150] = values[at]


def _reversed(values: Floats, at: int, random: Random) -> None:
    values[at : at + 200] = 2 * values[:at].mean() - values[at : at + 200]


def _louder(values: Floats, at: int, random: Random) -> None:
    middle = values[:at].mean()
    values[at : at + 200] = middle + 2.5 * (values[at : at + 200] - middle)


def _drift(values: Floats, at: int, random: Random) -> None:
    values[at : at + 300] += np.linspace(0, 6, len(values[at : at + 300])) * values[:at].std()


def _absent(values: Floats, at: int, random: Random) -> None:
    values[at : at + 60] = 0.0


ANOMALIES: dict[str, Callable[[Floats, int, Random], None]] = {
    "spike": _spike,
    "shift": _shift,
    "flat": _flat,
    "reversed": _reversed,
    "louder": _louder,
    "drift": _drift,
    "absent": _absent,
}


def labelled(seed: int, rounds: int = 1) -> Iterator[Series]:
    """Every background with every anomaly, and with none, `rounds` times."""
    for turn in range(rounds):
        for place, (background, ordinary) in enumerate(BACKGROUNDS.items()):
            for kind, anomaly in enumerate([None, *ANOMALIES]):
                random = np.random.default_rng([seed, turn, place, kind])
                yield _series(background, ordinary, anomaly, random)


def _series(background: str, ordinary: Background, anomaly: str | None, random: Random) -> Series:
    rows = ordinary.rows
    time = 1_750_000_000 // DAY_S * DAY_S + np.arange(rows, dtype=np.int64) * ordinary.interval_s
    values = ordinary.make(time, random)
    half = int(WINDOW_SHARE * rows) // 2
    if anomaly is None:
        return Series(f"{background}-none", time, values, [])
    at = int(random.integers(rows // 2, rows - 2 * half))
    ANOMALIES[anomaly](values, at, random)
    return Series(f"{background}-{anomaly}", time, values, [(at - half, at + half)])
