"""Which board shows which family: those a board names, and whatever else its sectors count."""

from typing import NamedTuple

from devices.family import FAMILIES, Family
from devices.sector import OTHER, sector_of


class Claim(NamedTuple):
    """`named`: families in the order in which they are shown; `sectors`: whose other families follow."""

    named: tuple[str, ...]
    sectors: tuple[str, ...] = ()


CLAIMS: dict[str, Claim] = {
    "traffic": Claim(("traffic_flow", "parking", "vehicle"), ("transport",)),
    "air": Claim(("air_quality", "noise", "weather"), ("environment",)),
    "fire": Claim(("fire_watch",)),
    "rivers": Claim(("water_level", "rain", "water_quality")),
    "cameras": Claim(("camera_health", "camera_event")),
    "public_address": Claim(("public_address", "notice_board")),
    "agriculture": Claim(("soil", "greenhouse", "aquaculture"), ("agriculture",)),
    "energy_water": Claim(("meter", "water_meter", "street_light", "contact"), ("homes",)),
    "people": Claim(("wearable", "classroom", "machine"), ("health", "education", "industry")),
    "telecom": Claim(("telecom_site", "server", "security_event"), ("public", OTHER)),
}


def families_of(board: str) -> tuple[Family, ...]:
    """The families of a board; a family that comes later is on the board of its sector by existing."""
    claim = CLAIMS[board]
    named = {name for one in CLAIMS.values() for name in one.named}
    late = [name for name in FAMILIES if name not in named and sector_of(name) in claim.sectors]
    return tuple(FAMILIES[name] for name in (*claim.named, *late) if name in FAMILIES)
