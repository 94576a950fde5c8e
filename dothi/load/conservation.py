"""The account of a run: every message that was sent, set against what the database holds, block by block."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from devices.area import ZONES
from dothi.load.stored import Connection, Enrolled, Window, cut_since, enrolled, found_in, kept_since
from simulators.blocks import BLOCK, Block, split
from simulators.conserve import Fate, Judged, Kept, Payloads, judge
from simulators.curves import Curves
from simulators.draw import Ints
from simulators.fleet import Fleet
from simulators.spool import Rows, read

NAMED = 20
"""Missing messages that are named."""
SETTLING_S = 5.0
"""Clocks of broker, platform and sender are one machine's, or kept together by NTP to better than this."""

Told = Callable[[int, int], None]
"""Called with the blocks done and those there are."""


@dataclass
class Account:
    """`counts`: messages by family, area and Fate. `strays`, `unasked`: as in `Judged`. `missing`: some of them."""

    counts: Ints
    strays: int = 0
    unasked: int = 0
    missing: list[dict[str, Any]] = field(default_factory=list)

    def count(self, fate: Fate) -> int:
        """Messages of a fate."""
        return int(self.counts[:, :, fate].sum())


@dataclass(frozen=True)
class Sent:
    """What a run has left behind. `since`: when it began, s since 1970. `cut`: as `cut_lines` gave before it."""

    fleet: Fleet
    spools: Sequence[Path]
    payloads: Payloads
    since: float
    cut: Mapping[str, int]


def account(url: str, sent: Sent, curves: Curves, told: Told = lambda done, all_: None, most: int = BLOCK) -> Account:
    """Set a run against the database at `url` (as its owner), and add to the curves when messages were received."""
    fleet = sent.fleet
    total = Account(np.zeros((len(fleet.families), len(fleet.areas), len(Fate)), dtype=np.int64))
    with (
        tempfile.TemporaryDirectory(dir=sent.spools[0].parent, prefix="blocks-") as folder,
        psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="dothi simulate") as connection,
    ):
        connection.execute("set statement_timeout = 0")
        connection.execute("set jit = off")
        blocks = split(sent.spools, fleet, Path(folder), most)
        known = enrolled(connection, fleet, spoken(blocks))
        kept = kept_since(connection, known, sent.since - SETTLING_S)
        cut = cut_since(connection, fleet, known, sent.cut)
        for done, block in enumerate(blocks):
            told(done, len(blocks))
            rows = np.array(read(block.path))
            judged = _judge(connection, sent, block, rows, known, kept, cut)
            _add(total, fleet, block, rows, judged)
            curves.add_received(rows, judged.received)
            block.path.unlink()
        told(len(blocks), len(blocks))
    return total


def spoken(blocks: Sequence[Block]) -> Ints:
    """The devices of all blocks, ascending."""
    none = np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([none, *(block.devices for block in blocks)]))


def _judge(
    connection: Connection, sent: Sent, block: Block, rows: Rows, known: Enrolled, kept: Kept, cut: Ints
) -> Judged:
    window = Window(
        (int(rows["time"].min()), int(rows["time"].max())), (int(rows["boot"].min()), int(rows["boot"].max()))
    )
    found = found_in(connection, sent.fleet.families[block.family], known, block.devices, window)
    near = kept.take((kept.device < 0) | np.isin(kept.device, block.devices))
    return judge(rows, found, near, cut, sent.payloads)


def _add(total: Account, fleet: Fleet, block: Block, rows: Rows, judged: Judged) -> None:
    place = fleet.area[rows["device"]].astype(np.int64) * len(Fate) + judged.fates
    counts = np.bincount(place, minlength=len(fleet.areas) * len(Fate))
    total.counts[block.family] += counts.reshape(len(fleet.areas), len(Fate))
    total.strays += judged.strays
    total.unasked += judged.unasked
    missing = np.flatnonzero(judged.fates == Fate.MISSING)[: NAMED - len(total.missing)]
    total.missing += named(fleet, rows[missing])


def named(fleet: Fleet, rows: Rows) -> list[dict[str, Any]]:
    """Messages as people look for them: device, boot, number, time of the reading in ms since 1970."""
    listed = zip(fleet.ids(rows["device"].astype(np.int64)), *(rows[name].tolist() for name in FIELDS), strict=True)
    return [dict(zip(("device", *FIELDS), row, strict=True)) for row in listed]


NAME = {zone.code: zone.name_vi for zone in ZONES}
FIELDS = ("boot", "seq", "time", "due")


def document(total: Account, fleet: Fleet) -> dict[str, Any]:
    """The account as one JSON document, in messages. acknowledged = stored + duplicate + quarantined + missing."""
    families = [(name, total.counts[place].sum(axis=0)) for place, name in enumerate(fleet.families)]
    areas = [(name, total.counts[:, place].sum(axis=0)) for place, name in enumerate(fleet.areas)]
    return {
        **line(total.counts.sum(axis=(0, 1))),
        "stored_unacknowledged": total.unasked,
        "stored_not_noted": total.strays,
        "by_family": [{"family": name, **line(counts)} for name, counts in families if counts.any()],
        "by_district": [
            {"area": code, "name": NAME.get(code, code), **line(counts)} for code, counts in areas if counts.any()
        ],
        "first_missing": total.missing,
    }


def line(counts: Ints) -> dict[str, int]:
    """One line of the account."""
    by = {fate: int(counts[fate]) for fate in Fate}
    return {
        "due": sum(by.values()),
        "not_sent": by[Fate.NOT_SENT],
        "sent": sum(by.values()) - by[Fate.NOT_SENT],
        "unanswered": by[Fate.UNANSWERED],
        "refused": by[Fate.REFUSED],
        "unheard": by[Fate.UNHEARD],
        "acknowledged": sum(number for fate, number in by.items() if fate >= Fate.STORED),
        "stored": by[Fate.STORED],
        "duplicate": by[Fate.DUPLICATE],
        "quarantined": by[Fate.QUARANTINED] + by[Fate.COUNTED],
        "quarantined_not_kept": by[Fate.COUNTED],
        "missing": by[Fate.MISSING],
    }
