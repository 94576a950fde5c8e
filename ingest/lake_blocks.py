"""Readings of a local day as sorted Arrow tables, block by block.

Rows leave the database by binary COPY with a fixed width (NULLs become values that no reading has), so that numpy reads
them without looking at each; `extra`, which few readings have, follows in a query of its own.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
from psycopg import sql

from devices.family import Family, Metric
from ingest.chunks import Span
from ingest.parameters import EPOCH_2000_US

ROWS = 131_072
"""Rows of a block, and of a row group in the files: some 50 MB while it is worked on."""
MICROSECONDS = pa.timestamp("us", "UTC")
CODED = pa.dictionary(pa.int32(), pa.string())
FIXED = (("time", ">i8"), ("seq", ">i8"), ("received", ">i8"), ("batch", ">i8"), ("boot", ">i8"))
HAS_EXTRA = "extra is not null"
HEADER, TRAILER = 19, 2
YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)

Connection = psycopg.Connection[Any]
Rows = npt.NDArray[np.void]


class Group(NamedTuple):
    """Devices in the order of their text ids, and how many rows the day has of them together."""

    ids: list[int]
    names: list[str]
    rows: int


def schema(family: Family) -> pa.Schema:
    """Columns of the family's files: everything of a reading; states under their names, `extra` as JSON text."""
    metrics = [pa.field(metric.name, CODED if metric.kind == "state" else pa.float64()) for metric in family.metrics]
    return pa.schema(
        [
            pa.field("device", CODED, nullable=False),
            pa.field("area", CODED, nullable=False),
            pa.field("time", MICROSECONDS, nullable=False),
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("received", MICROSECONDS, nullable=False),
            pa.field("batch", pa.int64(), nullable=False),
            pa.field("boot", pa.int64()),
            *metrics,
            pa.field("extra", pa.string()),
        ]
    )


def blocks(connection: Connection, family: Family, span: Span) -> Iterator[pa.Table]:
    """All readings of the span, sorted by device (text id, bytewise), time and seq; at most ROWS rows at a time.

    The connection is in a transaction of its own that sees one snapshot.
    """
    areas = dict(connection.execute("select id, code from registry.area").fetchall())
    for group in groups(connection, family, span):
        for rows in read_group(connection, family, span, group):
            extras = read_extras(connection, family, span, group, rows)
            yield as_table(family, rows, extras, dict(zip(group.ids, group.names, strict=True)), areas)


def groups(connection: Connection, family: Family, span: Span) -> Iterator[Group]:
    """The devices that have readings, put together up to ROWS rows; one that has more is a group of its own."""
    # A device that was struck from the registry keeps its readings under its number: nothing is lost.
    counted = sql.SQL(
        "select c.device, n.name, c.rows from"
        " (select device, count(*) as rows from {} where time >= %s and time < %s group by device) c"
        " left join registry.device d on d.id = c.device,"
        " lateral (select coalesce(d.device, '#' || c.device) as name) n order by n.name collate \"C\""
    ).format(sql.Identifier("reading", family.name))
    ids: list[int] = []
    names: list[str] = []
    total = 0
    with connection.cursor(name="lake_devices") as cursor:
        cursor.itersize = 10_000
        for number, name, rows in cursor.execute(counted, span):
            if ids and total + rows > ROWS:
                yield Group(ids, names, total)
                ids, names, total = [], [], 0
            ids.append(number)
            names.append(name)
            total += rows
    if ids:
        yield Group(ids, names, total)


def row_type(family: Family) -> np.dtype[np.void]:
    """A row of the binary COPY: the number of fields, then per field its length and its value, big-endian."""
    fields = [
        *FIXED,
        ("device", ">i4"),
        ("area", ">i2"),
        (HAS_EXTRA, "u1"),
        *((m.name, metric_type(m)) for m in family.metrics),
    ]
    layout = [("fields of the row", ">i2")]
    for name, kind in fields:
        layout += [(f"bytes of {name}", ">i4"), (name, kind)]
    return np.dtype(layout)


def metric_type(metric: Metric) -> str:
    """How a metric's value travels; -1 and NaN stand for NULL, neither of which is ever stored."""
    return ">i2" if metric.kind == "state" else ">f8"


def read_group(connection: Connection, family: Family, span: Span, group: Group) -> Iterator[Rows]:
    """The group's rows in order, in blocks. Only a group of one device is ever larger than a block."""
    if len(group.ids) > 1:
        rows = read_rows(connection, family, copying(family, span, group))
        rank = np.zeros(max(group.ids) + 1, dtype=np.int64)
        rank[group.ids] = np.arange(len(group.ids))
        yield rows[np.lexsort((rows["seq"], rows["time"], rank[rows["device"]]))]
        return
    after = span.start - timedelta(microseconds=1), 0
    while len(rows := read_rows(connection, family, copying(family, span, group, after))):
        after = YEAR_2000 + timedelta(microseconds=int(rows["time"][-1])), int(rows["seq"][-1])
        yield rows


def copying(family: Family, span: Span, group: Group, after: tuple[datetime, int] | None = None) -> sql.Composed:
    """The COPY of a group's rows, in no order; or, of one device, the next block in order after a (time, seq)."""
    metrics = [
        sql.SQL("coalesce({}, -1::int2)" if m.kind == "state" else "coalesce({}, 'NaN'::float8)").format(
            sql.Identifier(m.name)
        )
        for m in family.metrics
    ]
    page: sql.Composable = sql.SQL("")
    if after is not None:
        page = sql.SQL("and (time, seq) > ({}, {}) order by time, seq limit {}").format(*after, ROWS)
    return sql.SQL(
        "copy (select time, seq, received, batch, coalesce(boot, -1), device, area, extra is not null, {} from {}"
        " where device = any({}) and time >= {} and time < {} {}) to stdout (format binary)"
    ).format(
        sql.SQL(", ").join(metrics),
        sql.Identifier("reading", family.name),
        sql.Literal(group.ids),
        sql.Literal(span.start),
        sql.Literal(span.end),
        page,
    )


def read_rows(connection: Connection, family: Family, statement: sql.Composed) -> Rows:
    """All rows of a binary COPY of fixed width."""
    buffer = bytearray()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            buffer += piece
    return np.frombuffer(memoryview(buffer)[HEADER : len(buffer) - TRAILER], dtype=row_type(family))


def read_extras(
    connection: Connection, family: Family, span: Span, group: Group, rows: Rows
) -> dict[tuple[int, int, int], str]:
    """(device, time, seq) → `extra` as JSON text, of the rows that have one. Time: µs since 2000."""
    if not rows[HAS_EXTRA].any():
        return {}
    first, last = (int(rows["time"].min()), int(rows["time"].max())) if len(group.ids) == 1 else (None, None)
    statement = sql.SQL(
        "select device, (extract(epoch from time) * 1000000)::int8 - %s, seq, extra::text from {}"
        " where device = any(%s) and time >= %s and time < %s and extra is not null"
    ).format(sql.Identifier("reading", family.name))
    cursor = connection.execute(statement, (EPOCH_2000_US, group.ids, *narrowed(span, first, last)))
    return {(device, time, seq): extra for device, time, seq, extra in cursor}


def narrowed(span: Span, first: int | None, last: int | None) -> Span:
    """The span, or the part of it between two times of rows, both included."""
    if first is None or last is None:
        return span
    return Span(YEAR_2000 + timedelta(microseconds=first), YEAR_2000 + timedelta(microseconds=last + 1))


def as_table(
    family: Family,
    rows: Rows,
    extras: dict[tuple[int, int, int], str],
    devices: dict[int, str],
    areas: dict[int, str],
) -> pa.Table:
    """Rows of the database as the lake writes them."""
    columns: list[pa.Array] = [
        coded(rows["device"], devices),
        coded(rows["area"], areas),
        pa.array(rows["time"].astype("i8") + EPOCH_2000_US).cast(MICROSECONDS),
        pa.array(rows["seq"].astype("i8")),
        pa.array(rows["received"].astype("i8") + EPOCH_2000_US).cast(MICROSECONDS),
        pa.array(rows["batch"].astype("i8")),
        pa.array(rows["boot"].astype("i8"), mask=rows["boot"] == -1),
    ]
    for metric in family.metrics:
        values = rows[metric.name]
        if metric.kind == "state":
            columns.append(coded(values, dict(enumerate(metric.states))))
        else:
            columns.append(pa.array(values.astype("f8"), mask=np.isnan(values)))
    columns.append(extra_column(rows, extras))
    return pa.Table.from_arrays(columns, schema=schema(family))


def coded(numbers: npt.NDArray[np.integer[Any]], names: dict[int, str]) -> pa.DictionaryArray:
    """Numbers under their names; -1 is NULL, a number without a name keeps itself behind a #."""
    present, places = np.unique(numbers, return_inverse=True)
    words = [names.get(int(number), f"#{number}") for number in present]
    null = None if present.size and present[0] != -1 else numbers == -1
    return pa.DictionaryArray.from_arrays(pa.array(places.astype("i4"), mask=null), pa.array(words, pa.string()))


def extra_column(rows: Rows, extras: dict[tuple[int, int, int], str]) -> pa.Array:
    """`extra` of each row, NULL where it has none."""
    if not extras:
        return pa.nulls(len(rows), pa.string())
    keys = zip(rows["device"].tolist(), rows["time"].tolist(), rows["seq"].tolist(), strict=True)
    return pa.array([extras.get(key) for key in keys], pa.string())
