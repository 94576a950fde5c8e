"""`dothi analytics findings`: what detectors found."""

from typing import Annotated, Any

import psycopg
import typer
from psycopg import sql
from psycopg.rows import dict_row

from dothi.commands.options import AsJson, Folder
from dothi.errors import WrongUsage
from dothi.output import print_json, print_line, print_table
from dothi.settings import stack_at

MOST = 10_000
FINDINGS = """
select id, device, name, area, family, detector, metric, since, until, found, score, value, expected, title_vi, title_en
from city.finding where {} order by since desc, id desc limit {}
"""
HEADS = (
    "device",
    "area",
    "detector",
    "metric",
    "since",
    "until",
    "score (0–1)",
    "value",
    "expected",
    "found / tìm thấy",
)


def findings(
    folder: Folder = None,
    area: Annotated[str | None, typer.Option(help="Only devices of this area, such as 213.")] = None,
    detector: Annotated[str | None, typer.Option(help="Only what this detector found.")] = None,
    device: Annotated[str | None, typer.Option(help="Only of this device.")] = None,
    still_open: Annotated[bool, typer.Option("--open", help="Only what is not over.")] = False,
    most: Annotated[int, typer.Option(help=f"The newest so many, at most {MOST}.")] = 100,
    as_json: AsJson = False,
) -> None:
    """What detectors found of single devices, newest first; values in the unit of the metric.

    Example: dothi analytics findings --dir .dothi --area 213 --open --json
    """
    if not 1 <= most <= MOST:
        raise WrongUsage(f"--most is {most}; expected 1 to {MOST}")
    wanted = {"area": area, "detector": detector, "device": device}
    found = read_findings(stack_at(folder).reader, {k: v for k, v in wanted.items() if v is not None}, still_open, most)
    if as_json:
        print_json(found)
    elif found:
        print_table(HEADS, [line(row) for row in found])
    else:
        print_line("nothing found")


def read_findings(reader: str, wanted: dict[str, str], still_open: bool, most: int) -> list[dict[str, Any]]:
    """Rows of city.finding with these values. Raises WrongUsage for a detector or an area that there is not."""
    conditions: list[sql.Composable] = [sql.SQL("{} = {}").format(sql.Identifier(k), v) for k, v in wanted.items()]
    conditions += [sql.SQL("until is null")] if still_open else []
    where = sql.SQL(" and ").join(conditions or [sql.SQL("true")])
    query = sql.SQL(FINDINGS).format(where, most)
    with psycopg.connect(reader, row_factory=dict_row, connect_timeout=5) as connection:
        check(connection, wanted)
        return connection.execute(query).fetchall()


def check(connection: "psycopg.Connection[dict[str, Any]]", wanted: dict[str, str]) -> None:
    """Words that nothing can have are mistakes, not empty answers."""
    from analytics.detectors.words import words

    if "detector" in wanted and wanted["detector"] not in words():
        raise WrongUsage(f"--detector is {wanted['detector']}; there are {', '.join(sorted(words()))}")
    if "area" in wanted:
        areas = [row["area"] for row in connection.execute("select area from city.plan order by area").fetchall()]
        if wanted["area"] not in areas:
            raise WrongUsage(f"--area is {wanted['area']}; there are {', '.join(areas)}")


def line(row: dict[str, Any]) -> list[object]:
    """A finding as a row of a table."""
    numbers = [None if row[name] is None else f"{row[name]:.4g}" for name in ("score", "value", "expected")]
    title = " / ".join(row[name] for name in ("title_en", "title_vi") if row[name])
    return [*(row[name] for name in ("device", "area", "detector", "metric", "since", "until")), *numbers, title]
