"""What staff do about alarms: take them on, put them aside, close them, say what they were."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from analytics import alarm_desk
from analytics.alarm_desk import VERDICTS, Ask, Unlawful, act
from dothi.commands.alarms_asked import (
    HIGHEST,
    Age,
    Area,
    Asked,
    By,
    Device,
    Kind,
    Note,
    Number,
    Older,
    Severity,
    ending,
    needed,
    person,
)
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import print_json, print_line

Numbers = Annotated[list[int] | None, typer.Argument(metavar="ALARM...", help="Numbers of alarms.", min=1, max=HIGHEST)]
WHY = "why, in at most 2000 characters"
Said = Annotated[str | None, typer.Option("--reason", help="Why; it is kept in the history.")]


def ack(
    numbers: Numbers = None,
    folder: Folder = None,
    by: By = None,
    note: Note = None,
    every: Annotated[bool, typer.Option("--all", help="All that the filters mean and nobody has taken on.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many it would be.")] = False,
    area: Area = None,
    severity: Severity = None,
    kind: Kind = None,
    age: Age = None,
    older: Older = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Take alarms on: by number, or all that filters mean. Nobody is called to them again.

    Example: dothi alarms ack 12 13 --note "đội trực đang tới"
    """
    asked = Asked(folder)
    filters = (area, severity, kind, age, older, device)
    if every == bool(numbers) or (not every and any(filters)):
        raise WrongUsage(
            "ack: allowed: numbers of alarms, or --all with at least one filter such as --kind; as in: "
            "dothi alarms ack 12 13"
        )
    if every:
        if not any(filters):
            raise WrongUsage(
                "--all stands alone; allowed: --all with --area, --severity, --kind, --age, --older or --device"
            )
        wanted = asked.wanted(area, severity, kind, age, older, ["unacknowledged"], device)
        with asked.reading() as ask:
            numbers = alarm_desk.numbers(ask, wanted)
    if dry_run:
        say({"would_acknowledge": numbers or []}, f"{counted(numbers or [])} would be acknowledged", as_json)
        return
    who = person(by)
    each(asked, numbers or [], "acknowledged", as_json, lambda c, n: act(c, "acknowledge_alarm", n, who, note))


def shelve(
    number: Number,
    folder: Folder = None,
    length: Annotated[str | None, typer.Option("--for", help="How long: 30m, 12h or 7d; at most 30 days.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Until when, as 2026-01-31T07:00:00+07:00.")] = None,
    reason: Said = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Put an alarm aside for a time: nobody is called to it, nor when the same comes again. It needs a reason.

    Example: dothi alarms shelve 12 --for 8h --reason "đang sửa cầu"
    """
    example = f'dothi alarms shelve {number} --for 8h --reason "đang sửa cầu"'
    end = ending(length, until, datetime.now(UTC), example)
    why = needed("--reason", reason, WHY, example)
    one(folder, number, "shelved", as_json, "shelve_alarm", end, person(by), why)


def unshelve(number: Number, folder: Folder = None, by: By = None, as_json: AsJson = False) -> None:
    """Take a shelved alarm out again before its time.

    Example: dothi alarms unshelve 12
    """
    one(folder, number, "unshelved", as_json, "unshelve_alarm", person(by))


def clear(
    numbers: Numbers = None, folder: Folder = None, by: By = None, note: Note = None, as_json: AsJson = False
) -> None:
    """Close alarms by hand. The platform does so itself when the cause is over; while it lasts it rings again.

    Example: dothi alarms clear 12 --note "đã thay cảm biến"
    """
    if not numbers:
        raise WrongUsage("ALARM is missing; expected numbers of alarms, as in: dothi alarms clear 12 13")
    who = person(by)
    each(Asked(folder), numbers, "cleared", as_json, lambda c, n: act(c, "clear_alarm", n, who, note))


def comment(
    number: Number,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What others should know.")],
    folder: Folder = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Write a note to an alarm, active or cleared.

    Example: dothi alarms comment 12 "đã gọi kiểm lâm"
    """
    one(folder, number, "commented", as_json, "comment_alarm", person(by), text)


def judge(
    number: Number,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help=f"One of {', '.join(VERDICTS)}.")],
    folder: Folder = None,
    by: By = None,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Say whether an alarm was true, false or a drill; it is counted in `dothi alarms stats`.

    Example: dothi alarms judge 12 false --note "khói bếp"
    """
    if verdict not in VERDICTS:
        raise WrongUsage(f"VERDICT is {verdict}; allowed: {', '.join(VERDICTS)}")
    one(folder, number, "judged", as_json, "judge_alarm", verdict, person(by), note)


def one(folder: Folder, number: int, done: str, as_json: bool, function: str, *values: object) -> None:
    """Call a function of staff on one alarm, and say what came of it."""
    asked = Asked(folder)
    with asked.acting() as ask:
        changed = act(ask, function, number, *values)
    with asked.reading() as ask:
        alarm = alarm_desk.one_alarm(ask, number, 0)
    said = f"alarm {number} {done}" if changed else f"alarm {number}: that was so already"
    say({"changed": changed, "alarm": alarm}, said, as_json)


def each(
    asked: Asked,
    numbers: list[int],
    done: str,
    as_json: bool,
    action: Callable[[Ask, int], Any],
) -> None:
    """The same with many alarms, one by one: what is refused does not keep the others. Raises Refused if any was."""
    came: dict[str, list[int]] = {done: [], "already": []}
    refused: list[tuple[int, str]] = []
    with asked.acting() as ask:
        for number in dict.fromkeys(numbers):
            try:
                came[done if action(ask, number) else "already"].append(number)
            except Unlawful as refusal:
                refused.append((number, str(refusal)))
    so = f", {len(came['already'])} so already" if came["already"] else ""
    if as_json or came[done] or came["already"]:
        told = [{"alarm": number, "said": said} for number, said in refused]
        say({**came, "refused": told}, f"{counted(came[done])} {done}{so}", as_json)
    if refused:
        more = f" ({len(refused) - 1} more refused)" if len(refused) > 1 else ""
        raise Refused(refused[0][1] + more)


def counted(numbers: list[int]) -> str:
    """How many alarms.

    >>> counted([7]), counted([])
    ('1 alarm', '0 alarms')
    """
    return f"{len(numbers)} alarm{'' if len(numbers) == 1 else 's'}"


def say(document: dict[str, Any], line: str, as_json: bool) -> None:
    """For a script or for a person."""
    if as_json:
        print_json(document)
    else:
        print_line(line)
