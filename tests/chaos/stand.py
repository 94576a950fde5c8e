"""The stack under test: `dothi up` with proxies before its stores, started again on the same folder when killed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from tests.chaos.generator import FAMILIES, Device
from tests.chaos.proxy import Proxy, upstream_in
from tests.command import dothi_process
from tests.stack import wait_known

START_S = 300.0
PATIENCE_S = 300.0
"""How long a stack may take to stop."""
Rows = list[tuple[Any, ...]]


class Stand:
    """One stack in `folder`; use inside `async with`."""

    def __init__(self, folder: Path, workers: int = 2, stack_folder: Path | None = None) -> None:
        """`stack_folder`: where the stack keeps its data when that is not in `folder` (a small disk)."""
        self.folder = folder
        self.stack_folder = stack_folder or folder / "dothi"
        self.document: dict[str, Any] = {}
        self.broker_proxy = Proxy(upstream_in(folder / "upstream.json", "broker"), mqtt=True)
        self.database_proxy = Proxy(upstream_in(folder / "upstream.json", "database"), mqtt=False)
        self._workers = workers
        self._up: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> "Stand":
        """Proxies first, then the stack."""
        await self.broker_proxy.start()
        await self.database_proxy.start()
        ports = {"broker": self.broker_proxy.port, "database": self.database_proxy.port}
        (self.folder / "proxies.json").write_text(json.dumps(ports))
        try:
            await self.up()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """The stack first, then the proxies."""
        if self._up and self._up.poll() is None:
            self._up.send_signal(signal.SIGCONT)
            self._up.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self._up.wait, PATIENCE_S)
        await self.broker_proxy.close()
        await self.database_proxy.close()

    async def up(self) -> None:
        """Start the stack on its folder and wait until it is ready; no other step is ever needed."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.chaos.up", "up", "--dir", str(self.stack_folder)]
        command += ["--ready-file", str(ready), "--workers", str(self._workers)]
        environment = {**os.environ, "DOTHI_CHAOS": str(self.folder)}
        with (self.folder / "up.log").open("ab") as log:
            self._up = await asyncio.to_thread(
                lambda: subprocess.Popen(
                    command, stdout=log, stderr=log, env=environment, cwd=Path(__file__).parents[2]
                )
            )
        deadline = time.monotonic() + START_S
        while not ready.exists():
            if self._up.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the stack did not come up:\n{(self.folder / 'up.log').read_text()[-3000:]}")
            await asyncio.sleep(0.02)
        self.document = json.loads(ready.read_text())

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self._up is not None
        return self._up.pid

    async def supervisor_gone(self) -> None:
        """Bury a killed supervisor."""
        assert self._up is not None
        await asyncio.to_thread(self._up.wait, PATIENCE_S)

    def processes(self, name: str) -> list[int]:
        """Processes of a part (`broker`, `database`, `workers`) by the stack's own word, now."""
        found = json.loads((self.stack_folder / "stack.json").read_text())["processes"][name]
        return [pid for pid in (found if isinstance(found, list) else [found]) if pid]

    async def process(self, name: str) -> list[int]:
        """The same, waited for."""
        deadline = time.monotonic() + 60
        while not (found := [pid for pid in self.processes(name) if psutil.pid_exists(pid)]):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {name} runs")
            await asyncio.sleep(0.02)
        return found

    @property
    def writer(self) -> str:
        """The database role of the workers."""
        ingest = json.loads((self.stack_folder / "stack.json").read_text())["ingest"]
        return urlsplit(ingest["database"]).username or ""

    async def connect(self) -> psycopg.AsyncConnection[Any]:
        """The database's owner, not through the proxy; waits for a database that restarts."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return await psycopg.AsyncConnection.connect(
                    self.document["database"], autocommit=True, connect_timeout=5
                )
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def query(self, statement: str, *parameters: object) -> Rows:
        """Rows of one query, asked again when the database falls over it."""
        for _ in range(20):
            with contextlib.suppress(psycopg.OperationalError):
                async with await self.connect() as connection:
                    cursor = await connection.execute(statement.encode(), parameters or None)
                    return await cursor.fetchall() if cursor.description else []
            await asyncio.sleep(0.2)
        raise AssertionError(f"the database does not answer: {statement}")

    async def enroll(self, devices: list[Device]) -> dict[str, int]:
        """Enrol devices and wait until ingest knows them; name → number in the database."""
        file = self.folder / "enroll.csv"
        lines = [f"{device.name},{FAMILIES[device.family][0]},{device.area}" for device in devices]
        file.write_text("device,profile,area\n" + "\n".join(lines) + "\n")
        await asyncio.to_thread(dothi_process, "devices", "enroll", str(file), "--dir", str(self.stack_folder))
        await asyncio.to_thread(wait_known, self.stack_folder)
        names = [device.name for device in devices]
        return {
            str(name): int(number)
            for name, number in await self.query("select device, id from registry.device where device = any(%s)", names)
        }
