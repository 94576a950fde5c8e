"""`dothi storage …`: how long things are kept, the history lake, and what a province would need."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import typer

from devices.family import FAMILIES
from dothi import __version__, log, settings
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from dothi.settings import stack_at
from ingest import retention

if TYPE_CHECKING:
    from devices.family import Family
    from dothi.storage_plan import Disk, Measured
    from ingest.lake import Exported, Lake

GB, TB = 1e9, 1e12
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP])?B?")

app = typer.Typer(help="Keep, export and plan what is stored.", no_args_is_help=True)

# What is looked at once a second by `keep`, beside its rounds; called with a connection of the owner.
EACH_SECOND: tuple[Callable[[psycopg.Connection[Any]], object], ...] = ()

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
    print_table((f"rows that are {verb}" if not dry_run else "rows that would go", "count"), list(rows.items()))


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


@app.command()
def plan(
    folder: Folder = None,
    province: Annotated[str, typer.Option(help="bac-giang or bac-kan.")] = "bac-giang",
    density: Annotated[float, typer.Option(help="Devices per 100 people; above 0, up to 1000.")] = 200.0,
    disk: Annotated[
        str | None, typer.Option(help="A disk of so many bytes, as 8TB or 500GB; else what is free on this one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bytes per day of a whole province, days on this disk, what each choice saves; measured where a stack runs.

    Example: dothi storage plan --density 200 --disk 40TB
    """
    from dothi.storage_plan import family_bytes, storage_plan
    from simulators.plan import PlanError
    from simulators.plan import plan as load_of

    space = wanted_disk(disk, folder)
    try:
        load = load_of(province, density)
    except PlanError as error:
        raise WrongUsage(str(error)) from None
    measured = measured_rows(folder)
    families = [
        family_bytes(FAMILIES[one.family], one.devices, one.interval_s, measured[one.family]) for one in load.families
    ]
    late_days = settings.late_limits()[""] / 86_400e6
    document = storage_plan(load, families, retention_kept(), late_days, space)
    if as_json:
        print_json(document)
    else:
        print_plan(document)


def measured_rows(folder: Path | None) -> "dict[str, Measured]":
    """Bytes per row as a stack that runs has them, by family; nothing measured where none does."""
    from dothi.storage_plan import Measured
    from ingest.sizes import row_bytes

    try:
        stack = stack_at(folder)
    except Refused:
        if folder is not None:
            raise
        return dict.fromkeys(FAMILIES, Measured())
    with psycopg.connect(stack.database, autocommit=True, connect_timeout=5) as connection:
        return {family: Measured(*row_bytes(connection, family)) for family in FAMILIES}


def wanted_disk(text: str | None, folder: Path | None) -> "Disk":
    """The disk given, or the one that the stack's folder is or would be on. Raises WrongUsage.

    >>> wanted_disk("1.5TB", None).free
    1500000000000
    """
    from dothi.storage_plan import Disk

    if text is None:
        place = next(
            one for one in ((folder or settings.DEFAULT_FOLDER).absolute(), *Path.cwd().parents) if one.exists()
        )
        return Disk(shutil.disk_usage(place).free, str(place))
    found = SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * 1000 ** ("KMGTP".index(found[2]) + 1 if found[2] else 0)) if found else 0
    if size <= 0:
        raise WrongUsage(f"--disk {text}: allowed: bytes, or a size like 500GB or 40TB")
    return Disk(size, "--disk")


def print_plan(plan: dict[str, Any]) -> None:
    """The plan for people; GB and TB are powers of 1000."""
    print_table(
        ("family", "devices", "readings/day", "bytes each", "readings GB/day", "rollups GB/day", "lake GB/day"),
        [
            (
                one["family"],
                f"{one['devices']:,}",
                f"{one['readings_per_day']:,}",
                f"{one['bytes_per_reading']}{'' if one['measured'] else '*'}",
                f"{one['readings'] / GB:.2f}",
                f"{(one['rollup_1h'] + one['rollup_1d']) / GB:.2f}",
                f"{one['lake'] / GB:.2f}",
            )
            for one in plan["per_family"]
        ],
        f"{plan['province']}, {plan['density']:g} devices per 100 people: {plan['devices']:,} devices",
    )
    if len(plan["measured"]) < len(plan["per_family"]):
        console.print("* reckoned from the layout of pages; a stack that runs and has 100,000 rows of it is measured")
    disk, whole = plan["disk"], plan["province_storage"]
    fits = "fits" if disk["fits_with_retention"] else "does not fit"
    console.print(
        f"{plan['bytes_per_day']['stored'] / GB:,.1f} GB a day, {plan['bytes_per_day']['wal'] / GB:,.1f} GB of log. "
        f"Disk ({disk['where']}): {disk['bytes'] / GB:,.0f} GB, {disk['days_without_retention']:g} days without "
        f"retention; with it {plan['at_rest_bytes'] / TB:,.2f} TB are needed, which {fits}."
    )
    print_table(
        ("choice", "TB after ten years", "saves TB", "remark"),
        [
            (one["choice"], f"{one['bytes'] / TB:,.1f}", f"{one['saves_bytes'] / TB:,.1f}", one["remark"])
            for one in plan["choices"]
        ],
    )
    console.print(
        f"Of the province's {whole['low_bytes'] / TB:.0f} to {whole['high_bytes'] / TB:.0f} TB: "
        f"{whole['share_at_rest']:.1%} with retention; full after {whole['days_without_retention']:,} days without it, "
        f"after {whole['years_with_lake']:,} years with retention and lake."
    )
