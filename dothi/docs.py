"""Reference pages made from what the code reads: `python -m dothi.docs` writes them, `--check` refuses drift."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from devices.family import FAMILIES
from devices.profile import PROFILES
from devices.rejected import MEANING
from devices.route import ROUTES
from devices.units import CEFACT
from dothi.cli import assemble
from dothi.docs_profile import allowed, profile_page
from dothi.docs_scenarios import scenarios
from dothi.schemas import schemas

ROOT = Path(__file__).parent.parent
FOLDER, SCHEMAS = ROOT / "docs" / "reference", ROOT / "devices" / "schema"
NOTE = "<!-- Made by `python -m dothi.docs`; edit what it is made from. -->\n\n"


def pages() -> dict[str, str]:
    """File name → text of every page."""
    made: dict[str, Iterator[str]] = {
        "families.md": families(),
        "profiles.md": profiles(),
        "reasons.md": reasons(),
        "commands.md": commands(),
        "scenarios.md": scenarios(),
    }
    made |= {f"profiles/{name}.md": profile_page(profile) for name, profile in PROFILES.items()}
    return {name: NOTE + "\n".join(lines) + "\n" for name, lines in made.items()}


def families() -> Iterator[str]:
    """One table per family."""
    yield "# Families and metrics"
    yield ""
    yield "A family is what is observed together: one hypertable `reading.<family>`, one view `city.<family>`."
    for family in FAMILIES.values():
        yield f"\n## {family.name}: {family.label['en']} ({family.label['vi']})\n"
        yield "| metric | UCUM | UN/CEFACT | range or states | kind | Vietnamese | English | Smart Data Models |"
        yield "|---|---|---|---|---|---|---|---|"
        for metric in family.metrics:
            label = metric.label
            yield (
                f"| `{metric.name}` | `{metric.unit}` | {CEFACT[metric.unit] or '–'} | {allowed(metric)} "
                f"| {metric.kind} | {label['vi']} | {label['en']} | {metric.sdm or '–'} |"
            )


def profiles() -> Iterator[str]:
    """One line per profile, then the routes."""
    yield "# Profiles and routes"
    yield ""
    yield "A profile is what one device model sends; its examples are its tests."
    yield ""
    yield "| profile | family | title | comes in by | expected every [s] | told on `…/ack` | examples |"
    yield "|---|---|---|---|---|---|---|"
    for profile in PROFILES.values():
        route = f"route `{profile.route}`" if profile.route else "`dothi/v1/{area}/{device}/up`"
        page = f"[`{profile.name}`](profiles/{profile.name}.md)"
        yield (
            f"| {page} | {profile.family.name} | {profile.title['en']} | {route} "
            f"| {profile.interval_s:g} | {'yes' if profile.acknowledge else '–'} | {len(profile.examples)} |"
        )
    yield "\n## Routes\n"
    yield "| route | what | topics |"
    yield "|---|---|---|"
    for one in ROUTES.values():
        yield f"| `{one.name}` | {one.title['en']} | {', '.join(f'`{topic}`' for topic in one.topics)} |"


def reasons() -> Iterator[str]:
    """Every reason for which something is quarantined or a value refused."""
    yield "# Reasons"
    yield ""
    yield "What `city.quarantine.reason` and `extra.reasons` can say."
    yield ""
    yield "| reason | meaning | ý nghĩa |"
    yield "|---|---|---|"
    for reason, text in MEANING.items():
        yield f"| `{reason.value}` | {text['en']} | {text['vi']} |"


def commands() -> Iterator[str]:
    """The help of every command."""
    yield "# Commands"
    yield ""
    yield "Exit codes: 0 done; 1 what was checked or asked for failed; 2 wrong usage or configuration."
    root = typer.main.get_command(assemble())
    yield from command_help(root, root.make_context("dothi", [], resilient_parsing=True))


# typer carries the classes of its commands and contexts in a private package, so they stay without names here.
def command_help(command: Any, context: Any) -> Iterator[str]:
    """A command's page or, for a group, those of its commands."""
    subcommands = getattr(command, "commands", {})
    if not subcommands:
        yield from command_page(command, context)
    for name, subcommand in sorted(subcommands.items()):
        inner = subcommand.make_context(name, [], parent=context, resilient_parsing=True)
        yield from command_help(subcommand, inner)


def command_page(command: Any, context: Any) -> Iterator[str]:
    """Heading, help and options of one command."""
    yield f"\n## {context.command_path}\n"
    yield (command.help or "").strip() + "\n"
    yield "| option | meaning |"
    yield "|---|---|"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        names, meaning = record or (parameter.human_readable_name, getattr(parameter, "help", "") or "")
        yield f"| `{names}` | {' '.join(meaning.split()).replace('|', chr(92) + '|')} |"


def made() -> dict[Path, str]:
    """File → text of all that is generated."""
    folders = {FOLDER: pages(), SCHEMAS: schemas()}
    return {folder / name: text for folder, texts in folders.items() for name, text in texts.items()}


def left_over(files: Iterable[Path]) -> list[Path]:
    """Pages of what is no more."""
    return sorted(set(FOLDER.rglob("*.md")) - set(files))


def main() -> int:
    """Write the files, or say which differ."""
    files = made()
    stale = left_over(files)
    if "--check" not in sys.argv:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for file in stale:
            file.unlink()
        return 0
    drifted = [file for file, text in files.items() if not file.exists() or file.read_text() != text] + stale
    if drifted:
        names = ", ".join(str(file.relative_to(ROOT)) for file in drifted)
        sys.stderr.write(f"{names} differ from the code; run: python -m dothi.docs\n")
    return 1 if drifted else 0


if __name__ == "__main__":
    raise SystemExit(main())
