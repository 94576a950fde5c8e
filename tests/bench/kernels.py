"""What the bare arithmetic of detectors costs: one sweep of many series, one value each, in numpy alone.

Nothing is judged, no gaps, no late readings, no words: what a detector costs is told as a multiple of the kernel that
it is built around. In order: state in the order of the values; by chance: gathered and put back, as a batch brings it.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

State = dict[str, npt.NDArray[np.float32]]
Kernel = Callable[[State, npt.NDArray[np.float32]], State]
ONE = np.float32(1)


def ewma(kept: State, x: npt.NDArray[np.float32]) -> State:
    """Mean and variance, exponentially weighted."""
    off = x - kept["a"]
    step = np.float32(0.1) * off
    return {"a": kept["a"] + step, "b": np.float32(0.9) * (kept["b"] + off * step)}


def welford(kept: State, x: npt.NDArray[np.float32]) -> State:
    """Mean and variance of all values (Welford 1962)."""
    n = kept["c"] + ONE
    off = x - kept["a"]
    mean = kept["a"] + off / n
    return {"a": mean, "b": kept["b"] + off * (x - mean), "c": n}


def cusum(kept: State, x: npt.NDArray[np.float32]) -> State:
    """Two-sided (Page 1954)."""
    half = np.float32(0.5)
    return {"a": np.maximum(kept["a"] + x - half, 0), "b": np.maximum(kept["b"] - x - half, 0)}


def page_hinkley(kept: State, x: npt.NDArray[np.float32]) -> State:
    """Sum of deviations and the least of it."""
    total = kept["a"] + x - np.float32(0.05)
    return {"a": total, "b": np.minimum(kept["b"], total)}


def frugal(kept: State, x: npt.NDArray[np.float32]) -> State:
    """A quantile, followed step by step (Ma, Muthukrishnan & Sandler 2013)."""
    return {"a": kept["a"] + np.where(x > kept["a"], np.float32(0.019), np.float32(-0.001))}


def stuck_at(kept: State, x: npt.NDArray[np.float32]) -> State:
    """Length of the run of equal values."""
    return {"a": x, "b": (kept["b"] + ONE) * (x == kept["a"])}


def holt_winters(kept: State, x: npt.NDArray[np.float32]) -> State:
    """Level, trend and a season of 24, additive (Winters 1960), at one place of the season."""
    apart = x - kept["season"][:, 0]
    level = np.float32(0.2) * apart + np.float32(0.8) * (kept["a"] + kept["b"])
    trend = kept["b"] + np.float32(0.05) * (level - kept["a"] - kept["b"])
    season = kept["season"][:, 0] + np.float32(0.1) * (x - level - kept["season"][:, 0])
    return {"a": level, "b": trend, "season": season[:, None]}


def hampel(kept: State, x: npt.NDArray[np.float32]) -> State:
    """Distance to the median of the last 15 in median distances (Hampel 1974)."""
    ring = np.concatenate((kept["ring"][:, 1:], x[:, None]), axis=1)
    middle = np.median(ring, axis=1, keepdims=True)
    usual = np.maximum(np.median(np.abs(ring - middle), axis=1), np.float32(1e-9))
    return {"ring": ring, "a": np.abs(x - middle[:, 0]) / usual}


KERNELS: dict[str, Kernel] = {
    "EWMA": ewma,
    "Welford": welford,
    "CUSUM": cusum,
    "Page-Hinkley": page_hinkley,
    "frugal quantile": frugal,
    "stuck-at": stuck_at,
    "Holt-Winters": holt_winters,
    "Hampel, 15": hampel,
}
WAYS = ("synchronous", "scattered")
TABLE = {
    "EWMA": 1.4,
    "Welford": 2.2,
    "CUSUM": 1.8,
    "Page-Hinkley": 1.0,
    "frugal quantile": 4.5,
    "stuck-at": 1.1,
    "Holt-Winters": 2.0,
    "Hampel, 15": 439.0,
}
"""ns per reading in order, of section 5 of research/analytics.md: one sweep of 100,000 series on another machine."""
TIMES_SCATTERED, CHEAP_NS = 10, 100
"""What it says of scattered arrivals: ten times as much, for the cheap ones."""
BUILT_AROUND = {
    "stuck": "stuck-at",
    "missing": "stuck-at",
    "repeated": "stuck-at",
    "drift": "EWMA",
    "battery": "EWMA",
    "silent": "frugal quantile",
    "reporting": "EWMA",
    "clock": "stuck-at",
    "implausible": "Page-Hinkley",
    "shift": "Page-Hinkley",
    "fire-smoke": "CUSUM",
    "limit-major": "stuck-at",
    "limit-minor": "stuck-at",
    "limit-warning": "stuck-at",
    "anomaly": "Holt-Winters",
    "spike": "Hampel, 15",
}
"""The kernel that does what a detector does at every value."""


def told_ns(kernel: str, way: str) -> float:
    """What the table says that a kernel costs."""
    told = TABLE[kernel]
    return told * TIMES_SCATTERED if way == "scattered" and told < CHEAP_NS else told


def measure(series: int, sweeps: int = 9) -> dict[str, dict[str, float]]:
    """By kernel: ns of CPU per value, in order and by chance; the median of some sweeps."""
    random = np.random.default_rng(1)
    x = random.standard_normal(series).astype(np.float32)
    chance = random.permutation(series)
    found = {}
    for name, kernel in KERNELS.items():
        kept: State = {column: np.zeros(series, np.float32) for column in "abc"}
        kept["season"] = np.zeros((series, 1), np.float32)
        kept["ring"] = random.standard_normal((series, 15)).astype(np.float32)
        used = [column for column in kernel(kept, x) if column != "a" or name != "Hampel, 15"]
        state = {column: kept[column] for column in used}
        found[name] = {
            "synchronous": median_ns(lambda k=kernel, s=state: in_order(k, s, x), series, sweeps),
            "scattered": median_ns(lambda k=kernel, s=state: by_chance(k, s, x, chance), series, sweeps),
        }
    return found


def in_order(kernel: Kernel, state: State, x: npt.NDArray[np.float32]) -> None:
    """One sweep; state is replaced."""
    state.update({name: column for name, column in kernel(state, x).items() if name in state})


def by_chance(kernel: Kernel, state: State, x: npt.NDArray[np.float32], slot: npt.NDArray[np.int64]) -> None:
    """One sweep; state is gathered and put back."""
    for name, column in kernel({name: column[slot] for name, column in state.items()}, x).items():
        if name in state:
            state[name][slot] = column


def median_ns(sweep: Callable[[], None], series: int, sweeps: int) -> float:
    """CPU ns per value."""
    spent = []
    for _ in range(sweeps):
        began = time.thread_time()
        sweep()
        spent.append(time.thread_time() - began)
    return 1e9 * float(np.median(spent)) / series
