"""`dothi analytics compute`: an index from a file, by the same formulas as the analyst's."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from dothi.commands.options import AsJson
from dothi.computing import kinds
from dothi.computing.kind import Column, Kind, Options
from dothi.computing.table import read_table
from dothi.errors import WrongUsage
from dothi.output import print_json, print_table
from dothi.settings import use_tables

EXAMPLE = "Example: dothi analytics compute fwi weather.csv --lat 21.3 --json"


def compute(
    kind: Annotated[str, typer.Argument(help="What to compute; see above.", metavar="KIND")],
    file: Annotated[Path, typer.Argument(help="CSV with a line of column names; - reads standard input.")],
    lat: Annotated[float | None, typer.Option(help="Latitude, degrees north; what it is else, KIND says.")] = None,
    province: Annotated[str | None, typer.Option(help="Whose legal tables count; else bac-giang.")] = None,
    on: Annotated[str | None, typer.Option(help="Day (YYYY-MM-DD) whose legal tables count; else today.")] = None,
    hours: Annotated[
        str | None, typer.Option(help="end or start: what names an hour; else start where 00:00 to 23:00 are there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    wanted = kinds().get(kind)
    if wanted is None:
        raise WrongUsage(f"KIND is {kind}; there are {', '.join(kinds())}")
    options = options_for(wanted, Options(checked_lat(lat), province, checked_day(on), checked_hours(hours)))
    use_tables()
    columns = read_table(file, wanted)
    try:
        results = wanted.reckon(columns, options)
    except ValueError as error:
        raise WrongUsage(f"{file}: {error}") from None
    if as_json:
        print_json(results)
    else:
        heads = [head(column) for column in wanted.results]
        print_table(heads, [[rounded(row.get(column.name)) for column in wanted.results] for row in results])


def options_for(kind: Kind, options: Options) -> Options:
    """The options as they are; one that this kind does not heed is a mistake."""
    for name, value in options._asdict().items():
        if value is not None and name not in kind.options:
            raise WrongUsage(f"--{name}: {kind.name} does not depend on it")
    return options


def checked_lat(lat: float | None) -> float | None:
    """Degrees."""
    if lat is not None and not -90 <= lat <= 90:
        raise WrongUsage(f"--lat is {lat}; expected degrees from -90 to 90")
    return lat


def checked_day(on: str | None) -> date | None:
    """A day."""
    if on is None:
        return None
    try:
        return datetime.strptime(on, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise WrongUsage(f"--on is {on}; expected a day as 2026-01-31") from None


def checked_hours(hours: str | None) -> str | None:
    """End or start."""
    if hours not in (None, "end", "start"):
        raise WrongUsage(f"--hours is {hours}; expected end or start")
    return hours


def rounded(cell: object) -> object:
    """A number as people read it; --json has all its digits."""
    return round(cell, 3) if isinstance(cell, float) else cell


def head(column: Column) -> str:
    """Name and unit."""
    return f"{column.name} ({column.unit})" if column.unit else column.name


def described(all_kinds: Iterable[Kind]) -> str:
    """The help: each kind with its columns and results."""
    parts = ["Compute an index from a CSV file, one result per row, by the formulas that the analyst uses."]
    for kind in all_kinds:
        lines = [f"{kind.name}: {kind.title}"]
        lines += [f"  reads  {described_column(column)}" for column in kind.columns]
        lines += [f"  gives  {described_column(column)}" for column in kind.results]
        lines += [f"  heeds  {', '.join('--' + option for option in kind.options)}"] if kind.options else []
        parts.append("\b\n" + "\n".join(lines))
    return "\n\n".join([*parts, EXAMPLE])


def described_column(column: Column) -> str:
    """Name, unit, meaning."""
    optional = "" if column.needed else " (may be missing)"
    return f"{head(column)}{': ' if column.says else ''}{column.says}{optional}"


compute.__doc__ = described(kinds().values())
