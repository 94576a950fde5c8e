"""How a device that is pending becomes one of ours: what it is to be, enrolled with others, what was kept stored.

Nothing is guessed in silence: what its messages leave in doubt, a person says.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from devices import pending as inbox
from devices import registry
from devices.enroll import DEVICE_ID, Row, Terms, judge
from devices.enroll_cells import foreign_name
from devices.pending import NATIVE, Proposal, Sample, Stranger
from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import ROUTES
from dothi import settings
from dothi.errors import Refused, WrongUsage
from dothi.settings import Stack
from ingest.batch import Limits
from ingest.pack_refused import KEPT_NAME
from ingest.replay import Busy, Replayed, Wanted, replay
from ingest.route import Router

KNOWN_AFTER_S = 2.5
"""Ingest looks at the registry every second, and stores what it read before in batches."""
BUSY_S = 60.0
"""So long another replay is waited for."""

Connection = psycopg.Connection[Any]
Left = tuple[str, Refused]
"""A device that stays pending, and why."""


class Told(NamedTuple):
    """What a person says of a pending device; None: nothing."""

    profile: str | None = None
    area: str | None = None
    device: str | None = None
    name: str | None = None


class Choice(NamedTuple):
    """What a stranger is to become."""

    stranger: Stranger
    row: Row
    profile: Profile


class Desk(NamedTuple):
    """What decides of strangers: the registry, since when their messages count, and whether they must be understood."""

    connection: Connection
    since: datetime
    areas: Sequence[str]
    anyway: bool


def choose(desk: Desk, asked: Iterable[tuple[Stranger, Told]]) -> tuple[list[Choice], list[Left]]:
    """What each is to become, and who cannot become anything."""
    choices: list[Choice] = []
    left: list[Left] = []
    ids: set[str] = set()
    for stranger, told in asked:
        try:
            choice = choice_of(desk, stranger, told)
            if choice.row.device in ids:
                raise Refused(f"another one is to get the id {choice.row.device}; give each its own")
        except Refused as refused:
            left.append((stranger.name, refused))
        else:
            ids.add(choice.row.device)
            choices.append(choice)
    return choices, left


def choice_of(desk: Desk, stranger: Stranger, told: Told) -> Choice:
    """What one is to become. Raises Refused, WrongUsage."""
    samples = inbox.samples_of(desk.connection, stranger, desk.since)
    proposal = inbox.propose(stranger, samples, time.time_ns() // 1000)
    name = name_of(stranger)
    device = id_for(stranger, told.device)
    refuse_taken(desk.connection, {device: stranger})
    profile = profile_for(stranger, proposal, told.profile)
    area = area_for(desk.areas, stranger, told.area or inbox.area_of(stranger, proposal))
    cells = {"device": device, "profile": profile.name, "area": area, "name": told.name or ""}
    judged = judge(1, cells, Terms({profile.name: profile.route}, desk.areas))
    if judged.row is None:
        mistake = judged.mistakes[0]
        raise WrongUsage(f"{mistake.column} {mistake.value!r}: {mistake.detail}")
    refuse_unread(profile, stranger, samples, desk.anyway)
    row = judged.row
    if stranger.kind != NATIVE:
        row = row._replace(route=stranger.kind, foreign_id=name)
    return Choice(stranger, row, profile)


def name_of(stranger: Stranger) -> str:
    """What it calls itself, if that can be kept: strangers choose it freely. Raises Refused."""
    if len(stranger.foreign_id) >= KEPT_NAME:
        raise Refused(f"its name has {KEPT_NAME} characters or more; only so many are kept; give it a shorter one")
    if stranger.kind != NATIVE and foreign_name(stranger.kind, stranger.foreign_id) != stranger.foreign_id:
        raise Refused(f"its name {stranger.foreign_id!r} holds characters that are no text; give it another one")
    return stranger.foreign_id


def id_for(stranger: Stranger, given: str | None) -> str:
    """The id for the registry. Raises WrongUsage when it is none."""
    name = given or inbox.device_id(stranger)
    if not DEVICE_ID.fullmatch(name):
        where = "--id" if given else "its name cannot be an id; give one with --id:"
        raise WrongUsage(f"{where} {name!r}: expected 3 to 63 of a-z, 0-9 and -, not starting with -")
    if stranger.kind == NATIVE and name != stranger.foreign_id:
        raise WrongUsage(f"--id {name}: on our own topics the device says its id itself, {stranger.foreign_id}")
    return name


def refuse_taken(connection: Connection, wanted: dict[str, Stranger]) -> None:
    """Raises Refused for the first id that is a device's already."""
    taken = connection.execute(
        "select device from registry.device where device = any(%s) order by device limit 1", ([*wanted],)
    ).fetchone()
    if taken is None:
        return
    if wanted[taken[0]].kind == NATIVE:
        raise Refused(f"device {taken[0]} has been enrolled meanwhile; see: dothi devices show {taken[0]}")
    raise Refused(f"device {taken[0]} is enrolled already, and is another one; give another id with --id")


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


def area_for(areas: Sequence[str], stranger: Stranger, area: str | None) -> str:
    """The zone that was told, that its topic names or in which it stands. Raises Refused, WrongUsage."""
    if area is None:
        raise Refused(f"nothing tells in which area {stranger.name} is; give --area; the zones are {', '.join(areas)}")
    if area not in areas:
        raise WrongUsage(f"--area {area!r} is not a zone of the plan; the zones are {', '.join(areas)}")
    if stranger.kind == NATIVE and area not in stranger.inboxes:
        raise WrongUsage(f"--area {area}: the device publishes under {', '.join(stranger.inboxes)}; use that")
    return area


def refuse_unread(profile: Profile, stranger: Stranger, samples: Sequence[Sample], anyway: bool) -> None:
    """Raises Refused when the profile reads nothing of what was kept."""
    results = [result for sample in samples for result in profile.read(sample.payload, sample.topic)]
    readable = any(isinstance(result, Reading) for result in results)
    refused = [result for result in results if isinstance(result, Rejected)]
    if refused and not readable and not anyway:
        raise Refused(
            f"profile {profile.name} reads none of the {len(samples)} newest messages of {stranger.name}: "
            f"{refused[-1].detail}; choose another --profile, or enrol it --anyway"
        )


def enrol(connection: Connection, choices: Sequence[Choice]) -> None:
    """All or none. Raises Refused, also when somebody else took an id or a name meanwhile."""
    with connection.transaction(), connection.cursor() as cursor:
        registry.lock_registry(cursor)
        refuse_taken(connection, {choice.row.device: choice.stranger for choice in choices})
        try:
            registry.enroll(connection, [choice.row for choice in choices])
        except registry.NotEnrolled as error:
            raise Refused(f"nothing was enrolled: {error}") from None


def store_kept(stack: Stack, strangers: Sequence[Stranger], since: datetime) -> Replayed:
    """Send through again what was kept of them, once. Raises Refused when another replay does not end."""
    ingest: dict[str, str] = stack.document.get("ingest", {})
    url = ingest.get("database", stack.database)

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5)

    names = [stranger.foreign_id for stranger in strangers]
    wanted = Wanted("unknown_device", None, names, round(since.timestamp() * 1e6))
    until = time.monotonic() + BUSY_S
    while True:
        try:
            return asyncio.run(replay(connect, Router(ROUTES), Limits(late_us=settings.late_limits()), wanted))
        except Busy:
            if time.monotonic() > until:
                later = "dothi ingest replay --reason unknown_device"
                raise Refused(f"enrolled, but another replay is at work, so afterwards: {later}") from None
            time.sleep(1.0)
