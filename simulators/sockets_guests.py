"""Which devices come with which tokens to which brokers, and how they are dealt to processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from simulators.city import members_of
from simulators.fleet import Fleet
from simulators.preflight import port_range
from simulators.sockets_manner import USUAL_MANNER, Manner
from simulators.sockets_part import Order
from simulators.sockets_probe import SocketsError, wait_admitted
from simulators.sockets_wire import Address, failure_name

PER_SOURCE = 10_000
"""Connections from one source address: fewer than the ports that a machine gives away by itself (28,000)."""


@dataclass(frozen=True, slots=True)
class Guests:
    """Who comes: the devices of a shard of a fleet. `tokens`: one each, in the order of `simulators.city.members_of`.

    `brokers`: URL (`mqtt[s]://host:port`; no matter who is named in it) and areas of each; none: all that are left.
    """

    fleet: Fleet
    tokens: NDArray[np.bytes_]
    brokers: Sequence[tuple[str, Sequence[str]]]
    manner: Manner = USUAL_MANNER
    shard: tuple[int, int] = (1, 1)

    @property
    def members(self) -> NDArray[np.uint32]:
        """Their indices into the fleet."""
        return members_of(self.fleet, self.shard)

    def orders(self, processes: int) -> list[Order]:
        """What each process is told. Raises SocketsError for a broker whose name nobody knows."""
        everyone, (first, last) = self.members, port_range()
        addresses = tuple(found(url) for url, _ in self.brokers)
        orders = []
        for part in range(processes):
            shard = divided(self.shard, part, processes)
            members = members_of(self.fleet, shard)
            own = self.tokens[np.searchsorted(everyone, members)]
            places = broker_of(self.fleet, members, [areas for _, areas in self.brokers])
            sources = sources_for(part, len(members), last - first + 1)
            orders.append(Order(self.fleet, shard, own, addresses, places, sources, self.manner))
        return orders

    def check_doors(self, patience_s: float = 15.0) -> None:
        """Wait until each broker lets in the last of its devices: it knows a token a moment after it was issued.

        Raises SocketsError when one refuses, or does not answer, for `patience_s`.
        """
        everyone = self.members
        places = broker_of(self.fleet, everyone, [areas for _, areas in self.brokers])
        for number, (url, _) in enumerate(self.brokers):
            own = np.flatnonzero(places == number)
            if len(own):
                device = self.fleet.ids(everyone[own[-1:]].astype(np.int64))[0]
                wait_admitted(Address.of(url), device, bytes(self.tokens[own[-1]]), self.manner.ca, patience_s)


def found(url: str) -> Address:
    """A broker's address, looked up. Raises SocketsError."""
    address = Address.of(url)
    try:
        return address.found()
    except OSError as error:
        raise SocketsError(f"broker {address}: {failure_name(error)}") from None
    except UnicodeError:
        raise SocketsError(f"broker {address}: no machine can have this name") from None


def divided(shard: tuple[int, int], part: int, parts: int) -> tuple[int, int]:
    """One of `parts` disjoint shards that together are `shard`.

    >>> [divided((2, 8), part, 3) for part in range(3)]
    [(2, 24), (10, 24), (18, 24)]
    """
    first, of = shard
    return first + of * part, of * parts


def broker_of(fleet: Fleet, members: NDArray[np.uint32], areas: Sequence[Sequence[str]]) -> NDArray[np.uint8]:
    """The broker of each device: the one that serves its area, else the first that names no area, else the first."""
    otherwise = next((place for place, some in enumerate(areas) if not some), 0)
    by_area = {area: place for place, some in enumerate(areas) for area in some}
    chosen = np.array([by_area.get(area, otherwise) for area in fleet.areas], dtype=np.uint8)
    return chosen[fleet.area[members]]


def sources_for(part: int, connections: int, ports: int = PER_SOURCE) -> tuple[str, ...]:
    """Loopback addresses of one process, where an address has so many ports.

    >>> sources_for(2, 25_000)
    ('127.3.0.1', '127.3.0.2', '127.3.0.3')
    """
    count = ceil(connections / min(max(ports, 1), PER_SOURCE))
    return tuple(f"127.{part % 250 + 1}.{number // 250}.{number % 250 + 1}" for number in range(count))
