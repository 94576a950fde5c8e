"""Many devices at once into the registry, by columns: a whole simulated province without an object for each device."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import psycopg

from devices.enroll_stage import Told, nothing, stage_text
from devices.registry import Connection, Enrolled, NotEnrolled, lock_registry, prepare, settle_all

Cursor = psycopg.Cursor[Any]
Group = tuple[str, str]  # profile and area
Digest = tuple[int, int]  # how many devices, and 64 bits of the hash of each, one over the other

MANY = 10_000
"""So many new devices change what the planner should know."""
ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
MOST_GROUPS = 65_536  # profiles times areas
STRAIGHT = "copy registry.device (device, name, lat, lon, profile, family, area) from stdin (null '')"
PROFILES = "select profile, id, family from registry.profile"
STAGED = "(line, device, profile, area, name, lat, lon, state, given)"
DIGESTS = """
select p.profile, a.code, count(*), bit_xor(('x' || encode(substr(sha256(convert_to(
           concat_ws(E'\\t', d.device, d.name, d.lat, d.lon), 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint)
from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area
where d.state not in ('planned', 'retired') and d.name <> '' and d.lat is not null and d.lon is not null
group by p.profile, a.code
"""
"""Of devices that an enrolment with the same name and position would leave as they are."""


class Columns(NamedTuple):
    """A piece of the devices, columns of one length. `profile`: one of the platform's own; `lat`, `lon`: degrees."""

    device: Sequence[str]
    profile: Sequence[str]
    area: Sequence[str]
    name: Sequence[str]
    lat: Sequence[float]
    lon: Sequence[float]


Pieces = Callable[[], Iterable[Columns]]


class Known(NamedTuple):
    """Numbers and family of profiles, and numbers of areas, as the registry has them."""

    profiles: dict[str, str]
    areas: dict[str, int]


def enroll_columns(connection: Connection, pieces: Pieces, told: Told = nothing) -> Enrolled:
    """Enrol all devices of all pieces or none; what is there already is brought up to date. Raises NotEnrolled.

    `pieces` is asked for them several times and says the same each time. One piece is held at a time: tens of thousands
    of devices in each are best. `told` is called after each piece with the number of further devices that are done.
    """
    with connection.transaction(), connection.cursor() as cursor:
        empty = is_empty(cursor)
        if empty:
            lock_registry(cursor)
            empty = is_empty(cursor)
        known = Known(
            {name: f"{number}\t{family}" for name, number, family in cursor.execute(PROFILES).fetchall()},
            dict(cursor.execute("select code, id from registry.area").fetchall()),
        )
        try:
            if empty:
                result = straight(cursor, checked(pieces(), known), known, told)
            else:
                result = beside_others(cursor, lambda: checked(pieces(), known), told)
        except psycopg.IntegrityError as error:
            raise NotEnrolled(error.diag.message_detail or str(error)) from None
    if result.new >= MANY:
        connection.execute("analyze registry.device")
    return result


def is_empty(cursor: Cursor) -> bool:
    """Whether there is no device at all."""
    return cursor.execute("select from registry.device limit 1").fetchone() is None


def checked(pieces: Iterable[Columns], known: Known) -> Iterator[Columns]:
    """The same pieces. Raises NotEnrolled for an unknown profile or area."""
    for piece in pieces:
        for what, said, there in (("profile", piece.profile, known.profiles), ("area", piece.area, known.areas)):
            unknown = set(said) - there.keys()
            if unknown:
                raise NotEnrolled(f"{what} {min(unknown)}: unknown")
        yield piece


def straight(cursor: Cursor, pieces: Iterable[Columns], known: Known, told: Told) -> Enrolled:
    """Into the empty table itself, where nothing can be in the way."""
    profiles, areas = known
    count = 0
    prepare(cursor)
    with cursor.copy(STRAIGHT) as copy:
        for piece in pieces:
            lines = [
                f"{device}\t{name}\t{lat}\t{lon}\t{profiles[profile]}\t{areas[area]}\n"
                for device, profile, area, name, lat, lon in rows(piece)
            ]
            copy.write("".join(lines))
            count += len(lines)
            told(len(lines))
    return Enrolled(count, 0, 0)


def beside_others(cursor: Cursor, pieces: Pieces, told: Told) -> Enrolled:
    """Stage and settle what does not stand in the registry just as it should, for each profile in each area."""
    unchanged: dict[Group, int] = {}
    if len([*islice(pieces(), 2)]) > 1:  # a single piece is not worth looking at all of the registry
        wanted, there = both_digests(cursor, pieces, told)
        unchanged = {group: digest[0] for group, digest in wanted.items() if there.get(group) == digest}
        told(sum(unchanged.values()))
        if len(unchanged) == len(wanted):
            return Enrolled(0, 0, sum(unchanged.values()))
    result = settle_all(cursor, stage_text(cursor, texts(pieces(), unchanged, told), lock_registry, STAGED))
    return result._replace(unchanged=result.unchanged + sum(unchanged.values()))


def both_digests(cursor: Cursor, pieces: Pieces, told: Told) -> tuple[dict[Group, Digest], dict[Group, Digest]]:
    """Of what is wanted, and of what is there: the database looks at its devices while we look at ours."""
    with ThreadPoolExecutor(1) as aside:
        asked = aside.submit(lambda: cursor.execute(DIGESTS).fetchall())
        wanted = digests(pieces(), told)
        return wanted, {(profile, area): (count, digest) for profile, area, count, digest in asked.result()}


def digests(pieces: Iterable[Columns], told: Told) -> dict[Group, Digest]:
    """What DIGESTS would say of these devices if they stood in the registry."""
    places: dict[Group, int] = {}
    counts, together = np.zeros(MOST_GROUPS, np.int64), np.zeros(MOST_GROUPS, np.int64)
    for piece in pieces:
        groups = zip(piece.profile, piece.area, strict=True)
        at = np.array([places.setdefault(group, len(places)) for group in groups], np.int64)
        each = zip(piece.device, piece.name, piece.lat, piece.lon, strict=True)
        hashes = b"".join(
            [sha256(f"{device}\t{name}\t{lat}\t{lon}".encode()).digest() for device, name, lat, lon in each]
        )
        np.bitwise_xor.at(together, at, np.frombuffer(hashes, ">i8")[::4].astype(np.int64))
        counts += np.bincount(at, minlength=MOST_GROUPS)
        told(0)
    return dict(zip(places, zip(counts.tolist(), together.tolist(), strict=True), strict=False))


def texts(pieces: Iterable[Columns], without: Collection[Group], told: Told) -> Iterator[str]:
    """Lines to stage, one text for each piece."""
    line = 0
    for piece in pieces:
        lines = [
            f"{number}\t{device}\t{profile}\t{area}\t{name}\t{lat}\t{lon}\tenrolled\t3\n"
            for number, (device, profile, area, name, lat, lon) in enumerate(rows(piece), line)
            if (profile, area) not in without
        ]
        yield "".join(lines)
        line += len(piece.device)
        told(len(lines))


def rows(piece: Columns) -> Iterator[tuple[str, str, str, str, float, float]]:
    """Devices of a piece as they are written: with names in which nothing ends a line or a column."""
    names: Iterable[str] = piece.name
    together = "".join(names)
    if any(letter in together for letter in "\\\t\n\r"):
        names = (name.translate(ESCAPED) for name in names)
    return zip(piece.device, piece.profile, piece.area, names, piece.lat, piece.lon, strict=True)
