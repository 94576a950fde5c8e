"""The sectors of the plan and the families that each counts: `words/sectors.yaml`."""

from dataclasses import dataclass

from devices.documents import read_yaml
from devices.family import Label

OTHER = "other"
"""The sector of a family that the file does not name."""


@dataclass(frozen=True, slots=True)
class Sector:
    """`priority`: one of the six that the plan names first."""

    name: str
    label: Label
    priority: bool
    families: tuple[str, ...]


SECTORS: tuple[Sector, ...] = tuple(
    Sector(name, entry["label"], entry.get("priority", False), tuple(entry["families"]))
    for name, entry in read_yaml("words")["sectors"].items()
)


def sector_of(family: str) -> str:
    """The sector that counts a family."""
    return next((sector.name for sector in SECTORS if family in sector.families), OTHER)
