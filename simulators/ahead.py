"""Writes a city's messages ahead of time: which line each one goes through, and its packet."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from simulators.city import City
from simulators.draw import Ints
from simulators.fleet import Fleet
from simulators.line import Batch
from simulators.packets import Packets
from simulators.publish import Broker


class Routes:
    """Which line carries which device's messages: one of its area's broker, always the same, so they stay in order."""

    def __init__(self, fleet: Fleet, brokers: Sequence[Broker], per_broker: int) -> None:
        self._fleet, self._per_broker = fleet, per_broker
        served = {area: place for place, broker in enumerate(brokers) for area in broker.areas}
        others = next((place for place, broker in enumerate(brokers) if not broker.areas), 0)
        self._broker = np.array([served.get(area, others) for area in fleet.areas], dtype=np.int64)
        self.lines = len(brokers) * per_broker

    def line_of(self, device: Ints) -> Ints:
        """The number of each device's line: its broker's place times lines per broker, and so on."""
        own = (self._fleet.key[device] >> np.uint64(33)) % np.uint64(self._per_broker)
        return np.asarray(self._broker[self._fleet.area[device]] * self._per_broker + own.astype(np.int64))


def written(city: City, routes: Routes, moment: float) -> Batch:
    """The messages due before `moment` with their packets, by line."""
    messages = city.until(moment)
    line = routes.line_of(messages.sender.astype(np.int64))
    order = np.argsort(line.astype(np.min_scalar_type(routes.lines)), kind="stable")  # by digits, if they are few
    messages = messages.take(order)
    packets = city.packets(messages)
    edges = np.searchsorted(line[order], np.arange(routes.lines + 1)).tolist()
    spans = enumerate(pairwise(edges))
    parts = [
        (number, messages.take(slice(first, last)), part_of(packets, first, last))
        for number, (first, last) in spans
        if last > first
    ]
    return Batch(moment, parts)


def part_of(packets: Packets, first: int, last: int) -> Packets:
    """The packets from `first` to before `last`, as they stand."""
    begin = int(packets.ends[first - 1]) if first else 0
    end = int(packets.ends[last - 1])
    return Packets(packets.body[begin:end], packets.ends[first:last] - begin, packets.ids[first:last] - begin)
