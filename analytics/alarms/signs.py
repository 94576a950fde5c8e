"""Findings and events that wait to be looked at, and what the registry says of the devices: reading, nothing else."""

from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from analytics.alarms.matching import Sign
from analytics.alarms.outage import There
from analytics.binary import columns_of
from devices.identity import OFFLINE_AFTER
from devices.profile import PROFILES

SIGN = sql.SQL(
    "v.finding, v.device, v.name, v.area, v.family, v.model, v.detector, v.metric, v.since, v.found, v.until, v.score, "
    "v.value, v.expected, v.lat, v.lon, v.interval_s"
)
FINDINGS = sql.SQL("""
with chosen as (
    select s.id, s.finding from rollup.sign s
    where s.finding is not null {only} order by s.id limit %s
), gone as (
    delete from rollup.sign s using chosen o where s.id = o.id returning s.finding, s.began, s.noted
), each as materialized (
    select g.finding, bool_or(g.began) as began, min(g.noted) as noted from gone g group by g.finding
)
select {sign}, e.began, (extract(epoch from e.noted) * 1000000)::bigint - v.found
from each e join rollup.found v on v.finding = e.finding
order by v.found, v.finding
""")
OVER = sql.SQL("and exists (select from rollup.finding f where f.id = s.finding and f.until is not null)")
OPEN = sql.SQL("""
select {sign}, false, 0 from (
    select f.id from rollup.finding f where f.until is null
    union select f.id from rollup.finding f
    where f.detector = any(%s) and f.since > now() - interval '1 day' and f.until > now() - %s * interval '1 s'
    union select s.finding from rollup.sign s where s.finding is not null
) w join rollup.found v on v.finding = w.id
where not exists (select from rollup.sign s where s.finding = w.id and s.began)
order by v.found, v.finding
""").format(sign=SIGN)
EVENTS = """
with chosen as (select s.id, s.event from rollup.sign s where s.event is not null order by s.id limit %s),
gone as (delete from rollup.sign s using chosen o where s.id = o.id returning s.event)
select e.id, (extract(epoch from e.time) * 1000000)::bigint, e.kind, e.severity, e.inbox, e.device,
       d.id, d.area, d.family, e.message, e.detail ->> 'message_vi'
from ops.event e left join registry.device d on d.device = e.device
where e.id = any(array(select g.event from gone g)) order by e.id
"""
WAITING = "select exists(select from rollup.sign)"
POPULATION = """
select c.area, p.family, sum(c.devices)::integer
from registry.device_count c join registry.profile p on p.id = c.profile
where c.state = 'active' group by c.area, p.family
"""
FLEET = sql.SQL("""
select coalesce(d.lat, 'NaN'), coalesce(d.lon, 'NaN'), d.profile
from registry.device d where d.area = {} and d.state = 'active'
""")
PROFILE_SILENCE = "select id, profile, interval_s from registry.profile"
DANGER = "select distinct on (area) area, level from rollup.fire_danger order by area, day desc"
SLACK = 0.25
"""Intervals beyond those that a profile lets a device miss, as the detector of silence has it."""


class Event(NamedTuple):
    """A row of ops.event. `at`: µs since 1970; `device`, `area`: registry ids, `name`: as the event says it."""

    id: int
    at: int
    kind: str
    severity: str
    inbox: str | None
    name: str | None
    device: int | None
    area: int | None
    family: str | None
    message: str
    message_vi: str | None = None


def take_findings(connection: psycopg.Connection, most: int, only_over: bool = False) -> list[Sign]:
    """Findings that changed, as they are now, each once; they wait no more. `only_over`: of those that have ended."""
    query = FINDINGS.format(sign=SIGN, only=OVER if only_over else sql.SQL(""))
    return [sign_of(row) for row in connection.execute(query, (most,))]


def lasting(connection: psycopg.Connection, also: list[str], ended_s: float) -> list[Sign]:
    """Findings that last as far as was looked at; of some detectors those that ended less than so long ago, too."""
    found = [sign_of(row) for row in connection.execute(OPEN, (also, ended_s))]
    return [sign if sign.detector in also else sign._replace(until=None) for sign in found]


def sign_of(row: tuple[Any, ...]) -> Sign:
    """With the silence that its profile allows."""
    model, interval_s, began, late = row[5], *row[16:]
    after = PROFILES[model].offline_after if model in PROFILES else OFFLINE_AFTER
    return Sign._make((*row[:17], (after + SLACK) * interval_s, began, late))


def take_events(connection: psycopg.Connection, most: int) -> list[Event]:
    """Events that nobody has looked at."""
    return [Event(*row) for row in connection.execute(EVENTS, (most,))]


def population(connection: psycopg.Connection) -> dict[tuple[int, str], int]:
    """Active devices by area and family."""
    return {(area, family): devices for area, family, devices in connection.execute(POPULATION)}


def fleet(connection: psycopg.Connection, area: int) -> There:
    """The active devices of a district."""
    lat, lon, profile = columns_of(connection, FLEET.format(area), "f8 f8 i2")
    silent_s = np.zeros(int(profile.max(initial=0)) + 1)
    for number, name, interval_s in connection.execute(PROFILE_SILENCE):
        if number < len(silent_s):
            after = PROFILES[name].offline_after if name in PROFILES else OFFLINE_AFTER
            silent_s[number] = (after + SLACK) * interval_s
    return There(lat, lon, silent_s[profile])


def danger(connection: psycopg.Connection) -> dict[int, int]:
    """The newest level of fire danger by area."""
    return dict(connection.execute(DANGER).fetchall())
