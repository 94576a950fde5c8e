"""city.device_health: of each device what the desk asks first: is it heard, does it say enough, what is wrong with it.

As city.device, over the registry itself, so that a device or a zone asked for reaches its indexes; everything else is
looked up by the key of the device.
"""

from psycopg import sql

from analytics.newest_rows import newest_table
from analytics.reconcile import REBUILDING, by_family
from analytics.rollup.body import closed_until
from analytics.rollup.width import HOUR
from devices.family import FAMILIES, Family
from devices.relations import ViewBody

BATTERY = "battery_level"
PLAIN = {
    "device": "d.device",
    "area": "lpad(d.area::text, 3, '0')",
    "family": "d.family",
    "profile": "p.profile",
    "name": "d.name",
    "state": "d.state",
    "interval_s": "p.interval_s",
    "last_heard": "to_timestamp(h.seen[1])",
    "silent_s": "extract(epoch from now())::float8 - h.seen[1]",
    "reporting_24h": "least(1.0, h.readings * p.interval_s / 86400.0)::float8",
    "battery": "h.seen[3]",
    "battery_days_left": "f.days_left",
    "skew_s": "h.seen[1] - h.seen[2]",
    "findings": "coalesce(f.findings, array[]::text[])",
    "score": "f.score",
    "since": "f.since",
    "lat": "d.lat",
    "lon": "d.lon",
}
FOUND = """
cross join lateral (
    select array_agg(o.detector || coalesce(':' || nullif(o.metric, ''), '')
                     order by o.score desc, o.detector, o.metric) as findings,
           max(o.score) as score, min(o.since) as since,
           min(o.value) filter (where o.detector = 'battery') as days_left
    from rollup.finding o where o.device = d.id and o.until is null) f
"""


def health_view() -> ViewBody:
    """Column → expression, and the source: d (device), p (profile), h (newest reading and count), f (findings)."""
    source = sql.SQL(
        "from registry.device d join registry.profile p on p.id = d.profile "
        "cross join lateral (select {} as seen, {} as readings) h {}"
    ).format(seen(), by_family({name: readings(family) for name, family in FAMILIES.items()}), sql.SQL(FOUND))
    return {name: sql.SQL(expression) for name, expression in PLAIN.items()}, source


def seen() -> sql.Composed:
    """Receipt and time of the newest reading, s since 1970, and its battery level; the readings themselves are asked
    while the newest values are being made anew."""
    kept = {
        name: sql.SQL("(select {} from {} r where r.device = d.id)").format(told(family), newest_table(family, True))
        for name, family in FAMILIES.items()
    }
    asked = {
        name: sql.SQL("(select {} from {} r where r.device = d.id order by r.time desc, r.seq desc limit 1)").format(
            told(family), sql.Identifier("reading", name)
        )
        for name, family in FAMILIES.items()
    }
    return sql.SQL("coalesce({}, case when {} then {} end)").format(by_family(kept), REBUILDING, by_family(asked))


def told(family: Family) -> sql.Composed:
    """Of a reading r."""
    battery = sql.Identifier("r", BATTERY) if BATTERY in family.index else sql.SQL("null")
    return sql.SQL(
        "array[extract(epoch from r.received)::float8, extract(epoch from r.time)::float8, {}::float8]"
    ).format(battery)


def readings(family: Family) -> sql.Composed:
    """How many of the last 24 hours that are closed."""
    until = closed_until(family, HOUR)
    return sql.SQL(
        "(select coalesce(sum(x.n), 0)::float8 from {} x "
        "where x.device = d.id and x.bucket >= {} - interval '24 hours' and x.bucket < {})"
    ).format(sql.Identifier("rollup", f"{family.name}_1h"), until, until)
