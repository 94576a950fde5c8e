"""The reference page of scenarios: every kind of event with its parameters, and the scenarios that come along."""

from collections.abc import Iterator

from simulators.effects.catalogue import SORTS
from simulators.effects.kinds import Parameter, Sort
from simulators.scenario_file import parse, shipped


def scenarios() -> Iterator[str]:
    """The lines of the page."""
    yield "# Scenarios"
    yield ""
    yield "What may happen to a simulated city. How to write a scenario, and its truth: [scenarios](../scenarios.md)."
    yield "\n## Those that come along\n"
    yield "| scenario | made for a run of [s] | Vietnamese | English | what happens |"
    yield "|---|---|---|---|---|"
    for name in shipped():
        one = parse(name)
        yield f"| `{name}` | {one.lasts:g} | {one.title['vi']} | {one.title['en']} | {one.about['en']} |"
    yield "\n## Kinds of events\n"
    yield "Durations are numbers of seconds, or texts such as `90 s`, `10 min`, `2 h`, `1 d`, `25 %` of the run."
    for kind, sort in SORTS.items():
        yield from kind_of(kind, sort)


def kind_of(kind: str, sort: Sort) -> Iterator[str]:
    """One kind."""
    yield f"\n### {kind}\n"
    yield f"{sort.meaning[0].upper()}{sort.meaning[1:]}. Devices: {devices_of(sort)}."
    if sort.parameters:
        yield ""
        yield "| parameter | unit | default | allowed | meaning |"
        yield "|---|---|---|---|---|"
    for name, parameter in sort.parameters.items():
        default = "must be said" if parameter.default is None else f"{shown(parameter.default)}"
        yield f"| `{name}` | {unit_of(parameter)} | {default} | {allowed(parameter)} | {parameter.meaning} |"


def devices_of(sort: Sort) -> str:
    """Which devices a kind is about unless the event says otherwise."""
    families = "any family" if sort.families is None else ", ".join(sort.families)
    few = f"{sort.few} drawn by lot, unless `count`, `share` or `devices` says more"
    return f"{families}; {'all of the place' if sort.few is None else few}"


def unit_of(parameter: Parameter) -> str:
    """The unit as the page shows it."""
    words = {"metric": "–", "word": "–", "unit": "of the metric", "unit/h": "of the metric, per hour"}
    return words.get(parameter.unit, f"`{parameter.unit}`")


def allowed(parameter: Parameter) -> str:
    """What a parameter may be."""
    if parameter.unit == "metric":
        return "a metric of the family"
    if parameter.words:
        return ", ".join(parameter.words)
    return f"{parameter.low:,g} … {parameter.high:,g}{', not 0' if parameter.default is None else ''}"


def shown(default: object) -> str:
    """A default as it would be written."""
    return str(list(default)) if isinstance(default, tuple) else str(default)
