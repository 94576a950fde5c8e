"""What may happen to a city: how effects of a scenario take hold of readings, messages and connections."""

from collections.abc import MutableMapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.behaviour import Column
from simulators.draw import Floats, Ints
from simulators.fleet import Fleet
from simulators.messages import Messages


class Outage(NamedTuple):
    """Devices without a connection from `start` to `end` (s since 1970); real sockets are cut and come back then.

    `device`: indices into the fleet. `restart`: they lost power, so they come back with another `boot`.
    """

    device: NDArray[np.uint32]
    start: float
    end: float
    restart: bool


class Effect(Protocol):
    """One happening. Pure: the same arguments give the same result, and only the devices it is about are touched."""

    def change(
        self, fleet: Fleet, family: str, device: Ints, seconds: Floats, columns: MutableMapping[str, Column]
    ) -> None:
        """Change what devices (indices) of a family measure at `seconds` since 1970, per metric one column, in place.

        Columns of states hold indices into the metric's states. Values are cut to the legal range afterwards, unless
        the effect says otherwise through the kind of the message.
        """

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """The messages as the happening leaves them: fewer, more, later (`due`), under another kind or sender."""

    def outages(self, fleet: Fleet) -> Sequence[Outage]:
        """Devices that lose their connection."""


Scenario = Sequence[Effect]
"""Effects, applied in this order."""
QUIET: Scenario = ()
