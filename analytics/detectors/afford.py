"""Which detectors there is memory for: where it does not reach, the dearest ones of the largest families are left out.

A hundred thousand devices take some 350 MB, 3.7 million would take 13 GB. What knows one kind of trouble (silence, a
battery, a river, a fire) always stays; what looks at any metric in general gives way, and it is said.
"""

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from analytics.detectors.detector import Detector
from analytics.detectors.layout import row_of
from devices.family import FAMILIES

SHARE = 12
"""State may take the twelfth part of the machine's memory."""


class Cost(NamedTuple):
    """What a detector of a family keeps of each device, bytes at most; and whether it may be left out."""

    family: str
    detector: str
    bytes: int
    general: bool


def room_here() -> int:
    """Bytes for the state of all detectors on this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE


def costs(kinds: Iterable[type[Detector]]) -> list[Cost]:
    """What each would keep if devices sent every metric of their family."""
    return [
        Cost(family.name, kind.name, bytes_of(kind, len(kind.judges(family))), kind.general)
        for kind in kinds
        for family in FAMILIES.values()
        if kind.judges(family)
    ]


def bytes_of(kind: type[Detector], judged: int) -> int:
    """Bytes for a device of which so many metrics are judged."""
    declared = kind.declared()
    if kind.in_rows:
        return row_of(declared, judged).size
    return sum(state.size * (1 if state.per_device else judged) for state in declared.values())


def left_out(found: Iterable[Cost], devices: Mapping[str, int], room: int) -> set[tuple[str, str]]:
    """Family and name of the detectors to go without, so that the others fit into so many bytes. `devices`: of each
    family."""
    sizes = {(cost.family, cost.detector): cost.bytes * devices.get(cost.family, 0) for cost in found}
    general = {(cost.family, cost.detector) for cost in found if cost.general}
    total, gone = sum(sizes.values()), set[tuple[str, str]]()
    for one in sorted(general, key=lambda one: (-sizes[one], one)):
        if total <= room:
            break
        total -= sizes[one]
        gone.add(one)
    return gone
