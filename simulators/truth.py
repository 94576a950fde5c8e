"""The truth of a run: what happened, where, when and to which devices, as a file against which alarms are scored.

The file is written up in docs/scenarios.md and described by `truth.schema.json` beside this module.
"""

import gzip
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simulators.fleet import Fleet
from simulators.scenario import Scenario, Truth

VERSION = 1
MOST_IDS = 1_000
"""Devices that an event names in the file itself; more become ranges, or a file beside it."""
MOST_RANGES = 1_000
AT_ONCE = 50_000


def write(path: Path, scenario: Scenario, fleet: Fleet, *, start: float, seconds: float | None, **run: Any) -> None:
    """Write the truth of a run to `path`, long lists of devices to files beside it. Raises OSError.

    `start`: s since 1970; `seconds`: how long it lasted, also where it was stopped early: what had not begun by then is
    left out. None: nobody knows yet. `run`: what else tells it from others, such as boot and province.
    """
    stopped = math.inf if seconds is None else start + seconds
    head = {"start": utc(start), "end": None if seconds is None else utc(stopped), "seed": fleet.seed}
    truths = [until(effect.truth(fleet), stopped) for effect in scenario]
    events = [event_document(truth, fleet, path) for truth in truths if len(truth.devices)]
    document = {"version": VERSION, "run": {**head, "devices": len(fleet), **run}, "events": events}
    replace_with(path, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def until(truth: Truth, stopped: float) -> Truth:
    """The truth of a run that was stopped at a moment (s since 1970)."""
    if truth.end <= stopped:
        return truth
    since = np.full(len(truth.devices), truth.start) if truth.since is None else truth.since
    begun = since < stopped
    each = truth.since is not None and truth.until is not None
    return replace(
        truth,
        end=min(truth.end, stopped),
        devices=truth.devices[begun],
        since=since[begun] if each else None,
        until=np.minimum(truth.until[begun], stopped) if each and truth.until is not None else None,
        found={key: reached(value, stopped) for key, value in truth.found.items()},
    )


def reached(found: Any, stopped: float) -> Any:
    """What was found, without what happened first after a moment."""
    return [one for one in found if one["first"] < stopped] if isinstance(found, list) else found


def event_document(truth: Truth, fleet: Fleet, path: Path) -> dict[str, Any]:
    """One event as in the file."""
    document: dict[str, Any] = {
        "id": truth.id,
        "kind": truth.kind,
        "cause": truth.cause,
        "start": utc(truth.start),
        "end": utc(truth.end),
        "where": truth.where,
        "devices": devices_document(truth, fleet, path),
        "alarms": [{key: value for key, value in alarm._asdict().items() if value} for alarm in truth.alarms],
        "parameters": truth.parameters,
    }
    if truth.senders is not None:
        document["senders"] = fleet.ids(truth.senders.astype(np.int64))
    if truth.found:
        document["found"] = told(truth.found)
    return document


def devices_document(truth: Truth, fleet: Fleet, path: Path) -> dict[str, Any]:
    """Who: `ids`, or `ranges` of numbers inside area and family, or the name of a `file`; times where they differ."""
    devices = truth.devices.astype(np.int64)
    counts = np.bincount(fleet.family[devices], minlength=len(fleet.families)).tolist()
    named = {family: count for family, count in zip(fleet.families, counts, strict=True) if count}
    document: dict[str, Any] = {"count": len(devices), "families": named}
    if len(devices) <= MOST_IDS:
        return {**document, "ids": fleet.ids(devices), **times_document(truth)}
    ranges = ranges_of(fleet, devices) if truth.since is None else []
    if 0 < len(ranges) <= MOST_RANGES:
        return {**document, "ranges": ranges}
    beside = path.with_name(f"{path.stem}.{truth.id.replace('/', '.')}.csv.gz")
    replace_with(beside, gzip.compress(b"".join(lines(truth, fleet)), 6, mtime=0))
    return {**document, "file": beside.name}


def times_document(truth: Truth) -> dict[str, list[str]]:
    """`from` and `to` of each device, in the order of the ids, where they are not those of the event."""
    if truth.since is None or truth.until is None:
        return {}
    return {"from": [utc(one) for one in truth.since.tolist()], "to": [utc(one) for one in truth.until.tolist()]}


def ranges_of(fleet: Fleet, devices: np.ndarray[Any, np.dtype[np.int64]]) -> list[dict[str, Any]]:
    """Runs of numbers inside an area and a family, by the ids of the first and the last device."""
    area, family, number = (column[devices].astype(np.int64) for column in (fleet.area, fleet.family, fleet.number))
    breaks = (np.diff(area) != 0) | (np.diff(family) != 0) | (np.diff(number) != 1)
    first = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    if len(first) > MOST_RANGES:
        return []
    last = np.concatenate((first[1:] - 1, [len(devices) - 1]))
    ids = zip(fleet.ids(devices[first]), fleet.ids(devices[last]), (last - first + 1).tolist(), strict=True)
    return [{"first": begin, "last": end, "count": count} for begin, end, count in ids]


def lines(truth: Truth, fleet: Fleet) -> Iterator[bytes]:
    """The devices as CSV: device,from,to."""
    yield b"device,from,to\n"
    same = f",{utc(truth.start)},{utc(truth.end)}\n"
    for begin in range(0, len(truth.devices), AT_ONCE):
        piece = slice(begin, begin + AT_ONCE)
        ids = fleet.ids(truth.devices[piece].astype(np.int64))
        if truth.since is None or truth.until is None:
            yield "".join(f"{device}{same}" for device in ids).encode()
        else:
            rows = zip(ids, truth.since[piece].tolist(), truth.until[piece].tolist(), strict=True)
            yield "".join(f"{device},{utc(one)},{utc(other)}\n" for device, one, other in rows).encode()


def told(found: Any) -> Any:
    """What was found, with moments as the rest of the file tells them."""
    if isinstance(found, Mapping):
        return {key: utc(value) if key == "first" else told(value) for key, value in found.items()}
    return [told(one) for one in found] if isinstance(found, list) else found


def utc(seconds: float) -> str:
    """A moment, s since 1970, as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def replace_with(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it."""
    half = path.with_name(f"{path.name}.part")
    half.write_bytes(content)
    half.replace(path)
