"""How long things took, counted in classes that grow with the time: sixteen from one power of two to the next."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_S = 2.0**-17  # 8 us
STEPS = 16
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
CLASSES = STEPS * 32  # up to nine hours


class Histogram:
    """Counts of seconds; a quantile is exact to 4.5 %, whatever the number of values, and memory stays the same."""

    def __init__(self) -> None:
        self.counts = np.zeros(CLASSES, dtype=np.int64)
        self.most = 0.0

    def add(self, seconds: NDArray[Any]) -> None:
        """Count values; what is no number is left out."""
        told = seconds[np.isfinite(seconds)]
        if len(told):
            place = np.floor(np.log2(np.maximum(told, LEAST_S) / LEAST_S) * STEPS).astype(np.int64)
            self.counts += np.bincount(np.minimum(place, CLASSES - 1), minlength=CLASSES)
            self.most = max(self.most, float(told.max()))

    def merge(self, other: "Histogram") -> None:
        """Count what another one has counted."""
        self.counts += other.counts
        self.most = max(self.most, other.most)

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of the values does not exceed; None without values."""
        total = int(self.counts.sum())
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self.counts), max(share * total, 1.0)))
        return float(min(LEAST_S * 2.0 ** ((place + 1) / STEPS), self.most))

    def document(self, name: str) -> dict[str, float]:
        """Some quantiles and the longest, in milliseconds; nothing without values."""
        told = {share: self.quantile(part) for share, part in QUANTILES.items()}
        return {f"{name}_{share}_ms": round(value * 1e3, 2) for share, value in told.items() if value is not None}
