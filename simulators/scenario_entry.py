"""One entry of a scenario file becomes an event of a run."""

from typing import Any, NamedTuple

import numpy as np

from simulators import draw
from simulators.draw import Floats, salt
from simulators.effects.catalogue import SORTS
from simulators.effects.event import Event, families_of, mask_of, spoken
from simulators.effects.kinds import Sort
from simulators.fleet import Fleet
from simulators.place import Place, devices_at, index_of, middle_of, place_in
from simulators.scenario import Devices
from simulators.scenario_terms import Entry, Run, known_keys, moment_in, parameter_in, seconds_in

LEAST_S = 0.001  # a shorter event would end when it begins, by clocks that count from 1970
OF_ALL = {"id", "kind", "start", "for", "where", "families", "share", "count", "devices", "cause"}
"""Keys that every event may have."""
BATTERY = ("battery_level", "battery_voltage")
MOST_IDS = 10_000


class Play(NamedTuple):
    """An event, where it was written, and what no other event may hold of its devices meanwhile."""

    entry: Entry
    event: Event
    holds: str | None


def event_from(file: str, number: int, document: Any, fleet: Fleet, run: Run) -> Play:
    """The event that an entry describes. Raises ScenarioError."""
    unnamed = Entry(file, str(number))
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in SORTS:
        raise unnamed.wrong("kind", "missing" if kind is None else kind, ", ".join(SORTS))
    sort = SORTS[kind]
    known_keys(unnamed, document, OF_ALL | set(sort.parameters))
    name = document.get("id", f"{kind.replace('_', '-')}-{number}")
    if not isinstance(name, str) or not 1 <= len(name) <= 60 or not name.replace("-", "").isalnum():
        raise unnamed.wrong("id", name, "letters, digits and hyphens, at most 60")
    entry = Entry(file, name)
    given = given_in(entry, sort, document, run)
    start, end = times_in(entry, document, run)
    place = place_in(entry, document.get("where"), fleet)
    devices = chosen(entry, sort, kind, document, fleet, place, given)
    lat, lon, radius = middle_of(fleet, place, devices, sort.families[0] if sort.families else None)
    codes = [fleet.areas[number] for number in place.areas if (fleet.area[devices] == number).any()]
    where = {"areas": codes, "lat": round(lat, 5), "lon": round(lon, 5), "radius_km": round(radius, 3)}
    scenario = file.rsplit("/", 1)[-1].removesuffix(".yaml")
    cause = document.get("cause", name)
    if not isinstance(cause, str):
        raise entry.wrong("cause", cause, "a word that events of one matter share")
    event = Event(
        *(f"{scenario}/{name}", kind, f"{scenario}/{cause}", start, end, where, lat, lon, place.disc is not None),
        *(devices, mask_of(fleet, devices), families_of(fleet, devices), given, sort.alarms(given)),
        *(run.start, run.speed),
    )
    return Play(entry, event, f"{sort.holds} {given['metric']}" if "metric" in given else sort.holds)


def given_in(entry: Entry, sort: Sort, document: dict[str, Any], run: Run) -> dict[str, Any]:
    """Every parameter of the kind, by what is said or by default."""
    given = {}
    for key, asked in sort.parameters.items():
        value = document.get(key, asked.default)
        if value is None:
            raise entry.wrong(key, "missing", f"{asked.meaning} ({asked.unit})")
        given[key] = parameter_in(entry, key, asked, value, run)
    return given


def times_in(entry: Entry, document: dict[str, Any], run: Run) -> tuple[float, float]:
    """Start and end, s since 1970: inside the run."""
    start = moment_in(entry, document.get("start", 0), run)
    length = f"the run lasts {run.seconds:g} s" if run.seconds is not None else "the run has no end"
    if start >= run.end:
        after = f"{document.get('start')} ({start - run.start:g} s after the start)"
        raise entry.wrong("start", after, f"before the end; {length}")
    if "for" not in document and run.seconds is None:
        raise entry.wrong("for", "missing", f"how long the event lasts: {length}")
    seconds = seconds_in(entry, "for", document["for"], run) if "for" in document else run.end - start
    if seconds < LEAST_S:
        raise entry.wrong("for", document.get("for", f"{seconds:g} s, until the end"), f"{LEAST_S:g} s or more")
    end = start + seconds
    if end > run.end + 1e-6:
        raise entry.wrong("for", document["for"], f"up to {run.end - start:g} s: {length}")
    return start, min(end, run.end)


def chosen(
    entry: Entry, sort: Sort, kind: str, document: dict[str, Any], fleet: Fleet, place: Place, given: dict[str, Any]
) -> Devices:
    """The devices: those named, or of those at the place a share or a number drawn by lot. Raises ScenarioError."""
    if "devices" in document:
        other = [key for key in ("where", "families", "share", "count") if key in document]
        if other:
            raise entry.wrong("devices", f"with {other[0]}", "devices alone, or a place")
        return named(entry, able(sort, kind, fleet, given), document["devices"], fleet)
    families = families_in(entry, sort, kind, document.get("families"), fleet, given)
    found = devices_at(fleet, place, families)
    share, few = document.get("share"), document.get("count", None if "share" in document else sort.few)
    if share is not None:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise entry.wrong("share", share, "above 0, up to 1")
        found = found[lots(fleet, found, kind, entry) < share]
    elif few is not None:
        if isinstance(few, bool) or not isinstance(few, int) or few < 1:
            raise entry.wrong("count", few, "1 or more devices")
        found = np.sort(found[np.argsort(lots(fleet, found, kind, entry), kind="stable")[:few]])
    if not len(found):
        raise entry.wrong(f"there is no device of {', '.join(families)}", None, "a place, families and share with some")
    return found


def lots(fleet: Fleet, found: Devices, kind: str, entry: Entry) -> Floats:
    """A number in [0, 1) per device by which an event takes some of those it could be about."""
    return draw.uniform(fleet.key[found], salt("chosen", kind, entry.name))


def named(entry: Entry, families: tuple[str, ...], ids: Any, fleet: Fleet) -> Devices:
    """Devices by their ids."""
    if not isinstance(ids, list) or not 1 <= len(ids) <= MOST_IDS:
        raise entry.wrong("devices", ids, f"a list of 1 to {MOST_IDS:,} ids")
    found = []
    for device in ids:
        place = index_of(fleet, str(device))
        if place is None or place in found:
            raise entry.wrong("device", device, f"each once of this city's, such as {fleet.ids(np.array([0]))[0]}")
        family = fleet.families[int(fleet.family[place])]
        if family not in families:
            raise entry.wrong("device", device, f"one of {', '.join(families)}")
        found.append(place)
    return np.array(sorted(found), dtype=np.uint32)


def families_in(entry: Entry, sort: Sort, kind: str, said: Any, fleet: Fleet, given: dict[str, Any]) -> tuple[str, ...]:
    """The families of an event: those said, else all that the kind can be about."""
    can = able(sort, kind, fleet, given)
    if not can:
        raise entry.wrong("metric", given.get("metric"), "a number that devices of this city report")
    if said is None:
        return can
    if not isinstance(said, list) or not said:
        raise entry.wrong("families", said, f"a list of {', '.join(can)}")
    for family in said:
        if family not in can:
            raise entry.wrong("family", family, ", ".join(can))
    return tuple(said)


def able(sort: Sort, kind: str, fleet: Fleet, given: dict[str, Any]) -> tuple[str, ...]:
    """Families of the fleet that a kind can be about: those it names, and of a fault those that report the number."""
    asked = {given["metric"]} if "metric" in given else set(BATTERY) if kind == "battery_death" else None
    return tuple(
        family
        for family in fleet.families
        if (sort.families is None or family in sort.families)
        and (
            asked is None or any(voice.metric.name in asked and voice.decimals is not None for voice in spoken(family))
        )
    )


def numbers_of(family: str) -> set[str]:
    """The metrics of a family that its native devices report as numbers."""
    return {voice.metric.name for voice in spoken(family) if voice.decimals is not None}
