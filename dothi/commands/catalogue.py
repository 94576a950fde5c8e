"""`dothi devices families|profiles|check|decode`: the catalogue, and what becomes of a message. Needs no stack."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml

from devices.documents import parse_yaml
from devices.envelopes import Notice, Opened, opener_of
from devices.family import FAMILIES
from devices.laws import stated_metrics, verdicts
from devices.profile import PROFILES, BadProfile, Profile, fitting, no_reading, profile_from
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES, Route, native_topic, route_of, routes_of
from devices.time import check_time, show
from dothi.commands.options import AsJson
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table

FUTURE_US = 5 * 60 * 1_000_000
NEW_YEAR_1971_US = 365 * 86_400 * 1_000_000


class Outcome(NamedTuple):
    """What one element of a message became, and for which device (None where the message names none)."""

    device: str | None
    profile: Profile | None
    result: Reading | Rejected


def families(as_json: AsJson = False) -> None:
    """List the families with their metrics, units and legal ranges.

    Example: dothi devices families
    """
    if as_json:
        print_json([family_document(name) for name in FAMILIES])
        return
    rows = (
        (
            family.name,
            metric.name,
            metric.unit,
            ", ".join(metric.states) or f"{metric.low:.10g} … {metric.high:.10g}",
            metric.kind,
            metric.label["vi"],
        )
        for family in FAMILIES.values()
        for metric in family.metrics
    )
    print_table(("family", "metric", "unit", "range or states", "kind", "tên"), rows)


def family_document(name: str) -> dict[str, Any]:
    """A family as JSON shows it."""
    family = FAMILIES[name]
    metrics = [
        {
            "name": metric.name,
            "unit": metric.unit,
            "low": metric.low,
            "high": metric.high,
            "kind": metric.kind,
            "states": list(metric.states),
            "label": metric.label,
            "sdm": metric.sdm,
        }
        for metric in family.metrics
    ]
    return {"name": family.name, "label": family.label, "metrics": metrics}


def profiles(as_json: AsJson = False) -> None:
    """List the profiles: what each device model sends, on which route, how often.

    Example: dothi devices profiles
    """
    if as_json:
        print_json([profile_document(profile) for profile in PROFILES.values()])
        return
    rows = ((p.name, p.family.name, p.route, f"{p.interval_s:g}", p.title["vi"]) for p in PROFILES.values())
    print_table(("profile", "family", "route", "every [s]", "tên"), rows)


def profile_document(profile: Profile) -> dict[str, Any]:
    """A profile as JSON shows it."""
    return {
        "name": profile.name,
        "family": profile.family.name,
        "title": profile.title,
        "codec": profile.codec,
        "route": profile.route,
        "interval_s": profile.interval_s,
        "examples": len(profile.examples),
    }


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE or profile]...", help="Profile files or names; none = all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check profiles against the laws of the catalogue, their examples among them; exit 1 when one is broken.

    Example: dothi devices check my-sensor.yaml
    """
    verdicts = [verdict for name in names or PROFILES for verdict in verdicts_on(profile_named(name))]
    if as_json:
        print_json(verdicts)
    else:
        for verdict in verdicts:
            console.print(
                f"{'ok    ' if verdict['ok'] else 'failed'} {verdict['profile']}: {verdict['law']}", markup=False
            )
            for problem in verdict["problems"]:
                console.print(f"         {problem}", markup=False, highlight=False)
    broken = sum(not verdict["ok"] for verdict in verdicts)
    if broken:
        raise Refused(f"{broken} of {len(verdicts)} laws are broken")


def verdicts_on(profile: Profile) -> Iterator[dict[str, Any]]:
    """Each law with what breaks it."""
    for law, problems in verdicts(profile):
        yield {"profile": profile.name, "law": law, "ok": not problems, "problems": problems}


def profile_named(name: str) -> Profile:
    """A profile of the catalogue, or of a file."""
    if name in PROFILES:
        return PROFILES[name]
    path = Path(name)
    if not path.is_file():
        raise WrongUsage(f"{name} is no file and no profile; the profiles are {', '.join(PROFILES)}")
    try:
        return profile_from(path.stem, parse_yaml(path.read_text("utf-8")))
    except yaml.YAMLError as error:
        raise Refused(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"{name}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    except BadProfile as error:
        raise Refused(f"{name}: {error}") from None


def decode(
    file: Annotated[Path, typer.Argument(help="One message, byte for byte as the device sends it.")],
    topic: Annotated[str | None, typer.Option(help="The topic it came on; tells device and route.")] = None,
    profile: Annotated[str | None, typer.Option(help="Name or file of the profile of the device model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a message becomes: its readings, or the reason why it is rejected; exit 1 when there is no reading.

    Judged as if it came in now, except that it may be late. Nothing is sent or stored; to send it through a running
    platform there is `dothi devices try`.

    Example: dothi devices decode message.json --profile native-air-quality
    """
    try:
        payload = file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"file {file}: {error.strerror}") from None
    document = decoded(outcomes_of(payload, topic, profile))
    if as_json:
        print_json(document)
    else:
        show_decoded(document)
    rejected = document["rejected"]
    if not document["readings"]:
        raise Refused(f"rejected: {rejected['reason']}: {rejected['detail']}")


def outcomes_of(payload: bytes, topic: str | None, profile_name: str | None) -> list[Outcome]:
    """What each element of a message becomes. Raises WrongUsage when it cannot be known what the message is."""
    if profile_name is not None:
        return with_profile(profile_named(profile_name), topic or "", payload)
    if topic is None:
        raise WrongUsage(f"give --topic or --profile; the profiles are {', '.join(PROFILES)}")
    native = native_topic(topic)
    if native:
        profile = native_profile(payload)
        return [Outcome(native[1], profile, result) for result in profile.read(payload)]
    route = route_of(topic)
    if route:
        return on_route(route, topic, payload)
    topics = ", ".join(pattern for known in ROUTES.values() for pattern in known.topics)
    detail = f"no route takes topic {topic}; expected dothi/v1/{{area}}/{{device}}/up or one of {topics}"
    return [Outcome(None, None, Rejected("route", Reason.UNKNOWN_ROUTE, "topic", topic[:200], detail))]


def with_profile(profile: Profile, topic: str, payload: bytes) -> list[Outcome]:
    """A message of a known device model; the topic tells the device and, of several routes, which."""
    routes = routes_of(profile.route) if profile.route else []
    if not routes:
        native = native_topic(topic)
        return [Outcome(native[1] if native else None, profile, result) for result in profile.read(payload)]
    taking = route_of(topic)
    route = taking if taking in routes else routes[0]
    return of_profile(profile, opener_of(route)(topic, payload))


def of_profile(profile: Profile, opened: Opened) -> list[Outcome]:
    """Every part of a message read with one profile."""
    outcomes: list[Outcome] = []
    for part in opened:
        if isinstance(part, Notice):
            outcomes.append(Outcome(part.foreign_id, None, no_reading(part.detail)))
        else:
            outcomes += [
                Outcome(part.foreign_id, profile, result) for result in profile.map(part.document, part.payload)
            ]
    return outcomes


def on_route(route: Route, topic: str, payload: bytes) -> list[Outcome]:
    """A message of a foreign route: each part with the profile that takes its kind."""
    outcomes: list[Outcome] = []
    for part in opener_of(route)(topic, payload):
        if isinstance(part, Notice):
            outcomes.append(Outcome(part.foreign_id, None, no_reading(part.detail)))
            continue
        name, document, raw = part
        profile = document if isinstance(document, Rejected) else fitting(route, document)
        if isinstance(profile, Rejected):
            outcomes.append(Outcome(name, None, profile))
        elif name is None:
            detail = f"the message names no device of route {route.name}"
            rejected = Rejected("route", Reason.UNKNOWN_DEVICE, "device", None, detail)
            outcomes.append(Outcome(None, profile, rejected))
        else:
            outcomes += [Outcome(name, profile, result) for result in profile.map(document, raw)]
    return outcomes


def native_profile(payload: bytes) -> Profile:
    """The native profile whose metrics a message names most of; any of them when none can be told."""
    natives = [profile for profile in PROFILES.values() if profile.codec == "native"]
    document = natives[0].decode(payload)
    first = document[0] if isinstance(document, list) and document else document
    metrics = first.get("metrics") if isinstance(first, dict) else None
    if not isinstance(metrics, dict):
        return natives[0]
    counts = {profile.name: len(profile.family.index.keys() & metrics.keys()) for profile in natives}
    best = [name for name, count in counts.items() if count == max(counts.values())]
    if len(best) > 1:
        raise WrongUsage(f"--profile is needed: the metrics do not tell which of {', '.join(best)} it is")
    return PROFILES[best[0]]


def told(rejected: Rejected) -> dict[str, str | None]:
    """A rejection as JSON: where, why, what, and what to do."""
    layer, reason, field, value, detail, _ = rejected
    return {"layer": layer, "reason": reason.value, "field": field, "value": value, "detail": detail}


def decoded(outcomes: list[Outcome]) -> dict[str, Any]:
    """The document of the contract: all readings, and the first rejection."""
    judged = [outcome._replace(result=believed(outcome.result)) for outcome in outcomes]
    rejected = next((o.result for o in judged if isinstance(o.result, Rejected)), None)
    readings = [
        reading_document(o.device, o.profile, o.result) for o in judged if isinstance(o.result, Reading) and o.profile
    ]
    return {"readings": readings, "rejected": told(rejected) if rejected else None}


def believed(result: Reading | Rejected) -> Reading | Rejected:
    """A reading whose time could be stored, were it not late: a message in a file always is."""
    if isinstance(result, Rejected) or result.time is None:
        return result
    now = time.time_ns() // 1000
    return check_time(result.time, now, now - NEW_YEAR_1971_US, FUTURE_US) or result


def reading_document(device: str | None, profile: Profile, reading: Reading) -> dict[str, Any]:
    """A reading as JSON shows it: time in RFC 3339 (null = time of receipt), states as words."""
    return {
        "device": device,
        "family": profile.family.name,
        "time": None if reading.time is None else show(reading.time),
        "metrics": stated_metrics(profile, reading),
        "extra": reading.extra or {},
    }


def show_decoded(document: dict[str, Any]) -> None:
    """The same for people."""
    for reading in document["readings"]:
        family = FAMILIES[reading["family"]]
        rows = [(name, value, family.metrics[family.index[name]].unit) for name, value in reading["metrics"].items()]
        rows += [(f"extra {name}", value, "") for name, value in reading["extra"].items()]
        title = f"{reading['family']} of {reading['device'] or 'unnamed device'} at {reading['time'] or 'receipt'}"
        print_table(("metric", "value", "unit"), rows, title=title)
    rejected = document["rejected"]
    if rejected and document["readings"]:
        console.print(f"rejected: {rejected['reason']}: {rejected['detail']}", markup=False)
