"""The columns of rollups: what is stored of each metric, and how it is shown.

Stored are sums, not averages, so that days are made from hours; what is zero or absent is NULL and takes no room.
Per gauge and counter: `_sum`, `_min`, `_max`, `_n` (readings with the metric); per counter also `_increase`; per state
`_n` and `_held`, seconds by state.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from psycopg import sql

from devices.family import Family, Metric

DOUBLE, INTEGER, JSONB = "double precision", "integer", "jsonb"


class Stored(NamedTuple):
    """One column: its type, its value over readings `r` of one device and area, and what joins two such values."""

    name: str
    kind: str
    read: sql.Composable
    join: str  # "sum", "min", "max", or "" where parts cannot be joined


@cache
def stored_columns(family: Family) -> list[Stored]:
    """What is kept of each metric, in the order of the table: wide columns first, against padding."""
    found = [column for metric in family.metrics for column in metric_columns(metric)]
    return sorted(found, key=lambda column: (DOUBLE, INTEGER, JSONB).index(column.kind))


def metric_columns(metric: Metric) -> Iterator[Stored]:
    """The columns of one metric."""
    value, step = sql.Identifier("r", metric.name), sql.Identifier("r", f"{metric.name}_step")
    if metric.kind != "state":
        yield Stored(f"{metric.name}_sum", DOUBLE, sql.SQL("sum({})").format(value), "sum")
        yield Stored(f"{metric.name}_min", DOUBLE, sql.SQL("min({})").format(value), "min")
        yield Stored(f"{metric.name}_max", DOUBLE, sql.SQL("max({})").format(value), "max")
    if metric.kind == "counter":
        yield Stored(f"{metric.name}_increase", DOUBLE, sql.SQL("sum({})").format(step), "sum")
    yield Stored(f"{metric.name}_n", INTEGER, sql.SQL("nullif(count({}), 0)::integer").format(value), "sum")
    if metric.kind == "state":
        yield Stored(f"{metric.name}_held", JSONB, sql.Identifier(f"{metric.name}_time", "held"), "")


def summed_columns(family: Family) -> list[Stored]:
    """The columns that areas have too."""
    return [column for column in stored_columns(family) if column.join and not is_state(family, column)]


def is_state(family: Family, column: Stored) -> bool:
    """Whether a column belongs to a state."""
    metric = family.metrics[family.index[column.name.rpartition("_")[0]]]
    return metric.kind == "state"


def has(family: Family, kind: str) -> bool:
    """Whether a family has a metric of a kind."""
    return any(metric.kind == kind for metric in family.metrics)


def gauges_only(family: Family) -> bool:
    """Whether parts of a bucket can be added up without looking at what came before it."""
    return all(metric.kind == "gauge" for metric in family.metrics)


def table_columns(family: Family) -> dict[str, str]:
    """Column → type of rollup.<family>_<width>."""
    columns = {"bucket": "timestamp with time zone", "device": "integer", "n": "integer", "area": "smallint"}
    return columns | {column.name: column.kind for column in stored_columns(family)}


def area_columns(family: Family) -> dict[str, str]:
    """Column → type of rollup.<family>_area_<width>. `filled`: the sum of the devices' `complete`."""
    columns = {"bucket": "timestamp with time zone", "filled": DOUBLE, "n": "bigint", "devices": "integer"}
    wide = {column.name: column.kind.replace(INTEGER, "bigint") for column in summed_columns(family)}
    return columns | {"area": "smallint"} | wide


def names(columns: list[Stored], table: str = "") -> sql.Composable:
    """A list of columns, of a table when named."""
    return sql.SQL(", ").join(sql.Identifier(*filter(None, (table, column.name))) for column in columns)


def shown(family: Family, row: str) -> dict[str, sql.Composable]:
    """View column → expression over a row of stored columns."""
    return {name: value for metric in family.metrics for name, value in shown_metric(metric, row)}


def shown_metric(metric: Metric, row: str) -> Iterator[tuple[str, sql.Composable]]:
    """What views show of one metric."""

    def of(suffix: str) -> sql.Identifier:
        return sql.Identifier(row, f"{metric.name}_{suffix}")

    if metric.kind == "state":
        known = sql.SQL("(select sum(h.value::double precision) from jsonb_each({}) h)").format(of("held"))
        share = sql.SQL(
            "(select jsonb_object_agg(h.key, h.value::double precision / k.known) "
            "from (select {} as known) k, jsonb_each({}) h where k.known > 0)"
        )
        yield f"{metric.name}_share", share.format(known, of("held"))
        yield f"{metric.name}_known_s", sql.SQL("coalesce({}, 0)").format(known)
    else:
        yield f"{metric.name}_avg", sql.SQL("{} / {}").format(of("sum"), of("n"))
        yield f"{metric.name}_min", of("min")
        yield f"{metric.name}_max", of("max")
    if metric.kind == "counter":
        yield f"{metric.name}_increase", of("increase")
    yield f"{metric.name}_n", sql.SQL("coalesce({}, 0)").format(of("n"))
