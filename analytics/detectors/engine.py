"""The follower that runs the detectors: rows in, findings out, all in the transaction that moves the position.

What detectors remember is stored now and then (saving.py); after a restart it is read back, and what came since is read
again (catching_up.py). A detector that fails is out until the next start, and the others go on.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import psycopg
import structlog

from analytics.bulletins.bulletin import Every
from analytics.columns import Columns
from analytics.consume import CONSUMER
from analytics.detectors import all_detectors, findings, store
from analytics.detectors.afford import costs, left_out, room_here
from analytics.detectors.catching_up import Again, CatchingUp
from analytics.detectors.counts import Counts
from analytics.detectors.detector import Detector
from analytics.detectors.findings import Findings, in_full
from analytics.detectors.pack import devices_of, unpack
from analytics.detectors.registry import NAMES, Registry
from analytics.detectors.rows import Ints
from analytics.detectors.saving import Saving
from analytics.detectors.slots import NOBODY
from analytics.detectors.watch import Found, Kinds, Watch
from devices.family import FAMILIES, Family

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger("analytics.detectors")

FOLLOW_EVERY = timedelta(seconds=5)
TICK_EVERY = timedelta(seconds=5)
FORGET_EVERY = timedelta(minutes=1)
KEPT_DAYS = 400
MOST_WRITTEN = 20_000  # changes in one transaction; more than that is a storm
EVENT = """
insert into ops.event (kind, severity, message, detail)
values ('detector_failed', 'major', %s, jsonb_build_object('detector', %s::text, 'family', %s::text))
"""


class Detectors:
    """Follower `detectors`. `consumer`: the name under which the caller takes batches; `kinds`: of detectors, else all;
    `save_every_s`: how often at most what is remembered is stored; `budget_s`: of catching up in one tick; `room`:
    bytes for what they remember, see afford.py."""

    name = "detectors"

    def __init__(
        self,
        consumer: str = CONSUMER,
        kinds: Kinds | None = None,
        save_every_s: float = 60.0,
        budget_s: float = 0.5,
        room: int | None = None,
    ) -> None:
        self.counts = Counts()
        self._consumer = consumer
        self._kinds = all_detectors() if kinds is None else kinds
        self._save_every_s = save_every_s
        self._budget_s = budget_s
        self._costs = costs(self._kinds)
        self._room = room_here() if room is None else room
        self._out: dict[tuple[str, str], str] = {}  # family and detector → why
        self._without: set[tuple[str, str]] = set()  # for want of memory
        self._events: list[tuple[str, str, str]] = []
        self._forget()

    def _forget(self) -> None:
        self._registry = Registry()
        self._watches: dict[str, Watch] = {}
        self._positions: dict[str, int] = {}
        self._catching: dict[str, CatchingUp] = {}
        self._findings = Findings()
        self._saving = Saving(self._save_every_s)
        self._follow, self._tick, self._tidy = Every(FOLLOW_EVERY), Every(TICK_EVERY), Every(FORGET_EVERY)

    def collect(self) -> "Iterator[Metric]":
        """As prometheus_client asks for it."""
        self.counts.catching_up = len(self._catching)
        self.counts.waiting = self._findings.waiting
        return self.counts.collect(list(self._watches.values()), dict(self._out), sorted(self._without))

    def reset(self, connection: psycopg.Connection) -> None:
        """Read back what was remembered; see what came since."""
        self._forget()
        ranges = [head for head in store.heads(connection) if head.family in FAMILIES]
        stored = [head for head in ranges if head.first != store.NO_RANGE]
        for head in stored:
            self._registry.seat(head.family, head.first, devices_of(head.beginning))
        moved = self._registry.follow(connection)
        self._without = self._too_much()
        self._watches = {name: self._watch(family) for name, family in FAMILIES.items()}
        for name, watch in self._watches.items():
            watch.grow(self._registry.slots[name].fleet())
        for head in stored:
            self._put_back(connection, head)
        for name, change in moved.items():
            self._begin_anew(connection, name, change.slots, change.devices)
        self._find_positions(connection, ranges)

    def _watch(self, family: Family) -> Watch:
        out = self._out.keys() | self._without
        kinds = [kind for kind in self._kinds if (family.name, kind.name) not in out]
        return Watch(family, kinds, partial(self._failed, family))

    def _put_back(self, connection: psycopg.Connection, head: store.Head) -> None:
        watch, fleet = self._watches[head.family], self._registry.slots[head.family].fleet()
        unpack(watch, store.packed(connection, head.family, head.first), head.first)
        devices = devices_of(head.beginning)
        others = np.flatnonzero(fleet.device[head.first : head.first + len(devices)] != devices)
        watch.forget(head.first + others)

    def _find_positions(self, connection: psycopg.Connection, ranges: list[store.Head]) -> None:
        taken, written = store.taken(connection, self._consumer), store.positions(connection)
        for name, watch in self._watches.items():
            begin = next((r.xid for r in ranges if r.family == name and r.first == store.NO_RANGE), None)
            if begin is None or name not in written:  # the first start: nothing before it counts
                store.move_to(connection, name, taken)
                store.save(connection, name, store.NO_RANGE, taken, b"")
                begin = written[name] = taken
            seen = store.seen_from(ranges, len(watch.newest), name)
            self._positions[name] = written[name]
            self._catching[name] = CatchingUp(FAMILIES[name], seen, begin, written[name])

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Give rows to the detectors of the family; write what they find."""
        name = columns.family.name
        if name in self._catching:
            return  # it will come to these
        slots = self._slots(connection, name, columns.device)
        self._add(name, self._watches[name].take(slots, columns))
        self._saving.touch(name, slots)
        self._positions[name] = store.move(connection, name, self._consumer)
        self._write(connection)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Follow the registry, catch up, let time pass for the detectors, store some of what they remember."""
        while self._events:
            connection.execute(EVENT, self._events.pop())
        if self._follow.passed(now):
            self._look_around(connection)
        self._catch_up(connection)
        if self._tick.passed(now):
            for name, watch in self._watches.items():
                if name not in self._catching and len(watch.newest):
                    self._add(name, watch.tick(round(now.timestamp() * 1e6)))
        self._write(connection)
        along = {name: at for name, at in self._positions.items() if name not in self._catching}
        fleets = {name: slots.fleet() for name, slots in self._registry.slots.items()}
        self._saving.step(connection, self._watches, fleets, along)
        if self._tidy.passed(now):
            findings.forget(connection, KEPT_DAYS)

    def heard(self, family: str, devices: Sequence[int]) -> dict[int, int]:
        """The time of the newest reading that was taken of devices of a family, µs since 1970; of those of which none
        is known nothing."""
        asked = np.array(devices, np.int64)
        slots = self._registry.seats.of(asked, NAMES.index(family))
        newest = self._watches[family].newest
        known = slots != NOBODY
        pairs = zip(asked[known].tolist(), newest[slots[known]].tolist(), strict=True)
        return {device: at for device, at in pairs if at}

    def _slots(self, connection: psycopg.Connection, name: str, devices: Ints) -> Ints:
        """Slots of devices; the registry is asked at once for those that nobody knows."""
        slots = self._registry.seats.of(devices, NAMES.index(name))
        if (slots == NOBODY).any():
            self._look_around(connection)
            slots = self._registry.seats.of(devices, NAMES.index(name))
        return slots

    def _look_around(self, connection: psycopg.Connection) -> None:
        moved = self._registry.follow(connection)
        for name, detector in sorted(self._too_much() - self._without):
            self._leave_out(connection, name, detector)
        for name, change in moved.items():
            self._watches[name].grow(self._registry.slots[name].fleet())
            self._begin_anew(connection, name, change.slots, change.devices)

    def _too_much(self) -> set[tuple[str, str]]:
        """Families and detectors to go without; what was left out stays so until the next start."""
        sizes = {name: slots.size for name, slots in self._registry.slots.items()}
        return self._without | left_out(self._costs, sizes, self._room)

    def _leave_out(self, connection: psycopg.Connection, name: str, detector: str) -> None:
        self._without.add((name, detector))
        self._watches[name].leave_out(detector)
        keys = findings.open_ones(connection, FAMILIES[name])
        findings.close_of(connection, [device for device, by, _ in keys if by == detector], [detector])
        log.warning("no memory for a detector of a family", detector=detector, family=name, room_mib=self._room >> 20)

    def _begin_anew(self, connection: psycopg.Connection, name: str, slots: Ints, devices: Ints) -> None:
        """Devices that were retired or replaced: what was found of them is over."""
        self._watches[name].forget(slots)
        self._saving.touch(name, slots)
        findings.close_of(connection, devices.tolist())

    def _add(self, name: str, found: list[Found]) -> None:
        fleet = self._registry.slots[name].fleet()
        for one in found:
            self.counts.changed(one)
            self._findings.add(in_full(FAMILIES[name], fleet, one))

    def _write(self, connection: psycopg.Connection) -> None:
        self._findings.write(connection, MOST_WRITTEN)

    def _catch_up(self, connection: psycopg.Connection) -> None:
        deadline = time.monotonic() + self._budget_s
        while self._catching and time.monotonic() < deadline:
            self._one_portion(connection, next(iter(self._catching)))

    def _one_portion(self, connection: psycopg.Connection, name: str) -> None:
        catching, until = self._catching[name], store.taken(connection, self._consumer)
        again = catching.read(connection, until, partial(self._slots, connection, name))
        if again is None:
            del self._catching[name]
            self._positions[name] = until
            self._agree(connection, name)
        else:
            self._live_again(name, again)
        if again is None or not again.known:
            store.move_to(connection, name, self._positions[name])

    def _live_again(self, name: str, again: Again) -> None:
        """Rows as they came, and the clock as it went on meanwhile."""
        watch = self._watches[name]
        found = watch.take(again.slot, again.columns)
        found += watch.tick(int(again.columns.received.max(initial=0)))
        self._saving.touch(name, again.slot)
        if not again.known:
            self._add(name, found)
            self._positions[name] = again.xid

    def _agree(self, connection: psycopg.Connection, name: str) -> None:
        """What is open counts as on, and nothing else: clocks went on while rows came again."""
        self._findings.write(connection, self._findings.waiting)
        keys = findings.open_ones(connection, FAMILIES[name])
        slots = self._registry.seats.of(np.array([device for device, _, _ in keys], np.int64), NAMES.index(name))
        strange = self._watches[name].agree([key[1:] for key in keys], slots)
        for place in strange:
            if (name, keys[place][1]) not in self._out:
                findings.close_of(connection, [keys[place][0]], [keys[place][1]])

    def _failed(self, family: Family, detector: Detector, error: Exception) -> None:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        self._out[family.name, detector.name] = said
        log.error("a detector failed and is out until the next start", detector=detector.name, family=family.name)
        log.debug("its fault", exc_info=error)
        message = f"detector {detector.name} of {family.name} failed and is out until the next start: {said}"
        self._events.append((message, detector.name, family.name))
