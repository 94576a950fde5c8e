"""Free loopback ports, kept in the stack folder so that addresses stay the same."""

import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from dothi.errors import Refused
from dothi.stack.passwords import write_private

LOWEST = 15000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def ports(folder: Path, names: Sequence[str]) -> dict[str, int]:
    """A port for each name: the one of last time if it is still free, else another."""
    path = folder / "ports.json"
    try:
        kept: dict[str, int] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        kept = {}
    chosen: dict[str, int] = {}
    for name in names:
        port = kept.get(name)
        chosen[name] = port if port and is_free(port) else free_port({*chosen.values(), *kept.values()})
    write_private(path, json.dumps(kept | chosen, indent=2) + "\n")
    return chosen


def free_port(taken: set[int]) -> int:
    """A free port below those the kernel hands out to clients: one of them would block the restart of a part."""
    candidates = [port for port in range(LOWEST, highest()) if port not in taken]
    for port in random.sample(candidates, min(200, len(candidates))):
        if is_free(port):
            return port
    raise Refused(f"no free port on 127.0.0.1 between {LOWEST} and {highest()}")


def highest() -> int:
    """First port that the kernel may give to an outgoing connection, as far as it leaves enough below."""
    try:
        first = int(RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 0
    return first if first > LOWEST + 1000 else 32768


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now; connections that are closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens on the port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
