"""What a province of a given density would send, counted without sending anything."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simulators.behaviour import voices
from simulators.districts import District, districts, division
from simulators.draw import Ints
from simulators.facts import PlanError as PlanError
from simulators.facts import along
from simulators.fleet import native_families, native_profile
from simulators.mix import Mix, usual_mix
from simulators.payload import Writer, mean_size
from simulators.province import CENSUS, LAST_YEAR, ZONE, Province, province_at

DAY_S = 86_400
HIGHEST_DENSITY = 1000.0
PLAN_YEAR = 2030


@dataclass(frozen=True, slots=True)
class FamilyLoad:
    """What one family's devices send. `bytes_per_message`: mean payload, without topic and MQTT frame."""

    family: str
    sector: str
    profile: str
    devices: int
    interval_s: float
    bytes_per_message: float
    messages_per_s: float
    bytes_per_day: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The load of a province: totals are the sums of their parts.

    `home`: the province file. `divided`: devices by district and family, in the order of `districts` and `families`.
    """

    home: Province
    people_year: int
    density: float
    districts: tuple[District, ...]
    families: tuple[FamilyLoad, ...]
    divided: Ints

    @property
    def province(self) -> str:
        """The province's name."""
        return self.home.province

    @property
    def people(self) -> int:
        """People of the province."""
        return sum(district.people for district in self.districts)

    @property
    def devices(self) -> int:
        """Devices of the province."""
        return sum(district.devices for district in self.districts)

    @property
    def messages_per_s(self) -> float:
        """Messages of all devices, on average over the day."""
        return sum(load.messages_per_s for load in self.families)

    @property
    def bytes_per_day(self) -> int:
        """Payload bytes of all devices in a day."""
        return sum(load.bytes_per_day for load in self.families)

    def document(self) -> dict[str, Any]:
        """The plan as one JSON document."""
        return {
            "province": self.province,
            "people_year": self.people_year,
            "density": round(self.density, 3),
            "people": self.people,
            "devices": self.devices,
            "per_district": [self._district(place) for place in range(len(self.districts))],
            "per_family": [asdict(load) for load in self.families],
            "sectors": self.sectors(),
            "counted": self._counted(),
            "targets": self._targets(),
            "messages_per_s": round(self.messages_per_s, 3),
            "bytes_per_day": self.bytes_per_day,
        }

    def sectors(self) -> list[dict[str, Any]]:
        """The load by sector, the largest first."""
        found: dict[str, dict[str, Any]] = {}
        for load in self.families:
            empty = {"sector": load.sector, "devices": 0, "messages_per_s": 0.0, "bytes_per_day": 0, "families": []}
            one = found.setdefault(load.sector, empty)
            one["families"].append(load.family)
            for name in ("devices", "messages_per_s", "bytes_per_day"):
                one[name] += getattr(load, name)
        for one in found.values():
            one["messages_per_s"] = round(one["messages_per_s"], 3)
        return sorted(found.values(), key=lambda one: -one["devices"])

    def load_of(self, place: int) -> tuple[float, int]:
        """Messages per second and payload bytes per day of the district at `place`."""
        rates = [
            number / load.interval_s for number, load in zip(self.divided[place].tolist(), self.families, strict=True)
        ]
        sizes = (load.bytes_per_message for load in self.families)
        return sum(rates), round(sum(rate * DAY_S * size for rate, size in zip(rates, sizes, strict=True)))

    def _district(self, place: int) -> dict[str, Any]:
        district, (rate, size) = self.districts[place], self.load_of(place)
        return {
            "area": district.zone.code,
            "name": district.zone.name_vi,
            "people": district.people,
            "devices": district.devices,
            "urban_share": district.urban,
            "tags": list(district.place.tags),
            "messages_per_s": round(rate, 3),
            "bytes_per_day": size,
            "families": dict(zip((load.family for load in self.families), self.divided[place].tolist(), strict=True)),
        }

    def _counted(self) -> list[dict[str, Any]]:
        """What the documents count in the whole province, whatever the density."""
        return [
            {
                "what": count.what,
                "family": count.family,
                "devices": round(along(count.of, self.people_year)),
                "source": count.source,
            }
            for count in self.home.counts
        ]

    def _targets(self) -> list[dict[str, Any]]:
        found = []
        for year, target in sorted(self.home.targets.items()):
            people = sum(self.home.people(code, year) for code in self.home.districts)
            low, high = self.home.density(year)
            found.append(
                {
                    "year": year,
                    "density_low": round(low, 3),
                    "density_high": round(high, 3),
                    "devices_low": round(people * low / 100),
                    "devices_high": round(people * high / 100),
                    "source": target.source,
                }
            )
        return found


def check_density(density: float) -> float:
    """The density if a city can have it. Raises PlanError."""
    if not 0 < density <= HIGHEST_DENSITY:
        raise PlanError(f"--density {density:g}: devices per 100 people; allowed: above 0, up to {HIGHEST_DENSITY:g}")
    return density


def check_year(year: int) -> int:
    """The year if people are known for it. Raises PlanError."""
    if not CENSUS <= year <= LAST_YEAR:
        raise PlanError(
            f"--people-year {year}: allowed: {CENSUS} (census) to {LAST_YEAR}; the plan counts people for {PLAN_YEAR}"
        )
    return year


def check_areas(areas: Sequence[str], province: Province) -> tuple[str, ...]:
    """The districts asked for, without repetition, all of the province when none is. Raises PlanError."""
    for area in areas:
        if area not in province.districts:
            known = ", ".join(f"{zone.code} {zone.name_vi}" for zone in province.zones)
            raise PlanError(f"--area {area}: no district of {province.province}; allowed: {known}")
    return tuple(zone.code for zone in province.zones if not areas or zone.code in areas)


def plan(
    province: str | Province,
    density: float,
    *,
    people_year: int = PLAN_YEAR,
    mix: Mix | None = None,
    areas: Sequence[str] = (),
) -> Plan:
    """The load of `province` (a name, a file or what was read from it) or some of its districts. Raises PlanError.

    `density`: devices per 100 people of `people_year`.
    """
    home = province if isinstance(province, Province) else province_at(province)
    check_density(density)
    zones = [ZONE[code] for code in check_areas(areas, home)]
    parts = districts(zones, density, year=check_year(people_year), province=home)
    names, chosen = native_families(), mix or usual_mix()
    divided = np.array([division(part, names, chosen).sum(axis=1) for part in parts], dtype=np.int64)
    totals = divided.sum(axis=0).tolist()
    loads = tuple(_load(name, chosen.sector_of(name), total) for name, total in zip(names, totals, strict=True))
    return Plan(home, people_year, density, parts, loads, divided)


def _load(family: str, sector: str, devices: int) -> FamilyLoad:
    profile = native_profile(family)
    size = round(mean_size(Writer(voices(profile))), 1)
    rate = devices / profile.interval_s
    return FamilyLoad(family, sector, profile.name, devices, profile.interval_s, size, rate, round(rate * DAY_S * size))
