"""Streams of packets to brokers, one per device, watched by one thread; nothing here knows what they mean.

A few array elements per stream; Python objects only for what is half sent or half received.
"""

import resource
import select
from array import array
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from simulators import mqtt
from simulators.sockets_wire import Address, Plain, Tls, Wire, failure_name

EVENTS = 512
IN, BOTH = select.EPOLLIN, select.EPOLLIN | select.EPOLLOUT


class Ears(Protocol):
    """Who is told what happens. Whoever hears that a stream is lost closes it."""

    def heard(self, slot: int, head: int, body: bytes) -> None:
        """A packet came: its first byte and its body."""

    def lost(self, slot: int, reason: str) -> None:
        """A stream is no more, or did not come about."""


class Lines:
    """Streams, each under its slot: a number from 0 to below `count`."""

    def __init__(self, count: int, brokers: Sequence[Address], broker_of: bytes, ca: str | None) -> None:
        """`broker_of`: index into `brokers` of each slot."""
        tls = Tls(ca) if any(broker.tls for broker in brokers) else None
        plain = Plain()
        self._wires: list[Wire] = [tls if broker.tls and tls else plain for broker in brokers]
        self._brokers, self._broker_of = brokers, broker_of
        self._fd = array("i", [-1]) * count
        self._slot_of = array("i", [-1]) * resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._shaking: set[int] = set()
        self._unsent: dict[int, bytes] = {}
        self._rest: dict[int, bytes] = {}
        self._poll = select.epoll()

    def open(self, slot: int, source: str | None, first: bytes) -> None:
        """A new stream from the address `source`; `first` is what is sent as soon as it stands. Raises OSError."""
        address = self._brokers[self._broker_of[slot]]
        fd = self._wire(slot).open(address, source if address.is_local else None)
        self._fd[slot], self._slot_of[fd] = fd, slot
        self._shaking.add(slot)
        self._unsent[slot] = first
        self._poll.register(fd, BOTH)

    def send(self, slot: int, said: bytes) -> None:
        """Send, now or as soon as there is room; when the stream breaks, that is told later."""
        if slot in self._unsent:
            self._unsent[slot] += said
            return
        fd = self._fd[slot]
        try:
            taken = self._wire(slot).write(fd, said)
        except OSError:
            return
        if taken < len(said):
            self._unsent[slot] = said[taken:]
            self._poll.modify(fd, BOTH)

    def close(self, slot: int) -> None:
        """End a stream at once; nothing is told of it any more."""
        fd = self._fd[slot]
        if fd < 0:
            return
        self._wire(slot).close(fd)
        self._slot_of[fd], self._fd[slot] = -1, -1
        self._shaking.discard(slot)
        self._unsent.pop(slot, None)
        self._rest.pop(slot, None)

    def close_all(self) -> None:
        """End all streams."""
        for slot in np.flatnonzero(np.frombuffer(self._fd, dtype=np.int32) >= 0).tolist():
            self.close(slot)
        self._poll.close()

    def turn(self, wait: float, ears: Ears) -> None:
        """Wait at most `wait` s for something to happen, and tell what did."""
        for fd, mask in self._poll.poll(wait, EVENTS):
            slot = self._slot_of[fd]
            if slot < 0:
                continue  # closed by what happened before it
            try:
                self._happened(slot, fd, mask, ears)
            except OSError as error:
                ears.lost(slot, failure_name(error))
            except mqtt.StreamError as error:
                ears.lost(slot, f"no MQTT: {error}")

    def _happened(self, slot: int, fd: int, mask: int, ears: Ears) -> None:
        if slot in self._shaking:
            if mask & (select.EPOLLERR | select.EPOLLHUP):
                self._wire(slot).read(fd)  # raises what is wrong
            if not self._wire(slot).shake(fd):
                self._poll.modify(fd, IN)
                return
            self._shaking.discard(slot)
            mask |= select.EPOLLOUT
        if mask & select.EPOLLOUT:
            self._flush(slot, fd)
        if mask & ~select.EPOLLOUT:
            self._read(slot, fd, ears)

    def _flush(self, slot: int, fd: int) -> None:
        said = self._unsent.pop(slot, b"")
        rest = said[self._wire(slot).write(fd, said) :] if said else b""
        if rest:
            self._unsent[slot] = rest
        self._poll.modify(fd, BOTH if rest else IN)

    def _read(self, slot: int, fd: int, ears: Ears) -> None:
        came = self._wire(slot).read(fd)
        if came is None:
            return
        if not came:
            ears.lost(slot, "ended by the broker")
            return
        packets, rest = mqtt.whole(self._rest.pop(slot, b"") + came)
        if rest:
            self._rest[slot] = rest
        for head, body in packets:
            if self._fd[slot] == fd:
                ears.heard(slot, head, body)

    def _wire(self, slot: int) -> Wire:
        return self._wires[self._broker_of[slot]]
