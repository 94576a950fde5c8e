"""A city whose devices have a connection each: tokens, a look at what the machine bears, and the way to the brokers."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from devices import credentials
from dothi.errors import Refused, WrongUsage
from dothi.load.progress import Progress
from dothi.load.send import Sending
from dothi.output import stderr
from dothi.sending import pages
from dothi.settings import Stack
from dothi.stack.broker import most_connections
from dothi.stack.machine import open_files
from simulators.city import City, members_of
from simulators.fleet import Fleet
from simulators.preflight import (
    Shortfall,
    check_gateways,
    check_sockets,
    listeners_of,
    machine,
    processes_for,
    refusal,
)
from simulators.publish import Broker
from simulators.sockets import LEAD_S, Crowd
from simulators.sockets_guests import Guests, broker_of
from simulators.sockets_manner import Manner
from simulators.sockets_part import Rehearsal
from simulators.sockets_probe import SocketsError
from simulators.sockets_wire import Address
from simulators.spool import Spool

GATEWAYS = 2
"""Connections to each broker that carry the messages of all."""
Members = NDArray[np.uint32]
COME_S, COME_PER_S = 15.0, 200.0
"""How long devices may take to connect: so long, and as long as so many a second take."""


@dataclass(frozen=True)
class Asked:
    """How devices come. `sockets`: each with a connection of its own. `processes`: None: as the machine bears it."""

    sockets: bool = False
    tls: bool = False
    processes: int | None = None

    def checked(self) -> "Asked":
        """Refuse what is said of connections that there are not. Raises WrongUsage."""
        for name, said in (("--tls", self.tls), ("--processes", self.processes is not None)):
            if said and not self.sockets:
                raise WrongUsage(f"{name} without --sockets: allowed: with --sockets")
        return self

    def document(self) -> str:
        """For the report."""
        return "multiplexed" if not self.sockets else "sockets, TLS" if self.tls else "sockets"


class Sockets:
    """Over one connection per device; they stand already."""

    lead_s = LEAD_S

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def speak(
        self, city: City, sending: Sending, folder: Path | None, stop: threading.Event, progress: Progress
    ) -> tuple[dict[str, Any], Sequence[Path]]:
        """As in `dothi.load.send.Way`."""
        told = Rehearsal(city.start, city.boot, sending.pace, scenario=city.scenario)
        path = folder / "sent.spool" if folder else None
        shown = pages(sending.metrics_port, self._crowd.totals.tally)
        with shown, Spool(path) if path else nullcontext() as spool:
            summary = self._crowd.speak(told, seconds=sending.seconds, stop=stop, spool=spool)
        return summary, [path] if path else []


def brokers_of(stack: Stack, tls: bool = False) -> list[Broker]:
    """The brokers of a stack where devices or gateways come in, with the areas of each. Raises WrongUsage."""
    entries = stack.document.get("brokers") or ([{"url": stack.broker, "areas": []}] if stack.broker else [])
    if not entries:
        raise WrongUsage("DOTHI_BROKER_URL is not set; allowed: mqtt://user:password@host:port")
    if tls and not all(entry.get("tls") for entry in entries):
        raise WrongUsage("--tls: the brokers of this stack have no listener for it; allowed: without --tls")
    return [Broker(entry["tls" if tls else "url"], tuple(entry.get("areas") or ())) for entry in entries]


def checked_processes(stack: Stack, fleet: Fleet, members: Members, brokers: Sequence[Broker], asked: Asked) -> int:
    """How many processes there will be. Raises WrongUsage naming every limit that is too low."""
    open_files()
    addresses = [Address.of(url) for url, _ in brokers]
    here = machine(all(address.is_local for address in addresses))
    processes = asked.processes or processes_for(len(members), here)
    many = np.bincount(broker_of(fleet, members, [areas for _, areas in brokers]), minlength=len(brokers)).tolist()
    listeners = listeners_of(list(map(str, addresses)), many, stack.document.get("processes", {}).get("broker", ()))
    if asked.tls:
        listeners = [one._replace(most=one.files and most_connections(one.files)) for one in listeners]
    refuse(check_sockets(len(members), listeners, here, processes=processes, tls=asked.tls))
    return processes


def check_multiplexed(brokers: Sequence[Broker], fleet: Fleet) -> None:
    """Raises WrongUsage naming every limit that is too low for a few connections that carry the messages of all."""
    open_files()
    refuse(check_gateways(GATEWAYS * len(brokers), len(fleet), machine()))


def refuse(shortfalls: Sequence[Shortfall]) -> None:
    """Raise WrongUsage when something is too small, a line for each."""
    if why := refusal(shortfalls):
        raise WrongUsage(why)


@contextmanager
def connected(
    stack: Stack,
    sending: Sending,
    brokers: Sequence[Broker],
    processes: int,
    tls: bool,
    stop: threading.Event,
    progress: Progress,
) -> Iterator[Sockets]:
    """Every device of the shard gets a new token and connects; they leave when the block ends. Raises Refused."""
    tokens = issued(stack.database, sending)
    manner = Manner(ca=stack.document.get("ca") if tls else None)
    guests = Guests(sending.fleet, tokens, brokers, manner, sending.shard)
    try:
        guests.check_doors()
        crowd = Crowd(guests, processes=processes, progress=progress.sending, progress_s=progress.every_s)
        with crowd:
            came = crowd.come(stop, COME_S + len(tokens) / COME_PER_S)
            rest = "" if came == len(tokens) else "; the others go on trying"
            said = f"{came:,} of {len(tokens):,} devices connected, from {processes} processes{rest}"
            stderr.print(said, highlight=False, soft_wrap=True)
            yield Sockets(crowd)
    except SocketsError as error:
        raise Refused(str(error)) from None


def issued(url: str, sending: Sending) -> NDArray[np.bytes_]:
    """A new token for every device of the shard; what they had is revoked. Raises Refused."""
    members = members_of(sending.fleet, sending.shard).astype(np.int64)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            return credentials.issue_tokens(connection, sending.fleet.ids(members))
    except (psycopg.Error, credentials.NoCredential) as error:
        raise Refused(f"no tokens for the devices: {str(error).strip().splitlines()[0]}") from None
