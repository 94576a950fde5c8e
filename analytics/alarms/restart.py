"""The engine after a restart: what lasts is read from the findings, what was told from the record."""

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
       (extract(epoch from l.last) * 1000000)::bigint, l.members,
       array(select m.device from ops.alarm_member m where m.alarm = l.id and m.until is null),
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
    number, key, kind, severity, name, device, area, family, vi, en, last, members, there, evidence = row
    rule, folding = engine.rules.named(name), engine.folding
    if isinstance(rule, FromAir | FromEvent):
        return
    if isinstance(rule, FromFire) and engine.fires is not None:
        engine.fires.lasting[key] = Fire(key, number, severity, last, set(evidence), set(there))
        return
    if isinstance(rule, FromSilence):
        match = Match(rule, key, kind, severity, Title(vi, en), device, area, family)
        resume(engine, match, [sign for sign in folding.silent.get(area, {}).values() if sign.device in set(there)])
    if key not in folding.matters:
        record.clear([(key, max(now, last))])
        return
    matter = folding.matters[key]
    matter.told, matter.alarm, matter.last, matter.severity = set(there), number, last, severity
    matter.peak = max(matter.peak, members)
    folding.mark(key)


def resume(engine: Engine, match: Match, some: list[Sign]) -> None:
    """An outage that lasts."""
    matter = engine.folding.move(some, match)
    if matter is None or engine.silences is None or match.area is None:
        return
    matter.back = engine.silences.rule.back
    lat, lon = np.array([sign.lat for sign in some]), np.array([sign.lon for sign in some])
    y, x = middle(lat, lon)
    km = max(LEAST_KM, float(np.nanmax(apart_km(lat, lon, y, x)))) if y == y and x == x else 0.0
    moment = max(sign.since for sign in some)
    latest = max(moment, min(sign.since + round(sign.interval_s * 1e6) for sign in some))
    whole = match.kind == "power_cut"
    engine.silences.remember(match.key, Outage(match.area, moment, tuple(some), whole, y, x, km, latest))
