"""`dothi devices accept`: a device that is pending becomes one of ours, and what was kept of it is stored."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import psycopg
import typer

from devices import pending as inbox
from devices import registry
from devices.enroll import DEVICE_ID, Row
from devices.pending import NATIVE, Proposal, Sample, Stranger
from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import ROUTES
from dothi import settings
from dothi.commands.options import AsJson, Folder
from dothi.commands.pending import Since, now_us
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json
from dothi.settings import Stack, stack_at
from dothi.times import moment
from ingest.batch import Limits
from ingest.quarantine import KEPT_NAME
from ingest.replay import Busy, Replayed, Wanted, replay
from ingest.route import Router

KNOWN_AFTER_S = 2.5  # ingest looks at the registry every second


class Choice(NamedTuple):
    """What a stranger is to become."""

    row: Row
    profile: Profile


def accept(
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="As `dothi devices pending` calls it.")],
    profile: Annotated[str | None, typer.Option(help="Profile; needed where the messages leave a doubt.")] = None,
    area: Annotated[str | None, typer.Option(help="Operating zone; needed where the topic names none.")] = None,
    device: Annotated[str | None, typer.Option("--id", help="Id in the registry; else made of its name.")] = None,
    title: Annotated[str | None, typer.Option("--name", help="What people call it.")] = None,
    since: Since = "30d",
    anyway: Annotated[bool, typer.Option("--anyway", help="Even if the profile reads none of its messages.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Enrol a device that is pending and store what was kept of it.

    Nothing is guessed in silence: without --profile it must say itself what it is, and what was taken is told.

    Example: dothi devices accept lorawan:70b3d50000000001 --profile milesight-am107 --area 213
    """
    stack = stack_at(folder)
    with psycopg.connect(stack.database, autocommit=True) as connection:
        start = moment("--since", since, datetime.now(UTC))
        stranger = pick(name, inbox.strangers(connection, start, 100_000))
        samples = inbox.samples_of(connection, stranger, start)
        proposal = inbox.propose(stranger, samples, now_us())
        wanted = Row(
            device=id_for(connection, stranger, device),
            profile=profile_for(stranger, proposal, profile).name,
            area=area_for(connection, stranger, area or inbox.area_of(stranger, proposal)),
            name=title,
        )
        choice = judged(wanted, stranger, samples, anyway)
        registry.enroll(connection, [choice.row])
    time.sleep(KNOWN_AFTER_S)  # what comes meanwhile is kept like what came before
    done = Replayed() if stranger.private else replayed(stack, stranger, start)
    show_accepted(stranger, choice, done, as_json)


def pick(name: str, found: Sequence[Stranger]) -> Stranger:
    """The one that is meant. Raises Refused when none is, or several are."""
    meant = [one for one in found if name in (one.name, one.foreign_id)]
    if len(meant) == 1 and len(meant[0].foreign_id) < KEPT_NAME:
        return meant[0]
    if len(meant) == 1:
        raise Refused(f"its name has {KEPT_NAME} characters or more; only so many are kept; give it a shorter one")
    if meant:
        raise Refused(f"{name} is known on several routes; say which: {', '.join(one.name for one in meant)}")
    there = ", ".join(one.name for one in found[:5]) + (" …" if len(found) > 5 else "")
    raise Refused(f"{name} is not pending; pending are: {there or 'none'}; see: dothi devices pending")


def id_for(connection: registry.Connection, stranger: Stranger, given: str | None) -> str:
    """The id for the registry. Raises WrongUsage when it is none, Refused when it is taken."""
    name = given or inbox.device_id(stranger)
    if not DEVICE_ID.fullmatch(name):
        where = "--id" if given else "its name cannot be an id; give one with --id:"
        raise WrongUsage(f"{where} {name!r}: expected 3 to 63 of a-z, 0-9 and -, not starting with -")
    if stranger.kind == NATIVE and name != stranger.foreign_id:
        raise WrongUsage(f"--id {name}: on our own topics the device says its id itself, {stranger.foreign_id}")
    if connection.execute("select 1 from registry.device where device = %s", (name,)).fetchone():
        raise Refused(f"device {name} is enrolled already, and is another one; give another id with --id")
    return name


def profile_for(stranger: Stranger, proposal: Proposal, given: str | None) -> Profile:
    """The profile that was told, or of which the messages leave no doubt. Raises Refused, WrongUsage."""
    route = None if stranger.kind == NATIVE else stranger.kind
    fitting = [profile.name for profile in PROFILES.values() if profile.route == route]
    if given is not None:
        if given not in fitting:
            raise WrongUsage(f"--profile {given!r} is not one for {stranger.kind}; known: {', '.join(sorted(fitting))}")
        return PROFILES[given]
    if proposal.sure and proposal.profile:
        return PROFILES[proposal.profile]
    likely = [name for name in (proposal.profile, *proposal.others) if name]
    choose = f"choose one with --profile: {', '.join(likely or sorted(fitting))}"
    raise Refused(f"it is not sure what {stranger.name} is: {proposal.why}; {choose}")


def area_for(connection: registry.Connection, stranger: Stranger, area: str | None) -> str:
    """The zone that was told, that its topic names or in which it stands. Raises Refused, WrongUsage."""
    known = registry.known_areas(connection)
    if area is None:
        raise Refused(f"nothing tells in which area {stranger.name} is; give --area; the zones are {', '.join(known)}")
    if area not in known:
        raise WrongUsage(f"--area {area!r} is not a zone of the plan; the zones are {', '.join(known)}")
    if stranger.kind == NATIVE and area not in stranger.inboxes:
        raise WrongUsage(f"--area {area}: the device publishes under {', '.join(stranger.inboxes)}; use that")
    return area


def judged(wanted: Row, stranger: Stranger, samples: Sequence[Sample], anyway: bool) -> Choice:
    """The choice, if the profile reads what was kept. Raises Refused."""
    profile = PROFILES[wanted.profile]
    results = [result for sample in samples for result in profile.read(sample.payload, sample.topic)]
    readable = any(isinstance(result, Reading) for result in results)
    refused = [result for result in results if isinstance(result, Rejected)]
    if refused and not readable and not anyway:
        raise Refused(
            f"profile {profile.name} reads none of the {len(samples)} newest messages of {stranger.name}: "
            f"{refused[-1].detail}; choose another --profile, or enrol it --anyway"
        )
    if stranger.kind != NATIVE:
        wanted = wanted._replace(route=stranger.kind, foreign_id=stranger.foreign_id)
    return Choice(wanted, profile)


def replayed(stack: Stack, stranger: Stranger, since: datetime) -> Replayed:
    """Send through again what was kept of it. Raises Refused when another replay is at work."""
    ingest: dict[str, str] = stack.document.get("ingest", {})
    url = ingest.get("database", stack.database)

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5)

    wanted = Wanted("unknown_device", None, stranger.foreign_id, round(since.timestamp() * 1e6))
    try:
        return asyncio.run(replay(connect, Router(ROUTES), Limits(late_us=settings.late_limits()), wanted))
    except Busy:
        later = f"dothi ingest replay --reason unknown_device --device {stranger.foreign_id}"
        raise Refused(f"{stranger.name} is enrolled; another replay is at work, so afterwards: {later}") from None


def show_accepted(stranger: Stranger, choice: Choice, done: Replayed, as_json: bool) -> None:
    """What was enrolled as what, and what became of the messages that were kept."""
    row = choice.row
    if as_json:
        named = {"device": row.device, "profile": row.profile, "family": choice.profile.family.name, "area": row.area}
        print_json({**named, "route": row.route, "foreign_id": row.foreign_id, "replay": done})
        return
    alias = f", which is {stranger.name}" if row.route else ""
    lines = [f"{row.device}{alias}: enrolled with profile {row.profile} in area {row.area}"]
    if stranger.private:
        lines.append("its route is private and nothing was kept: its next message becomes its first reading")
    else:
        lines.append(f"of {done.messages} kept messages {done.replayed} went through: {done.stored} readings stored")
    lines += [f"{count} still refused: {reason}" for reason, count in sorted(done.reasons.items())]
    if stranger.kind == NATIVE:
        lines.append(f"its own way in: dothi devices credentials issue {row.device}")
    lines.append(f"how it does: dothi devices doctor {row.device}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
