"""`dothi up`: the embedded stack in one folder."""

import ipaddress
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Annotated

import structlog
import typer

from dothi import log, settings
from dothi.errors import Refused, WrongUsage
from dothi.runtime import Runtime, find_runtime
from dothi.stack import machine
from dothi.stack.brokers import Routes
from dothi.stack.embedded import Embedded, Watch
from dothi.stack.hosts import MOST_WORKERS
from dothi.stack.leftovers import end_leftovers, held
from dothi.stack.outside import check_broker
from dothi.stack.plan import Plan

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])i?B?")
LEAST_MEMORY = 2**20
WORKERS_PER_CORE = 4
LABEL = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_log = structlog.get_logger("dothi.up")


def up(
    folder: Annotated[Path, typer.Option("--dir", help="Where all data of the stack is kept.")] = (
        settings.DEFAULT_FOLDER
    ),
    workers: Annotated[int | None, typer.Option(help="Ingest processes; else one for each broker.")] = None,
    broker_shards: Annotated[int, typer.Option(help="Brokers; the areas are dealt to them.")] = 1,
    broker_memory: Annotated[
        str | None,
        typer.Option(help="Memory for what the brokers queue while the database is away, as 8GiB; else a quarter."),
    ] = None,
    tls_address: Annotated[
        str, typer.Option(help="IP address of this machine on which devices come in over TLS; 0.0.0.0: on all.")
    ] = "127.0.0.1",
    tls_port: Annotated[
        int | None, typer.Option(help="Port for TLS, as 8883; further brokers have the next ones. Else a free one.")
    ] = None,
    tls_name: Annotated[
        list[str] | None, typer.Option(help="Host name or address by which devices know this machine; repeatable.")
    ] = None,
    people: Annotated[int | None, typer.Option(help="Also simulate a city of so many people.")] = None,
    density: Annotated[float | None, typer.Option(help="Devices per 100 people of the simulated city.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", help="Stop by itself so many seconds after ready.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written when all is ready: addresses and processes.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Show the running city in the terminal.")] = False,
) -> None:
    """Start broker and TimescaleDB on free loopback ports, migrate, ingest; Ctrl-C stops everything.

    Example: dothi up --dir .dothi --people 2000 --density 50
    """
    log.configure()
    plan = Plan(
        folder=folder.absolute(),
        workers=min(broker_shards, most_workers()) if workers is None else workers,
        shards=broker_shards,
        people=people,
        density=density,
        seconds=seconds,
        ready_file=ready_file.absolute() if ready_file else None,
        runtime=settings.runtime(),
        database_url=settings.database_url(),
        broker_url=settings.broker_url(),
        tls_address=tls_address,
        tls_port=tls_port,
        tls_names=tuple(tls_name or ()),
        broker_memory=None if broker_memory is None else size(broker_memory),
    )
    check(plan)
    run_up(plan, live_view(plan.folder) if live else None)


def size(text: str) -> int:
    """Bytes of `8GiB`, `8G` or `512MiB`; all are powers of 1024. Raises WrongUsage.

    >>> size("1.5GiB")
    1610612736
    """
    found = SIZE.fullmatch(text.strip())
    value = int(float(found[1]) * 1024 ** ("KMGT".index(found[2]) + 1)) if found else 0
    if not LEAST_MEMORY <= value <= machine.memory():
        most = machine.memory() // 2**20
        raise WrongUsage(f"--broker-memory {text}: allowed: a size like 8GiB or 512MiB, from 1MiB to {most}MiB")
    return value


def live_view(folder: Path) -> Watch:
    """The terminal view, loaded only when wanted."""
    from dothi.demo import show

    return lambda document, stop, until: show(document, folder, stop, until)


def most_workers() -> int:
    """More ingest processes would only wait for each other."""
    return min(MOST_WORKERS, WORKERS_PER_CORE * (os.cpu_count() or 1))


def check(plan: Plan) -> None:
    """Refuse what cannot be run before anything is started. Raises WrongUsage."""
    areas = known_areas()
    for name, value, most in (
        ("--broker-shards", plan.shards, len(areas)),
        ("--workers", plan.workers, most_workers()),
    ):
        if not 1 <= value <= most:
            raise WrongUsage(f"{name} {value}: allowed: 1 to {most}")
    check_storage()
    settings.use_tables()
    if settings.alarm_rules():
        settings.use_rules()
    settings.alarm_routes()
    check_tls(plan)
    if plan.shards > 1 and plan.broker_url:
        raise WrongUsage(f"--broker-shards {plan.shards}: only 1 with DOTHI_BROKER_URL, which is a single broker")
    if plan.seconds is not None and not 0 < plan.seconds <= 1e9:
        raise WrongUsage(f"--for {plan.seconds:g}: allowed: above 0, up to 1,000,000,000 seconds")
    if plan.ready_file and not plan.ready_file.parent.is_dir():
        raise WrongUsage(f"--ready-file {plan.ready_file}: allowed: a file in a folder that exists")
    check_city(plan)
    if plan.broker_url:
        check_broker(plan.broker_url)


def check_tls(plan: Plan) -> None:
    """Refuse a place for the TLS listener that this machine has not, and names that cannot stand in a certificate."""
    address, port = plan.tls_address, plan.tls_port
    if not any(can_listen(family, address) for family in (socket.AF_INET, socket.AF_INET6)):
        raise WrongUsage(f"--tls-address {address}: allowed: an IP address of this machine, or 0.0.0.0 for all of them")
    if port is not None and not 1 <= port <= 65_536 - plan.shards:
        raise WrongUsage(f"--tls-port {port}: allowed: 1 to {65_536 - plan.shards}")
    for name in plan.tls_names:
        if not all(map(LABEL.fullmatch, name.split("."))) and not can_be_address(name):
            raise WrongUsage(f"--tls-name {name}: allowed: a host name such as iot.example.vn, or an IP address")


def can_listen(family: socket.AddressFamily, address: str) -> bool:
    """Whether a server could listen on this address; names are not looked up."""
    try:
        socket.inet_pton(family, address)
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def can_be_address(text: str) -> bool:
    """Whether it reads as an IP address."""
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def check_storage() -> None:
    """Refuse limits and a lake that the parts would refuse one by one."""
    from dothi.commands.storage import retention_kept

    retention_kept()
    settings.lake()


def check_city(plan: Plan) -> None:
    """Refuse a city that the simulator would refuse."""
    from dothi.commands.simulate_plan import spoken_plainly
    from dothi.load.fleet import Asked, checked

    if plan.density is not None and plan.people is None:
        raise WrongUsage(f"--density {plan.density:g}: only together with --people")
    with spoken_plainly():
        checked(Asked("bac-giang", plan.people, plan.density))


def known_areas() -> list[str]:
    """Codes of all operating zones."""
    from devices.area import ZONES

    return [zone.code for zone in ZONES]


def route_files() -> Callable[[], Routes | None]:
    """What tells a running stack of route files that have come, gone or changed since it last asked."""
    from devices.documents import read_yaml
    from devices.route import route_from

    folder = Path(str(files("devices").joinpath("routes")))

    def stamp() -> set[tuple[str, int]]:
        return {(path.name, path.stat().st_mtime_ns) for path in folder.glob("*.yaml")}

    known = stamp()

    def look() -> Routes | None:
        nonlocal known
        try:
            found = stamp()
            if found == known:
                return None
            known = found
            return {name: route_from(name, document).topics for name, document in read_yaml("routes").items()}
        except Exception as error:  # a file that is being written, or a faulty one: the routes stay as they are
            _log.error("routes cannot be read", reason=str(error).strip() or type(error).__name__)
            return None

    return look


def run_up(plan: Plan, on_ready: Watch | None = None) -> None:
    """Run the stack until a signal comes or its time is over; returns when every process has ended.

    `on_ready(stack_document, stop, until)` runs in a thread of its own once all is ready; the stack ends with it.
    Raises Refused when something cannot start; nothing is left running then.
    """
    stop = threading.Event()
    with stopping_on_signals(lambda *_: stop.set()), held(plan.folder):
        machine.require_space(plan.folder)
        machine.open_files()
        try:
            if plan.ready_file:
                plan.ready_file.unlink(missing_ok=True)
            end_leftovers(plan.folder)
            run(embedded(plan, stop), on_ready)
        except OSError as error:
            raise Refused(f"{error.filename or plan.folder}: {error.strerror or error}") from None
        except KeyboardInterrupt:
            _log.info("stopped before anything was started")


def embedded(plan: Plan, stop: threading.Event) -> Embedded:
    """The stack that was planned, not started. Raises Refused, KeyboardInterrupt."""
    from devices.route import ROUTES

    if stop.is_set():
        raise KeyboardInterrupt
    runtime = runtime_for(plan)
    routes = {name: route.topics for name, route in ROUTES.items()}
    return Embedded(plan, runtime, known_areas(), routes, stop, route_files())


def runtime_for(plan: Plan) -> Runtime | None:
    """The programs of the stack, if it needs any; fetching them may take minutes, so a signal interrupts it at once."""
    if not plan.needs_runtime:
        return None
    with stopping_on_signals(signal.default_int_handler):
        return find_runtime(plan.runtime)


def run(stack: Embedded, on_ready: Watch | None) -> None:
    """Start, watch, end."""
    try:
        stack.start()
        until = time.time() + stack.plan.seconds if stack.plan.seconds is not None else None
        with shown(stack, on_ready, until):
            stack.keep_running(until)
    finally:
        stack.stop.set()
        _log.info("stopping")
        stack.end()
    _log.info("stopped")


@contextmanager
def shown(stack: Embedded, on_ready: Watch | None, until: float | None) -> Iterator[None]:
    """Run the view beside the supervision; when it ends, or fails, the stack ends."""
    if on_ready is None or stack.stop.is_set():
        yield
        return
    document = stack.document()

    def view() -> None:
        try:
            on_ready(document, stack.stop, until)
        except Exception as error:  # whatever the view does, the stack below it ends in order
            _log.error("the live view ended", reason=str(error) or type(error).__name__)
        finally:
            stack.stop.set()

    thread = threading.Thread(target=view, name="view")
    thread.start()
    try:
        yield
    finally:
        stack.stop.set()
        thread.join(10.0)


@contextmanager
def stopping_on_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal call the handler."""
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
