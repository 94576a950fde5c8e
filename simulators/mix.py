"""How a district's devices divide into sectors and families: `provinces/mix.yaml`, or a user's file of that form."""

from collections.abc import Mapping, Sequence
from functools import cache
from math import fsum
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from devices.family import FAMILIES
from simulators.draw import Floats, Ints
from simulators.facts import PlanError, own_file, shaped, user_file

Weight = Annotated[float, Meta(ge=0, le=1e9)]

UNNAMED, OTHER = 0.01, "other"
"""Share of a family that the platform's own mix does not name, so that a new family shows up in the city by itself; and
the sector that it is counted in."""

PREFIX: Mapping[str, str] = {
    "air_quality": "aq",
    "aquaculture": "ac",
    "camera_event": "ce",
    "camera_health": "ch",
    "classroom": "cl",
    "contact": "co",
    "fill_level": "fl",
    "fire_watch": "fw",
    "greenhouse": "gh",
    "machine": "ma",
    "meter": "me",
    "noise": "no",
    "notice_board": "nb",
    "parking": "pk",
    "public_address": "pa",
    "rain": "ra",
    "security_event": "se",
    "server": "sv",
    "soil": "so",
    "street_light": "sl",
    "telecom_site": "ts",
    "traffic_flow": "tf",
    "vehicle": "ve",
    "water_level": "wl",
    "water_meter": "wm",
    "water_quality": "wq",
    "wearable": "wr",
    "weather": "we",
}


class Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A weight among people in towns and in the country."""

    urban: Weight
    rural: Weight


class Sector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`share`: of the sector among all devices. `families`: their weights inside it."""

    share: Parts
    families: Annotated[dict[str, Weight | Parts], Meta(min_length=1)]


class Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mix file. `only`: family → the tag of the districts that have it. `open_land`: families outside villages.

    `unnamed`: share of a family that has native devices and is named nowhere.
    """

    sectors: Annotated[dict[str, Sector], Meta(min_length=1)]
    only: dict[str, str] = {}
    open_land: tuple[str, ...] = ()
    unnamed: Weight = 0

    def sector_of(self, family: str) -> str:
        """The sector that counts a family."""
        return next((name for name, sector in self.sectors.items() if family in sector.families), OTHER)

    def allows(self, family: str, tags: Sequence[str]) -> bool:
        """Whether a district with these tags has a family."""
        return family not in self.only or self.only[family] in tags

    def named(self, family: str) -> bool:
        """Whether the mix says anything about a family."""
        return self.sector_of(family) != OTHER or self.unnamed > 0

    def weights(self, families: Sequence[str], tags: Sequence[str] = (), *, urban: bool) -> Floats:
        """The shares of `families`, in their order, adding up to one, in a district with these tags."""
        found = np.array([self._weight(family, urban) if self.allows(family, tags) else 0.0 for family in families])
        total = fsum(found.tolist())
        return found / total if total else found

    def _weight(self, family: str, urban: bool) -> float:
        sector = self.sectors.get(self.sector_of(family))
        if sector is None:
            return self.unnamed
        inside = fsum(part(weight, urban) for weight in sector.families.values())
        shares = fsum(part(one.share, urban) for one in self.sectors.values())
        whole = inside * shares
        return part(sector.share, urban) * part(sector.families[family], urban) / whole if whole else 0.0


def part(weight: float | Parts, urban: bool) -> float:
    """The weight in towns or in the country."""
    if isinstance(weight, Parts):
        return weight.urban if urban else weight.rural
    return float(weight)


@cache
def usual_mix() -> Mix:
    """The platform's own mix."""
    mix = checked(shaped(own_file("mix"), Mix, "mix"), "mix")
    return msgspec.structs.replace(mix, unnamed=UNNAMED)


def mix_at(path: Path | None) -> Mix:
    """The mix of a user's file, or the platform's own. Raises PlanError."""
    if path is None:
        return usual_mix()
    return checked(shaped(user_file(path, "--mix"), Mix, f"--mix {path}"), f"--mix {path}")


def checked(mix: Mix, where: str) -> Mix:
    """The mix if it names known families and divides devices everywhere. Raises PlanError."""
    listed = [family for sector in mix.sectors.values() for family in sector.families]
    for family in (*listed, *mix.only, *mix.open_land):
        if family not in FAMILIES:
            raise PlanError(f"{where}: unknown family {family}; allowed: {', '.join(FAMILIES)}")
        if listed.count(family) > 1:
            raise PlanError(f"{where}: family {family} is in several sectors; allowed: one")
    for urban, people in ((True, "urban"), (False, "rural")):
        if not fsum(part(sector.share, urban) for sector in mix.sectors.values()):
            raise PlanError(f"{where}: the {people} shares of all sectors add up to 0; allowed: above 0")
        for name, sector in mix.sectors.items():
            if part(sector.share, urban) and not fsum(part(one, urban) for one in sector.families.values()):
                raise PlanError(f"{where}: the {people} weights of sector {name} add up to 0; allowed: above 0")
    everywhere = [family for family in listed if family not in mix.only]
    for urban, people in ((True, "urban"), (False, "rural")):
        if not mix.weights(everywhere, urban=urban).any():
            raise PlanError(
                f"{where}: the {people} shares leave districts without a tag no family; allowed: one at least"
            )
    return mix


def prefix(family: str) -> str:
    """How the ids of simulated devices of a family begin."""
    return PREFIX.get(family, family.replace("_", "-"))


def apportion(total: int, shares: Floats) -> Ints:
    """Whole numbers adding up to `total`, each within one of its share (largest remainder)."""
    exact = shares / fsum(shares.tolist()) * total
    counts = np.floor(exact).astype(np.int64)
    short = total - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return np.asarray(counts, dtype=np.int64)


def shown(counts: Ints, wanted: NDArray[np.bool_]) -> Ints:
    """The counts (families × towns and country), with one taken from the richest for each `wanted` family that has
    none: a small city shows every family."""
    counts = counts.copy()
    for empty in np.flatnonzero(wanted & (counts.sum(axis=1) == 0)).tolist():
        richest = np.unravel_index(int(np.argmax(counts)), counts.shape)
        if counts[richest] > 2:
            counts[richest] -= 1
            counts[empty, richest[1]] += 1
    return counts
