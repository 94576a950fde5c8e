"""How far the plan's targets of connected devices are reached, by zone. Targets: registry.target, from devices/area.py.

The documents state them as devices per 100 people: 75-100 in 2025, 150-200 in 2030. The views city.kpi and
city.kpi_sector reckon in the same way.
"""

from math import ceil
from typing import Literal

CENSUS, PLAN = 2019, 2030

Standing = Literal["below", "within", "above"]


def people_in(year: int, people_2019: int, people_2030: int) -> int:
    """People of a zone in a year, on the straight line from the census to the plan's; before and after it stays level.

    >>> people_in(2025, 100_000, 111_000)
    106000
    """
    share = (min(PLAN, max(CENSUS, year)) - CENSUS) / (PLAN - CENSUS)
    return round(people_2019 + (people_2030 - people_2019) * share)


def per_100(devices: int, people: int) -> float:
    """Devices per 100 people."""
    return 100 * devices / people


def standing(devices: int, people: int, low: float, high: float) -> Standing:
    """Against a target of `low` to `high` devices per 100 people, both within."""
    reached = per_100(devices, people)
    return "below" if reached < low else "above" if reached > high else "within"


def missing(devices: int, people: int, low: float) -> int:
    """Devices that are missing to the lower end of a target."""
    return max(0, ceil(low * people / 100) - devices)
