"""One ingest process: sessions of its inboxes, one pipeline, one word a second about itself."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import structlog

from devices.route import ROUTES
from ingest.batch import Limits
from ingest.pipeline import pipeline
from ingest.route import Router
from ingest.session import Inbox, Session
from ingest.window import Window
from ingest.writer import Writer

log = structlog.get_logger("ingest.worker")

DRAIN_S = 5.0
REPORT_S = 1.0


class Worker(NamedTuple):
    """What a worker is told. `ready_file` is created when all sessions and the registry stand."""

    number: int
    database: str
    inboxes: tuple[Inbox, ...]
    limits: Limits
    ready_file: Path | None = None


async def run(worker: Worker) -> None:
    """Host the inboxes until SIGTERM or SIGINT; then read no more, settle what was read, and leave."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    window = Window()
    router = Router(ROUTES)
    sessions = [Session(inbox, window) for inbox in worker.inboxes]

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            worker.database, autocommit=True, connect_timeout=5, application_name=f"dothi ingest {worker.number}"
        )

    writer = Writer(connect, worker.number)
    await first_registry(router, connect)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(router.keep_fresh(connect)),
            tasks.create_task(pipeline(window, router, writer, worker.limits)),
            tasks.create_task(report(worker, window, connect)),
            tasks.create_task(announce(worker, sessions)),
            *(tasks.create_task(session.run()) for session in sessions),
        ]
        await stopping.wait()
        await leave(sessions, window)
        for task in running:
            task.cancel()


async def first_registry(router: Router, connect: Callable[[], Any]) -> None:
    """Know the devices before the first message is read; a database that is not there yet is waited for."""
    while True:
        try:
            async with await connect() as connection:
                await router.refresh(connection)
            log.info("registry read", devices=len(router))
            return
        except psycopg.OperationalError as error:
            log.warning("waiting for the database", error=str(error).strip())
            await asyncio.sleep(0.5)


async def announce(worker: Worker, sessions: list[Session]) -> None:
    """Tell whoever started us that messages flow."""
    for session in sessions:
        await session.ready.wait()
    if worker.ready_file:
        worker.ready_file.write_text(f"{os.getpid()}\n")
    log.info("worker ready", worker=worker.number, inboxes=len(sessions))


async def leave(sessions: list[Session], window: Window) -> None:
    """What was read is settled and acknowledged, as far as a few seconds allow; the rest comes again."""
    for session in sessions:
        session.stop()
    until = time.monotonic() + DRAIN_S
    while window.messages and time.monotonic() < until:  # noqa: ASYNC110 - an Event would cost the hot path for nothing
        await asyncio.sleep(0.01)
    for session in sessions:
        session.leave()
    log.info("worker leaves", unacknowledged=window.messages)


async def report(worker: Worker, window: Window, connect: Callable[[], Any]) -> None:
    """Write the state of this worker into ops.worker once a second."""
    while True:
        try:
            async with await connect() as connection:
                await report_on(connection, worker, window)
        except psycopg.OperationalError:
            await asyncio.sleep(REPORT_S)  # the writer says aloud what is wrong with the database


async def report_on(connection: psycopg.AsyncConnection[Any], worker: Worker, window: Window) -> None:
    """Report over one connection until it breaks."""
    before, when = window.taken, time.monotonic()
    while True:
        await asyncio.sleep(REPORT_S)
        now = time.monotonic()
        rate, before, when = (window.taken - before) / (now - when), window.taken, now
        lag_s = time.time() - window.oldest / 1e6 if window.oldest else 0.0
        await connection.execute(
            "insert into ops.worker (worker, pid, at, received, in_flight, lag_s, rate_per_s) "
            "values (%s, %s, now(), %s, %s, %s, %s) on conflict (worker) do update set "
            "(pid, at, received, in_flight, lag_s, rate_per_s) = (excluded.pid, excluded.at, excluded.received, "
            "excluded.in_flight, excluded.lag_s, excluded.rate_per_s)",
            (worker.number, os.getpid(), window.taken, window.messages, max(0.0, lag_s), rate),
        )
