"""What a province of a given density would send, counted without sending anything."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simulators.behaviour import voices
from simulators.fleet import District, districts, native_families, native_profile, provinces, zones_of
from simulators.mix import apportion_visibly, weights
from simulators.payload import Writer, mean_size

DAY_S = 86_400
HIGHEST_DENSITY = 1000.0
YEARS = (2019, 2030)


class PlanError(ValueError):
    """An argument is outside what is allowed; the message names it, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class FamilyLoad:
    """What one family's devices send. `bytes_per_message`: mean payload, without topic and MQTT frame."""

    family: str
    profile: str
    devices: int
    interval_s: float
    bytes_per_message: float
    messages_per_s: float
    bytes_per_day: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The load of a province: totals are the sums of their parts."""

    province: str
    people_year: int
    density: float
    districts: tuple[District, ...]
    families: tuple[FamilyLoad, ...]

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
            "density": self.density,
            "people": self.people,
            "devices": self.devices,
            "per_district": [
                {"area": d.zone.code, "name": d.zone.name_vi, "people": d.people, "devices": d.devices}
                for d in self.districts
            ],
            "per_family": [asdict(load) for load in self.families],
            "messages_per_s": round(self.messages_per_s, 3),
            "bytes_per_day": self.bytes_per_day,
        }


def check_province(province: str) -> str:
    """The province if it has zones. Raises PlanError."""
    if province not in provinces():
        raise PlanError(f"--province {province}: unknown; allowed: {', '.join(provinces())}")
    return province


def check_density(density: float) -> float:
    """The density if a city can have it. Raises PlanError."""
    if not 0 < density <= HIGHEST_DENSITY:
        raise PlanError(f"--density {density:g}: devices per 100 people; allowed: above 0, up to {HIGHEST_DENSITY:g}")
    return density


def plan(province: str, density: float, *, people_year: int = 2030, mix: Mapping[str, float] | None = None) -> Plan:
    """The load of `province` at `density` devices per 100 people of `people_year`. Raises PlanError."""
    check_province(province)
    check_density(density)
    if people_year not in YEARS:
        raise PlanError(f"--people-year {people_year}: allowed: {', '.join(map(str, YEARS))}")
    parts = districts(zones_of(province), density, year=people_year)
    return Plan(province, people_year, density, parts, family_loads(parts, mix))


def family_loads(parts: tuple[District, ...], mix: Mapping[str, float] | None = None) -> tuple[FamilyLoad, ...]:
    """What each family sends in these districts, counted as the fleet is built."""
    names = native_families()
    shares = weights(names, mix)
    counts = np.sum([apportion_visibly(part.devices, shares) for part in parts], axis=0).tolist()
    return tuple(_load(name, devices) for name, devices in zip(names, counts, strict=True))


def _load(family: str, devices: int) -> FamilyLoad:
    profile = native_profile(family)
    size = round(mean_size(Writer(voices(profile))), 1)
    rate = devices / profile.interval_s
    return FamilyLoad(family, profile.name, devices, profile.interval_s, size, rate, round(rate * DAY_S * size))
