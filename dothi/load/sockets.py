"""Devices with connections of their own, for a run: what machine and brokers bear, their tokens, and that they came."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from devices import credentials
from dothi.errors import Refused, WrongUsage
from dothi.load.progress import Progress
from dothi.output import stderr
from dothi.settings import Stack
from dothi.stack.broker import most_connections
from simulators import preflight
from simulators.city import members_of
from simulators.fleet import Fleet
from simulators.publish import Broker
from simulators.sockets import Crowd
from simulators.sockets_guests import Guests, broker_of
from simulators.sockets_manner import Manner
from simulators.sockets_wire import Address

LEAST_COMING_S, COMING_PER_S = 30.0, 300
"""How long devices may take to come: TLS and a busy machine let a few hundred in per second."""
GATEWAYS = 2
MOST_PROCESSES = 256


@dataclass(frozen=True)
class Sockets:
    """How devices come. `processes`: None: as many as the machine bears well."""

    tls: bool = False
    processes: int | None = None


def brokers_for(stack: Stack, brokers: Sequence[Broker], tls: bool) -> list[Broker]:
    """Where devices come in, with the areas of each broker. Raises WrongUsage."""
    if not tls:
        return list(brokers)
    listeners = [entry.get("tls") for entry in stack.document.get("brokers", [])]
    if not listeners or None in listeners:
        raise WrongUsage("--tls: allowed: with brokers that `dothi up` has started, which listen for TLS")
    return [Broker(url, broker.areas) for url, broker in zip(listeners, brokers, strict=True)]


def check_sockets(stack: Stack, brokers: Sequence[Broker], fleet: Fleet, shard: tuple[int, int], asked: Sockets) -> int:
    """How many processes there will be. Raises WrongUsage, a line for each limit that is too low."""
    if asked.processes is not None and not 1 <= asked.processes <= MOST_PROCESSES:
        raise WrongUsage(f"--processes {asked.processes}: allowed: 1 to {MOST_PROCESSES}")
    members = members_of(fleet, shard)
    places = broker_of(fleet, members, [broker.areas for broker in brokers])
    addresses = [Address.of(broker.url) for broker in brokers]
    here = preflight.machine(all(address.is_local for address in addresses))
    listeners = preflight.listeners_of(
        [str(address) for address in addresses],
        np.bincount(places, minlength=len(brokers)).tolist(),
        stack.document.get("processes", {}).get("broker", ()),
    )
    if asked.tls:  # the TLS listeners of one `dothi up` have the open files of one process in equal parts
        listeners = [
            one._replace(most=one.files and most_connections(one.files) // len(listeners)) for one in listeners
        ]
    processes = asked.processes or preflight.processes_for(len(members), here)
    refuse(preflight.check_sockets(len(members), listeners, here, processes=processes, tls=asked.tls))
    return processes


def check_gateways(brokers: Sequence[Broker], fleet: Fleet) -> None:
    """Raises WrongUsage, a line for each limit that is too low for a few connections that carry all."""
    refuse(preflight.check_gateways(GATEWAYS * len(brokers), len(fleet), preflight.machine()))


def refuse(shortfalls: Sequence[preflight.Shortfall]) -> None:
    """Raise WrongUsage when one is grave."""
    if why := preflight.refusal(shortfalls):
        raise WrongUsage(why)


@contextmanager
def gathered(
    stack: Stack,
    brokers: Sequence[Broker],
    fleet: Fleet,
    shard: tuple[int, int],
    asked: Sockets,
    processes: int,
    stop: threading.Event,
    progress: Progress,
) -> Iterator[Crowd]:
    """The devices, connected with new tokens; those that cannot come are counted. Raises Refused and BrokerError."""
    manner = Manner(ca=stack.document.get("ca") if asked.tls else None)
    members = members_of(fleet, shard)
    tokens = new_tokens(stack.database, fleet.ids(members.astype(np.int64)))
    guests = Guests(fleet, tokens, brokers, manner, shard)
    guests.check_doors()
    with Crowd(guests, processes=processes, progress=progress.sending, progress_s=progress.every_s) as crowd:
        came = crowd.come(stop, LEAST_COMING_S + len(members) / COMING_PER_S)
        stderr.print(f"{came:,} of {len(members):,} devices connected, from {processes} processes", highlight=False)
        yield crowd


def new_tokens(database: str, devices: Sequence[str]) -> NDArray[np.bytes_]:
    """A new token for each device; those it had before end. Raises Refused."""
    try:
        with psycopg.connect(database, autocommit=True, connect_timeout=10, application_name="dothi simulate") as to:
            issued: Sequence[Any] = credentials.issue(to, devices)
    except credentials.NoCredential as error:
        raise Refused(f"no token: {error}") from None
    except psycopg.Error as error:
        raise Refused(f"no tokens can be issued: {str(error).strip().splitlines()[0]}") from None
    return np.array([one.token.encode() for one in issued], dtype=f"S{max(len(one.token) for one in issued)}")
