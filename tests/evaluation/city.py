"""A simulated city as rows for detectors: no broker, no database, no clock; minutes for a thousand device-months."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.detectors.rows import Fleet as Slots
from analytics.detectors.rows import Rows
from devices.family import FAMILIES
from simulators.behaviour import values
from simulators.city import City
from simulators.draw import salt, uniform
from simulators.effects.event import spoken
from simulators.fleet import Fleet, native_profile
from simulators.messages import Kind, Messages
from simulators.scenario import QUIET, Scenario
from simulators.schedule import USUAL, Schedule, Shares

START = 1_767_225_600.0
"""2026-01-01 00:00 UTC, s since 1970."""
LATENCY_S = (0.02, 0.4)
GONE = (Kind.ALL_OUT_OF_RANGE, Kind.CUT_SHORT, Kind.GARBAGE, Kind.SPOOFED)
"""What becomes no reading."""


class Portion(NamedTuple):
    """What was received up to `now_us`: rows in order, and all of them, with those that came late."""

    now_us: int
    rows: Rows
    late: Rows


def only(fleet: Fleet, places: npt.NDArray[np.integer]) -> Fleet:
    """A part of a fleet; the devices keep their names."""
    columns = {name: getattr(fleet, name)[places] for name in ("area", "family", "number", "key", "lat", "lon")}
    return replace(fleet, **columns)


def of_family(fleet: Fleet, family: str) -> npt.NDArray[np.int64]:
    """Places of the devices of a family: the number of a slot is the place in this array."""
    return np.flatnonzero(fleet.family == fleet.families.index(family))


def slots_of(fleet: Fleet, family: str, speed: float = 1.0) -> Slots:
    """What the registry would say of the devices of a family; `speed` divides their intervals."""
    places, profile = of_family(fleet, family), native_profile(family)
    n = len(places)
    return Slots(
        places.astype(np.int32),
        np.ones(n, np.int16),
        fleet.area[places].astype(np.int16),
        np.full(n, profile.interval_s / speed, np.float32),
        np.full(n, profile.interval_s / speed * profile.offline_after, np.float32),
        fleet.lat[places].astype(np.float32),
        fleet.lon[places].astype(np.float32),
        np.ones(n, np.bool_),
    )


def portions(
    fleet: Fleet,
    family: str,
    *,
    seconds: float,
    start: float = START,
    scenario: Scenario = QUIET,
    shares: Shares = USUAL,
    step_s: float = 600.0,
    speed: float = 1.0,
) -> Iterator[Portion]:
    """What a family's devices say, portion by portion of `step_s`, with what a scenario does to it.

    The scenario must be made for the whole of `fleet`; only this family's messages are made.
    """
    city = City(fleet, start=start, boot=1, speed=speed, shares=shares, scenario=scenario)
    mine = of_family(fleet, family)
    members = mine.astype(np.uint32)
    city._schedule = Schedule(fleet, members, start=start, boot=1, speed=speed, shares=shares)
    slot_of = np.full(len(fleet), -1, np.int64)
    slot_of[mine] = np.arange(len(mine))
    newest = np.full(len(mine), np.iinfo(np.int64).min)
    steps = round(seconds / step_s)
    chunk = max(1, round(6 * 3600 / step_s))
    for first in range(0, steps, chunk):
        last = min(first + chunk, steps)
        messages = city.until(start + last * step_s)
        rows = _rows(fleet, family, scenario, messages, slot_of)
        edges = ((start + np.arange(first + 1, last + 1) * step_s) * 1e6).astype(np.int64)
        order = np.argsort(rows.received, kind="stable")
        rows = rows.of(order)
        cuts = np.searchsorted(rows.received, edges)
        for begin, end, now in zip(np.r_[0, cuts[:-1]], cuts, edges, strict=True):
            late = _by_slot(rows.of(np.arange(begin, end)))
            yield Portion(int(now), in_order(late, newest), late)


def _rows(fleet: Fleet, family: str, scenario: Scenario, messages: Messages, slot_of: npt.NDArray[np.int64]) -> Rows:
    """Messages as the readings that ingest would make of them."""
    known = FAMILIES[family]
    mine = (slot_of[messages.device] >= 0) & ~np.isin(messages.kind, GONE) & ~messages.again
    said = messages.take(mine)
    device, seconds = said.device.astype(np.int64), said.time / 1000.0
    columns = values(spoken(family), fleet.key[device], seconds, fleet.lat[device], fleet.lon[device])
    for effect in scenario:
        effect.change(fleet, family, device, seconds, columns)
    table = np.full((len(said), len(known.metrics)), np.nan)
    for name, column in columns.items():
        metric = known.metrics[known.index[name]]
        legal = (column >= metric.low) & (column <= metric.high)
        table[:, known.index[name]] = np.where(legal, column, np.nan)
    spoilt = np.isin(said.kind, (Kind.ONE_OUT_OF_RANGE, Kind.RENAMED))
    table[spoilt, known.index[next(iter(columns))]] = np.nan
    low, high = LATENCY_S
    latency = low + (high - low) * uniform(fleet.key[device], salt("latency"), said.seq)
    received = ((said.due + latency) * 1e6).astype(np.int64)
    there = ~np.isnan(table).all(axis=1)
    rows = Rows(known, slot_of[device], said.time * 1000, received, table)
    return rows if there.all() else rows.of(there)


def _by_slot(rows: Rows) -> Rows:
    return rows.of(np.argsort(rows.slot, kind="stable"))


def in_order(rows: Rows, newest: npt.NDArray[np.int64]) -> Rows:
    """Without the rows that are older than the newest of their slot before them; moves `newest` on."""
    if not rows.size:
        return rows
    # One number rises with slot and time: the running maximum of it is that of the time within each slot.
    least = int(rows.time.min())
    width = int(rows.time.max()) - least + 2
    before = np.clip(newest[rows.slot] - least, -1, width - 2)
    place = np.maximum(rows.time - least, before) + rows.slot * width
    highest = np.maximum.accumulate(place)
    fresh = (rows.time - least + rows.slot * width) >= highest
    np.maximum.at(newest, rows.slot, rows.time)
    return rows if fresh.all() else rows.of(fresh)


def families_in(fleet: Fleet) -> Sequence[str]:
    """Those that have devices."""
    return [family for family, count in fleet.count_by_family().items() if count]
