"""The Ångström index of Sweden: how likely fires are on a day, from two values and without memory.

I = H / 20 + (27 - T) / 10 with relative humidity H in % and temperature T in Cel at 13:00 (A. Ångström, 1949; given so
by the fire weather index collection of the Swiss research institute WSL).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BOUNDS = (2.0, 2.5, 4.0)
WORDS = ("very likely", "favourable", "unfavourable", "unlikely")
"""What fires are below each bound, and above the last; a bound belongs to the lower side."""


def angstrom(temperature: Floats, humidity: Floats) -> Floats:
    """The index; the lower, the more likely are fires. `temperature` Cel, `humidity` %."""
    return humidity / 20.0 + (27.0 - temperature) / 10.0


def word(index: float) -> str | None:
    """How likely fires are; None for NaN."""
    return None if np.isnan(index) else WORDS[int(np.searchsorted(BOUNDS, index, side="right"))]
