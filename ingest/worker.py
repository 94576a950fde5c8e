"""One ingest process: the inboxes it hosts, one pipeline, and what it says of itself."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import structlog

from devices.native_text import prepare
from devices.route import ROUTES
from ingest.acknowledge import asking_families
from ingest.batch import Limits
from ingest.host import Host
from ingest.inbox import Inbox
from ingest.metrics import Figures, Meters
from ingest.notices import Herald
from ingest.pipeline import pipeline
from ingest.route import Router
from ingest.serve import Pages, serve
from ingest.watch import SEEN_EVERY_S, Events, Register
from ingest.window import Window
from ingest.writer import Writer

log = structlog.get_logger("ingest.worker")

REPORT_S = 1.0
OBJECTS = 50_000
"""New objects before it is looked whether some hold each other in vain. A batch in the making is far more than Python's
700, and all that it is made of goes by itself when it is stored."""
LOG_EVERY_S = 10.0
# A network that is gone without a word is noticed after about 15 s; a server that is only slow is waited for.
NETWORK: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}

Connect = Callable[[], Coroutine[Any, Any, psycopg.AsyncConnection[Any]]]


def no_change() -> Sequence[Inbox] | None:
    """An assignment that stays as it is."""
    return None


class Worker(NamedTuple):
    """What a worker is told. `ready_file` is created when all sessions and the registry stand; `assignment` is asked
    twice a second for all inboxes to host, None meaning no change; `locks` is the folder in which hosts hand inboxes
    over; on loopback `port` metrics are served."""

    number: int
    database: str
    inboxes: tuple[Inbox, ...]
    limits: Limits
    ready_file: Path | None = None
    assignment: Callable[[], Sequence[Inbox] | None] = no_change
    locks: Path | None = None
    port: int | None = None


async def run(worker: Worker) -> None:
    """Host the inboxes until SIGTERM or SIGINT; then read no more, settle what was read, and leave."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    window, meters, events = Window(), Meters(), Events()
    register = Register(worker.number, events)
    host = Host(window, worker.locks, register.tell)
    router = Router(ROUTES)
    figures = Figures(worker.number, meters, window, host, lambda: (len(router), router.read_at))
    connect = connector(worker)
    writer = Writer(connect, worker.number, meters)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(carry(worker, router, window, host, writer, connect, Herald(meters, events))),
            tasks.create_task(report(worker, figures, register, events, connect)),
            tasks.create_task(observe(figures, writer, window, meters)),
        ]
        if worker.port:
            running.append(tasks.create_task(serve(worker.port, Pages(figures.text, figures.trouble))))
        await stopping.wait()
        await host.leave()
        log.info("worker leaves", unacknowledged=window.messages)
        for task in running:
            task.cancel()


def connector(worker: Worker) -> Connect:
    """How to reach the database as the writer."""

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            worker.database,
            autocommit=True,
            connect_timeout=5,
            application_name=f"dothi ingest {worker.number}",
            **NETWORK,
        )

    return connect


async def carry(
    worker: Worker, router: Router, window: Window, host: Host, writer: Writer, connect: Connect, herald: Herald
) -> None:
    """Know the devices, then carry readings until cancelled."""
    await first_registry(router, connect)
    prepare()  # compiles, seconds long, where nothing is kept of the last time
    asking_families()  # reads all profiles: now, and not while the first messages wait
    gc.collect()
    gc.freeze()  # profiles and code stay for good: no need to look at them again and again
    gc.set_threshold(OBJECTS)
    host.assign(worker.inboxes)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(router.keep_fresh(connect))
        tasks.create_task(pipeline(window, router, writer, worker.limits, herald.hear))
        tasks.create_task(host.follow(worker.assignment))
        tasks.create_task(announce(worker, host))


async def first_registry(router: Router, connect: Connect) -> None:
    """Know the devices before the first message is read; a database that is not there yet is waited for."""
    while True:
        try:
            async with await connect() as connection:
                await router.refresh(connection)
            log.info("registry read", devices=len(router))
            return
        except psycopg.Error as error:
            log.warning("waiting for the database", error=str(error).strip())
            await asyncio.sleep(0.5)


async def announce(worker: Worker, host: Host) -> None:
    """Tell whoever started us that messages flow."""
    await host.all_ready()
    if worker.ready_file:
        worker.ready_file.write_text(f"{os.getpid()}\n")
    log.info("worker ready", worker=worker.number, inboxes=len(host.sessions))


async def observe(figures: Figures, writer: Writer, window: Window, meters: Meters) -> None:
    """Notice how the database does, and say what flows: a line every LOG_EVERY_S while anything does."""
    settled, stored, logged = 0, 0, time.monotonic()
    while True:
        await asyncio.sleep(REPORT_S)
        figures.database(writer.trouble)
        now = time.monotonic()
        if now - logged < LOG_EVERY_S:
            continue
        if window.settled != settled or window.messages:
            log.info(
                "readings flow",
                messages_per_s=round((window.settled - settled) / (now - logged), 1),
                stored_per_s=round((meters.stored - stored) / (now - logged), 1),
                in_flight=window.messages,
                lag_s=round(figures.lag_s, 3),
                trouble=figures.trouble(),
            )
        settled, stored, logged = window.settled, meters.stored, now


async def report(worker: Worker, figures: Figures, register: Register, events: Events, connect: Connect) -> None:
    """Write the state of this worker into the database once a second, and what befell its sessions."""
    while True:
        try:
            async with await connect() as connection:
                await report_on(connection, worker, figures, register, events)
        except psycopg.Error as error:
            figures.unreported(str(error).strip())
            await asyncio.sleep(REPORT_S)  # the writer says aloud what is wrong with the database


async def report_on(
    connection: psycopg.AsyncConnection[Any], worker: Worker, figures: Figures, register: Register, events: Events
) -> None:
    """Report over one connection until it breaks."""
    before, when, seen = figures.taken, time.monotonic(), 0.0
    while True:
        await register.wait(REPORT_S)
        now = time.monotonic()
        rate, before, when = (figures.taken - before) / (now - when), figures.taken, now
        with figures.reporting():
            await connection.execute(
                "insert into ops.worker (worker, pid, at, received, in_flight, lag_s, rate_per_s) "
                "values (%s, %s, now(), %s, %s, %s, %s) on conflict (worker) do update set "
                "(pid, at, received, in_flight, lag_s, rate_per_s) = (excluded.pid, excluded.at, excluded.received, "
                "excluded.in_flight, excluded.lag_s, excluded.rate_per_s)",
                (worker.number, os.getpid(), figures.taken, figures.in_flight, figures.lag_s, rate),
            )
            await register.write(connection)
            if now - seen >= SEEN_EVERY_S:
                await register.write_seen(connection, figures.connected)
                seen = now
            await events.write(connection)
