"""A day of a province as rows: some devices send as often as their profiles say, the others four times a day.

How many readings are asked for decides how many those are. The readings of any minute follow from the fleet alone, so a
day that was half loaded can be gone on with.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.family import FAMILIES, Family
from ingest.columns import NO_BOOT, Block, Table
from simulators.fleet import Fleet, native_profile

MINUTE_US, SECOND_US = 60_000_000, 1_000_000
DAY_S = 86_400
SELDOM_S = 21_600
"""Between two readings of those that do not send at their own pace."""
MOST_METRICS = 2
"""So many metrics of a family are sent: the others are NULL, which takes no room."""
LONGEST_WAY_US = 900_000

Ints = NDArray[np.int64]


class Quiet(Block):
    """Rows of devices that ask for no acknowledgement."""

    def asks(self) -> NDArray[np.bool_]:
        """None does."""
        return np.zeros(len(self.order), dtype=np.bool_)


class Pace(NamedTuple):
    """Devices of one family that send every `interval_s`, in the order in which they do. `phase`: µs into it."""

    family: Family
    interval_s: int
    device: Ints
    area: Ints
    phase: Ints


def often_share(fleet: Fleet, readings: int) -> float:
    """The share of devices that send at their own pace, for so many readings a day; 0 to 1."""
    own = sum(
        count * DAY_S / native_profile(family).interval_s for family, count in fleet.count_by_family().items() if count
    )
    seldom = len(fleet) * DAY_S / SELDOM_S
    return min(max((readings - seldom) / (own - seldom), 0.0), 1.0)


def often(fleet: Fleet, share: float) -> NDArray[np.bool_]:
    """Which devices send at their own pace: drawn by lot, always the same."""
    return (fleet.key >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share


def paces(fleet: Fleet, share: float, area_ids: Ints, place: int, of: int) -> list[Pace]:
    """Every `of`-th device. The id of a device in the registry is its place in the fleet plus one.

    `area_ids`: of the registry, by number of the area in the fleet.
    """
    mine = np.arange(place, len(fleet), of)
    frequent = often(fleet, share)[mine]
    found = []
    for number, name in enumerate(fleet.families):
        for own in (True, False):
            chosen = mine[(fleet.family[mine] == number) & (frequent == own)]
            if len(chosen):
                interval_s = round(native_profile(name).interval_s) if own else SELDOM_S
                found.append(pace_of(fleet, FAMILIES[name], interval_s, chosen, area_ids))
    return found


def pace_of(fleet: Fleet, family: Family, interval_s: int, chosen: Ints, area_ids: Ints) -> Pace:
    """The devices in the order in which they send."""
    phase = (fleet.key[chosen] % np.uint64(interval_s * 1000)).astype(np.int64) * 1000
    order = np.argsort(phase, kind="stable")
    chosen = chosen[order]
    return Pace(family, interval_s, chosen + 1, area_ids[fleet.area[chosen]], phase[order])


def minute(some: list[Pace], minute_us: int) -> dict[str, Quiet]:
    """What they send in the minute that begins then (µs since 1970 UTC), by family, in the order of receipt."""
    parts: dict[str, list[tuple[Ints, Ints, Ints, Ints]]] = {}
    for pace in some:
        part = within(pace, minute_us)
        if len(part[0]):
            parts.setdefault(pace.family.name, []).append(part)
    return {name: block(FAMILIES[name], parts[name], minute_us) for name in sorted(parts)}


def within(pace: Pace, minute_us: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Device, area, time and number of each of its readings in the minute."""
    interval_us = pace.interval_s * SECOND_US
    device, area, time, seq = [], [], [], []
    first = minute_us // interval_us
    for turn in range(first, (minute_us + MINUTE_US - 1) // interval_us + 1):
        start = minute_us - turn * interval_us
        low, high = np.searchsorted(pace.phase, (start, start + MINUTE_US))
        device.append(pace.device[low:high])
        area.append(pace.area[low:high])
        time.append(pace.phase[low:high] + turn * interval_us)
        seq.append(np.full(high - low, turn))
    return tuple(map(np.concatenate, (device, area, time, seq)))  # type: ignore[return-value]


def block(family: Family, parts: list[tuple[Ints, Ints, Ints, Ints]], minute_us: int) -> Quiet:
    """Rows in the order in which they came in, with values drawn by lot."""
    device, area, time, seq = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    chance = np.random.default_rng((minute_us // MINUTE_US, len(device)))
    received = time + chance.integers(5_000, LONGEST_WAY_US, len(time))
    order = np.argsort(received, kind="stable")
    rows = len(order)
    values = np.full((rows, len(family.metrics)), np.nan)
    for number in sent(family):
        metric = family.metrics[number]
        if metric.kind == "state":
            values[:, number] = 0.0
        elif metric.kind == "counter":
            values[:, number] = seq[order]
        else:
            low, high = max(metric.low, -1e4), min(metric.high, 1e4)
            values[:, number] = (low + (high - low) * chance.random(rows)).round(2)
    table = Table(
        time=time[order],
        seq=seq[order],
        boot=np.full(rows, NO_BOOT),
        received=received[order],
        device=device[order],
        area=area[order],
        values=values,
        extra=None,
    )
    return Quiet(np.arange(rows), table)


def sent(family: Family) -> list[int]:
    """Places of the metrics that are sent: the headline first, then others in the order of the file."""
    places = sorted(range(len(family.metrics)), key=lambda at: family.metrics[at].name != family.headline)
    return places[:MOST_METRICS]
