"""Receivers on loopback that behave as they are told: an HTTP server that speaks bytes, and a real SMTP server."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from dothi.stack.ports import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANG = b""
CLOSE = b"close"
RUBBISH = b"\x00\xff220 not a web server\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nabcde\r\n" * 50


def status(code: int, *headers: str) -> bytes:
    """An answer of this status."""
    return "\r\n".join((f"HTTP/1.1 {code} x", *headers, "Content-Length: 0", "", "")).encode()


class Got(NamedTuple):
    """A request that was received whole."""

    at: float
    headers: dict[str, str]
    body: bytes
    answer: bytes

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.headers["idempotency-key"]

    @property
    def document(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class HttpReceiver:
    """Answers each request with the next of `answers`, and with the last one ever after."""

    def __init__(self, *answers: bytes, delay_s: float = 0.0) -> None:
        self.got: list[Got] = []
        self.answers = list(answers) or [OK]
        self.delay_s = delay_s
        self.port = free_port(set())
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/alarms"

    def answer_with(self, *answers: bytes) -> None:
        """From the next request on."""
        self.answers = list(answers)

    def taken(self) -> list[Got]:
        """What was answered with success."""
        return [one for one in self.got if one.answer.startswith(b"HTTP/1.1 2")]

    def open(self) -> None:
        """Listen."""
        if not self._thread.is_alive():
            self._thread.start()

        async def begin() -> asyncio.Server:
            return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

        self._server = asyncio.run_coroutine_threadsafe(begin(), self._loop).result(60)

    def shut(self) -> None:
        """No longer listen: connections are refused."""
        server, self._server = self._server, None
        if server:
            self._loop.call_soon_threadsafe(server.close)
            time.sleep(0.05)

    def close(self) -> None:
        """Listen no more, for good."""
        self.shut()

        async def end() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self.got.append(Got(time.time(), headers, body, answer))
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if answer == HANG:
                    await asyncio.sleep(3600)
                if answer == CLOSE:
                    break
                writer.write(answer)
                await writer.drain()
                if answer == RUBBISH:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def http_receiver(*answers: bytes, delay_s: float = 0.0) -> Iterator[HttpReceiver]:
    """A receiver that listens."""
    receiver = HttpReceiver(*answers, delay_s=delay_s)
    receiver.open()
    try:
        yield receiver
    finally:
        receiver.close()


class Letters:
    """An SMTP server's letters; `says` may refuse: the answer to DATA by its number from 0, None: accept. `quit_s`: how
    long it takes to answer QUIT."""

    def __init__(
        self, says: Callable[[int], str | None] = lambda _: None, refuses: Sequence[str] = (), quit_s: float = 0.0
    ) -> None:
        self.got: list[Envelope] = []
        self.tries = 0
        self.says = says
        self.refuses = refuses
        self.quit_s = quit_s

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        """Let it wait for the end."""
        await asyncio.sleep(self.quit_s)
        return "221 bye"

    async def handle_RCPT(  # noqa: N802 -- as aiosmtpd calls it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient or refuse him."""
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a letter or refuse it."""
        said = self.says(self.tries)
        self.tries += 1
        if said:
            return said
        self.got.append(envelope)
        return "250 taken"


@contextmanager
def mail_server(letters: Letters, **options: Any) -> Iterator[int]:
    """A real SMTP server; its port."""
    controller = Controller(letters, hostname="127.0.0.1", port=free_port(set()), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
