"""A city whose devices have a connection each: tokens, a look at what the machine bears, and the way to the brokers."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
from numpy.typing import NDArray

from devices import credentials
from dothi.errors import Refused, WrongUsage
from dothi.load.progress import Progress
from dothi.load.send import Sending
from dothi.settings import Stack
from dothi.stack.machine import open_files
from simulators.city import City, members_of
from simulators.fleet import Fleet
from simulators.preflight import check_sockets, listeners_of, machine, processes_for, refusal
from simulators.sockets import check_doors, coming_s, drive_sockets
from simulators.sockets_links import Manner
from simulators.sockets_part import Rehearsal, broker_of
from simulators.sockets_probe import SocketsError

Members = NDArray[np.uint32]
TLS_SLOWER = 10
Door = tuple[str, Sequence[str]]
"""URL of a broker and the areas that it serves."""


@dataclass(frozen=True)
class Sockets:
    """Over one connection per device. `tokens`: of the members of the sending's shard, in their order."""

    doors: Sequence[Door]
    tokens: NDArray[np.bytes_]
    processes: int
    manner: Manner
    lead_s: float

    def speak(
        self, city: City, sending: Sending, folder: Path | None, stop: threading.Event, progress: Progress
    ) -> tuple[dict[str, Any], Sequence[Path]]:
        """As in `dothi.load.send.Way`."""
        told = Rehearsal(city.fleet, city.start, city.boot, sending.pace, scenario=city.scenario, shard=sending.shard)
        with TemporaryDirectory() as nowhere:
            place = folder or Path(nowhere)
            summary = drive_sockets(
                told,
                self.doors,
                self.tokens,
                seconds=sending.seconds,
                stop=stop,
                folder=place,
                manner=self.manner,
                processes=self.processes,
                progress=progress.sending,
                progress_s=progress.every_s,
            )
            return summary, sorted(place.glob("*.spool")) if folder else []


def doors_of(stack: Stack, tls: bool) -> list[Door]:
    """Where devices come in. Raises WrongUsage where there is no such place."""
    name = "tls" if tls else "url"
    entries = stack.document.get("brokers") or [{"url": stack.broker, "areas": []}]
    if not all(entry.get(name) for entry in entries):
        raise WrongUsage("--tls: the brokers of this stack have no listener for it; allowed: without --tls")
    return [(entry[name], tuple(entry.get("areas") or ())) for entry in entries]


def checked_processes(stack: Stack, fleet: Fleet, members: Members, doors: Sequence[Door], tls: bool) -> int:
    """How many processes bear these connections. Raises WrongUsage naming every limit that is too low."""
    open_files()
    here = machine()
    processes = processes_for(len(members), here)
    many = np.bincount(broker_of(fleet, members, [areas for _, areas in doors]), minlength=len(doors)).tolist()
    names = [str(urlsplit(url).port) for url, _ in doors]
    listeners = listeners_of(names, many, stack.document.get("processes", {}).get("broker", ()))
    if why := refusal(check_sockets(len(members), listeners, here, processes=processes, tls=tls)):
        raise WrongUsage(f"--sockets: {why}")
    return processes


def sockets_way(stack: Stack, sending: Sending, doors: Sequence[Door], processes: int, tls: bool) -> Sockets:
    """Issue a token to every device of the shard, wait until the brokers know them. Raises Refused."""
    members = members_of(sending.fleet, sending.shard)
    try:
        with psycopg.connect(stack.database, autocommit=True, connect_timeout=10) as connection:
            issued = credentials.issue(connection, sending.fleet.ids(members.astype(np.int64)))
    except (psycopg.Error, credentials.NoCredential) as error:
        raise Refused(f"no tokens for the devices: {str(error).strip().splitlines()[0]}") from None
    tokens = np.array([one.token.encode() for one in issued])
    manner = Manner(ca=stack.document.get("ca") if tls else None)
    try:
        check_doors(Rehearsal(sending.fleet, 0.0, 0, shard=sending.shard), doors, tokens, ca=manner.ca)
    except SocketsError as error:
        raise Refused(str(error)) from None
    lead = coming_s(len(members), processes) * (TLS_SLOWER if tls else 1)
    return Sockets(doors, tokens, processes, manner, lead)
