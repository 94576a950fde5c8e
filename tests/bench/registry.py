"""Millions of devices, enrolled by COPY."""

import sys
import time

import numpy as np
import psycopg

from tests.bench.feeder import PROFILE, Ints

PIECE = 500_000


def enroll(connection: psycopg.Connection, devices: int) -> Ints:
    """Devices 1 … n over the zones by people, one more of our own; registry.area id by device id."""
    zones = connection.execute("select id, people_2030, lat, lon from registry.area order by id").fetchall()
    people = np.array([zone[1] for zone in zones], dtype=np.float64)
    chance = np.random.default_rng(2)
    drawn = chance.choice(len(zones), devices + 1, p=people / people.sum())
    near = chance.normal(0, 0.03, (devices + 1, 2))
    connection.execute(f"alter table registry.device alter profile set default {default_profile(connection)}".encode())
    began = time.monotonic()
    for first in range(0, devices + 1, PIECE):
        with connection.cursor().copy("copy registry.device (device, area, lat, lon, state) from stdin") as copy:
            for number in range(first, min(first + PIECE, devices + 1)):
                zone = zones[drawn[number]]
                name = "lone" if number == devices else f"bench-{number + 1:07d}"
                lat, lon = zone[2] + near[number][0], zone[3] + near[number][1]
                copy.write(f"{name}\t{zone[0]}\t{lat:.6f}\t{lon:.6f}\tactive\n")
    connection.execute("alter table registry.device alter profile drop default")
    connection.execute("vacuum analyze registry.device")
    row = connection.execute("select min(id), max(id) from registry.device").fetchone()
    assert row == (1, devices + 1), "the feeder counts on a registry of its own"
    sys.stdout.write(f"{devices:,} devices enrolled in {time.monotonic() - began:.0f} s\n")
    return np.array([0, *(zones[place][0] for place in drawn)], dtype=np.int32)


def default_profile(connection: psycopg.Connection) -> int:
    """Number of the profile that all devices have."""
    row = connection.execute("select id from registry.profile where profile = %s", (PROFILE.name,)).fetchone()
    assert row is not None
    return int(row[0])
