"""Views over what analytics keeps: newest values, and the registry with when each device was last heard."""

from functools import partial

import psycopg
from psycopg import sql

from devices.family import FAMILIES, Family
from devices.relations import ViewBody, reading_expressions, replace_view, with_retries


def reconcile_views(connection: psycopg.Connection) -> list[str]:
    """Make the views of all families; returns what was changed, a line each. The families' tables exist."""
    views = {f"latest_{family.name}": latest_view(family) for family in FAMILIES.values()} | {"device": device_view()}
    done = []
    for name, body in views.items():
        done += with_retries(connection, partial(replace_view, connection, name, body))
    return done


def latest_view(family: Family) -> ViewBody:
    """city.latest_<family>: the newest reading of each device, found through the key, as of now."""
    source = sql.SQL(
        "from registry.device d join registry.profile p on p.id = d.profile and p.family = {} "
        "cross join lateral (select * from {} n where n.device = d.id order by n.time desc, n.seq desc limit 1) r "
        "join registry.area a on a.id = r.area"
    ).format(sql.Literal(family.name), sql.Identifier("reading", family.name))
    return reading_expressions(family) | {"as_of": sql.SQL("now()")}, source


def device_view() -> ViewBody:
    """city.device: the registry and when each device was last heard."""
    newest = sql.SQL(" union all ").join(
        sql.SQL(
            "(select n.received, n.seq from {} n where p.family = {} and n.device = d.id "
            "order by n.time desc, n.seq desc limit 1)"
        ).format(sql.Identifier("reading", name), sql.Literal(name))
        for name in FAMILIES
    )
    columns = "d.device p.profile p.family a.code:area d.name d.lat d.lon d.state l.received:last_seen l.seq:last_seq"
    expressions: dict[str, sql.Composable] = {}
    for column in [*columns.split(), "o.online:online"]:
        expression, _, name = column.partition(":")
        expressions[name or expression[2:]] = sql.SQL(expression)
    source = sql.SQL(
        "from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area "
        "left join ops.presence o on o.device = d.id left join lateral ({}) l on true"
    ).format(newest)
    return expressions, source
