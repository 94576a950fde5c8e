"""`dothi alarms check`: rules of alarms run over stored history."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from dothi.commands.options import AsJson, Folder
from dothi.errors import WrongUsage
from dothi.output import print_json, print_line, print_table
from dothi.settings import stack_at
from dothi.times import moment

HEADS = (
    "rule / quy tắc",
    "kind",
    "rang / số lần",
    "per day / mỗi ngày",
    "devices / thiết bị",
    "lasted, median (min)",
    "noisiest (times)",
    "severities (alarms)",
)


def check(
    rules: Annotated[Path | None, typer.Argument(help="A file of rules; none: those in use.")] = None,
    folder: Folder = None,
    since: Annotated[str, typer.Option(help="From: 30m, 12h, 7d ago, or RFC 3339 with its zone.")] = "1d",
    until: Annotated[str, typer.Option(help="To: likewise.")] = "0s",
    area: Annotated[list[str] | None, typer.Option(help="Only this area, such as 213; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run rules over stored history and say how often they would have rung; nothing is raised.

    Example: dothi alarms check my-rules.yaml --dir .dothi --since 7d --area 213
    """
    from rich.progress import Progress

    from analytics.alarms.rehearsal import rehearse, scores
    from analytics.alarms.stored import Stored
    from dothi.output import stderr

    chosen = rules_of(rules)
    now = datetime.now(UTC)
    begin, end = moment("--since", since, now), moment("--until", until, now)
    if begin >= end:
        raise WrongUsage(f"--since {since!r} is not before --until {until!r}; allowed: an earlier time")
    with (
        psycopg.connect(stack_at(folder).reader, autocommit=True, connect_timeout=5) as connection,
        Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress,
    ):
        check_areas(connection, area or [])
        task = progress.add_task("rehearsing", total=1.0)
        alarms = rehearse(
            Stored(connection, area or []), chosen, begin, end, lambda done: progress.update(task, completed=done)
        )
    found = scores(chosen, alarms, begin, end)
    if as_json:
        print_json(document(chosen.source, begin, end, found))
        return
    print_table(HEADS, [line(one) for one in found if one.rang])
    if quiet := [one.rule for one in found if not one.rang]:
        print_line(f"did not ring: {', '.join(quiet)}")
    days = (end - begin).total_seconds() / 86_400
    for_centre = sum(one.severity != "info" for one in alarms)
    print_line(f"{len(alarms)} alarms in {days:.2f} days, {for_centre / days / 24:.2f} an hour for the centre")


def rules_of(path: Path | None) -> Any:
    """The rules of a file, or those in use. Raises WrongUsage."""
    from analytics.alarms.limits import in_use, use
    from analytics.alarms.rules import RulesRefused
    from dothi.settings import use_rules

    if path is None:
        use_rules()
        return in_use().rules
    try:
        return use(path).rules
    except RulesRefused as error:
        raise WrongUsage(f"{path}: {error}") from None


def check_areas(connection: "psycopg.Connection[Any]", areas: list[str]) -> None:
    """An area that there is not is a mistake, not an empty answer."""
    known = [code for (code,) in connection.execute("select area from city.plan order by area").fetchall()]
    for area in areas:
        if area not in known:
            raise WrongUsage(f"--area is {area}; there are {', '.join(known)}")


def document(source: str, begin: datetime, end: datetime, found: list[Any]) -> dict[str, Any]:
    """All there is to say, in UTC."""
    said = {"rules": source, "since": begin.astimezone(UTC), "until": end.astimezone(UTC)}
    return said | {"scores": [one._asdict() for one in found]}


def line(one: Any) -> tuple[Any, ...]:
    """A row of the table."""
    lasted = None if one.lasted_s is None else f"{one.lasted_s / 60:.1f}"
    noisy = None if one.noisiest is None else f"{one.noisiest} ({one.noisiest_rang})"
    worst = ", ".join(f"{severity} {count}" for severity, count in sorted(one.severities.items())) or None
    return one.rule, one.kind or None, one.rang, f"{one.per_day:.2f}", one.devices, lasted, noisy, worst
