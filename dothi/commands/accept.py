"""`dothi devices accept`: devices that are pending become ours, and what was kept of them is stored."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psycopg
import typer

from devices import pending as inbox
from devices import registry
from devices.pending import NATIVE, Stranger
from devices.profile import PROFILES
from dothi import pending_file
from dothi.acceptance import KNOWN_AFTER_S, Choice, Desk, Left, Told, choose, enrol, store_kept
from dothi.commands.options import AsJson, Folder
from dothi.commands.pending import Since
from dothi.errors import Refused, WrongUsage
from dothi.output import print_json, print_line, stderr
from dothi.settings import stack_at
from dothi.times import moment
from ingest.replay import Replayed

MOST_PENDING = 100_000
MOST_SHOWN = 20


class Asked(NamedTuple):
    """Who is meant. `told` holds of all of them."""

    names: list[str]
    file: Path | None
    everyone: bool
    told: Told


def accept(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", help="As `dothi devices pending` calls them.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--from", help="CSV that `dothi devices pending --csv` wrote and you edited.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="Whoever is pending: with --profile who fits it, else who leaves no doubt.")
    ] = False,
    profile: Annotated[str | None, typer.Option(help="Profile; needed where the messages leave a doubt.")] = None,
    area: Annotated[str | None, typer.Option(help="Operating zone; needed where the topic names none.")] = None,
    device: Annotated[str | None, typer.Option("--id", help="Id in the registry; else made of its name.")] = None,
    title: Annotated[str | None, typer.Option("--name", help="What people call it.")] = None,
    since: Since = "30d",
    anyway: Annotated[bool, typer.Option("--anyway", help="Even if the profile reads none of its messages.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Enrol devices that are pending, all that are named or none, and store what was kept of them.

    Nothing is guessed in silence: without --profile a device must say itself what it is, and what was taken is told.

    Example: dothi devices accept lorawan:70b3d50000000001 --profile milesight-am107 --area 213
    """
    asked = checked(Asked(names or [], file, everyone, Told(profile, area, device, title)))
    stack = stack_at(folder)
    with psycopg.connect(stack.database, autocommit=True) as connection:
        start = moment("--since", since, datetime.now(UTC))
        desk = Desk(connection, start, registry.known_areas(connection), anyway)
        choices, left = choose(desk, meant(asked, inbox.strangers(connection, start, MOST_PENDING)))
        if not everyone:
            refuse_all(left, len(left) + len(choices))
        if choices:
            enrol(connection, choices)
    heard = [choice.stranger for choice in choices if not choice.stranger.private]
    if choices:
        if not as_json:
            stderr.print(f"{KNOWN_AFTER_S} s until ingest knows them", style="dim")
        time.sleep(KNOWN_AFTER_S)  # what comes meanwhile is kept, and of a private route it is lost
    done = store_kept(stack, heard, start) if heard else Replayed()
    if as_json:
        print_json(document(choices, left, done))
    else:
        show(choices, left, done)


def checked(asked: Asked) -> Asked:
    """Raises WrongUsage when nobody is named, or in two ways, or many are to have one id."""
    ways = [bool(asked.names), asked.file is not None, asked.everyone]
    if sum(ways) != 1:
        raise WrongUsage("who is meant? give ids, or --from FILE, or --all; one of these")
    if len(asked.names) != 1 and (asked.told.device or asked.told.name):
        raise WrongUsage("--id and --name are for one device; for many: dothi devices pending --csv, then --from")
    return asked


def meant(asked: Asked, found: Sequence[Stranger]) -> list[tuple[Stranger, Told]]:
    """Who is meant, and what is told of each. Raises Refused for one who is not pending."""
    if asked.everyone:
        profile = PROFILES.get(asked.told.profile or "")
        if asked.told.profile and profile is None:
            raise WrongUsage(f"--profile {asked.told.profile!r} is not known; see: dothi devices profiles")
        return [(one, asked.told) for one in found if profile is None or one.kind == (profile.route or NATIVE)]
    if asked.file is None:
        return [(pick(name, found), asked.told) for name in dict.fromkeys(asked.names)]
    return [
        (
            pick(line.pending, found),
            Told(line.profile or asked.told.profile, line.area or asked.told.area, line.device, line.name),
        )
        for line in pending_file.read(asked.file)
    ]


def pick(name: str, found: Sequence[Stranger]) -> Stranger:
    """The one that is meant. Raises Refused when none is, or several are."""
    called = [one for one in found if name == one.name] or [one for one in found if name == one.foreign_id]
    if len(called) == 1:
        return called[0]
    if called:
        raise Refused(f"{name} is known on several routes; say which: {', '.join(one.name for one in called)}")
    there = ", ".join(one.name for one in found[:5]) + (" …" if len(found) > 5 else "")
    raise Refused(f"{name} is not pending; pending are: {there or 'none'}; see: dothi devices pending")


def refuse_all(left: Sequence[Left], asked: int) -> None:
    """Raises Refused when one of those who were named cannot be enrolled: then none of them is."""
    if asked == 1 and left:
        raise left[0][1]
    if left:
        say_left(left)
        raise Refused(f"nobody was enrolled: {len(left)} of {asked} cannot be, for the reasons above")


def say_left(left: Sequence[Left]) -> None:
    """Who stays pending, and why; the first of them."""
    for name, refused in left[:MOST_SHOWN]:
        print_line(f"{name} stays pending: {refused}", to=stderr)
    if len(left) > MOST_SHOWN:
        stderr.print(f"… and {len(left) - MOST_SHOWN} more")


def document(choices: Sequence[Choice], left: Sequence[Left], done: Replayed) -> dict[str, Any]:
    """What was done as JSON has it."""
    accepted = [
        {
            **{"device": row.device, "profile": row.profile, "family": profile.family.name, "area": row.area},
            **{"route": row.route, "foreign_id": row.foreign_id, "messages": stranger.messages},
        }
        for stranger, row, profile in choices
    ]
    stay = [{"name": name, "why": str(refused)} for name, refused in left]
    return {"accepted": accepted, "left": stay, "replay": done}


def show(choices: Sequence[Choice], left: Sequence[Left], done: Replayed) -> None:
    """What was enrolled as what, and what became of the messages that were kept."""
    lines = [said_of(choice) for choice in choices]
    if any(not choice.stranger.private for choice in choices):
        lines.append(f"of {done.messages} kept messages {done.replayed} went through: {done.stored} readings stored")
    lines += [f"{count} still refused: {reason}" for reason, count in sorted(done.reasons.items())]
    own = [choice.row.device for choice in choices if choice.stranger.kind == NATIVE]
    if own:
        lines.append(f"their own way in: dothi devices credentials issue {' '.join(own[:MOST_SHOWN])}")
    if choices:
        lines.append(f"how it does: dothi devices doctor {choices[0].row.device}")
    else:
        lines.append("nobody was enrolled")
    for line in lines:
        print_line(line)
    say_left(left)


def said_of(choice: Choice) -> str:
    """One device in a line."""
    stranger, row = choice.stranger, choice.row
    alias = f", which is {stranger.name}" if row.route else ""
    kept = "its route is private and nothing was kept: its next message becomes its first reading"
    if not stranger.private:
        kept = f"{stranger.messages} messages kept"
    return f"{row.device}{alias}: enrolled with profile {row.profile} in area {row.area}; {kept}"
