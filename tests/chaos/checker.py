"""Set differences between what was acknowledged and what the database holds. Pure; `fetch` reads the database."""

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np
import psycopg

from tests.chaos.generator import FAMILIES, Kind, Numbers, message, times_ms, values
from tests.chaos.record import Track

EXPECTED_IN_QUARANTINE = (Kind.CONFLICT, Kind.GARBAGE)  # strangers may be cut by a quota: the ledger has them


class Stored(NamedTuple):
    """What the database holds of one device: seq, time (ms), value a, value b; a row each."""

    rows: Numbers


class Kept(NamedTuple):
    """One quarantined message."""

    topic: str
    payload: bytes
    reason: str


class Verdict(NamedTuple):
    """Counts of one round; `examples` names a few of what is wrong."""

    readings_by_broker: int
    readings_by_platform: int
    rows: int
    quarantined: int
    lost_by_broker: int
    lost_by_platform: int
    unsettled: int
    extras_lost: int
    invented: int
    altered: int
    doubled: int
    wrongly_quarantined: int
    examples: list[str]


def judge(tracks: list[Track], stored: dict[str, Numbers], kept: list[Kept]) -> Verdict:
    """Compare. `stored`: device → its rows (seq, time in ms, a, b)."""
    counts = dict.fromkeys(Verdict._fields[:-1], 0)
    examples: list[str] = []
    refused = refused_seqs(kept)
    digests = {hashlib.sha256(entry.payload).digest() for entry in kept}
    for track in tracks:
        name = track.device.name
        rows = stored.get(name, np.empty((0, 4), np.int64))
        seqs = np.unique(rows[:, 0])
        settled_elsewhere = np.array(sorted(refused.get(name, ())), np.int64)
        present = np.union1d(seqs, settled_elsewhere)
        broker, platform = track.by_broker(), track.by_platform()
        lost = {
            "lost_by_broker": np.setdiff1d(broker, present),
            "lost_by_platform": np.setdiff1d(platform, present),
            "invented": np.setdiff1d(seqs, track.all_published()),
            "altered": altered(track, rows),
            "doubled": doubled(rows[:, 0]),
            "wrongly_quarantined": settled_elsewhere,
        }
        for what, wrong in lost.items():
            counts[what] += len(wrong)
            if len(wrong):
                examples.append(f"{what}: {name} seq {', '.join(map(str, wrong[:5]))} ({len(wrong)})")
        missing = [
            key for key in track.acknowledged_extras(*EXPECTED_IN_QUARANTINE) if digest(track, key) not in digests
        ]
        counts["extras_lost"] += len(missing)
        examples += [f"extras_lost: {name} message {number} {kind.name}" for number, kind in missing[:5]]
        counts["readings_by_broker"] += len(broker)
        counts["readings_by_platform"] += len(platform)
        counts["rows"] += len(rows)
        counts["unsettled"] += track.unsettled if track.device.asks else 0
    counts["quarantined"] = len(kept)
    return Verdict(**counts, examples=examples[:20])


def digest(track: Track, key: tuple[int, Kind]) -> bytes:
    """SHA-256 of an extra message's payload."""
    return hashlib.sha256(message(track.device, *key)[1]).digest()


def altered(track: Track, rows: Numbers) -> Numbers:
    """Seqs whose time or values are not those that were published."""
    seq = rows[:, 0]
    a, b = values(track.device, seq)
    wrong = (rows[:, 1] != times_ms(track.device, seq)) | (rows[:, 2] != a) | (rows[:, 3] != b)
    return np.asarray(seq[wrong])


def doubled(seq: Numbers) -> Numbers:
    """Seqs that are there more than once."""
    found, times = np.unique(seq, return_counts=True)
    return found[times > 1]


def refused_seqs(kept: list[Kept]) -> dict[str, set[int]]:
    """Device → seqs of readings that lie in quarantine though nothing was wrong with them as published."""
    refused: dict[str, set[int]] = {}
    for entry in kept:
        if entry.reason == "conflict" or entry.topic.endswith("-stranger/up"):
            continue
        try:
            document = json.loads(entry.payload)
        except ValueError:
            continue
        for one in document if isinstance(document, list) else [document]:
            refused.setdefault(entry.topic.split("/")[3], set()).add(int(one["seq"]))
    return refused


def fetch(
    database: str, tracks: list[Track], numbers: dict[str, int], prefix: str
) -> tuple[dict[str, Numbers], list[Kept]]:
    """All rows of the round's devices, and what of theirs is in quarantine."""
    stored: dict[str, Numbers] = {}
    with psycopg.connect(database, autocommit=True) as connection:
        for family, (_, a, b) in FAMILIES.items():
            names = {numbers[t.device.name]: t.device.name for t in tracks if t.device.family == family}
            stored |= rows_of(connection, family, a, b, names)
        kept = connection.execute(
            "select topic, payload, reason from ops.quarantine where topic like %s",
            (f"dothi/v1/%/{prefix}-%",),
            binary=True,
        ).fetchall()
    return stored, [Kept(topic, bytes(payload), reason) for topic, payload, reason in kept]


def rows_of(
    connection: psycopg.Connection[Any], family: str, a: str, b: str, names: dict[int, str]
) -> dict[str, Numbers]:
    """Rows of devices of one family. A value that is missing shows as -1, which is never published."""
    cursor = connection.execute(
        f"select device::bigint, seq, (extract(epoch from time) * 1000)::bigint, coalesce({a}, -1)::bigint,"
        f" coalesce({b}, -1)::bigint from reading.{family} where device = any(%s)".encode(),
        (list(names),),
        binary=True,
    )
    rows = np.array(cursor.fetchall() or np.empty((0, 5)), np.int64)
    order = np.argsort(rows[:, 0], kind="stable")
    rows = rows[order]
    starts = np.searchsorted(rows[:, 0], sorted(names))
    ends = np.searchsorted(rows[:, 0], sorted(names), side="right")
    return {names[number]: rows[s:e, 1:] for number, s, e in zip(sorted(names), starts, ends, strict=True)}


class Balance(NamedTuple):
    """The ledger's sums and what the tables hold, over the stack's whole life."""

    received: int
    stored: int
    duplicate: int
    quarantined: int
    rows: int
    batch_rows: int
    quarantine: int
    cut: int

    @property
    def closes(self) -> bool:
        """Whether every reading is accounted for, once."""
        return (
            self.received == self.stored + self.duplicate + self.quarantined
            and self.stored == self.rows == self.batch_rows
            and self.quarantined == self.quarantine + self.cut
        )


def balance(database: str) -> Balance:
    """Ask the database."""
    with psycopg.connect(database, autocommit=True) as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        tables = " + ".join(f"(select count(*) from reading.{family})" for family in FAMILIES)
        row = connection.execute(
            "select coalesce(sum(received), 0)::bigint, coalesce(sum(stored), 0)::bigint,"
            " coalesce(sum(duplicate), 0)::bigint, coalesce(sum(quarantined), 0)::bigint,"
            f" {tables}, (select coalesce(sum(rows), 0) from ops.batch)::bigint,"
            " (select count(*) from ops.quarantine), coalesce(sum(cut), 0)::bigint from ops.ledger".encode()
        ).fetchone()
    assert row is not None
    return Balance(*row)
