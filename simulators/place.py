"""Where an event of a scenario takes place, and which devices of the fleet it is about."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.area import UNITS, ZONES, Unit, Zone
from simulators import draw
from simulators.draw import salt
from simulators.effects.event import KM_PER_DEGREE, away
from simulators.fleet import Fleet
from simulators.mix import prefix
from simulators.scenario import Devices
from simulators.scenario_terms import Entry, known_keys

WHERE = {"areas", "largest", "commune", "lat", "lon", "radius_km"}
POINT = ("lat", "lon", "radius_km")
LIMITS = {"lat": (-90.0, 90.0), "lon": (-180.0, 180.0), "radius_km": (0.01, 500.0)}

Disc = tuple[float, float, float]
"""lat, lon in degrees and radius in km."""


class Place(NamedTuple):
    """`areas`: indices of the fleet's areas, in the order named. `disc`: None for all of them.

    `part`: of the devices of the areas only so many, those nearest to the middle of the disc, which has no edge then.
    """

    areas: tuple[int, ...]
    disc: Disc | None
    part: float | None = None


def place_in(entry: Entry, where: Any, fleet: Fleet) -> Place:
    """What `where` says; nothing: the whole city. Raises ScenarioError."""
    everywhere = tuple(range(len(fleet.areas)))
    if where is None:
        return Place(everywhere, None)
    known_keys(entry, where, WHERE, "where")
    named = [key for key in ("areas", "largest", "commune") if key in where]
    if len(named) > 1:
        raise entry.wrong("where", f"{named[0]} and {named[1]}", "one of areas, largest and commune")
    disc = disc_in(entry, where)
    if "commune" in where:
        if disc is not None:
            raise entry.wrong("where", "commune and lat", "one of commune and a point")
        unit, zone = commune_in(entry, where["commune"], fleet)
        return commune_place(unit, zone, fleet)
    if "areas" in where:
        return Place(areas_in(entry, where["areas"], fleet), disc)
    if "largest" in where:
        return Place(largest_in(entry, where["largest"], fleet), disc)
    return Place(everywhere, disc)


def areas_in(entry: Entry, codes: Any, fleet: Fleet) -> tuple[int, ...]:
    """Codes of districts, as numbers or texts."""
    if not isinstance(codes, list) or not codes:
        raise entry.wrong("areas", codes, f"a list of {', '.join(fleet.areas)}")
    found = []
    for code in codes:
        text = f"{code:03d}" if isinstance(code, int) and not isinstance(code, bool) else str(code)
        if text not in fleet.areas or fleet.areas.index(text) in found:
            raise entry.wrong("area", code, f"each once of {', '.join(fleet.areas)}")
        found.append(fleet.areas.index(text))
    return tuple(found)


def largest_in(entry: Entry, count: Any, fleet: Fleet) -> tuple[int, ...]:
    """The districts with the most devices, the first one first."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(fleet.areas):
        raise entry.wrong("largest", count, f"1 to {len(fleet.areas)} districts")
    sizes = np.bincount(fleet.area, minlength=len(fleet.areas))
    return tuple(np.argsort(-sizes, kind="stable")[:count].tolist())


def disc_in(entry: Entry, where: dict[str, Any]) -> Disc | None:
    """A point and a radius, all three or none."""
    said = [key for key in POINT if key in where]
    if not said:
        return None
    for key in POINT:
        value, (low, high) = where.get(key), LIMITS[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise entry.wrong(f"where {key}", "missing" if value is None else value, f"{low:g} to {high:g}")
    lat, lon, radius = (float(where[key]) for key in POINT)
    return lat, lon, radius


def commune_in(entry: Entry, named: Any, fleet: Fleet) -> tuple[Unit, Zone]:
    """A commune of the city by code or name, and its zone."""
    zones = {zone.id: zone for zone in ZONES if zone.code in fleet.areas}
    text = f"{named:05d}" if isinstance(named, int) and not isinstance(named, bool) else str(named)
    for unit in UNITS:
        if unit.level == "commune" and unit.zone in zones and text in (unit.code, unit.name):
            return unit, zones[unit.zone]
    raise entry.wrong("commune", named, "the code or the full name of a commune of the city, as Xã An Lạc")


def commune_place(unit: Unit, zone: Zone, fleet: Fleet) -> Place:
    """A commune's even share of its district's devices, those around a spot in the district drawn from its code: where
    communes lie is not known here, and simulated devices stand around the middle of their district.
    """
    siblings = {one.code for one in UNITS if one.level == "commune" and one.zone == unit.zone}
    key = np.array([salt("commune", unit.code)], dtype=np.uint64)
    turn, far = (float(draw.uniform(key, salt(purpose))[0]) for purpose in ("turn", "far"))
    far *= 0.3 * (zone.area_km2 / np.pi) ** 0.5 / KM_PER_DEGREE
    lat = zone.lat + far * np.cos(2.0 * np.pi * turn)
    lon = zone.lon + far * np.sin(2.0 * np.pi * turn) / np.cos(np.radians(zone.lat))
    return Place((fleet.areas.index(zone.code),), (float(lat), float(lon), np.inf), 1.0 / len(siblings))


def devices_at(fleet: Fleet, place: Place, families: Sequence[str]) -> Devices:
    """The devices of these families in a place."""
    wanted = np.isin(np.arange(256), [fleet.families.index(family) for family in families])
    here = wanted[fleet.family]
    if len(place.areas) < len(fleet.areas):
        here &= np.isin(np.arange(256), place.areas)[fleet.area]
    found = np.flatnonzero(here).astype(np.uint32)
    if place.disc is None:
        return found
    lat, lon, radius = place.disc
    distance, _ = away(fleet, found, lat, lon)
    if place.part is None:
        return found[distance <= radius]
    few = max(round(place.part * len(found)), 1)
    return np.sort(found[np.argsort(distance, kind="stable")[:few]])


def middle_of(fleet: Fleet, place: Place, devices: Devices, first: str | None = None) -> Disc:
    """The point of a place, or the device nearest to the mean of all, and the distance to the farthest in km.

    `first`: the family, if there are any of it, of which that device is to be.
    """
    if place.disc is not None:
        lat, lon, radius = place.disc
        return lat, lon, min(radius, float(away(fleet, devices, lat, lon)[0].max()))
    lat, lon = (float(column[devices].mean(dtype=np.float64)) for column in (fleet.lat, fleet.lon))
    those = devices[fleet.family[devices] == fleet.families.index(first)] if first in fleet.families else devices
    those = those if len(those) else devices
    distance, _ = away(fleet, those, lat, lon)
    nearest = those[int(np.argmin(distance))]
    lat, lon = float(fleet.lat[nearest]), float(fleet.lon[nearest])
    return lat, lon, float(away(fleet, devices, lat, lon)[0].max())


def index_of(fleet: Fleet, device: str) -> int | None:
    """The place of a device id in the fleet, None if it has no such device."""
    head, _, number = device.rpartition("-")
    kind, _, area = head.rpartition("-")
    families = [place for place, family in enumerate(fleet.families) if prefix(family) == kind]
    if not families or area not in fleet.areas or not number.isdigit():
        return None
    same: NDArray[np.bool_] = (fleet.area == fleet.areas.index(area)) & (fleet.family == families[0])
    found = np.flatnonzero(same & (fleet.number == int(number)))
    return int(found[0]) if len(found) and fleet.ids(found[:1])[0] == device else None
