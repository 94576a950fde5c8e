"""Readings in columns, one set per family; closed by rows, bytes or age."""

import time
from collections import defaultdict
from typing import NamedTuple

import msgspec

from devices.family import Family
from devices.reading import Reading
from devices.rejected import Rejected
from devices.time import check_time
from ingest.route import Device, Outcome
from ingest.window import Arrival

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000


class Limits(NamedTuple):
    """When a batch closes, and which times are believed. `late_us` by family, with a default under ""."""

    rows: int = 5_000
    bytes: int = 16 << 20
    age_s: float = 0.05
    future_us: int = 5 * MINUTE_US
    late_us: dict[str, int] = {"": 7 * DAY_US}  # noqa: RUF012 - a NamedTuple's default, never written to

    def late(self, family: str) -> int:
        """The late limit of a family, microseconds."""
        return self.late_us.get(family, self.late_us[""])


class Origin(NamedTuple):
    """Where a row came from: enough to quarantine it and to count it."""

    inbox: str
    topic: bytes
    payload: bytes
    received: int


class Quarantined(NamedTuple):
    """A reading that is kept with its reason instead of being stored."""

    origin: Origin
    device: str | None
    profile: str | None
    rejected: Rejected


class Columns:
    """Readings of one family; `values` holds all metrics of all rows one after the other."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.time: list[int] = []
        self.seq: list[int] = []
        self.received: list[int] = []
        self.boot: list[int | None] = []
        self.device: list[int] = []
        self.area: list[int] = []
        self.values: list[float] = []
        self.extra: list[bytes | None] = []
        self.names: list[str] = []
        self.origins: list[Origin] = []

    def __len__(self) -> int:
        """Rows."""
        return len(self.time)

    def add(self, device: Device, reading: Reading, when: int, origin: Origin) -> None:
        """One row. `when`: its time, microseconds since 1970 UTC."""
        self.time.append(when)
        self.seq.append(reading.seq)
        self.received.append(origin.received)
        self.boot.append(reading.boot)
        self.device.append(device.id)
        self.area.append(device.area_id)
        self.values.extend(reading.values)
        self.extra.append(msgspec.json.encode(reading.extra) if reading.extra else None)
        self.names.append(device.name)
        self.origins.append(origin)


class Count(msgspec.Struct):
    """What the ledger says of one minute and inbox, in readings."""

    received: int = 0
    duplicate: int = 0
    quarantined: int = 0
    partial: int = 0

    @property
    def stored(self) -> int:
        """What is left: the ledger balances by construction, and the table checks it."""
        return self.received - self.duplicate - self.quarantined


Ledger = dict[tuple[int, str], Count]


class Batch:
    """What one transaction will store, and what it will acknowledge."""

    def __init__(self, limits: Limits) -> None:
        self.columns: dict[str, Columns] = {}
        self.quarantine: list[Quarantined] = []
        self.presence: dict[int, tuple[bool, int]] = {}
        self.ledger: Ledger = defaultdict(Count)
        self.arrivals: list[Arrival] = []
        self._limits = limits
        self._bytes = 0
        self._opened: float | None = None

    @property
    def rows(self) -> int:
        """Rows to store and to quarantine."""
        return sum(map(len, self.columns.values())) + len(self.quarantine)

    @property
    def time_left_s(self) -> float | None:
        """Seconds until the batch closes by age; None while nothing has arrived."""
        if self._opened is None:
            return None
        return max(0.0, self._opened + self._limits.age_s - time.monotonic())

    @property
    def closed(self) -> bool:
        """Whether it must be stored now."""
        return bool(self.arrivals) and (
            self.rows >= self._limits.rows or self._bytes >= self._limits.bytes or self.time_left_s == 0.0
        )

    def arrived(self, arrival: Arrival) -> None:
        """These messages are settled with this batch."""
        if self._opened is None:
            self._opened = time.monotonic()
        self.arrivals.append(arrival)
        self._bytes += arrival.size

    def add(self, outcome: Outcome, inbox: str, topic: bytes, received: int) -> None:
        """One reading or rejection of a message."""
        origin = Origin(inbox, topic, outcome.payload, received)
        count = self.ledger[received // MINUTE_US * MINUTE_US, inbox]
        count.received += 1
        result = outcome.result
        if isinstance(result, Reading) and outcome.device:
            result = self._store(outcome.device, result, origin, count)
        if isinstance(result, Rejected):
            count.quarantined += 1
            profile = outcome.device.profile.name if outcome.device else None
            self.quarantine.append(Quarantined(origin, outcome.claimed, profile, result))

    def _store(self, device: Device, reading: Reading, origin: Origin, count: Count) -> Rejected | None:
        """Put a reading among the columns of its family, unless its time cannot be believed."""
        family = device.profile.family
        when = origin.received if reading.time is None else reading.time
        if reading.time is not None:
            refused = check_time(when, origin.received, self._limits.late(family.name), self._limits.future_us)
            if refused:
                return refused
        columns = self.columns.get(family.name)
        if columns is None:
            columns = self.columns[family.name] = Columns(family)
        columns.add(device, reading, when, origin)
        count.partial += reading.partial
        return None

    def acknowledge(self) -> None:
        """Everything is committed: tell the broker, each connection in its own order."""
        for arrival in self.arrivals:
            pids = [message.pid for message in arrival.messages if message.pid]
            if pids:
                arrival.source.acknowledge(pids)
