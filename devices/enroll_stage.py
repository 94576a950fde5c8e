"""Rows of an enrolment beside the registry, where SQL looks at all of them at once: in the file, and who is there.

The table `enrolling` lasts as long as the transaction. Its column `given` says, a bit each, what a device that is there
already takes over; `wrong` and `warned` hold mistakes and warnings of a line as JSON.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
import psycopg

from devices.enroll import Given, Judged, Mistake, Row

Cursor = psycopg.Cursor[Any]
Step = Callable[[Cursor], None]
Told = Callable[[int], None]

BITS = {"name": 1, "lat": 2, "owner": 4, "installed": 8, "serial": 16, "firmware": 32, "tags": 64, "eui": 128}
PIECE = 5_000
MOST_SHOWN = 1_000
STAGE = """
create temporary table enrolling (
    line integer, device text, profile text, area text, name text, lat double precision, lon double precision,
    route text, foreign_ids text[], owner text, installed date, serial text, firmware text, tags text, eui text,
    state text, given integer, wrong text, warned text
) on commit drop
"""
# A device twice, an EUI twice, an alias twice: the second time is the mistake.
TWICE = """
insert into finding
with said as ({said}), twice as (select value, min(line) as first from said group by value having count(*) > 1)
select s.line, s.device, 'mistake', '{column}', s.value, format('stands on line %s already', t.first)
from twice t join said s using (value) where s.line > t.first and {unless}
"""
# For LoRaWAN the alias is the EUI: it is not said twice.
ALIAS_SAID = "not exists (select from finding f where f.line = s.line and f.\"column\" = 'alias')"
SAID = {
    "device": "select line, device, device as value from enrolling where device is not null",
    "alias": "select e.line, e.device, e.route || ':' || f as value from enrolling e, unnest(e.foreign_ids) f",
    "eui": "select line, device, eui as value from enrolling where eui is not null",
}
# What belongs to a device that is there; one that is retired gives away its EUI and its aliases.
TAKEN = """
insert into finding
select line, device, 'mistake', 'eui', value,
       format('belongs to device %1$s; retire that one first: dothi devices retire %1$s', owner)
from (
    select e.line, e.device, e.eui as value, d.device as owner from enrolling e join registry.device d on d.eui = e.eui
    where d.device <> e.device and d.state <> 'retired' and not exists (
        select from registry.alias l where (l.route, l.foreign_id, l.device) = (e.route, e.eui, d.id))) t
union all
select line, device, 'mistake', 'alias', value,
       format('belongs to device %1$s; retire that one first: dothi devices retire %1$s', owner)
from (
    select e.line, e.device, e.route || ':' || f as value, d.device as owner
    from enrolling e, unnest(e.foreign_ids) f
    join registry.alias l on l.foreign_id = f join registry.device d on d.id = l.device
    where l.route = e.route and d.device <> e.device and d.state <> 'retired') t
"""
FAMILIES = """
insert into finding
select e.line, e.device, 'mistake', 'profile', e.profile,
       format('device %s: profile %s is of another family than %s, under which it is enrolled; enrol it under a new id',
              e.device, e.profile, o.profile)
from enrolling e join registry.device d using (device)
join registry.profile o on o.id = d.profile join registry.profile n on n.profile = e.profile
where o.family <> n.family
"""
FINDINGS = """
create temporary table finding (line integer, device text, result text, "column" text, value text, detail text)
on commit drop
"""
UNPACK = """
insert into finding select e.line, e.device, '{result}', m ->> 0, m ->> 1, m ->> 2
from enrolling e, jsonb_array_elements(e.{column}::jsonb) m where e.{column} is not null
"""


def nothing(_: object) -> None:
    """What is done where nothing is to be done."""


class Staged(NamedTuple):
    """What was found, lines of the file counted. `mistakes` and `warnings` hold the first of them."""

    devices: int
    wrong: int
    warned: int
    mistakes: list[Mistake]
    warnings: list[Mistake]


def stage(cursor: Cursor, judged: Iterable[Judged], before: Step = nothing, told: Told = nothing) -> Staged:
    """COPY every line, look for what no line shows by itself; all findings stand in the temporary table `finding`.

    `before` is called before the registry is looked at, `told` with the number of further lines now and then.
    """

    def texts() -> Iterator[str]:
        for piece in pieces(judged):
            yield "".join(map(line_of, piece))
            told(len(piece))

    return stage_text(cursor, texts(), before)


def stage_text(cursor: Cursor, texts: Iterable[str], before: Step = nothing, columns: str = "") -> Staged:
    """As `stage`, of ready lines of the COPY text format; `columns`: which, in brackets, unless all."""
    cursor.execute(STAGE)
    cursor.execute(FINDINGS)
    with cursor.copy(f"copy enrolling {columns} from stdin (null '')".encode()) as copy:
        for text in texts:
            copy.write(text)
    cursor.execute("analyze enrolling")
    before(cursor)
    for result, column in (("mistake", "wrong"), ("warning", "warned")):
        cursor.execute(UNPACK.format(result=result, column=column).encode())
    find_clashes(cursor)
    return staged(cursor)


def stage_rows(cursor: Cursor, rows: Iterable[Row], before: Step = nothing) -> Staged:
    """Rows that stand in no file: they are counted from 1."""
    return stage(cursor, (Judged(line, row.device, row, [], []) for line, row in enumerate(rows, 1)), before)


def find_clashes(cursor: Cursor) -> None:
    """Note what stands in the file twice, what belongs to another device, and who would change its family."""
    for column, said in SAID.items():
        unless = ALIAS_SAID if column == "eui" else "true"
        cursor.execute(TWICE.format(column=column, said=said, unless=unless).encode())
    cursor.execute(TAKEN)
    cursor.execute(FAMILIES)


def staged(cursor: Cursor) -> Staged:
    """How many lines were right, and what was found."""
    counted = cursor.execute(
        "select count(*) filter (where result = 'mistake'), count(*) filter (where result = 'warning'),"
        " (select count(*) from enrolling e where e.wrong is null"
        "  and not exists (select from finding f where f.line = e.line and f.result = 'mistake')) from finding"
    ).fetchone()
    assert counted is not None  # an aggregate always gives a row
    first = [
        [
            Mistake(*row)
            for row in cursor.execute(
                'select line, "column", value, detail from finding where result = %s order by line limit %s',
                (result, MOST_SHOWN),
            )
        ]
        for result in ("mistake", "warning")
    ]
    return Staged(counted[2], counted[0], counted[1], *first)


def pieces(judged: Iterable[Judged]) -> Iterator[list[Judged]]:
    """Lines in lists of a handy size."""
    piece: list[Judged] = []
    for one in judged:
        piece.append(one)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def line_of(judged: Judged) -> str:
    r"""A line of the COPY text format, NULL being nothing. Rows hold no control characters, so only `\` is doubled."""
    row = judged.row
    if row is None:
        text = f"{judged.line}\t{judged.device}" + "\t" * 15
    else:
        names = array_of((row.foreign_id, *row.further)) if row.foreign_id else ""
        installed = row.installed.isoformat() if row.installed else ""
        position = f"{row.lat}\t{row.lon}" if row.lat is not None else "\t"
        text = (
            f"{judged.line}\t{row.device}\t{row.profile}\t{row.area}\t{row.name or ''}\t{position}\t{row.route or ''}\t"
            f"{names}\t{row.owner or ''}\t{installed}\t{row.serial or ''}\t{row.firmware or ''}\t{row.tags or ''}\t"
            f"{row.eui or ''}\t{row.state}\t{bits_of(row.given)}"
        )
    text = f"{text}\t{packed(judged.mistakes)}\t{packed(judged.warnings)}\n"
    return text.replace("\\", "\\\\") if "\\" in text else text


def array_of(names: Iterable[str]) -> str:
    """A literal of text[]."""
    quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "{" + ",".join(quoted) + "}"


def packed(mistakes: list[Mistake]) -> str:
    """Mistakes of one line as JSON."""
    if not mistakes:
        return ""
    return msgspec.json.encode([(shown(m.column), shown(m.value), m.detail) for m in mistakes]).decode()


def shown(said: str) -> str:
    """A text of the file as a database takes it: no NUL, no halves of letters."""
    return said.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()


@cache
def bits_of(given: Given) -> int:
    """Columns as bits."""
    return sum(bit for column, bit in BITS.items() if column in given)
