"""`dothi simulate scenarios`: what may happen to a simulated city. Needs no stack."""

from typing import Annotated, Any

import typer

from dothi.commands.options import AsJson
from dothi.errors import WrongUsage
from dothi.output import console, print_json, print_table
from simulators.districts import districts
from simulators.effects.catalogue import SORTS
from simulators.fleet import Fleet, build
from simulators.plan import PlanError
from simulators.province import province_at
from simulators.scenario import Truth
from simulators.scenario_file import ScenarioFile, parse, read, shipped, text_of

START_S = 1_767_200_400.0  # 2026-01-01T00:00:00+07:00: a check is the same whenever it is made
PEOPLE, DENSITY = 20_000, 100.0
SHOWN_AREAS = 3

app = typer.Typer(help="What may happen to a simulated city.", invoke_without_command=True)
Named = Annotated[str, typer.Argument(help="A shipped scenario, or a YAML file.")]


@app.callback()
def scenarios(context: typer.Context, as_json: AsJson = False) -> None:
    """List the scenarios that come along; docs/scenarios.md tells how to write others.

    Example: dothi simulate scenarios
    """
    if context.invoked_subcommand is not None:
        return
    listed = [parse(name) for name in shipped()]
    if as_json:
        print_json([summary(scenario) for scenario in listed])
        return
    rows = [(one.name, one.title["vi"], one.title["en"], f"{one.lasts:g}") for one in listed]
    print_table(("scenario", "tên", "title", "made for s"), rows)


@app.command()
def show(name: Named) -> None:
    """Print a scenario as it is written.

    Example: dothi simulate scenarios show forest-fire
    """
    try:
        console.print(text_of(name), end="", markup=False, highlight=False, soft_wrap=True)
    except PlanError as error:
        raise WrongUsage(str(error)) from None


@app.command()
def check(
    name: Named,
    province: Annotated[str, typer.Option(help="The city that it happens to.")] = "bac-giang",
    people: Annotated[int, typer.Option(min=100, max=10_000_000, help="People of that city.")] = PEOPLE,
    density: Annotated[float, typer.Option(min=1, max=1000, help="Devices per 100 people.")] = DENSITY,
    seed: Annotated[int, typer.Option(help="Of the city.")] = 1,
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="Seconds of the run; else as made for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a scenario, play it on a city of its own, and say what would happen to whom; nothing is sent.

    Example: dothi simulate scenarios check forest-fire --for 600
    """
    try:
        home = province_at(province)
        fleet = build(districts(home.zones, density, people=people, province=home), seed)
        lasts = seconds or parse(name).lasts
        found = [effect.truth(fleet) for effect in read([name], fleet, START_S, lasts)]
    except PlanError as error:
        raise WrongUsage(str(error)) from None
    if as_json:
        print_json([truth_document(truth, fleet) for truth in found])
        return
    print_table(("event", "from s", "to s", "devices", "areas", "alarms"), [row_of(truth, fleet) for truth in found])


def truth_document(truth: Truth, fleet: Fleet) -> dict[str, Any]:
    """One event in short: times in s after the start of the run."""
    return {
        "event": truth.id,
        "kind": truth.kind,
        "from_s": round(truth.start - START_S, 3),
        "to_s": round(truth.end - START_S, 3),
        "devices": len(truth.devices),
        "areas": [fleet.areas[number] for number in sorted({*fleet.area[truth.devices].tolist()})],
        "alarms": [alarm._asdict() for alarm in truth.alarms],
    }


def row_of(truth: Truth, fleet: Fleet) -> tuple[object, ...]:
    """The same for a person: many districts are counted, the scenario's name is left out."""
    event, _, start, end, devices, areas, _ = truth_document(truth, fleet).values()
    where = " ".join(areas) if len(areas) <= SHOWN_AREAS else f"{len(areas)} districts"
    alarms = ", ".join(f"{alarm.kind} ({alarm.severity})" for alarm in truth.alarms)
    return event.partition("/")[2], f"{start:g}", f"{end:g}", f"{devices:,}", where, alarms or None


def summary(scenario: ScenarioFile) -> dict[str, Any]:
    """A scenario in the list."""
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "about": scenario.about,
        "lasts_s": scenario.lasts,
        "kinds": kinds(scenario),
    }


def kinds(scenario: ScenarioFile) -> list[str]:
    """The kinds of events of a scenario, in the order of the catalogue."""
    used = {event["kind"] for event in scenario.events}
    return [kind for kind in SORTS if kind in used]
