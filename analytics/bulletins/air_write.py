"""Air indices → their tables, and the legal tables they were made with beside them."""

from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics import tables
from analytics.indices.advice import Advice, advice_for
from analytics.indices.nowcast import Floats
from analytics.indices.us_aqi import Gauge, Gauges
from analytics.indices.vn_aqi import POLLUTANTS, Index, Scale
from analytics.rollup.width import Width

Ints = npt.NDArray[np.integer]

COLUMNS = ("device", "area", "source", "complete", "vn_aqi", *POLLUTANTS, "dominant", "us_aqi", "us_dominant")
REQUIRED = 4
KINDS = ("integer", "smallint", "smallint", "real") + ("smallint",) * (len(COLUMNS) - REQUIRED)
WRITE = sql.SQL("""
insert into {table} (bucket, {names})
select timestamptz 'epoch' + u.us * interval '1 us', {values} from unnest(%s::bigint[], {arrays}) u (us, {names})
on conflict (device, bucket) do update set ({names}) = ({new})
where ({old}) is distinct from ({new})
""")
SOURCE = """
insert into rollup.air_source (vn_set, vn_source, us_set, us_source) values (%s, %s, %s, %s)
on conflict (vn_set, vn_source, us_set, us_source) do update set vn_set = excluded.vn_set returning id
"""
BAND = """
insert into rollup.air_band (high, low, name_vi, name_en, colour, effect_vi, effect_en, everyone_vi, everyone_en,
                             sensitive_vi, sensitive_en) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class Legal(NamedTuple):
    """The tables in force on a day, and what they are called in rollup.air_source."""

    scale: Scale
    gauges: Gauges
    source: int


def legal_on(connection: psycopg.Connection, day: date, province: str) -> Legal:
    """The tables of a province on a day. Raises TableRefused."""
    vn = tables.load("vn_aqi", province, day, Scale)
    us = tables.load("us_aqi", province, day, dict[str, Gauge])
    said = [(table.set, f"{table.source} ({table.read})") for table in (vn, us)]
    row = connection.execute(SOURCE, (*said[0], *said[1])).fetchone()
    assert row is not None  # an insert that returns
    return Legal(vn.held, us.held, int(row[0]))


def write_bands(connection: psycopg.Connection, day: date, province: str) -> None:
    """Names, colours and advice of the bands in force on a day."""
    scale = tables.load("vn_aqi", province, day, Scale).held
    advice = tables.load("vn_aqi_advice", province, day, list[Advice]).held
    connection.execute("delete from rollup.air_band")
    for band in scale.bands:
        told = advice_for(advice, band.high)
        sentences = (
            [part for one in (told.effect, told.everyone, told.sensitive) for part in (one["vi"], one["en"])]
            if told
            else [""] * 6
        )
        connection.execute(BAND, (band.high, band.low, band.vi, band.en, band.colour, *sentences))


class Made(NamedTuple):
    """Indices of n hours or days: `bucket` in µs since 1970 UTC, `device`, `area`: registry ids, `complete`: 0–1."""

    bucket: Ints
    device: Ints
    area: Ints
    complete: Floats
    vn: Index
    us: Index


def write(connection: psycopg.Connection, width: Width, made: Made, source: int) -> None:
    """Insert the rows, or correct those that are there and differ."""
    numbers = [made.vn.total, *made.vn.sub.T, made.vn.dominant, made.us.total, made.us.dominant]
    nullable = [[None if not value >= 0 else int(value) for value in column.tolist()] for column in numbers]
    arrays = [made.bucket.tolist(), made.device.tolist(), made.area.tolist(), [source] * len(made.device)]
    connection.execute(statement(width), [*arrays, made.complete.tolist(), *nullable])


def statement(width: Width) -> sql.Composed:
    """Bucket and COLUMNS, an array each."""

    def names(table: str = "") -> sql.Composable:
        return sql.SQL(", ").join(sql.Identifier(*filter(None, (table, name))) for name in COLUMNS)

    return WRITE.format(
        table=sql.Identifier("rollup", f"air_index_{width.name}"),
        names=names(),
        values=names("u"),
        arrays=sql.SQL(", ").join(sql.SQL("%s::" + kind + "[]") for kind in KINDS),
        new=names("excluded"),
        old=names(f"air_index_{width.name}"),
    )
