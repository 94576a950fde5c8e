"""The engine after a restart: what lasts is read from the findings, what was told from the record."""

from collections import Counter
from typing import Any

import numpy as np
import psycopg

from analytics.alarms import signs
from analytics.alarms.engine import Engine
from analytics.alarms.fire import Fire
from analytics.alarms.matching import Match, Sign
from analytics.alarms.outage import LEAST_KM, Outage, apart_km, middle
from analytics.alarms.record import Record
from analytics.alarms.rules import FromAir, FromEvent, FromFire, FromSilence, Title
from analytics.indices.fire_evidence import KIND

ACTIVE = """
select l.id, l.key, l.kind, l.severity, l.rule, l.device, l.area, l.family,
       l.message, coalesce(l.message_en, l.message),
       (extract(epoch from l.last) * 1000000)::bigint,
       array(select m.device from ops.alarm_member m where m.alarm = l.id and m.until is null),
       (select coalesce(jsonb_object_agg(p.area, p.devices), '{}') from (
            select d.area, count(*) as devices from ops.alarm_member m join registry.device d on d.id = m.device
            where m.alarm = l.id group by d.area) p),
       array(select (e.detail ->> 'finding')::bigint from ops.alarm_evidence e
             where e.alarm = l.id and e.detail ? 'finding')
from ops.alarm l where l.cleared is null and l.rule is not null order by l.id
"""
BY_HAND = """
select distinct on (l.key) l.key, (extract(epoch from l.cleared) * 1000000)::bigint, l.cleared_by is not null
from ops.alarm l where l.key = any(%s) order by l.key, l.id desc
"""


def restore(connection: psycopg.Connection, engine: Engine, record: Record, now: int) -> None:
    """Bring the engine to where it was. Alarms of rules that are no more are over."""
    fire = next((rule for rule in engine.rules.rules if isinstance(rule, FromFire)), None)
    engine.take(signs.lasting(connection, list(KIND), fire.quiet_s if fire else 0.0))
    for row in connection.execute(ACTIVE).fetchall():
        active(engine, record, row, now)
    folding = engine.folding
    quiet = [key for key, matter in folding.matters.items() if not matter.raised]
    for key, cleared, by_hand in connection.execute(BY_HAND, (quiet,)).fetchall():
        matter = folding.matters[key]
        matter.settled = by_hand and matter.newest <= cleared


def active(engine: Engine, record: Record, row: tuple[Any, ...], now: int) -> None:
    """Take up one alarm that lasts."""
    number, key, kind, severity, name, device, area, family, vi, en, last, there, peaks, evidence = row
    rule, folding = engine.rules.named(name), engine.folding
    if isinstance(rule, FromAir | FromEvent):
        return
    if isinstance(rule, FromFire) and engine.fires is not None:
        engine.fires.lasting[key] = Fire(key, number, severity, last, set(evidence), set(there))
        return
    if isinstance(rule, FromSilence):
        match = Match(rule, key, kind, severity, Title(vi, en), device, area, family)
        resume(engine, match, set(there))
    if key not in folding.matters:
        record.clear([(key, max(now, last))])
        return
    matter = folding.matters[key]
    matter.told, matter.alarm, matter.last, matter.severity = set(there), number, last, severity
    matter.said = (area, vi)
    matter.peaks |= Counter({int(place): devices for place, devices in peaks.items()})
    folding.mark(key)


def resume(engine: Engine, match: Match, there: set[int]) -> None:
    """An outage that lasts. Of several districts each is as large as its members show (Silences)."""
    silent = engine.folding.silent
    places = {match.area: silent.get(match.area, {})} if match.area is not None else dict(silent)
    some = {area: [sign for sign in signs.values() if sign.device in there] for area, signs in places.items()}
    matter = engine.folding.move([sign for signs in some.values() for sign in signs], match)
    if matter is None or engine.silences is None:
        return
    matter.back = engine.silences.rule.back
    whole = match.kind == "power_cut" and match.area is not None
    engine.silences.remember(match.key, [part(area, signs, whole) for area, signs in some.items() if signs])


def part(area: int, some: list[Sign], whole: bool) -> Outage:
    """An outage of a district, as these devices show it."""
    lat, lon = np.array([sign.lat for sign in some]), np.array([sign.lon for sign in some])
    y, x = middle(lat, lon)
    km = max(LEAST_KM, float(np.nanmax(apart_km(lat, lon, y, x)))) if y == y and x == x else 0.0
    moment = max(sign.since for sign in some)
    latest = max(moment, min(sign.since + round(sign.interval_s * 1e6) for sign in some))
    return Outage(area, moment, tuple(some), whole, y, x, km, latest)
