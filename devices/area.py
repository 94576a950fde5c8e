"""Where devices stand: operating zones, which never expire, administrative units by date, the plan's targets."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from devices.documents import read_csv, read_text

PEOPLE_OF_THE_PLAN = 1.87 / 1.80395
"""People of 2030 per person of the census of 2019; sources in areas/SOURCES.md."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One of the plan's 10 + 8 districts under its three-digit code. Centroid in degrees, WGS 84; area in km²."""

    code: str
    id: int
    name_vi: str
    name_en: str
    province: str
    people_2019: int
    urban_share: float
    area_km2: float
    lat: float
    lon: float
    forest_share: float | None


@dataclass(frozen=True, slots=True)
class Unit:
    """An administrative unit while it was one: from `valid_from` to `valid_to`, both included, None = still.

    `level`: province, district or commune; `parent`: the unit above; `zone`: id of the zone in which it lies, None for
    provinces; `successor`: the codes that followed it, separated by a space, None where none is known.
    """

    level: str
    code: str
    name: str
    parent: str | None
    zone: int | None
    valid_from: date
    valid_to: date | None
    successor: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Target:
    """Devices per 100 people that the plan wants by the end of a year."""

    year: int
    low: float
    high: float
    source: str


def _zone(row: dict[str, str]) -> Zone:
    return Zone(
        code=row["code"],
        id=int(row["code"]),
        name_vi=row["name_vi"],
        name_en=row["name_en"],
        province=row["province"],
        people_2019=int(row["people_2019"]),
        urban_share=float(row["urban_share"]),
        area_km2=float(row["area_km2"]),
        lat=float(row["lat"]),
        lon=float(row["lon"]),
        forest_share=float(row["forest_share"]) if row["forest_share"] else None,
    )


def _unit(row: dict[str, str]) -> Unit:
    return Unit(
        level=row["level"],
        code=row["code"],
        name=row["name"],
        parent=row["parent"] or None,
        zone=int(row["zone"]) if row["zone"] else None,
        valid_from=date.fromisoformat(row["valid_from"]),
        valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
        successor=row["successor"] or None,
        source=row["source"],
    )


ZONES: tuple[Zone, ...] = tuple(_zone(row) for row in read_csv("areas", "zones.csv"))
UNITS: tuple[Unit, ...] = tuple(_unit(row) for row in read_csv("areas", "units.csv"))
PLAN: tuple[Target, ...] = (Target(2025, 75, 100, "S0"), Target(2030, 150, 200, "S0"))


def people_2030(zone: Zone) -> int:
    """People of the zone in 2030 as the plan counts them."""
    return round(zone.people_2019 * PEOPLE_OF_THE_PLAN)


def unit_on(level: str, code: str, day: date) -> Unit | None:
    """The unit that a code meant on a day; codes were reused."""
    return next(
        (
            unit
            for unit in UNITS
            if (unit.level, unit.code) == (level, code)
            and unit.valid_from <= day
            and (unit.valid_to is None or day <= unit.valid_to)
        ),
        None,
    )


def outlines() -> dict[str, Any]:
    """The zones' outlines as a GeoJSON FeatureCollection; each feature's property `code` names its zone."""
    document: dict[str, Any] = json.loads(read_text("areas", "zones.geojson"))
    return document
