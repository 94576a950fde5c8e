"""Readings in columns, one set per family; bounded in rows and bytes."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from devices.envelopes import Notice
from devices.family import FAMILIES, Family
from devices.native import RESERVED
from devices.reading import Reading
from devices.rejected import Rejected
from devices.time import check_time
from ingest.columns import Columns as Columns
from ingest.columns import Origin as Origin
from ingest.known import Device
from ingest.route import Outcome
from ingest.together import Believed, Readings, Waiting
from ingest.window import Arrival, Source

NO_FIELDS = RESERVED | {"port"}
"""Names in `extra` that say how a message came and what was refused of it; the others are fields nobody asked for."""
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000


class Limits(NamedTuple):
    """What a batch holds at most, how old it becomes before it is stored, and which times are believed. `late_us` by
    family, with a default under ""."""

    rows: int = 20_000
    bytes: int = 16 << 20
    age_s: float = 0.05
    longest_s: float = 0.5
    future_us: int = 5 * MINUTE_US
    late_us: dict[str, int] = {"": 7 * DAY_US}  # noqa: RUF012 - a NamedTuple's default, never written to

    def late(self, family: str) -> int:
        """The late limit of a family, microseconds."""
        return self.late_us.get(family, self.late_us[""])


class Quarantined(NamedTuple):
    """A reading that is kept with its reason instead of being stored."""

    origin: Origin
    device: str | None
    profile: str | None
    rejected: Rejected


class Asked(NamedTuple):
    """A refused reading of a device that asks to be told what is settled: its number stands in the payload."""

    device: Device
    arrival: Arrival
    payload: bytes


class Heard(NamedTuple):
    """What a foreign system says of a device of ours. `at`: time of receipt, microseconds since 1970 UTC."""

    device: Device
    notice: Notice
    inbox: str
    at: int


class Count(msgspec.Struct):
    """What the ledger says of one minute and inbox, in readings."""

    received: int = 0
    duplicate: int = 0
    quarantined: int = 0
    partial: int = 0
    cut: int = 0  # of the quarantined: not kept, because of the quota

    @property
    def stored(self) -> int:
        """What is left: the ledger balances by construction, and the table checks it."""
        return self.received - self.duplicate - self.quarantined


Ledger = dict[tuple[int, str], Count]
Acks = defaultdict[Source, list[tuple[bytes, bytes]]]
"""Application acknowledgements (topic, payload), by the connection that the devices' messages came by."""


def ledger_key(arrival: Arrival) -> tuple[int, str]:
    """The line of the ledger that an arrival counts in: minute of receipt (microseconds since 1970 UTC), inbox."""
    return arrival.received // MINUTE_US * MINUTE_US, arrival.source.inbox


class Batch:
    """What one transaction will store, and what it will acknowledge."""

    def __init__(self, limits: Limits, age_s: float | None = None) -> None:
        """`age_s`: how old it becomes; None: as the limits say."""
        self.columns: dict[str, Columns] = {}
        self.quarantine: list[Quarantined] = []
        self.presence: dict[int, tuple[bool, int]] = {}
        self.notices: Counter[str] = Counter()  # by kind
        self.heard: list[Heard] = []  # those of devices that went, came or could not be decoded
        self.unknown: Counter[str] = Counter()  # fields that a profile does not know, by profile
        self.asked: list[Asked] = []
        self.acks = Acks(list)  # made by the transaction that commits
        self.replayed: list[tuple[int, int]] = []  # (id, received) of quarantine that this batch sends through again
        self.ledger: Ledger = defaultdict(Count)
        self.arrivals: list[Arrival] = []
        self._limits = limits
        self.waiting = Waiting()
        self.believed = Believed({family: limits.late(family) for family in FAMILIES}, limits.future_us)
        self.messages = 0  # that came, of all arrivals
        self._age_s = limits.age_s if age_s is None else age_s
        self._bytes = 0
        self._stored = 0  # rows in columns
        self._opened: float | None = None

    @property
    def rows(self) -> int:
        """Rows to store and to quarantine; a message that waits counts as one."""
        return self._stored + len(self.quarantine) + len(self.waiting)

    @property
    def time_left_s(self) -> float | None:
        """Seconds until it is old enough to be stored; None while nothing has arrived."""
        if self._opened is None:
            return None
        return max(0.0, self._opened + self._age_s - time.monotonic())

    @property
    def full(self) -> bool:
        """Whether it takes in nothing more; the last arrival may go over the limits."""
        return self.rows >= self._limits.rows or self._bytes >= self._limits.bytes

    def arrived(self, arrival: Arrival) -> Count:
        """These messages are settled with this batch; returns what counts their readings."""
        if self._opened is None:
            self._opened = time.monotonic()
        self.arrivals.append(arrival)
        self.messages += len(arrival.messages)
        self._bytes += arrival.size
        return self.ledger[ledger_key(arrival)]

    def extend(self, readings: Sequence[tuple[Family, Readings]], arrivals: Sequence[Arrival]) -> None:
        """Many readings that are as they should be, by family. `arrivals`: what may have brought them."""
        some = [(family, rows) for family, rows in readings if len(rows.order)]
        for family, rows in some:
            self._columns_of(family).extend(rows)
            self._stored += len(rows.order)
        if some:
            brought = np.bincount(np.concatenate([rows.arrival for _, rows in some]))
            for place in np.flatnonzero(brought).tolist():
                self.ledger[ledger_key(arrivals[place])].received += int(brought[place])

    def add(self, outcome: Outcome, arrival: Arrival, topic: bytes, count: Count, order: int = 0) -> None:
        """One reading, rejection or notice of a message. `order`: place of the message within the batch."""
        device, claimed, result, payload = outcome
        if isinstance(result, Notice):
            self._hear(device, result, arrival)
            return
        count.received += 1
        if device is not None and isinstance(result, Reading):
            refused = self._store(device, result, (arrival, topic, payload), order)
            if refused is None:
                if result.extra is not None:
                    count.partial += result.partial
                    self.unknown[device.profile.name] += len(result.extra.keys() - NO_FIELDS)
                return
            result = refused
        assert isinstance(result, Rejected)
        count.quarantined += 1
        profile = None
        if device is not None:
            profile = device.profile.name
            if device.profile.acknowledge:
                self.asked.append(Asked(device, arrival, payload))
        self.quarantine.append(Quarantined(Origin(arrival, topic, payload), claimed, profile, result))

    def _hear(self, device: Device | None, notice: Notice, arrival: Arrival) -> None:
        """A notice is outside the ledger, as the status messages of our own devices are."""
        self.notices[notice.kind] += 1
        if device is None or device.retired or notice.kind == "other":
            return
        self.heard.append(Heard(device, notice, arrival.source.inbox, arrival.received))
        if notice.kind != "codec_error":
            self.presence[device.id] = (notice.kind == "online", arrival.received)

    def _store(
        self, device: Device, reading: Reading, origin: tuple[Arrival, bytes, bytes], order: int
    ) -> Rejected | None:
        """Put a reading among the columns of its family, unless its time cannot be believed."""
        family = device.profile.family
        when, received = reading.time, origin[0].received
        if when is None:
            when = received - reading.ago
        late, future = self.believed.late_us[family.name], self.believed.future_us
        if when != received and not received - late <= when <= received + future:
            refused = check_time(when, received, late, future)
            if refused:
                return refused
        self._columns_of(family).add(device, reading, when, origin, order)
        self._stored += 1
        return None

    def _columns_of(self, family: Family) -> Columns:
        if family.name not in self.columns:
            self.columns[family.name] = Columns(family)
        return self.columns[family.name]

    def acknowledge(self) -> None:
        """Everything is committed: tell the broker, each connection in its own order, and the devices that ask."""
        for arrival in self.arrivals:
            pids = arrival.messages.pids
            if not all(pids):
                pids = [pid for pid in pids if pid]
            if pids:
                arrival.source.acknowledge(pids)
        for source, messages in self.acks.items():
            source.publish(messages)
