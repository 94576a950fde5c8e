"""What was published and who acknowledged it, per device; in memory, one round long."""

import numpy as np

from tests.chaos.generator import Device, Kind, Numbers, all_seqs


class Track:
    """One device's messages: how many exist, which of them the broker and the platform have acknowledged."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.published = 0
        self.settled = -1  # the platform's word: every seq up to here
        self.settled_at = 0.0
        self.extras: dict[tuple[int, Kind], bool] = {}
        self._acknowledged = bytearray()

    def next(self) -> int:
        """Number of a new message."""
        self.published += 1
        self._acknowledged.append(0)
        return self.published - 1

    def acknowledge(self, number: int, kind: Kind) -> None:
        """The broker has it."""
        if kind is Kind.MAIN:
            self._acknowledged[number] = 1
        else:
            self.extras[number, kind] = True

    def settle(self, seq: int, now: float) -> None:
        """The platform has everything up to this seq."""
        if self.settled < seq < self.published:
            self.settled = seq
            self.settled_at = now

    @property
    def unsettled(self) -> int:
        """Messages that the platform has not acknowledged."""
        return self.published - 1 - self.settled

    @property
    def acknowledged_numbers(self) -> Numbers:
        """Messages the broker has acknowledged."""
        return np.flatnonzero(np.frombuffer(bytes(self._acknowledged), np.uint8)).astype(np.int64)

    def by_broker(self) -> Numbers:
        """Seqs the broker has acknowledged."""
        return all_seqs(self.device, self.acknowledged_numbers)

    def by_platform(self) -> Numbers:
        """Seqs the platform has acknowledged."""
        return np.arange(self.settled + 1, dtype=np.int64) if self.device.asks else np.empty(0, np.int64)

    def all_published(self) -> Numbers:
        """Every seq that exists."""
        return all_seqs(self.device, np.arange(self.published, dtype=np.int64))

    def acknowledged_extras(self, *kinds: Kind) -> list[tuple[int, Kind]]:
        """Extra messages of these kinds that the broker has acknowledged."""
        return [key for key, done in self.extras.items() if done and key[1] in kinds]
