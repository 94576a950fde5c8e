"""`dothi ingest …`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from dothi import log, settings
from dothi.commands.inboxes import move, worker_of, workers
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from dothi.settings import Stack, stack_at
from dothi.times import moment
from ingest import points, worker
from ingest.batch import Limits

app = typer.Typer(help="Carry readings from the broker into the database.", no_args_is_help=True)

app.command()(workers)
app.command()(move)


@app.callback()
def group() -> None:
    """Carry readings from the broker into the database.

    Example: dothi ingest run --dir .dothi --worker 0
    """


@app.command()
def run(
    folder: Annotated[Path, typer.Option("--dir", help="Folder of a running stack.")] = settings.DEFAULT_FOLDER,
    number: Annotated[int, typer.Option("--worker", min=0, help="Number of this worker, from 0.")] = 0,
) -> None:
    """Run one ingest worker until it is told to stop. `dothi up` starts and watches these by itself.

    Example: dothi ingest run --dir .dothi --worker 0
    """
    log.configure()
    points.crash_at(crash_point())
    asyncio.run(worker.run(worker_of(folder, number, Limits(late_us=settings.late_limits()))))


def crash_point() -> points.Crash | None:
    """Where the fault harness wants this worker to die; WrongUsage when there is no such point."""
    text = settings.crash_at()
    try:
        return points.parse(text) if text else None
    except ValueError as error:
        allowed = f"one of {', '.join(points.POINTS)}, with :PROBABILITY or :every-N"
        raise WrongUsage(f"{settings.CRASH_AT}={text!r}: {error}; allowed: {allowed}") from None


Since = Annotated[str | None, typer.Option(help="Received from then on: 30m, 12h, 7d ago, or RFC 3339.")]


@app.command()
def audit(folder: Folder = None, since: Since = "1d", as_json: AsJson = False) -> None:
    """Compare the ledger with the tables and name every difference; exit 1 when there is any.

    Example: dothi ingest audit --dir .dothi --since 1d
    """
    from ingest.audit import audit as compare

    with psycopg.connect(writer_url(stack_at(folder)), connect_timeout=5) as connection:
        found = compare(connection, moment("--since", since or "1d", datetime.now(UTC)))
    differences = [one._asdict() for one in found.differences]
    if as_json:
        print_json(found._asdict() | {"differences": differences})
    elif differences:
        print_table(list(differences[0]), [list(one.values()) for one in differences])
    else:
        console.print(
            f"no difference: {found.rows:,} readings since {found.since:%Y-%m-%dT%H:%MZ}, {found.seconds:.1f} s"
        )
    if differences:
        raise Refused(f"ledger and tables differ in {len(differences)} places since {found.since:%Y-%m-%dT%H:%MZ}")


@app.command()
def replay(
    folder: Folder = None,
    reason: Annotated[str | None, typer.Option(help="Only messages quarantined for this reason.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only messages of this profile.")] = None,
    device: Annotated[str | None, typer.Option(help="Only messages of this device, or that claimed to be.")] = None,
    since: Since = None,
    until: Annotated[str | None, typer.Option(help="Received before then.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go through; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send quarantined messages through again after a fix, and mark those that went through.

    Example: dothi ingest replay --dir .dothi --reason unknown_device --since 7d --dry-run
    """
    from devices.profile import PROFILES
    from devices.rejected import Reason
    from devices.route import ROUTES
    from ingest.replay import Busy, Wanted
    from ingest.replay import replay as send
    from ingest.route import Router

    for option, given, known in (("--reason", reason, list(Reason)), ("--profile", profile, list(PROFILES))):
        if given is not None and given not in known:
            raise WrongUsage(f"{option} {given!r} is not known; allowed: {', '.join(known)}")
    url, now = writer_url(stack_at(folder)), datetime.now(UTC)
    edges = [
        None if text is None else microseconds(moment(o, text, now))
        for o, text in (("--since", since), ("--until", until))
    ]
    wanted = Wanted(reason, profile, None if device is None else [device], *edges)

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5)

    try:
        done = asyncio.run(send(connect, Router(ROUTES), Limits(late_us=settings.late_limits()), wanted, dry_run))
    except Busy:
        raise Refused("another replay runs on this database; wait until it ends") from None
    if as_json:
        print_json(done)
    else:
        print_table(("what", "count"), [(name, count) for name, count in done.counts()])


@app.command()
def purge(
    folder: Folder = None,
    days: Annotated[int, typer.Option("--quarantine-days", min=1, help="Days that quarantine is kept.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Forget quarantine, and the accounts that go with it, after its retention.

    Example: dothi ingest purge --dir .dothi --quarantine-days 30
    """
    from ingest.quarantine import purge as forget

    with psycopg.connect(stack_at(folder).database, autocommit=True, connect_timeout=5) as connection:
        gone = forget(connection, days)
    if as_json:
        print_json(gone)
    else:
        print_table(("what", "gone"), [(name.replace("_", " "), count) for name, count in gone.items()])


def writer_url(stack: Stack) -> str:
    """The database as ingest writes it."""
    ingest: dict[str, str] = stack.document.get("ingest", {})
    return ingest.get("database", stack.database)


def microseconds(when: datetime) -> int:
    """Since 1970 UTC."""
    return round(when.timestamp() * 1e6)
