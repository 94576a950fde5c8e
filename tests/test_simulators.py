"""Laws of the simulated city: seeded, sized as asked, plausible, and in the format that the platform reads."""

import pytest

from devices.profile import Profile
from simulators.city import City, Message, natural_rate
from simulators.fleet import (
    Fleet,
    build,
    districts,
    native_families,
    native_profile,
    zones_of,
)
from simulators.mix import prefix
from simulators.plan import plan
from simulators.schedule import USUAL, Shares

BOOT = 1_764_547_200
START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
NATIVE = [native_profile(family) for family in native_families()]


def small_fleet(seed: int = 1, people: int = 2000, density: float = 50) -> Fleet:
    return build(districts(zones_of("bac-giang"), density, people=people), seed)


def names(profile: Profile) -> str:
    return profile.name


# On the wire


def city_of(rate: float, shares: Shares = USUAL) -> City:
    fleet = small_fleet()
    return City(fleet, start=START, boot=BOOT, speed=rate / natural_rate(fleet, shares), shares=shares)


def messages(shares: Shares, seconds: float = 4.0) -> list[Message]:
    return said(city_of(1000.0, shares), START + seconds)


def said(city: City, moment: float) -> list[Message]:
    return list(city.each(city.until(moment)))


def test_planned_bytes_are_those_of_real_payloads() -> None:
    sizes: dict[str, list[int]] = {}
    for message in messages(Shares(0, 0, 0), seconds=10.0):
        sizes.setdefault(message.device.split("-")[0], []).append(len(message.payload))
    for load in plan("bac-giang", 10).families:
        measured = sizes[prefix(load.family)]
        assert load.bytes_per_message == pytest.approx(sum(measured) / len(measured), rel=0.1)
