"""Writes a city's messages ahead of time, on a thread of its own, so that sending keeps its pace whatever writing costs."""

import threading
from collections.abc import Sequence
from queue import Empty, Full, Queue

import numpy as np

from simulators.city import City
from simulators.draw import Ints
from simulators.fleet import Fleet
from simulators.line import Piece
from simulators.packets import Packets
from simulators.publish import Broker

AT_ONCE = 50_000
"""Messages that are written at once: many cost less than a few at a time, in bounded memory."""
LONGEST_STEP_S = 1.0
BATCHES = 3
"""Batches that are kept ready."""

Batch = list[tuple[int, Piece]]
"""Line by its number, and the messages that go through it."""


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


class Ahead:
    """Batches of messages, ready before they are due. `taken_until`: s since 1970, all due before has been taken."""

    def __init__(self, city: City, routes: Routes, start: float, end: float) -> None:
        """`start`, `end`: s since 1970; what is due after the end is never written."""
        self._city, self._routes, self._from, self._end = city, routes, start, end
        self.taken_until = start
        self._ready: Queue[tuple[float, Batch]] = Queue(BATCHES)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="write ahead", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def take(self) -> Batch:
        """The next batch if one is ready. Raises what went wrong while writing."""
        if self._error:
            raise self._error
        try:
            self.taken_until, batch = self._ready.get_nowait()
        except Empty:
            return []
        return batch

    def _run(self) -> None:
        try:
            step = min(LONGEST_STEP_S, AT_ONCE / max(self._city.rate_per_s, 1e-9))
            moment = self._from
            while moment < self._end and not self._stop.is_set():
                moment = min(moment + step, self._end)
                self._hand_over((moment, written(self._city, self._routes, moment)))
        except BaseException as error:  # it is raised where the batches are taken
            self._error = error

    def _hand_over(self, batch: tuple[float, Batch]) -> None:
        while not self._stop.is_set():
            try:
                return self._ready.put(batch, timeout=0.1)
            except Full:
                continue


def written(city: City, routes: Routes, moment: float) -> Batch:
    """The messages due before `moment` with their packets, by line."""
    messages = city.until(moment)
    line = routes.line_of(messages.sender.astype(np.int64))
    order = np.argsort(line, kind="stable")
    messages = messages.take(order)
    packets = city.packets(messages)
    edges = np.searchsorted(line[order], np.arange(routes.lines + 1)).tolist()
    spans = enumerate(zip(edges[:-1], edges[1:], strict=True))
    return [
        (number, Piece(messages.take(slice(first, last)), part_of(packets, first, last)))
        for number, (first, last) in spans
        if last > first
    ]


def part_of(packets: Packets, first: int, last: int) -> Packets:
    """The packets from `first` to before `last`, as they stand."""
    begin = int(packets.ends[first - 1]) if first else 0
    end = int(packets.ends[last - 1])
    return Packets(packets.body[begin:end], packets.ends[first:last] - begin, packets.ids[first:last] - begin)
