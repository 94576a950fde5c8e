"""The three pages of a long-running process on a loopback port: `/metrics`, `/healthz`, `/readyz`."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

log = structlog.get_logger("ingest.serve")

REQUEST_S = 5.0
MOST_REQUEST = 16_384
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
STATUS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def prometheus_text(collector: "Collector") -> bytes:
    """What a collector counts, with CPU and memory of the process, as Prometheus text."""
    # Imported when somebody asks: a worker that died has to be back sooner than that takes.
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(collector)
    return generate_latest(registry)


class Pages:
    """What is served. `metrics` gives Prometheus text; `trouble` the reason why the process is not ready, or None."""

    def __init__(self, metrics: Callable[[], bytes], trouble: Callable[[], str | None]) -> None:
        self._metrics = metrics
        self._trouble = trouble

    def answer(self, path: str, method: str = "GET") -> tuple[int, str, bytes]:
        """Status, content type and body of a page."""
        if method not in ("GET", "HEAD"):
            return 405, TEXT_TYPE, b"pages are read with GET\n"
        if path == "/metrics":
            return 200, METRICS_TYPE, self._metrics()
        if path == "/healthz":
            return 200, TEXT_TYPE, b"alive\n"
        if path == "/readyz":
            trouble = self._trouble()
            return (503, TEXT_TYPE, f"{trouble}\n".encode()) if trouble else (200, TEXT_TYPE, b"ready\n")
        return 404, TEXT_TYPE, b"there are /metrics, /healthz and /readyz\n"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on one connection."""
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target = (*head.split(b" ", 2), b"")[:2]
                path = target.partition(b"?")[0].decode(errors="replace")
                if not path:
                    return
                status, kind, body = self.answer(path, method.decode(errors="replace"))
                writer.write(
                    f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                    + (b"" if method == b"HEAD" else body)
                )
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or speaks something else
        finally:
            writer.close()


async def serve(port: int, pages: Pages) -> None:
    """Serve on 127.0.0.1 until cancelled; a port that is taken is said, and costs nothing but the pages."""
    try:
        server = await asyncio.start_server(pages, "127.0.0.1", port, limit=MOST_REQUEST)
    except OSError as error:
        log.error("metrics cannot be served", port=port, reason=error.strerror or str(error))
        return
    async with server:
        await server.serve_forever()
