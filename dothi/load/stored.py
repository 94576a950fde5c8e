"""What the database has of a run: rows of the reading tables and of quarantine, as columns over the fleet's indices."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from simulators.conserve import UNREADABLE, Found, Kept
from simulators.draw import Ints
from simulators.fleet import Fleet

NAMES = 50_000
"""Device names that are asked for at once."""
EPOCH_2000_US = 946_684_800_000_000
HEAD = 200
"""Bytes of a payload within which its time and number stand."""
TIME_SEQ = re.compile(rb'"time":(\d{1,16}),"seq":(\d{1,16})[,}]')

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Ids in the registry. `of`: of each device of the fleet, 0 where it is not enrolled."""

    of: NDArray[np.int32]

    def index(self, ids: Ints) -> Ints:
        """The devices with these ids; UNREADABLE for other ids."""
        order = np.argsort(self.of, kind="stable")
        place = np.minimum(np.searchsorted(self.of, ids, sorter=order), len(order) - 1)
        found = order[place]
        return np.where((self.of[found] == ids) & (ids > 0), found, UNREADABLE).astype(np.int64)


def enrolled(connection: Connection, fleet: Fleet, devices: Ints) -> Enrolled:
    """The ids of some devices of a fleet (indices)."""
    of = np.zeros(len(fleet), dtype=np.int32)
    for start in range(0, len(devices), NAMES):
        some = devices[start : start + NAMES]
        places, ids = columns(
            connection,
            "select array_agg(k.place), array_agg(d.id::int8) from unnest(%s::text[]) with ordinality k (device, place)"
            " join registry.device d on d.device = k.device",
            (fleet.ids(some),),
        )
        of[some[places - 1]] = ids
    return Enrolled(of)


class Window(NamedTuple):
    """What to look at: times of readings in ms since 1970 and boots of a run, first and last."""

    time: tuple[int, int]
    boot: tuple[int, int]


def found_in(connection: Connection, family: str, known: Enrolled, devices: Ints, window: Window) -> Found:
    """The rows of a family's table that these devices (indices, of that family) sent within a window."""
    ids = known.of[devices]
    order = np.argsort(ids)
    ids, devices = ids[order], devices[order]
    if not len(ids) or ids[-1] == 0:
        return nothing_found()
    device, time, seq, received = columns(
        connection,
        sql.SQL(
            "select array_agg(device::int8), array_agg(time), array_agg(seq), array_agg(received) from {}"
            " where device between %s and %s and boot between %s and %s and time between"
            " to_timestamp(%s::float8 / 1000) - interval '1 ms' and to_timestamp(%s::float8 / 1000) + interval '1 ms'"
        ).format(sql.Identifier("reading", family)),
        (int(ids[ids > 0][0]), int(ids[-1]), *window.boot, *window.time),
    )
    place = np.minimum(np.searchsorted(ids, device), len(ids) - 1)
    ours = ids[place] == device
    since_1970 = (time[ours] + EPOCH_2000_US) // 1000, (received[ours] + EPOCH_2000_US) / 1e6
    return Found(devices[place[ours]], since_1970[0], seq[ours], since_1970[1])


def nothing_found() -> Found:
    """No rows."""
    none = np.empty(0, dtype=np.int64)
    return Found(none, none, none, none.astype(np.float64))


def columns(connection: Connection, query: str | sql.Composed, arguments: tuple[object, ...]) -> list[Ints]:
    """A query of one row of arrays of eight-byte elements, none NULL, as numpy columns.

    A million rows come as one: a client takes rows one by one, even from COPY. Format: PostgreSQL's `array_send`.
    """
    statement = query.encode() if isinstance(query, str) else query
    with connection.cursor(binary=True) as cursor:
        cursor.execute(statement, arguments)
        assert cursor.pgresult is not None  # a select gives a result
        values = [cursor.pgresult.get_value(0, place) for place in range(cursor.pgresult.nfields)]
    return [elements(value) for value in values]


def elements(array: bytes | None) -> Ints:
    """The elements of a binary one-dimensional array; none of NULL."""
    if not array or len(array) < 20:
        return np.empty(0, dtype=np.int64)
    block = np.frombuffer(array, dtype=[("length", ">i4"), ("value", ">i8")], offset=20)
    return block["value"].astype(np.int64)


def kept_since(connection: Connection, known: Enrolled, since: float) -> Kept:
    """What has been quarantined since a moment (s since 1970), of whomever."""
    rows = list(quarantine_rows(connection, datetime.fromtimestamp(since, UTC)))
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    named = [time_and_seq(row[1]) for row in rows]
    return Kept(
        device=known.index(ids),
        time=np.array([time for time, _ in named], dtype=np.int64),
        seq=np.array([seq for _, seq in named], dtype=np.int64),
        digest=np.array([int.from_bytes(row[2], "big") for row in rows], dtype=np.uint64),
    )


def quarantine_rows(connection: Connection, since: datetime) -> Iterator[tuple[int, bytes, bytes]]:
    """Registry id (0: unknown), head of the payload, first eight bytes of its SHA-256."""
    with connection.transaction(), connection.cursor("quarantined", binary=True) as cursor:
        cursor.itersize = 10_000
        cursor.execute(
            "select coalesce(d.id, 0), substring(q.payload for %s), substring(q.sha256 for 8) from ops.quarantine q"
            " left join registry.device d on d.device = q.device where q.received >= %s",
            (HEAD, since),
        )
        for number, head, digest in cursor:
            yield number, bytes(head), bytes(digest)


def time_and_seq(head: bytes) -> tuple[int, int]:
    """Time (ms since 1970) and number at the beginning of a native payload; UNREADABLE where they do not stand there.

    >>> time_and_seq(b'{"time":1764547200000,"seq":7,"boot":1,"metr')
    (1764547200000, 7)
    >>> time_and_seq(b'{"time":1764547200000,"seq":7')
    (-1, -1)
    """
    said = TIME_SEQ.search(head)
    return (int(said[1]), int(said[2])) if said else (UNREADABLE, UNREADABLE)


def cut_lines(connection: Connection) -> dict[str, int]:
    """Payloads that were quarantined and not kept because a quota of a day was used up, by device id; few have any."""
    rows = connection.execute(
        "select claimed, sum(total - kept)::bigint from ops.quarantine_quota where total > kept group by claimed"
    )
    return dict(rows.fetchall())


def cut_since(connection: Connection, fleet: Fleet, known: Enrolled, before: Mapping[str, int]) -> Ints:
    """Per device of the fleet, what was cut since `cut_lines` gave `before`."""
    more = {name: count - before.get(name, 0) for name, count in cut_lines(connection).items()}
    ids, counts = columns(
        connection,
        "select array_agg(d.id::int8), array_agg(c.count) from unnest(%s::text[], %s::int8[]) c (device, count)"
        " join registry.device d on d.device = c.device",
        (list(more), list(more.values())),
    )
    index = known.index(ids)
    ours = index != UNREADABLE
    return np.bincount(index[ours], counts[ours], len(fleet)).astype(np.int64)
