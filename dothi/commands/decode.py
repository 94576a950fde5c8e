"""`dothi devices decode`: what becomes of a message. Needs no stack."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from devices.causes import swapped
from devices.envelopes import Notice
from devices.family import FAMILIES, Metric
from devices.outcome import Outcome, Verdict, metrics_of, refused_of
from devices.profile import Profile
from devices.reading import Reading
from devices.rejected import Rejected
from devices.time import check_time, show
from devices.verdict import Judge
from dothi.commands.catalogue import profile_named
from dothi.commands.options import AsJson
from dothi.errors import Refused
from dothi.messages import messages_in, read_file
from dothi.output import console, print_json, print_table

FUTURE_US = 5 * 60 * 1_000_000
NEW_YEAR_1971_US = 365 * 86_400 * 1_000_000
LEVELS = 5
"""Of a path that may name a model: collections keep `vendor/model/uplink/payload.json`."""
SWAPPED = "latitude and longitude are swapped: the other way round the position lies in the province"
HOW = {
    "trial": "this profile alone reads the whole message, or most of it",
    "match": "this profile reads most of it",
    "model": "the message names this model",
    "hint": "the file's name names this model",
    "common": "several profiles fit and differ: these values they have in common",
    "metrics": "this profile has these metrics; others have them too",
    "vocabulary": "by the names of fields; no profile describes this device",
}


def decode(
    file: Annotated[Path, typer.Argument(help="One message, byte for byte as the device sends it; - for stdin.")],
    topic: Annotated[str | None, typer.Option(help="The topic it came on; tells device and route.")] = None,
    profile: Annotated[str | None, typer.Option(help="Name or file of the profile of the device model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a message becomes: its readings, or the reason why it is rejected; exit 1 when nothing is understood.

    Judged as if it came in now, except that it may be late. Without a topic the system is guessed by the content, and
    without a profile the profile, or else the metrics by the names of fields; what is guessed is marked so. A record of
    watched messages (mosquitto_sub -F %j, a list of topic and payload) is read message by message, and the bytes of a
    bare frame may be hex or base64. Nothing is sent or stored; to send it through a running platform there is
    `dothi devices try`.

    Example: dothi devices decode message.json --profile native-air-quality
    """
    told = profile_named(profile) if profile is not None else None
    content = read_file(file, iter([sys.stdin.buffer.read()]) if str(file) == "-" else None)
    document = verdict_on(content, topic, told, "/".join(file.parts[-LEVELS:]))
    if as_json:
        print_json(document)
    else:
        show_decoded(document)
    rejected = document["rejected"]
    if not document["readings"] and rejected:
        raise Refused(f"rejected: {rejected['reason']}: {rejected['detail']}")


def verdict_on(content: bytes, topic: str | None, profile: Profile | None, hint: str = "") -> dict[str, Any]:
    """The document of the contract for a file: all readings, and the first rejection; notices and notes behind.

    `hint`: the file's name, which may name the device's model."""
    now_us = time.time_ns() // 1000
    judge = Judge(now_us, hint)
    messages, notes = messages_in(content)
    verdicts = [judge.judge(payload, topic or said, profile) for said, payload in messages]
    return decoded(verdicts, notes, now_us)


def decoded(verdicts: list[Verdict], notes: list[str], now_us: int) -> dict[str, Any]:
    """Verdicts as one JSON document."""
    outcomes = [believed(outcome, now_us) for verdict in verdicts for outcome in verdict.outcomes]
    rejections = [told(outcome.result) for outcome in outcomes if isinstance(outcome.result, Rejected)]
    notices = [o.result._asdict() | {"device": o.device} for o in outcomes if isinstance(o.result, Notice)]
    systems = dict.fromkeys(verdict.system for verdict in verdicts)
    readings = [reading_document(outcome) for outcome in outcomes if isinstance(outcome.result, Reading)]
    notes = [*notes, *(note for verdict in verdicts for note in verdict.notes)]
    notes += [SWAPPED for reading in readings if is_swapped(reading)]
    return {
        "readings": readings,
        "rejected": rejections[0] if rejections else None,
        "rejections": len(rejections),
        "notices": [{key: notice[key] for key in ("device", "kind", "detail")} for notice in notices],
        "system": ", ".join(systems),
        "guessed": any(outcome.guessed for outcome in outcomes),
        "notes": [*dict.fromkeys(notes)],
    }


def is_swapped(reading: dict[str, Any]) -> bool:
    """Whether a position lies in the province once latitude and longitude change places."""
    said = {**reading["metrics"], **reading["extra"].get("rejected", {})}
    latitude, longitude = said.get("latitude"), said.get("longitude")
    if not isinstance(latitude, int | float) or not isinstance(longitude, int | float):
        return False
    return swapped(latitude, longitude)


def believed(outcome: Outcome, now_us: int) -> Outcome:
    """A reading only if its time could be stored, were it not late: a message in a file always is."""
    reading = outcome.result
    if not isinstance(reading, Reading) or reading.time is None:
        return outcome
    refused = check_time(reading.time, now_us, now_us - NEW_YEAR_1971_US, FUTURE_US)
    return outcome._replace(result=refused) if refused else outcome


def told(rejected: Rejected) -> dict[str, str | None]:
    """A rejection as JSON: where, why, what, and what to do."""
    layer, reason, field, value, detail, _ = rejected
    return {"layer": layer, "reason": reason.value, "field": field, "value": value, "detail": detail}


def reading_document(outcome: Outcome) -> dict[str, Any]:
    """A reading as JSON shows it: time in RFC 3339 (null = time of receipt), states as words, seq if one was sent."""
    reading, family = outcome.result, outcome.family
    if not isinstance(reading, Reading) or family is None:
        raise TypeError("a reading without a family")
    document: dict[str, Any] = {
        "device": outcome.device,
        "family": family.name,
        "time": None if reading.time is None else show(reading.time),
        "metrics": metrics_of(family, reading),
        "extra": reading.extra or {},
        "seq": reading.seq if reading.seq >= 0 else None,
        "profile": outcome.profile.name if outcome.profile else None,
        "guessed": outcome.guessed is not None,
    }
    refused = refused_of(family, outcome.profile, reading)
    if refused:
        document["refused"] = refused
    if reading.ago:
        document["ago_s"] = reading.ago / 1_000_000  # measured so long before receipt
    if outcome.guessed:
        document["how"] = HOW[outcome.guessed]
    if outcome.fields:
        document["fields"] = outcome.fields
    return document


def show_decoded(document: dict[str, Any]) -> None:
    """The same for people: a table for each reading, then what was refused and what should be known."""
    for reading in document["readings"]:
        family = FAMILIES[reading["family"]]
        sources = reading.get("fields", {})
        rows = [
            (name, value, unit_shown(family.metrics[family.index[name]]), sources.get(name, ""))
            for name, value in reading["metrics"].items()
        ]
        rows += [(f"extra {name}", value, "", "") for name, value in reading["extra"].items()]
        columns = ("metric", "value", "unit", "field") if sources else ("metric", "value", "unit")
        console.print(title_of(reading), markup=False, highlight=False, style="bold", soft_wrap=True)
        print_table(columns, [row[: len(columns)] for row in rows])
        for why in reading.get("refused", {}).values():
            console.print(f"refused: {why}", markup=False, highlight=False, style="red", soft_wrap=True)
    for notice in document["notices"]:
        console.print(
            f"no reading by design: {notice['kind']}: {notice['detail']}", markup=False, style="cyan", soft_wrap=True
        )
    rejected = document["rejected"]
    if rejected and (document["readings"] or document["rejections"] > 1):
        more = f" ({document['rejections'] - 1} more)" if document["rejections"] > 1 else ""
        line = f"rejected in {rejected['layer']}: {rejected['reason']}: {rejected['detail']}{more}"
        console.print(line, markup=False, highlight=False, style="red", soft_wrap=True)
    for note in document["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False, style="yellow", soft_wrap=True)


def title_of(reading: dict[str, Any]) -> str:
    """A reading's family, device, time, profile and whether it is a guess."""
    by = f"by {reading['profile']}" if reading["profile"] else "by vocabulary"
    guess = f" – GUESSED: {reading['how']}" if reading["guessed"] else ""
    return (
        f"{reading['family']} of {reading['device'] or 'unnamed device'} at {reading['time'] or 'receipt'} {by}{guess}"
    )


def unit_shown(metric: Metric) -> str:
    """A metric's unit; states have none."""
    return "" if metric.states or metric.unit == "1" else metric.unit
