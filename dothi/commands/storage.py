"""`dothi storage …`: how long things are kept, the history lake, and what a province would need."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import typer

from devices.family import FAMILIES
from dothi import __version__, log, settings
from dothi.commands.backup import archive, backup, restore, verify
from dothi.commands.options import AsJson, Folder
from dothi.commands.storage_plan import plan
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from dothi.settings import stack_at
from ingest import retention
from ingest.readers import watch_readers

if TYPE_CHECKING:
    from devices.family import Family
    from ingest.lake import Exported, Lake

GB = 1e9

app = typer.Typer(help="Keep, export and plan what is stored.", no_args_is_help=True)

app.command()(plan)
for command in (backup, restore, verify, archive):
    app.command()(command)

# What is looked at once a second by `keep`, beside its rounds; called with a connection of the owner.
EACH_SECOND: tuple[Callable[[psycopg.Connection[Any]], object], ...] = (watch_readers,)

Wanted = Annotated[str | None, typer.Option("--family", help="Only this family.")]


@app.callback()
def group() -> None:
    """Keep, export and plan what is stored.

    Example: dothi storage plan --density 200
    """


@app.command()
def retain(
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; drop nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drop what has been kept long enough (DOTHI_RETENTION); with a lake only what it is proved to have.

    Example: dothi storage retain --dir .dothi --dry-run
    """
    kept, lake_folder = retention_kept(), settings.lake()
    now = datetime.now(UTC)
    with owner(folder) as connection, spoken_plainly():
        if dry_run:
            going = retention.going(connection, kept, now)
            show_going(going, [], retention.forgettable(connection, kept, now), as_json, dry_run=True)
            return
        done = retained(connection, kept, now, lake_folder)
        show_going(done.dropped, done.busy, done.rows, as_json, dry_run=False)


def retained(
    connection: psycopg.Connection[Any], kept: retention.Kept, now: datetime, lake_folder: Path | None
) -> retention.Outcome:
    """One round of retention, through the lake where there is one."""
    if lake_folder is None:
        return retention.retain(connection, kept, now)
    from ingest.lake_release import retain_exported

    return retain_exported(connection, lake_at(lake_folder), kept, now)


def show_going(
    going: list[retention.Going], busy: list[retention.Going], rows: dict[str, int], as_json: bool, *, dry_run: bool
) -> None:
    """What went or would go."""
    lines = [
        {"what": one.what, "from": one.chunk.span.start, "to": one.chunk.span.end, "bytes": one.chunk.bytes}
        for one in going
    ]
    total = sum(one.chunk.bytes for one in going)
    if as_json:
        counts = {"busy": len(busy), "rows": rows}
        print_json({"dry_run": dry_run, "chunks": lines, "bytes": total, **counts})
        return
    if lines:
        print_table(("what", "from", "to", "bytes"), [list(line.values()) for line in lines])
    verb = "would go" if dry_run else "gone"
    console.print(f"{len(lines)} chunks {verb}, {total / GB:.3f} GB; in use and left for later: {len(busy)}")
    print_table((f"rows that {verb}" if dry_run else "rows gone", "count"), list(rows.items()))


@app.command()
def export(
    folder: Folder = None,
    day: Annotated[str | None, typer.Option(help="This local day (YYYY-MM-DD), even if late rows may come.")] = None,
    family: Wanted = None,
    lake: Annotated[Path | None, typer.Option("--lake", help="Folder of the lake; else DOTHI_LAKE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write readings as Parquet, read back and compared: every day whose late limit is over, or one day.

    Example: dothi storage export --dir .dothi --lake /srv/lake --day 2026-01-31
    """
    from ingest.lake import alone, export_day, export_due

    families, one_day = wanted_families(family), wanted_day(day)
    place, late, now = lake_at(wanted_lake(lake)), settings.late_limits(), datetime.now(UTC)
    with owner(folder) as connection, spoken_plainly(), alone(connection):
        if one_day:
            done = [export_day(connection, place, one, one_day) for one in families]
        else:
            done = list(export_due(connection, place, late, now, families))
    show_exported([one for one in done if one.rows], as_json)


def show_exported(done: "list[Exported]", as_json: bool) -> None:
    """What was exported."""
    if as_json:
        print_json({"days": [one._asdict() for one in done]})
    elif done:
        lines = [
            (one.family, one.day, one.new_rows, one.new_bytes, per_row(one.new_bytes, one.new_rows), one.rows)
            for one in done
        ]
        print_table(("family", "day", "new rows", "new bytes", "bytes/row", "rows in the lake"), lines)
    else:
        console.print("nothing to export")


def per_row(size: int, rows: int) -> str | None:
    """Bytes per row; None for no rows."""
    return f"{size / rows:.1f}" if rows else None


@app.command("verify-lake")
def verify_lake(
    folder: Folder = None,
    family: Wanted = None,
    lake: Annotated[Path | None, typer.Option("--lake", help="Folder of the lake; else DOTHI_LAKE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare every file of the lake with its checksum; exit 1 when one has changed or is gone.

    Example: dothi storage verify-lake --dir .dothi --lake /srv/lake
    """
    from ingest.lake_release import check

    families, place = wanted_families(family), lake_at(wanted_lake(lake))
    with owner(folder) as connection, spoken_plainly():
        wrong = check(connection, place, families[0] if family else None)
    if as_json:
        print_json({"ok": not wrong, "wrong": wrong})
    if wrong:
        raise Refused(f"lake {place.folder}: {len(wrong)} files are not what was written: {'; '.join(wrong[:5])}")
    if not as_json:
        console.print(f"every file of {place.folder} is what was written")


@app.command()
def keep(
    folder: Annotated[Path, typer.Option("--dir", help="Folder of a running stack.")] = settings.DEFAULT_FOLDER,
) -> None:
    """Retain and export every hour, warn of a disk that fills. `dothi up` starts and watches this by itself.

    Example: dothi storage keep --dir .dothi
    """
    import asyncio

    from ingest.keep import Keeper, run

    log.configure()
    stack = stack_at(folder)
    port = stack.document.get("metrics", {}).get("keeper", "").rpartition(":")[2]
    keeper = Keeper(
        database=stack.database,
        folder=folder.absolute(),
        kept=retention_kept(),
        late=settings.late_limits(),
        lake=settings.lake(),
        version=__version__,
        each_second=EACH_SECOND,
        port=int(port) if port else None,
    )
    asyncio.run(run(keeper))


@contextmanager
def owner(folder: Path | None) -> Iterator[psycopg.Connection[Any]]:
    """The database as its owner, each statement on its own."""
    log.configure()
    url = stack_at(folder).database
    with psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="dothi storage") as connection:
        yield connection


@contextmanager
def spoken_plainly() -> Iterator[None]:
    """What the rooms refuse, as commands refuse."""
    from ingest.lake_files import LakeRefused

    try:
        yield
    except LakeRefused as refusal:
        raise Refused(str(refusal)) from None


def retention_kept() -> retention.Kept:
    """DOTHI_RETENTION over what is usual. Raises WrongUsage when something would go before its late limit is over."""
    kept = settings.retention()
    try:
        retention.require_longer_than_late(kept, settings.late_limits())
    except retention.RetentionRefused as refusal:
        raise WrongUsage(f"{settings.RETENTION}: {refusal}") from None
    return kept


def lake_at(folder: Path) -> "Lake":
    """The lake in a folder."""
    from ingest.lake import Lake

    return Lake(folder.absolute(), __version__)


def wanted_lake(given: Path | None) -> Path:
    """The folder given, or that of DOTHI_LAKE. Raises WrongUsage."""
    folder = given or settings.lake()
    if folder is None:
        raise WrongUsage(f"no lake: give --lake FOLDER or set {settings.LAKE}; allowed: a folder that exists")
    return folder


def wanted_families(name: str | None) -> "list[Family]":
    """The family of that name, or all. Raises WrongUsage."""
    if name is not None and name not in FAMILIES:
        raise WrongUsage(f"--family {name}: unknown; allowed: {', '.join(FAMILIES)}")
    return [FAMILIES[name]] if name else list(FAMILIES.values())


def wanted_day(text: str | None) -> date | None:
    """A local day. Raises WrongUsage."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise WrongUsage(f"--day {text}: no such day; allowed: a local day such as 2026-01-31") from None
