"""A small city that an independent MQTT client sends, with the record that a sender of ours would have written."""

import itertools
import time
from pathlib import Path

import numpy as np

from devices.area import ZONES
from dothi.load.conservation import Sent
from simulators.city import City
from simulators.fleet import Fleet, build, districts
from simulators.messages import Messages
from simulators.schedule import USUAL, Shares
from simulators.spool import NO_ANSWER, ROW, Rows, Spool
from tests.stack import RunningStack

AREAS = ("058", "215", "216", "220")
"""Their ledgers are not counted by other tests."""
BOOTS = itertools.count(int(time.time()))
"""Each city has a boot of its own, for all have the same devices."""


def city_of(people: int = 400, seed: int = 7, speed: float = 200.0, shares: Shares = USUAL, start: float = 0.0) -> City:
    """A city in AREAS. `start`: s since 1970; 0: now."""
    zones = [zone for zone in ZONES if zone.code in AREAS]
    begins = start or time.time()
    fleet = build(districts(zones, 50.0, people=people), seed)
    return City(fleet, start=begins, boot=next(BOOTS), speed=speed, shares=shares)


def rows_of(messages: Messages, code: int = 0) -> Rows:
    """The record of messages that were all sent on time and all got this PUBACK."""
    rows = np.zeros(len(messages), dtype=ROW)
    for name in ("device", "sender", "boot", "seq", "time", "due", "kind", "again"):
        rows[name] = getattr(messages, name)
    rows["answer"] = np.nan if code == NO_ANSWER else 0.001
    rows["code"] = code
    return rows


def send(stack: RunningStack, city: City, messages: Messages) -> None:
    """Publish them in order and wait for every PUBACK."""
    with stack.gateway() as gateway:
        for message in city.each(messages):
            gateway.publish(message.topic, message.payload)
        gateway.settle()


def sent(folder: Path, city: City, rows: Rows, since: float) -> Sent:
    """What a run leaves behind."""
    with Spool(folder / "sent.spool") as spool:
        spool.append(rows)
    return Sent(city.fleet, [spool.path], city.payloads, since, {})


def first(fleet: Fleet, rows: Rows, place: int) -> str:
    """The id of the device of a row."""
    return fleet.ids(rows["device"][place : place + 1].astype(np.int64))[0]
