"""Sensors that fail: one metric of single devices is stuck, drifts, jumps, is off or in another unit; batteries die;
clocks are wrong.
"""

from dataclasses import replace

import numpy as np

from simulators.draw import Floats, Ints
from simulators.effects.event import Happening, Part, marked, quiet, ramp
from simulators.effects.kinds import MOST_S, SECONDS, Expected, Parameter, Sort, always, duration, number
from simulators.fleet import Fleet, native_profile
from simulators.messages import Kind, Messages
from simulators.scenario import Alarm

DIES_AT = 0.6
"""Part of a battery's event after which the device is silent; at the end it has a new battery."""
SLOT = 1.2
"""Intervals in which a reading is struck by a spike: long enough that every device has one, jitter and all."""


class Fault(Happening):
    """A fault of one metric."""

    @property
    def metric(self) -> str:
        """The metric that is wrong."""
        return str(self.event.given["metric"])


class Stuck(Fault):
    """The value of the first moment is repeated."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        began = np.full(len(device), self.event.start)
        part.set(self.metric, quiet(fleet, part.family, device, began)[self.metric])


class Drift(Fault):
    """The value leaves the truth steadily."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        part.add(self.metric, self.event.given["per_h"] * (seconds - self.event.start) / 3600.0)


class Spikes(Fault):
    """Single readings are far off, now to this side, now to that: what falls into a short slot of every period."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        every = float(self.event.given["every"])
        period, within = np.divmod(seconds - self.event.start, every)
        slot = SLOT * native_profile(part.family).interval_s / self.event.speed
        struck = (within >= 0.2 * every) & (within < 0.2 * every + slot)
        side = np.where(self.event.draws(fleet, device, "side", period.astype(np.int64)) < 0.5, -1.0, 1.0)
        part.add(self.metric, np.where(struck, side * self.event.given["size"], 0.0))


class Bias(Fault):
    """The value is off by a constant."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        part.add(self.metric, np.full(len(device), float(self.event.given["by"])))


class WrongUnit(Fault):
    """The value is in another unit; it may well leave the legal range."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        if self.metric in part:
            other = part[self.metric] * self.event.given["factor"] + self.event.given["offset"]
            part.set(self.metric, other, legal=False)


class BatteryDeath(Happening):
    """Level and voltage fall to the end, then the device is silent until it gets a new battery."""

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """As `Happening` says."""
        left = 1.0 - ramp((seconds - self.event.start) / (DIES_AT * self.event.seconds))
        part.times("battery_level", left)
        part.times("battery_voltage", 0.6 + 0.4 * left)

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        silent = self.sent(messages)
        keep = np.ones(len(messages), dtype=np.bool_)
        keep[silent] = messages.due[silent] < self.event.start + DIES_AT * self.event.seconds
        return messages.take(keep) if len(silent) else messages


class ClockSkew(Happening):
    """The clock is ahead (by > 0) or behind: the platform sees readings of the future or the past."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        wrong = self.sent(messages)
        if not len(wrong):
            return messages
        time = messages.time.copy()
        time[wrong] += round(self.event.given["by"] * 1000.0)
        return replace(messages, time=time, kind=marked(messages, wrong, Kind.SKEWED))


METRIC = Parameter("metric", None, 0, 0, "the number that is wrong; all of the event's families report it")


def one_each(kind: str, severity: str) -> Expected:
    """One alarm per device, about the metric."""
    return lambda given: (Alarm(kind, severity, "device", given.get("metric")),)


SORTS = {
    "stuck": Sort(
        "a sensor repeats the value of the first moment",
        None,
        {"metric": METRIC},
        one_each("stuck", "minor"),
        lambda event, _fleet: Stuck(event),
        "sensor",
        1,
    ),
    "drift": Sort(
        "a sensor leaves the truth steadily",
        None,
        {
            "metric": METRIC,
            "per_h": Parameter("unit/h", None, -1e9, 1e9, "how fast, in the metric's unit per hour; not 0"),
        },
        one_each("drift", "minor"),
        lambda event, _fleet: Drift(event),
        "sensor",
        1,
    ),
    "spikes": Sort(
        "single readings of a sensor are far off, to either side",
        None,
        {
            "metric": METRIC,
            "size": Parameter("unit", None, -1e9, 1e9, "how far off, in the metric's unit; not 0"),
            "every": duration("20 %", "one spike in each such period", least=0.001),
        },
        one_each("spike", "minor"),
        lambda event, _fleet: Spikes(event),
        "sensor",
        1,
    ),
    "bias": Sort(
        "a sensor is off by a constant",
        None,
        {"metric": METRIC, "by": Parameter("unit", None, -1e9, 1e9, "how much, in the metric's unit; not 0")},
        one_each("bias", "minor"),
        lambda event, _fleet: Bias(event),
        "sensor",
        1,
    ),
    "wrong_unit": Sort(
        "a sensor reports in another unit: value × factor + offset, even beyond the legal range",
        None,
        {
            "metric": METRIC,
            "factor": Parameter("1", None, -1e9, 1e9, "1.8 and offset 32 make Fahrenheit of Celsius; not 0"),
            "offset": number("unit", 0, -1e9, 1e9, "added after the factor"),
        },
        one_each("wrong_unit", "minor"),
        lambda event, _fleet: WrongUnit(event),
        "sensor",
        1,
    ),
    "battery_death": Sort(
        "batteries run down to 60 % of the time, then the devices are silent until they get new ones",
        None,
        {},
        always(Alarm("battery", "minor", "device"), Alarm("silent", "minor", "device")),
        lambda event, _fleet: BatteryDeath(event),
        "battery",
        1,
    ),
    "clock_skew": Sort(
        "the clock of a device is wrong",
        None,
        {
            "by": Parameter(
                SECONDS, None, -MOST_S, MOST_S, "how much it is ahead, behind if it begins with a minus; not 0"
            )
        },
        one_each("clock_skew", "warning"),
        lambda event, _fleet: ClockSkew(event),
        "clock",
        1,
    ),
}
