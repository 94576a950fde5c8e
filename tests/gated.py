"""Brokers with the gate and nothing else of the stack: for devices that come with tokens of their own."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from devices.credentials import hash_of
from devices.gate.table import create
from dothi.runtime import find_runtime
from dothi.stack import broker
from dothi.stack.account import account_for
from dothi.stack.certificates import files_in, prepare
from dothi.stack.parts import Running
from dothi.stack.ports import free_port

START_S = 60
PASSWORDS = {"ingest": "ingest-password", "gateway": "gateway-password"}


class Gated:
    """One broker; devices are let in with these tokens."""

    def __init__(self, folder: Path, areas: Sequence[str], tokens: Iterable[tuple[str, str]], shard: int = 0) -> None:
        account = account_for(folder)
        for parent in (folder, folder / "log", folder / f"broker-{shard}"):
            parent.mkdir(exist_ok=True)
            account.give(parent)
        prepare(folder / "tls", ["localhost", "127.0.0.1"], datetime.now(UTC))
        account.give(files_in(folder / "tls").key)
        known = {device: (hash_of(token), None) for device, token in tokens}
        create(broker.table_path(folder, shard), known, room=max(len(known), 1000)).close()
        taken: set[int] = set()
        port, secure = free_port(taken), free_port(taken)
        tls = broker.Tls("127.0.0.1", secure, files_in(folder / "tls"), 10_000)
        rules = broker.access_rules(areas, [])
        part = broker.part(find_runtime(), folder, account, shard, port, rules, PASSWORDS, 1_000_000, list(areas), tls)
        self.areas = tuple(areas)
        self.url, self.secure_url = f"mqtt://127.0.0.1:{port}", f"mqtts://127.0.0.1:{secure}"
        self.gateway = broker.address("gateway", PASSWORDS["gateway"], port)
        self.ingest = broker.address("ingest", PASSWORDS["ingest"], port)
        self.ca = files_in(folder / "tls").ca
        self._running = Running(part)
        self.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._running.pid is not None
        return self._running.pid

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._running.start()
        deadline = time.monotonic() + START_S
        while not self._running.part.ready():
            assert time.monotonic() < deadline, self._running.last_words()
            time.sleep(0.01)

    def kill(self) -> None:
        """kill -9."""
        assert self._running.process
        self._running.process.kill()
        self._running.process.wait()

    def stop(self) -> None:
        """End it."""
        assert self._running.process
        self._running.process.terminate()
        self._running.process.wait()


def tokens_of(devices: Sequence[str]) -> "np.ndarray[tuple[int], np.dtype[np.bytes_]]":
    """A token for each device, made from its name."""
    return np.array([f"token-of-{device}".encode() for device in devices], dtype="S43")
