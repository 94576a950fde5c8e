"""`dothi devices enroll`: the devices of a file, all of them or none."""

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import psycopg
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from devices import registry
from devices.enroll import Mistake, Terms
from devices.enroll_file import Outcome, Outputs, enroll_file
from devices.enroll_stage import Told
from devices.profile import PROFILES
from dothi.commands.credentials import private
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.migrations import one_line
from dothi.output import console, print_json, stderr
from dothi.settings import stack_at

SHOWN = 20

File = Annotated[
    Path,
    typer.Argument(
        help="CSV or JSON lines with device, profile, area, and name, lat, lon, alias, owner, installed, serial, "
        "firmware, tags, eui, state where known."
    ),
]
Report = Annotated[Path | None, typer.Option("--report", help="Write a line for each device and each mistake here.")]
Tokens = Annotated[
    Path | None, typer.Option("--credentials", help="Write device,token of devices without a token here (mode 0600).")
]


def enroll(
    file: File,
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
    report: Report = None,
    tokens: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Enrol the devices of a file: all of them, or none and every mistake with its line.

    A device is known to ingest within five seconds. Whatever stops it, nothing was enrolled: run it again. Enrolling
    again brings devices up to date: an empty cell clears, a column that is not there leaves what is known. An empty
    area is found from the position. `alias` is what a foreign system calls the device, as route:name
    (frigate:front_door), several with ; between them.

    Example: dothi devices enroll devices.csv --dry-run --report report.csv
    """
    with ExitStack() as open_files:
        source = open_files.enter_context(opened(file, "rb"))
        outputs = Outputs(
            open_files.enter_context(opened(report, "wb")) if report else None,
            open_files.enter_context(private(tokens)) if tokens and not dry_run else None,
        )
        try:
            outcome = enrolled(source, stack_at(folder).database, dry_run, outputs)
        except BaseException:
            remove(tokens if outputs.tokens else None)
            raise
    if outcome.staged.wrong:
        remove(tokens if outputs.tokens else None)
    show(outcome, dry_run, as_json)
    if outcome.staged.wrong:
        raise Refused(refusal(file, outcome, report))


def refusal(file: Path, outcome: Outcome, report: Path | None) -> str:
    """Nothing was enrolled: how many mistakes, the first of them, and where the others are."""
    first, count = outcome.staged.mistakes[0], outcome.staged.wrong
    place = f"{first.column} on line {first.line}" if first.column else f"line {first.line}"
    what = f"a mistake, {place}" if count == 1 else f"{count} mistakes, the first {place}"
    more = "; --report FILE writes all of them" if count > SHOWN and not report else ""
    return f"{file}: nothing was enrolled: {what}: {first.detail}{more}"


def enrolled(source: BinaryIO, url: str, dry_run: bool, outputs: Outputs) -> Outcome:
    """Check and enrol, showing how far it is on a terminal."""
    with psycopg.connect(url, autocommit=True, application_name="dothi enroll") as connection:
        routes = {profile.name: profile.route for profile in PROFILES.values()}
        terms = Terms(routes, frozenset(registry.known_areas(connection)))
        try:
            with progress(source) as told:
                return enroll_file(connection, source, terms, dry_run, outputs, told)
        except OSError as error:
            raise Refused(f"report or tokens cannot be written: {error.strerror}; nothing was enrolled") from None
        except psycopg.errors.IntegrityError as error:
            raise Refused(f"the registry changed meanwhile: {one_line(error)}; nothing was enrolled") from None


@contextmanager
def progress(source: BinaryIO) -> Iterator[Told]:
    """Lines read, and how much of the file that is; then the database is at work. Nothing where nobody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    size, lines = os.fstat(source.fileno()).st_size, 0
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("reading", total=size or None)

        def told(more: int) -> None:
            nonlocal lines
            lines += more
            read = source.tell()
            said = f"{lines:,} lines" if read < size else f"{lines:,} lines read; the registry takes them over"
            bar.update(task, completed=read, description=said)

        yield told


def opened(file: Path, mode: str) -> BinaryIO:
    """The file, or a line that says why not."""
    try:
        if mode == "rb" and not file.is_file() and file.exists():
            raise WrongUsage(f"file {file}: not a plain file, which is read twice where it has to be")
        return file.open(mode)  # type: ignore[return-value]  # both modes are binary
    except OSError as error:
        raise WrongUsage(f"file {file}: {error.strerror}") from None


def remove(tokens: Path | None) -> None:
    """Tokens of devices that were not enrolled let nobody in."""
    if tokens:
        tokens.unlink(missing_ok=True)


def show(outcome: Outcome, dry_run: bool, as_json: bool) -> None:
    """What was found and done, as JSON or in a few lines."""
    staged, done = outcome.staged, outcome.enrolled
    if as_json:
        counts = {"devices": staged.devices, "dry_run": dry_run, **done._asdict(), "tokens": outcome.tokens}
        found = {"wrong": staged.wrong, "mistakes": said(staged.mistakes)}
        print_json({**counts, **found, "warned": staged.warned, "warnings": said(staged.warnings)})
        return
    show_findings("mistakes", staged.wrong, staged.mistakes)
    show_findings("warnings", staged.warned, staged.warnings)
    if staged.wrong:
        return
    if dry_run:
        console.print(f"{staged.devices} devices, no mistakes; nothing was changed (dry run)")
    else:
        console.print(f"{done.new} devices enrolled, {done.changed} changed, {done.unchanged} unchanged")
    if outcome.tokens:
        console.print(f"{outcome.tokens} tokens written; they are nowhere else")


def said(mistakes: list[Mistake]) -> list[dict[str, object]]:
    """Mistakes as JSON objects."""
    return [mistake._asdict() for mistake in mistakes]


def show_findings(what: str, count: int, findings: list[Mistake]) -> None:
    """The first findings as CSV."""
    if not count:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    console.print(f"{what}: {count}")
    writer.writerow(Mistake._fields)
    writer.writerows(findings[:SHOWN])
    if count > SHOWN:
        console.print(f"… and {count - SHOWN} more")
