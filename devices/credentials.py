"""Tokens that let devices in at the broker: issued, rotated, revoked; what changed since the gate was last told."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray

from devices.enroll_cells import DEVICE_ID
from devices.gate.table import Hashes

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]
Tokens = NDArray[np.bytes_]  # dtype S43
TOKEN_BYTES, TOKEN_LETTERS = 32, 43
PIECE = 50_000
ONE_AFTER_THE_OTHER = "select pg_advisory_xact_lock(x'746f6b656e'::bigint)"  # "token"
"""Who issues, rotates or revokes waits for others who do: a token that is being made would escape a revocation."""


class Issued(NamedTuple):
    """A device's new token in clear: it is shown now and never again."""

    device: str
    token: str


class Stale(NamedTuple):
    """A token that has not been used for long; `seen` None: never."""

    device: str
    issued: datetime
    seen: datetime | None


class NoCredential(ValueError):
    """A device cannot get, or has not got, a token. The message says why."""


def new_tokens(count: int) -> Tokens:
    """So many tokens, each 256 random bits in 43 letters (RFC 4648, section 5) that need no quoting anywhere."""
    random = np.zeros((count, TOKEN_BYTES + 1), dtype=np.uint8)
    random[:, :TOKEN_BYTES] = np.frombuffer(secrets.token_bytes(count * TOKEN_BYTES), np.uint8).reshape(-1, TOKEN_BYTES)
    letters = np.frombuffer(urlsafe_b64encode(random.tobytes()), dtype=f"S{TOKEN_LETTERS + 1}")
    return letters.astype(f"S{TOKEN_LETTERS}")


def hash_of(token: str) -> bytes:
    """What is kept of a token. Fast on purpose: 256 random bits are not guessed, and the broker pays per connection."""
    return sha256(token.encode()).digest()


def issue(connection: Connection, devices: Iterable[str]) -> list[Issued]:
    """A first token for each device, at once valid; what it had before is revoked. All devices or none.

    Raises NoCredential for one that is not enrolled.
    """
    named = list(devices)
    return issued(named, issue_tokens(connection, named))


def issue_tokens(connection: Connection, devices: Sequence[str]) -> Tokens:
    """As `issue`, for very many: their tokens in the same order, 43 bytes each."""
    tokens = new_tokens(len(devices))
    with connection.transaction(), connection.cursor() as cursor:
        stage(cursor, devices, tokens)
        cursor.execute("delete from registry.credential c using issuing i where c.device = i.id")
        cursor.execute("insert into registry.credential (device, slot, hash) select id, 0, hash from issuing")
        cursor.execute("drop table issuing")
    return tokens


def rotate(connection: Connection, devices: Iterable[str]) -> list[Issued]:
    """A second token for each device; the first stays valid until the new one has been seen. All devices or none.

    A rotation that nobody finished is replaced. Raises NoCredential for a device without a valid token.
    """
    named = list(devices)
    tokens = new_tokens(len(named))
    with connection.transaction(), connection.cursor() as cursor:
        stage(cursor, named, tokens)
        without = cursor.execute(
            "select i.device from issuing i where not exists (select from registry.credential c"
            " where c.device = i.id and c.slot = 0 and c.revoked is null) order by i.device limit 1"
        ).fetchone()
        if without:
            raise NoCredential(
                f"device {without[0]} has no token to rotate; issue one: dothi devices credentials issue"
            )
        cursor.execute(
            "insert into registry.credential (device, slot, hash) select id, 1, hash from issuing on conflict"
            " (device, slot) do update set (hash, issued, seen, revoked, changed) ="
            " (excluded.hash, now(), null, null, pg_current_xact_id())"
        )
        cursor.execute("drop table issuing")
    return issued(named, tokens)


def issued(devices: Sequence[str], tokens: Tokens) -> list[Issued]:
    """Devices with their tokens."""
    return [Issued(device, token.decode()) for device, token in zip(devices, tokens.tolist(), strict=True)]


def stage(cursor: psycopg.Cursor[Any], devices: Sequence[str], tokens: Tokens) -> None:
    """The new hashes beside the registry. Raises NoCredential for a device that is not enrolled, or retired."""
    strange = next((device for device in devices if not DEVICE_ID.fullmatch(device)), None)
    if strange is not None:
        raise unknown(strange)
    cursor.execute(ONE_AFTER_THE_OTHER)
    cursor.execute("create temporary table handed (device text, hash bytea) on commit drop")
    with cursor.copy("copy handed from stdin") as copy:
        for start in range(0, len(devices), PIECE):
            pairs = zip(devices[start : start + PIECE], tokens[start : start + PIECE].tolist(), strict=True)
            copy.write("".join([f"{device}\t\\\\x{sha256(token).hexdigest()}\n" for device, token in pairs]))
    cursor.execute("create temporary table issuing on commit drop as" + ISSUING)
    cursor.execute("drop table handed")
    lost = cursor.execute("select device from issuing where id is null order by device limit 1").fetchone()
    if lost:
        raise unknown(lost[0])


def unknown(device: str) -> NoCredential:
    """Why there is no token for a device."""
    return NoCredential(f"device {device} is not enrolled, or retired; first: dothi devices enroll FILE.csv")


ISSUING = """
select h.device, h.hash, d.id
from handed h left join registry.device d on d.device = h.device and d.state <> 'retired'
"""


def revoke(connection: Connection, devices: Sequence[str]) -> int:
    """Revoke every token of these devices; how many devices had one."""
    with connection.transaction():
        connection.execute(ONE_AFTER_THE_OTHER)
        row = connection.execute(
            "with gone as (update registry.credential c set (revoked, changed) = (now(), pg_current_xact_id()) from"
            " registry.device d where d.id = c.device and d.device = any(%s) and c.revoked is null returning c.device)"
            " select count(distinct device) from gone",
            (list(devices),),
        ).fetchone()
    assert row is not None  # an aggregate always gives a row
    return int(row[0])


def stale(connection: Connection, days: float) -> Iterator[Stale]:
    """Valid tokens that were not used for so many days, the longest unused first."""
    rows = connection.execute(
        "select d.device, c.issued, c.seen from registry.credential c join registry.device d on d.id = c.device"
        " where c.revoked is null and coalesce(c.seen, c.issued) < now() - make_interval(secs => %s)"
        " order by coalesce(c.seen, c.issued), d.device",
        (days * 86_400,),
    )
    return (Stale(*row) for row in rows)


# --- for those who let devices in

CHANGED = """
select d.device,
       (array_agg(c.hash) filter (where c.slot = 0 and c.revoked is null and d.state <> 'retired'))[1],
       (array_agg(c.hash) filter (where c.slot = 1 and c.revoked is null and d.state <> 'retired'))[1]
from registry.credential c join registry.device d on d.id = c.device
where c.device in (
    select device from registry.credential where changed >= %(xmin)s::xid8
    union select id from registry.device where changed >= %(xmin)s::xid8
)
group by d.device
"""
FINISHED = """
select d.id from unnest(%s::text[], %s::bytea[]) s (device, hash)
join registry.device d using (device) join registry.credential c on c.device = d.id
where c.slot = 1 and c.revoked is null and c.hash = s.hash for update of c
"""


async def rotating(connection: AsyncConnection) -> list[str]:
    """Devices of which two tokens count."""
    cursor = await connection.execute(
        "select d.device from registry.credential c join registry.device d on d.id = c.device"
        " where c.slot = 1 and c.revoked is null"
    )
    return [device for (device,) in await cursor.fetchall()]


async def finish_rotation(connection: AsyncConnection, seen: Mapping[str, bytes]) -> None:
    """The new token of each device was seen: it takes the place of the old one, which ends.

    `seen`: its hash. Of a device that was given another one meanwhile nothing changes: that one was not seen.
    """
    async with connection.transaction():
        cursor = await connection.execute(FINISHED, ([*seen], [*seen.values()]))
        found = [row[0] for row in await cursor.fetchall()]
        await connection.execute("delete from registry.credential where slot = 0 and device = any(%s)", (found,))
        await connection.execute(
            "update registry.credential set (slot, seen, changed) = (0, now(), pg_current_xact_id())"
            " where slot = 1 and device = any(%s)",
            (found,),
        )


async def note_seen(connection: AsyncConnection, used: Sequence[tuple[str, int, int]]) -> None:
    """Write down when tokens were last used: device, slot, seconds since 1970."""
    async with connection.transaction():
        await connection.execute("create temporary table used (device text, slot smallint, at bigint) on commit drop")
        async with connection.cursor().copy("copy used from stdin") as copy:
            for row in used:
                await copy.write_row(row)
        await connection.execute(
            "update registry.credential c set seen = to_timestamp(u.at)"
            " from (select device, slot, max(at) as at from used group by device, slot) u"
            " join registry.device d on d.device = u.device where c.device = d.id and c.slot = u.slot"
        )


async def changed_since(connection: AsyncConnection, xmin: int) -> tuple[int, list[tuple[str, Hashes]]]:
    """Devices whose tokens changed in transactions from `xmin` on, and the xmin to ask with next time; 0 = all.

    Every transaction below the returned xmin has ended, so no late commit is missed; a change may come twice.
    """
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read")
        cursor = await connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text")
        row = await cursor.fetchone()
        assert row is not None  # a select of a function always gives a row
        cursor = await connection.execute(CHANGED, {"xmin": str(xmin)}, binary=True)
        return int(row[0]), [(device, (first, second)) for device, first, second in await cursor.fetchall()]
