"""`dothi devices families|profiles|check`: the catalogue. Needs no stack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from devices.catalogue_laws import catalogue_problems
from devices.codecs.js import with_folder
from devices.documents import parse_yaml
from devices.family import FAMILIES
from devices.family_laws import family_problems
from devices.fuzz import fuzzed, would_store
from devices.laws import verdicts
from devices.profile import PROFILES, BadProfile, Profile, profile_from
from devices.units import CEFACT
from dothi.commands.options import AsJson
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from simulators.proof import speaks_true


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
            "unece": CEFACT.get(metric.unit),
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

    Profiles that are named are also fuzzed, with messages made of their examples by chance, and what would be stored of
    each example is shown.

    Example: dothi devices check my-sensor.yaml
    """
    told = [profile_named(name) for name in names or PROFILES]
    verdicts = [verdict for profile in told for verdict in verdicts_on(profile)]
    if names:
        verdicts += [verdict for profile in told for verdict in closer_look(profile)]
    else:
        told_apart = [*catalogue_problems(PROFILES.values())]
        verdicts.append(verdict_of("catalogue", "each is told from every other", told_apart))
        metrics = [problem for family in FAMILIES.values() for problem in family_problems(family)]
        verdicts.append(verdict_of("catalogue", "every metric has unit, range and labels", metrics))
    if as_json:
        print_json(verdicts)
    else:
        for verdict in verdicts:
            console.print(
                f"{'ok    ' if verdict['ok'] else 'failed'} {verdict['profile']}: {verdict['law']}", markup=False
            )
            for line in (*verdict["problems"], *verdict.get("stored", ())):
                console.print(f"         {line}", markup=False, highlight=False, soft_wrap=True)
    broken = sum(not verdict["ok"] for verdict in verdicts)
    if broken:
        raise Refused(f"{broken} of {len(verdicts)} laws are broken")


def verdicts_on(profile: Profile) -> Iterator[dict[str, Any]]:
    """Each law with what breaks it."""
    for law, problems in verdicts(profile):
        yield verdict_of(profile.name, law, problems)
    yield verdict_of(profile.name, "what the simulator says passes", [*speaks_true(profile)])


def closer_look(profile: Profile) -> Iterator[dict[str, Any]]:
    """What takes too long to be asked of the whole catalogue: a fuzz; and what its examples would leave behind."""
    law = "messages made by chance are survived"
    try:
        stored = [*would_store(profile)]
        yield verdict_of(profile.name, law, [*fuzzed(profile)])
        yield verdict_of(profile.name, "what would be stored", []) | {"stored": stored}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield verdict_of(profile.name, law, [f"cannot be tried: {type(error).__name__} {error}"])


def verdict_of(profile: str, law: str, problems: list[str]) -> dict[str, Any]:
    """A law with what breaks it, as JSON shows it."""
    return {"profile": profile, "law": law, "ok": not problems, "problems": problems}


def profile_named(name: str) -> Profile:
    """A profile of the catalogue, or of a file."""
    if name in PROFILES:
        return PROFILES[name]
    path = Path(name)
    if not path.is_file():
        raise WrongUsage(f"{name} is no file and no profile; the profiles are {', '.join(PROFILES)}")
    try:
        return profile_from(path.stem, with_folder(parse_yaml(path.read_text("utf-8")), path.parent))
    except yaml.YAMLError as error:
        raise Refused(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"{name}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    except BadProfile as error:
        raise Refused(f"{name}: {error}") from None
