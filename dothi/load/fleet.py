"""Which devices a run has: a small city of so many people, or a whole province of a preset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dothi.errors import WrongUsage
from simulators.fleet import Fleet, build, districts
from simulators.mix import mix_at
from simulators.plan import PLAN_YEAR, check_areas, check_density
from simulators.province import province_at

PEOPLE, DENSITY = 2000, 50.0
"""Of a city that nobody said more about."""
MOST_PEOPLE = 10_000_000


@dataclass(frozen=True)
class Asked:
    """What was asked for; None where nothing was said. `preset`: a year of the plan, with the province's own people."""

    province: str
    people: int | None = None
    density: float | None = None
    preset: int | None = None
    areas: Sequence[str] = ()
    mix: Path | None = None
    seed: int = 1

    def document(self) -> dict[str, Any]:
        """For the report."""
        return {
            "province": self.province,
            "people": self.people if self.preset is not None else self.people or PEOPLE,
            "density": self.density if self.preset is not None else self.density or DENSITY,
            "preset": self.preset,
            "areas": list(self.areas),
            "mix": str(self.mix) if self.mix else None,
        }


def checked(asked: Asked) -> Asked:
    """Refuse what makes no city. Raises WrongUsage and PlanError."""
    people = PEOPLE if asked.people is None else asked.people
    density = check_density(DENSITY if asked.density is None else asked.density)
    if asked.preset is not None and asked.people is not None:
        raise WrongUsage(f"--preset {asked.preset} and --people {asked.people}: give one of the two")
    if asked.preset is not None and asked.density is not None:
        raise WrongUsage(f"--preset {asked.preset} and --density {asked.density:g}: give one of the two")
    if not 1 <= people <= MOST_PEOPLE:
        raise WrongUsage(f"--people {people}: allowed: 1 to {MOST_PEOPLE:,}")
    if round(people * density / 100) < 1:
        raise WrongUsage(f"--people {people} at --density {density:g} makes no device; raise either")
    return asked


def fleet_of(asked: Asked) -> Fleet:
    """The devices. Raises PlanError."""
    home = province_at(asked.province)
    zones = [zone for zone in home.zones if zone.code in check_areas(asked.areas, home)]
    mix = mix_at(asked.mix)
    if asked.preset is not None:
        density = home.density(asked.preset)[1]
        return build(districts(zones, density, year=asked.preset, province=home), asked.seed, mix=mix)
    people = PEOPLE if asked.people is None else asked.people
    density = DENSITY if asked.density is None else asked.density
    return build(districts(zones, density, year=PLAN_YEAR, people=people, province=home), asked.seed, mix=mix)
