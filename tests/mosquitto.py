"""A mosquitto of one's own, without a stack around it: started, stopped, killed and brought back on the same port."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dothi.runtime import Runtime, find_runtime
from dothi.stack.gate import compile_polling
from dothi.stack.ports import answers, free_port

OPEN = "allow_anonymous true\n"


class Mosquitto:
    """A broker whose files lie in `folder`; `lines` are added to its configuration. `plain`: without what the stack
    loads before it."""

    def __init__(self, folder: Path, lines: str = OPEN, port: int | None = None, plain: bool = False) -> None:
        self.port = port or free_port(set())
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._runtime: Runtime = find_runtime()
        self._file = folder / f"mosquitto-{self.port}.conf"
        self._polling = None if plain else folder / f"polling-{self.port}.so"
        if self._polling:
            compile_polling(self._runtime, self._polling)
        self.configure(lines)

    def configure(self, lines: str) -> None:
        """What holds from the next start: as the stack's own, without persistence."""
        text = f"listener {self.port} 127.0.0.1\n{lines}max_inflight_messages 0\nset_tcp_nodelay false\nlog_dest none\n"
        if os.geteuid() == 0:
            text += "user root\n"  # or it would change to a user who may not read here
        self._file.write_text(text)

    def start(self) -> None:
        """Until it answers."""
        command = [str(self._runtime.mosquitto), "-c", str(self._file)]
        before = {"LD_PRELOAD": str(self._polling)} if self._polling else {}
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, **before})
        while not answers(self.port):
            assert self.process.poll() is None, "mosquitto does not start"
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """At once, whatever it is doing."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def mosquitto(folder: Path, lines: str = OPEN, plain: bool = False) -> Iterator[Mosquitto]:
    """A running one."""
    broker = Mosquitto(folder, lines, plain=plain)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
