"""Devices found by what people know of them: id, name without diacritics, serial, EUI, foreign name, owner, tag."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from devices.envelopes.lorawan import normal_eui

Connection = psycopg.Connection[Any]
Query = tuple[str, tuple[object, ...]]

COLUMNS = ("device", "profile", "family", "area", "name", "lat", "lon", "state", "last_seen", "last_seq")
LISTED = sql.SQL("select {} from city.device").format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS)))
LIKE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def list_devices(connection: Connection, text: str | None, limit: int) -> Sequence[tuple[Any, ...]]:
    """Devices as city.device shows them, those that a text names; by id, what is named exactly first."""
    if not text or not text.strip():
        return connection.execute(LISTED + sql.SQL(" order by device limit %s"), (limit,)).fetchall()
    names = find(connection, text, limit)
    order = sql.SQL(" where device = any(%s) order by array_position(%s::text[], device)")
    return connection.execute(LISTED + order, (names, names)).fetchall()


def find(connection: Connection, text: str, limit: int) -> list[str]:
    """Ids of devices that a text names, at most `limit`, the likeliest first.

    Asked in turn: what is it exactly; what begins so; whose words begin with all words of the text; and, when nothing
    did, whose id or serial holds it somewhere.
    """
    text = text.strip().replace("\0", "")
    row = connection.execute("select registry.fold(%s)", (text,)).fetchone()
    assert row is not None  # a select of a function always gives a row
    folded: str = row[0]
    found: dict[str, None] = {}
    for statement, parameters in questions(text, folded):
        if len(found) < limit:
            found |= dict.fromkeys(device for (device,) in connection.execute(statement.encode(), (*parameters, limit)))
    if not found:
        pattern = f"%{text.lower().translate(LIKE)}%"
        rows = connection.execute(SOMEWHERE.encode(), (pattern, pattern, limit))
        found = dict.fromkeys(device for (device,) in rows)
    return list(found)[:limit]


def questions(text: str, folded: str) -> Iterator[Query]:
    """What to ask of the registry's indexes, one after the other; each takes a limit at its end."""
    yield "select device from registry.device where device = %s limit %s", (text.lower(),)
    if eui := normal_eui(text.removeprefix("0x")):
        yield "select device from registry.device where eui = %s limit %s", (eui,)
        yield ALIAS, (eui, eui)
    if folded:
        yield ALIAS, (folded, folded + LAST)
        yield SERIAL, (folded, folded + LAST)
    yield (
        "select device from registry.device where device like %s order by device limit %s",
        (text.lower().translate(LIKE) + "%",),
    )
    if words := folded.split():
        yield WORDS, (" & ".join(f"'{word.translate(QUOTED)}':*" for word in words),)


LAST = "\U0010ffff"
QUOTED = str.maketrans({"'": "''", "\\": "\\\\"})
ALIAS = """
select d.device from registry.alias l join registry.device d on d.id = l.device
where registry.fold(l.foreign_id) collate "C" between %s and %s
order by registry.fold(l.foreign_id) collate "C" limit %s
"""
SERIAL = """
select device from registry.device where serial is not null and registry.fold(serial) collate "C" between %s and %s
order by registry.fold(serial) collate "C" limit %s
"""
# Of more than 5,000 devices that share a word some are looked at; whoever means one of them says more.
WORDS = """
select device from (
    select device from registry.device
    where registry.words(coalesce(name, '') || ' ' || coalesce(owner, '') || ' ' || coalesce(tags, '')) @@ %s::tsquery
    limit 5000
) d order by device limit %s
"""
SOMEWHERE = """
select device from registry.device where device like %s or serial ilike %s limit %s
"""


def show(connection: Connection, device: str) -> dict[str, Any] | None:
    """All that the registry and the views know of a device; None for one that is not enrolled."""
    with connection.cursor(row_factory=dict_row) as cursor:
        known = cursor.execute("select * from city.device where device = %s", (device,)).fetchone()
        if known is None:
            return None
        row = cursor.execute(
            "select d.enrolled, a.name_vi as area_name, p.interval_s from registry.device d"
            " join registry.area a on a.id = d.area join registry.profile p on p.id = d.profile where d.device = %s",
            (device,),
        ).fetchone()
        aliases = cursor.execute(
            "select l.route || ':' || l.foreign_id as alias from registry.alias l"
            " join registry.device d on d.id = l.device where d.device = %s order by 1",
            (device,),
        ).fetchall()
        tokens = cursor.execute(
            "select slot, issued, seen, revoked from city.credential where device = %s order by slot", (device,)
        ).fetchall()
    return {**known, **(row or {}), "aliases": [one["alias"] for one in aliases], "credentials": tokens}
