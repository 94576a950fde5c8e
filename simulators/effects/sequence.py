"""How many messages devices have sent by a moment, as their clocks say: from there their numbers begin anew."""

import numpy as np

from simulators.draw import Floats, Ints
from simulators.fleet import Fleet
from simulators.scenario import Devices
from simulators.schedule import Schedule, Shares

AT_ONCE = 500_000
"""About so many messages are looked at together."""


def counted(fleet: Fleet, devices: Devices, moments: Floats, start: float, speed: float) -> Ints:
    """Per device the messages due before its moment (s since 1970) in a run from `start` at `speed`."""
    said = np.zeros(len(devices), dtype=np.int64)
    if not len(devices):
        return said
    schedule = Schedule(fleet, devices, start=start, boot=0, speed=speed, shares=Shares(0.0, 0.0, 0.0))
    last, told = float(moments.max()), start
    step = max((last - start) / 64, 1.0)
    while told < last:
        told = min(told + step, last)
        messages = schedule.until(told)
        at = np.searchsorted(devices, messages.device)
        said += np.bincount(at[messages.due < moments[at]], minlength=len(devices))
        if len(messages):
            step = max(step * min(AT_ONCE / len(messages), 4.0), 1e-3)
    return said
