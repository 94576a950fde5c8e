"""`dothi alarms`: the desk of those who answer alarms. Here: what there is; alarms_act has what they do."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from analytics import alarm_desk, alarm_figures
from dothi.commands import alarms_act, alarms_check, alarms_maintenance, alarms_routes
from dothi.commands.alarms_asked import (
    Age,
    Area,
    Asked,
    Device,
    Kind,
    Lang,
    Number,
    Older,
    Severity,
    State,
    language,
)
from dothi.commands.alarms_shown import print_alarm, print_alarms, print_history, word
from dothi.commands.alarms_stats import print_figures
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import print_json, print_line
from dothi.times import moment

MOST = 10_000
MOST_MEMBERS = 1000
Most = Annotated[int, typer.Option("--most", help=f"So many at most, up to {MOST}.", min=1, max=MOST)]

app = typer.Typer(help="Alarms: what there is, and what staff do about it.", no_args_is_help=True)


@app.callback()
def alarms() -> None:
    """Alarms: what there is, and what staff do about it.

    Example: dothi alarms list --severity major
    """


@app.command(name="list")
def list_(
    folder: Folder = None,
    area: Area = None,
    severity: Severity = None,
    kind: Kind = None,
    age: Age = None,
    older: Older = None,
    state: State = None,
    device: Device = None,
    cleared: Annotated[bool, typer.Option("--cleared", help="Cleared ones as well, the newest first.")] = False,
    most: Most = 50,
    lang: Lang = "vi",
    as_json: AsJson = False,
) -> None:
    """List alarms: those that are not cleared, the worst first. Times are those of Asia/Ho_Chi_Minh, in JSON UTC.

    Example: dothi alarms list --area "luc ngan" --severity major --age 12h
    """
    language(lang)
    asked = Asked(folder)
    wanted = asked.wanted(area, severity, kind, age, older, state, device, cleared)
    with asked.reading() as connection:
        rows = alarm_desk.list_alarms(connection, wanted, most + 1)
    if as_json:
        print_json(rows[:most])
        return
    if not rows:
        print_line(word(lang, "none"))
        return
    print_alarms(rows[:most], lang, datetime.now(UTC))
    if len(rows) > most:
        with asked.reading() as connection:
            number = sum(alarm_desk.count_alarms(connection, wanted).values()) - most
        print_line(word(lang, "others").format(f"{number:,}"))


@app.command()
def show(number: Number, folder: Folder = None, lang: Lang = "vi", as_json: AsJson = False) -> None:
    """Show all about an alarm: what it is, the devices it is about, what speaks for it, and what happened.

    Example: dothi alarms show 12
    """
    language(lang)
    with Asked(folder).reading() as connection:
        alarm = alarm_desk.one_alarm(connection, number, MOST_MEMBERS)
    if alarm is None:
        raise Refused(f"alarm {number}: there is none with this number; see: dothi alarms list --cleared")
    if as_json:
        print_json(alarm)
    else:
        print_alarm(alarm, lang)


@app.command()
def history(
    number: Annotated[int | None, typer.Argument(metavar="[ALARM]", help="Of this alarm; else of all.")] = None,
    folder: Folder = None,
    since: Annotated[str | None, typer.Option("--since", help="Not before 30m, 12h or 7d ago, or a time.")] = None,
    most: Most = 50,
    lang: Lang = "vi",
    as_json: AsJson = False,
) -> None:
    """Show what happened: to one alarm in order, or to all, the newest first. Nothing in it is ever changed.

    Example: dothi alarms history --since 12h
    """
    language(lang)
    start = moment("--since", since, datetime.now(UTC)) if since else None
    with Asked(folder).reading() as connection:
        rows = alarm_desk.history(connection, number, start, most)
    if number is not None and not rows and start is None:
        raise Refused(f"alarm {number}: there is none with this number; see: dothi alarms list --cleared")
    if as_json:
        print_json(rows)
    else:
        print_history(rows, lang)


@app.command()
def stats(
    folder: Folder = None,
    since: Annotated[str, typer.Option("--since", help="From 30m, 12h or 7d ago, or a time, until now.")] = "24h",
    area: Area = None,
    most: Annotated[int, typer.Option("--most", help="So many top talkers and hours.", min=1, max=1000)] = 10,
    lang: Lang = "vi",
    as_json: AsJson = False,
) -> None:
    """How the alarms were: how many an hour, how many taken on in time, how many judged false, who rings most.

    Counted for the centre are all but information. In time: acknowledged within 5 minutes when critical, 15 when
    major, an hour when minor, 8 hours when a warning (ops.alarm_severity), of those that lasted so long.

    Example: dothi alarms stats --since 7d
    """
    language(lang)
    now = datetime.now(UTC)
    start = moment("--since", since, now)
    if start >= now:
        raise WrongUsage(f"--since {since!r} is not in the past; allowed: 30m, 12h or 7d ago, or a time before now")
    asked = Asked(folder)
    code = asked.area(area) if area else None
    with asked.reading() as connection:
        document = alarm_figures.figures(connection, start, now, code, most)
    if as_json:
        print_json(document)
    else:
        print_figures(document, lang)


alarms_act.register(app)
app.add_typer(alarms_maintenance.app, name="maintenance")
app.command()(alarms_check.check)
alarms_routes.register(app)
app.command()(alarms_check.check)
