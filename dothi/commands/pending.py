"""`dothi devices pending`: devices that speak and are not enrolled, and what they most likely are."""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from shlex import quote
from typing import Annotated, Any

import psycopg
import typer

from devices import pending as inbox
from devices.pending import Proposal, Sample, Stranger
from dothi import pending_file
from dothi.commands.options import AsJson, Folder
from dothi.errors import WrongUsage
from dothi.output import console, print_json, print_line, shown
from dothi.settings import stack_at
from dothi.times import moment

LINE = 200
MOST_NAMED = 6

Since = Annotated[str, typer.Option(help="Who spoke since then: 30m, 12h, 7d ago, or RFC 3339.")]


def pending(
    folder: Folder = None,
    since: Since = "7d",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many devices.")] = 50,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout, to edit and give to accept --from.")] = False,
) -> None:
    """List devices that speak and are not enrolled, with what they most likely are.

    Their messages are kept, up to 1,000 a day of each; `dothi devices accept` enrols one and stores what was kept. Of
    unknown devices on private routes (cameras) no payload is kept.

    Of many: write the list with --csv, fill in what is empty, take away whom you do not want, and accept --from.

    Example: dothi devices pending --since 1h
    """
    if as_json and as_csv:
        raise WrongUsage("--json and --csv: choose one of them")
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        start = moment("--since", since, datetime.now(UTC))
        found = inbox.strangers(connection, start, limit)
        documents = [described(one, inbox.samples_of(connection, one, start)) for one in found]
    if as_json or as_csv:
        print_json(documents) if as_json else pending_file.write(sys.stdout, documents)
        return
    for one in documents:
        show(one)
    if not documents:
        console.print("nobody unknown has spoken; a new device shows up here when its message reaches the broker")


def show(document: dict[str, Any]) -> None:
    """One stranger for people: who, what it seems to be, what to do."""
    last, proposal = shown(document["last"]), document["proposal"]
    lines = [f"  {document['messages']} messages kept, the last {last}, by {', '.join(document['inboxes'])}"]
    lines.append(f"  most likely {likely(proposal)}")
    if held := holds(document):
        lines.append(f"  holds {held}")
    lines.append(f"  {document['accept']}")
    print_line(document["name"], "bold")
    for line in lines:
        print_line(line)


def described(one: Stranger, samples: Sequence[Sample]) -> dict[str, Any]:
    """A stranger and the proposal as JSON shows them."""
    proposal = inbox.propose(one, samples, now_us())
    return {
        "name": one.name,
        "route": one.kind,
        "foreign_id": one.foreign_id,
        "inboxes": list(one.inboxes),
        "messages": one.messages,
        "first": one.first,
        "last": one.last,
        "private": one.private,
        "topic": samples[-1].topic if samples else None,
        "sample": inbox.sample_shown(samples),
        "proposal": {
            "device": inbox.device_id(one),
            "area": inbox.area_of(one, proposal),
            **proposal._asdict(),
        },
        "accept": command_for(one, proposal),
    }


def likely(proposal: dict[str, Any]) -> str:
    """The proposal as a phrase."""
    named = [*proposal["others"][:MOST_NAMED], *(["…"] if len(proposal["others"]) > MOST_NAMED else [])]
    others = f"; it may be {', '.join(named)}" if named else ""
    if proposal["profile"]:
        return f"{proposal['profile']} ({proposal['family']}): {proposal['why']}{others}"
    return f"unsure: {proposal['why']}{others}"


def holds(document: dict[str, Any]) -> str | None:
    """Its metrics, else its newest message."""
    metrics = document["proposal"]["metrics"]
    text = ", ".join(f"{name} {value}" for name, value in metrics.items()) or document["sample"]
    return str(text)[:LINE] if text else None


def command_for(one: Stranger, proposal: Proposal) -> str:
    """The command that accepts it; capitals stand for what a person must choose."""
    words = ["dothi devices accept", quote(one.name)]
    if not proposal.sure:
        words.append(f"--profile {proposal.profile or 'PROFILE'}")
    if inbox.area_of(one, proposal) is None:
        words.append("--area AREA")
    return " ".join(words)


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
