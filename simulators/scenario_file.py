"""Scenario files: YAML that says what happens in a city, when, where and how badly. Written up in docs/scenarios.md."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from devices.documents import parse_yaml
from simulators.effects.catalogue import SORTS
from simulators.effects.connections import in_turn
from simulators.fleet import Fleet
from simulators.scenario import Effect, Scenario
from simulators.scenario_entry import Play, event_from
from simulators.scenario_terms import Entry, Run, ScenarioError, known_keys, seconds_in

KEYS = {"title", "about", "lasts", "events"}
MOST_EVENTS = 200


class ScenarioFile(NamedTuple):
    """A scenario as written. `title`, `about`: by language. `lasts`: seconds of run that it is made for."""

    name: str
    title: dict[str, str]
    about: dict[str, str]
    lasts: float
    events: list[dict[str, Any]]


def shipped() -> tuple[str, ...]:
    """The names of the scenarios that come along, sorted."""
    folder = files("simulators").joinpath("scenarios")
    return tuple(sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml")))


def text_of(name: str) -> str:
    """The text of a shipped scenario by its name, or of a file. Raises ScenarioError."""
    if name in shipped():
        return files("simulators").joinpath("scenarios", f"{name}.yaml").read_text("utf-8")
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        allowed = f"a YAML file, or one of {', '.join(shipped())}"
        raise ScenarioError(f"--scenario {name}: no such scenario; allowed: {allowed}") from None


def parse(name: str) -> ScenarioFile:
    """A scenario by its name or path, its events not yet looked at. Raises ScenarioError."""
    entry = Entry(name)
    try:
        document = parse_yaml(text_of(name))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ScenarioError(f"{name}: no YAML{where}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    document = known_keys(entry, document, KEYS)
    events = document.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        raise entry.wrong("events", "missing" if events is None else events, f"a list of 1 to {MOST_EVENTS} events")
    lasts = seconds_in(entry, "lasts", document.get("lasts", "10 min"), Run(0.0, None))
    if lasts <= 0:
        raise entry.wrong("lasts", document["lasts"], "above 0 s")
    title = both(entry, "title", document.get("title", Path(name).stem))
    return ScenarioFile(Path(name).stem, title, both(entry, "about", document.get("about", "")), lasts, events)


def both(entry: Entry, key: str, text: Any) -> dict[str, str]:
    """A text in Vietnamese and English; one text serves for both."""
    if isinstance(text, dict) and set(text) == {"vi", "en"} and all(isinstance(one, str) for one in text.values()):
        return text
    if not isinstance(text, str):
        raise entry.wrong(key, text, "a text, or one each for vi and en")
    return {"vi": text, "en": text}


def read(names: Sequence[str], fleet: Fleet, start: float, seconds: float | None, speed: float = 1.0) -> Scenario:
    """The effects of these scenarios (names or paths) on a fleet in a run. Raises ScenarioError.

    `start`: of the run, s since 1970; `seconds`: how long it lasts, None without end; `speed`: as the city's.
    """
    run = Run(start, seconds, speed)
    again = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if again is not None:
        raise ScenarioError(f"--scenario {again}: given twice; allowed: each once")
    plays = [play for name in names for play in plays_of(name, fleet, run)]
    refuse_overlaps(plays)
    effects = tuple(effect_of(play, fleet) for play in plays)
    in_turn(effects)
    return effects


def plays_of(name: str, fleet: Fleet, run: Run) -> list[Play]:
    """The events of one scenario."""
    scenario, plays = parse(name), list[Play]()
    for number, document in enumerate(scenario.events, 1):
        play = event_from(name, number, document, fleet, run)
        if any(play.event.id == other.event.id for other in plays):
            raise play.entry.wrong("id", document.get("id"), "another one for every event")
        plays.append(play)
    return plays


def refuse_overlaps(plays: Sequence[Play]) -> None:
    """Raises ScenarioError where two events want the same of one device at the same time, such as to be cut off."""
    for place, play in enumerate(plays):
        for other in plays[:place]:
            same = play.holds is not None and play.holds == other.holds
            together = play.event.start < other.event.end and other.event.start < play.event.end
            if same and together and bool((play.event.mask & other.event.mask).any()):
                allowed = (
                    f"another time or other devices than event {other.entry.name}, which has the same {play.holds}"
                )
                raise play.entry.wrong(f"kind {play.event.kind} overlaps", None, allowed)


def effect_of(play: Play, fleet: Fleet) -> Effect:
    """The effect of an event. Raises ScenarioError where it touches no device."""
    effect = SORTS[play.event.kind].make(play.event, fleet)
    if not len(effect.truth(fleet).devices):
        raise play.entry.wrong("reaches no device", None, "a longer time, a nearer place or a larger extent")
    return effect
