"""The scenarios that come along, each played after the same days of quiet in which detectors learn what is usual."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import partial

from simulators.fleet import Fleet, native_profile
from simulators.scenario_file import parse, shipped
from tests.evaluation.fleet import DAY_S, START, World, faults_of, fleet_of, watched
from tests.evaluation.judge import Fault, Found

LEARN_DAYS = 2.25
DEVICES = 120
"""Of each family: some in every district."""
FAMILIES = (
    *("air_quality", "weather", "noise", "soil", "classroom", "water_level", "greenhouse", "rain"),
    *("aquaculture", "street_light", "traffic_flow", "vehicle", "fire_watch", "camera_event", "meter", "wearable"),
)
"""All that shipped scenarios name or speak of."""
SLOW_S = 60.0
"""Nobody speaks more often, s."""
STEP_S = 30.0
"""How often time is told while a scenario is played."""
AFTER_S = 3600.0
"""What is said so long after a scenario counts, too."""


def names() -> tuple[str, ...]:
    """All that are shipped."""
    return shipped()


def world_of(name: str, fleet: Fleet) -> World:
    """The scenario behind the days of learning; shares of its time become seconds."""
    scenario = parse(name)
    events = [timed(event, scenario.lasts) for event in scenario.events]
    return World(fleet, events, scenario.lasts + AFTER_S, SLOW_S, START + LEARN_DAYS * DAY_S)


def city(seed: int) -> Fleet:
    """A few devices of every family, all over the province."""
    return fleet_of(dict.fromkeys(FAMILIES, DEVICES), seed)


def timed(event: dict[str, object], lasts: float) -> dict[str, object]:
    """An event whose shares of the run are seconds; it ends with the scenario, not with what is watched after it."""
    made = {key: share_as_seconds(value, lasts) for key, value in event.items()}
    start = made.get("start", 0.0)
    made.setdefault("for", lasts - (float(start) if isinstance(start, int | float) else 0.0))
    return made


def share_as_seconds(value: object, lasts: float) -> object:
    """`25 %` of so many seconds; anything else as it is."""
    if isinstance(value, str) and value.endswith("%"):
        return float(value[:-1]) / 100.0 * lasts
    return value


Played = dict[str, tuple[list[Fault], list[Found], float]]


def played(wanted: Iterable[str], seed: int, processes: int = 1, detectors: Sequence[str] = ()) -> Played:
    """By scenario what was done, what was found while it was played, and the device-days of that."""
    fleet, asked = city(seed), tuple(wanted)
    families = sorted(FAMILIES, key=lambda family: native_profile(family).interval_s)
    work = partial(said_of, fleet, asked, detectors)
    if processes == 1:
        parts = list(map(work, families))
    else:
        with ProcessPoolExecutor(processes) as pool:
            parts = list(pool.map(work, families))
    document = {}
    for name in asked:
        world = world_of(name, fleet)
        faults = faults_of(effect.truth(fleet) for effect in world.scenario())
        document[name] = (faults, [one for part in parts for one in part[name]], len(fleet) * world.seconds / DAY_S)
    return document


def said_of(fleet: Fleet, wanted: Sequence[str], detectors: Sequence[str], family: str) -> dict[str, list[Found]]:
    """What the detectors of a family say of each scenario: they learn once, and each scenario has them as they are
    then."""
    learnt = watched(World(fleet, [], LEARN_DAYS * DAY_S, SLOW_S), family, names=detectors)
    learnt.found.clear()
    learnt._open.clear()
    return {name: watched(world_of(name, fleet), family, STEP_S, watch=deepcopy(learnt)).found for name in wanted}
