"""`dothi alarms list`, `show` and `history`: what there is, and what happened."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from analytics import alarm_desk
from dothi.commands.alarms_asked import (
    HIGHEST,
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
from dothi.commands.alarms_words import word
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused
from dothi.output import print_json, print_line
from dothi.times import moment

MOST = 10_000
MOST_MEMBERS = 1000
Most = Annotated[int, typer.Option("--most", help=f"So many at most, up to {MOST}.", min=1, max=MOST)]


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
    with asked.reading() as ask:
        rows = alarm_desk.list_alarms(ask, wanted, most + 1)
        counts = not as_json and len(rows) > most
        others = sum(alarm_desk.count_alarms(ask, wanted).values()) - most if counts else 0
    if as_json:
        print_json(rows[:most])
        return
    if not rows:
        print_line(word(lang, "none"))
        return
    from dothi.commands.alarms_shown import print_alarms

    print_alarms(rows[:most], lang, datetime.now(UTC))
    if others > 0:
        print_line(word(lang, "others").format(f"{others:,}"))


def show(number: Number, folder: Folder = None, lang: Lang = "vi", as_json: AsJson = False) -> None:
    """Show all about an alarm: what it is, the devices it is about, what speaks for it, and what happened.

    Example: dothi alarms show 12
    """
    language(lang)
    with Asked(folder).reading() as ask:
        alarm = alarm_desk.one_alarm(ask, number, MOST_MEMBERS)
    if alarm is None:
        raise Refused(f"alarm {number}: there is none with this number; see: dothi alarms list --cleared")
    if as_json:
        print_json(alarm)
        return
    from dothi.commands.alarms_shown import print_alarm

    print_alarm(alarm, lang)


def history(
    number: Annotated[
        int | None, typer.Argument(metavar="[ALARM]", help="Of this alarm; else of all.", min=1, max=HIGHEST)
    ] = None,
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
    start = moment("--since", since, datetime.now(UTC)) if since is not None else None
    with Asked(folder).reading() as ask:
        rows = alarm_desk.history(ask, number, start, most)
    if number is not None and not rows and start is None:
        raise Refused(f"alarm {number}: there is none with this number; see: dothi alarms list --cleared")
    if as_json:
        print_json(rows)
        return
    from dothi.commands.alarms_shown import print_history

    print_history(rows, lang)
