"""What is published, as a function of the seed: device, number → topic and payload. Nothing of it needs a log.

A device's messages are numbered 0, 1, 2, …. Message n carries the seqs of `seqs(n)`; some messages are followed by an
extra one: the same again, the same key with other values, bytes that are no message, or a device nobody enrolled.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000
STEP_MS = 2  # between two seqs of a device: its times stay behind the clock up to 125 messages per second
BOOT = 1
# Family → profile and the two metrics that carry the values a and b of every reading.
FAMILIES = {
    "air_quality": ("native-air-quality", "pm25", "temperature"),
    "traffic_flow": ("native-traffic-flow", "intensity", "average_vehicle_speed"),
    "weather": ("native-weather", "precipitation", "temperature"),
    "fire_watch": ("native-fire-watch", "smoke", "temperature"),
    "water_level": ("native-water-level", "flow", "temperature"),
    "meter": ("native-meter", "active_power", "temperature"),
}
ASKING = ("fire_watch", "water_level", "meter")  # their profiles ask for the platform's acknowledgement

Numbers = NDArray[np.int64]


class Kind(IntEnum):
    """A message's part: the numbered one, or an extra that follows it."""

    MAIN = 0
    AGAIN = 1
    CONFLICT = 2
    GARBAGE = 3
    STRANGER = 4


# Of a hundred messages, in one of eight stretches of a device's life: so there are batches with and without them.
EXTRAS = {
    **dict.fromkeys(range(8), Kind.AGAIN),
    **dict.fromkeys((8, 9), Kind.CONFLICT),
    **dict.fromkeys((10, 11, 12), Kind.GARBAGE),
    13: Kind.STRANGER,
}
STRANGERS = 24  # so many devices are followed by one that nobody enrolled: unknown ids share a quota


class Device(NamedTuple):
    """One simulated device. `ordinal` is its place in the round; `start_ms` the time of its seq 0."""

    name: str
    family: str
    area: str
    ordinal: int
    seed: int
    start_ms: int
    conflicts: bool = True

    @property
    def asks(self) -> bool:
        """Whether the platform acknowledges this device's readings."""
        return self.family in ASKING

    @property
    def topic(self) -> bytes:
        """Where it publishes."""
        return f"dothi/v1/{self.area}/{self.name}/up".encode()


def fleet(prefix: str, areas: list[str], per_family: int, seed: int, start_ms: int, conflicts: bool) -> list[Device]:
    """The devices of one round."""
    places = [(area, family, n) for area in areas for family in FAMILIES for n in range(per_family)]
    return [
        Device(f"{prefix}-{area}-{family.replace('_', '-')}-{n}", family, area, ordinal, seed, start_ms, conflicts)
        for ordinal, (area, family, n) in enumerate(places)
    ]


def is_list(device: Device, number: int) -> bool:
    """Whether message `number` is a list of four readings."""
    return not device.asks and (number * 37 + device.ordinal * 11 + device.seed) % 41 == 0


def seqs(device: Device, number: int) -> range:
    """The seqs of message `number`; a device that asks for acknowledgements counts without gaps."""
    if device.asks:
        return range(number, number + 1)
    return range(4 * number, 4 * number + (4 if is_list(device, number) else 1))


def all_seqs(device: Device, numbers: Numbers) -> Numbers:
    """`seqs` of many messages at once."""
    if device.asks:
        return numbers
    lists = numbers[(numbers * 37 + device.ordinal * 11 + device.seed) % 41 == 0]
    return np.concatenate([4 * numbers, 4 * lists + 1, 4 * lists + 2, 4 * lists + 3])


def times_ms(device: Device, seq: Numbers) -> Numbers:
    """Milliseconds since 1970 of readings; one of a hundred comes days late."""
    late = np.where(seq % 101 == 17, (seq % 5 + 1) * DAY_MS, 0)
    return device.start_ms + seq * STEP_MS - late


def values(device: Device, seq: Numbers) -> tuple[Numbers, Numbers]:
    """The two values of readings."""
    return (
        (seq * 7919 + device.ordinal * 104_729 + device.seed) % 997,
        (seq * 31 + device.ordinal * 17 + device.seed) % 40,
    )


def element(device: Device, seq: int, shift: int = 0) -> bytes:
    """One reading as JSON; `shift` makes it another one under the same key."""
    late = (seq % 5 + 1) * DAY_MS if seq % 101 == 17 else 0
    _, a, b = FAMILIES[device.family]
    return b'{"time": %d, "seq": %d, "boot": %d, "metrics": {"%s": %d, "%s": %d}}' % (
        device.start_ms + seq * STEP_MS - late,
        seq,
        BOOT,
        a.encode(),
        (seq * 7919 + device.ordinal * 104_729 + device.seed) % 997 + shift,
        b.encode(),
        (seq * 31 + device.ordinal * 17 + device.seed) % 40,
    )


def extra(device: Device, number: int) -> Kind | None:
    """What follows message `number`, if anything."""
    kind = EXTRAS.get((number * 53 + device.ordinal * 7 + device.seed) % 100)
    if (number >> 6) % 8 or (kind is Kind.CONFLICT and not device.conflicts):
        return None
    if kind is Kind.STRANGER and device.ordinal >= STRANGERS:
        return None
    return kind


def message(device: Device, number: int, kind: Kind) -> tuple[bytes, bytes]:
    """Topic and payload."""
    if kind is Kind.GARBAGE:
        return device.topic, b'{"time": %d, "seq": %d, "metrics": {"cut short' % (device.start_ms, number)
    own = seqs(device, number)
    if kind is Kind.STRANGER:
        topic = f"dothi/v1/{device.area}/{device.name}-stranger/up".encode()
        return topic, element(device, own[0])
    if kind is Kind.CONFLICT:
        return device.topic, element(device, own[0], shift=1)
    if len(own) == 1:
        return device.topic, element(device, own[0])
    return device.topic, b"[" + b", ".join(element(device, seq) for seq in own) + b"]"
