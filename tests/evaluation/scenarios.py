"""The scenarios that come along, played after days of quiet in which detectors learn what is usual."""

from collections.abc import Sequence

from simulators.fleet import Fleet
from simulators.scenario_file import parse, shipped
from tests.evaluation.fleet import DAY_S, START, World, faults_of, findings, fleet_of
from tests.evaluation.judge import Fault, Found

LEARN_DAYS = 4.0
FAMILIES = 40
"""Devices of each family: some in every district."""
SLOW_S = 60.0
"""Nobody speaks more often, s."""


def names() -> tuple[str, ...]:
    """All that are shipped."""
    return shipped()


def world_of(name: str, seed: int) -> World:
    """The scenario with its events moved behind the days of learning: shares of its time become seconds."""
    scenario = parse(name)
    fleet = city(seed)
    events = [moved(event, scenario.lasts) for event in scenario.events]
    return World(fleet, events, LEARN_DAYS * DAY_S + scenario.lasts + 3600.0, SLOW_S)


def city(seed: int) -> Fleet:
    """A few devices of every family, all over the province."""
    from simulators.fleet import native_families

    return fleet_of(dict.fromkeys(native_families(), FAMILIES), seed)


def moved(event: dict[str, object], lasts: float) -> dict[str, object]:
    """An event later, every share of the run as seconds."""
    made = {key: share_as_seconds(value, lasts) for key, value in event.items()}
    start = made.get("start", 0.0)
    begin = float(start) if isinstance(start, int | float) else 0.0
    made["start"] = LEARN_DAYS * DAY_S + begin
    made.setdefault("for", lasts - begin)
    return made


def share_as_seconds(value: object, lasts: float) -> object:
    """`25 %` of so many seconds; anything else as it is."""
    if isinstance(value, str) and value.endswith("%"):
        return float(value[:-1]) / 100.0 * lasts
    return value


def played(
    name: str, seed: int, processes: int = 1, names: Sequence[str] = ()
) -> tuple[list[Fault], list[Found], float]:
    """What was done, what was found after the learning, and the device-days in which it was."""
    world = world_of(name, seed)
    faults = faults_of(effect.truth(world.fleet) for effect in world.scenario())
    begun = int((START + LEARN_DAYS * DAY_S) * 1e6)
    found = [one for one in findings(world, processes, names) if one.at >= begun]
    return faults, found, len(world.fleet) * (world.seconds / DAY_S - LEARN_DAYS)
