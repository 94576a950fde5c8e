"""Where things are: areas on brokers, inboxes on workers, and the note by which a running `up` is asked for others."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from dothi.errors import Refused
from dothi.stack.passwords import write_private

MOST_WORKERS = 64


def place(areas: Sequence[str], shards: int, kept: Mapping[str, int]) -> dict[str, int]:
    """The broker of each area: where it was, and new ones where the fewest are. Queued messages stay where they are.

    >>> place(["213", "214", "215"], 2, {})
    {'213': 0, '214': 1, '215': 0}
    >>> place(["061", "213", "214", "215"], 2, {"213": 0, "214": 1, "215": 0})
    {'061': 1, '213': 0, '214': 1, '215': 0}
    """
    counts = [sum(1 for area in areas if kept.get(area) == shard) for shard in range(shards)]
    placed: dict[str, int] = {}
    for area in areas:
        shard = kept.get(area, shards)
        if shard >= shards:
            shard = counts.index(min(counts))
            counts[shard] += 1
        placed[area] = shard
    return placed


def read_placement(folder: Path, shards: int) -> dict[str, int]:
    """Area → broker of last time; nothing when the number of brokers was another one."""
    try:
        kept = json.loads((folder / "areas.json").read_text())
        return dict(kept["areas"]) if kept["shards"] == shards else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def keep_placement(folder: Path, shards: int, placed: Mapping[str, int]) -> None:
    """Remember where each area is."""
    write_private(folder / "areas.json", json.dumps({"shards": shards, "areas": placed}, indent=2) + "\n")


def deal(inboxes: Sequence[str], workers: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """The worker of each inbox: the one wished for if there is such a one, else round robin.

    >>> deal(["213", "214", "frigate"], 2, {"214": 0, "frigate": 7})
    {'213': 0, '214': 0, 'frigate': 0}
    """
    return {
        name: wanted[name] if wanted.get(name, workers) < workers else position % workers
        for position, name in enumerate(inboxes)
    }


def deal_by_load(inboxes: Sequence[str], loads: Mapping[str, float], workers: int) -> dict[str, int]:
    """The heaviest first, each to the worker with the least so far; inboxes without load are spread as well.

    >>> deal_by_load(["a", "b", "c", "d"], {"a": 10.0, "b": 6.0, "c": 5.0}, 2)
    {'a': 0, 'b': 1, 'c': 1, 'd': 0}
    """
    carried = [(0.0, 0, worker) for worker in range(workers)]
    dealt: dict[str, int] = {}
    for name in sorted(inboxes, key=lambda name: -loads.get(name, 0.0)):
        load, number, worker = min(carried)
        carried[carried.index((load, number, worker))] = (load + loads.get(name, 0.0), number + 1, worker)
        dealt[name] = worker
    return {name: dealt[name] for name in inboxes}


def ask(folder: Path, workers: int, wanted: Mapping[str, int]) -> None:
    """Ask the `up` of this folder for so many workers, and for inboxes at certain ones; it looks twice a second."""
    try:
        write_private(folder / "run/wanted.json", json.dumps({"workers": workers, "hosts": wanted}) + "\n")
    except OSError as error:
        raise Refused(f"{folder}/run cannot be written: {error.strerror}; run as the user who started it") from None


def asked(path: Path) -> tuple[int, dict[str, int]] | None:
    """What was asked for: workers and wished-for hosts; None when it makes no sense."""
    try:
        note = json.loads(path.read_text())
        workers, hosts = int(note["workers"]), {str(name): int(worker) for name, worker in note["hosts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (workers, hosts) if 1 <= workers <= MOST_WORKERS else None
