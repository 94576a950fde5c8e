"""`dothi alarms maintenance`: areas and devices that are worked on, so that nobody is called to their alarms."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from analytics import alarm_desk
from dothi.commands.alarms_asked import HIGHEST, Area, Asked, By, Lang, ahead, ending, language, needed, person
from dothi.commands.alarms_words import word
from dothi.commands.options import AsJson, Folder
from dothi.errors import WrongUsage
from dothi.output import print_json, print_line, shown

app = typer.Typer(help="Areas and devices that are worked on: their alarms call nobody.", no_args_is_help=True)
EXAMPLE = 'dothi alarms maintenance begin --area 213 --for 4h --reason "cắt điện theo lịch"'
HEADS = ("alarm", "where", "area", "state", "by", "reason")


@app.callback()
def maintenance() -> None:
    """Areas and devices that are worked on: their alarms are recorded, and call nobody.

    Example: dothi alarms maintenance list
    """


@app.command()
def begin(
    folder: Folder = None,
    area: Area = None,
    device: Annotated[str | None, typer.Option("--device", help="Of this device: its id.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="From 30m, 12h or 7d from now, or a time; else now.")
    ] = None,
    length: Annotated[str | None, typer.Option("--for", help="How long from its beginning: 30m, 12h or 7d.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Until when, as 2026-01-31T07:00:00+07:00.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="What is done; it is kept.")] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Put an area or a device under maintenance, now or later. It needs an end and a reason.

    Example: dothi alarms maintenance begin --area 213 --for 4h --reason "cắt điện theo lịch"
    """
    if (area is None) == (device is None):
        given = "are both there" if area else "are missing"
        raise WrongUsage(f"--area and --device {given}; expected one of them, as in: {EXAMPLE}")
    now = datetime.now(UTC)
    since = ahead("--from", start, now) if start else None
    end = ending(length, until, since or now, EXAMPLE)
    why = needed("--reason", reason, "what is done, in at most 2000 characters", EXAMPLE)
    asked = Asked(folder)
    code = asked.area(area) if area is not None else None
    with asked.acting() as ask:
        number = alarm_desk.act(ask, "begin_maintenance", code, device, since, end, person(by), why)
    if as_json:
        print_json({"maintenance": number})
    else:
        print_line(f"maintenance {number} of {code or device}")


@app.command()
def end(
    number: Annotated[
        int, typer.Argument(metavar="MAINTENANCE", help="Its number, as in the list.", min=1, max=HIGHEST)
    ],
    folder: Folder = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """End a maintenance before its time; whoever is needed for its alarms is called again.

    Example: dothi alarms maintenance end 3
    """
    with Asked(folder).acting() as ask:
        changed = alarm_desk.act(ask, "end_maintenance", number, person(by))
    if as_json:
        print_json({"maintenance": number, "changed": changed})
    else:
        print_line(f"maintenance {number} ended" if changed else f"maintenance {number}: that was so already")


@app.command(name="list")
def list_(
    folder: Folder = None,
    over: Annotated[bool, typer.Option("--over", help="Those that are over as well, the newest first.")] = False,
    lang: Lang = "vi",
    as_json: AsJson = False,
) -> None:
    """List what is under maintenance, and what is planned.

    Example: dothi alarms maintenance list --over
    """
    language(lang)
    with Asked(folder).reading() as ask:
        rows = alarm_desk.maintenances(ask, over)
    if as_json:
        print_json(rows)
        return
    from dothi.commands.alarms_shown import print_rows

    number, *heads = HEADS
    times = f"{word(lang, 'since')}\n{word(lang, 'until')}"  # under each other: side by side they leave no room
    lines = [
        (
            *(row["id"], f"{shown(row['since'])}\n{shown(row['until'])}", row["name"] or row["device"], row["area"]),
            *(word(lang, row["state"]), row["by"], row["reason"]),
        )
        for row in rows
    ]
    print_rows(lang, "maintenance", (number, times, *heads), lines)
