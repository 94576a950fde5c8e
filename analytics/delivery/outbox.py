"""From what happened to alarms to what each receiver is to be told, and what came of it: ops.delivery."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import class_row, dict_row

from analytics.delivery.channel import Undelivered
from analytics.delivery.letter import News
from analytics.delivery.routes import PROVINCE, Chosen, Language, Routes, chosen
from analytics.delivery.store import Connection

PORTION = 500
TIDY_PORTION = 5_000
KEPT = "30 days"
RECEDED = "receded"
FOLLOWS = ("acknowledged", "cleared")
"""Told to those who were told that the alarm began, whatever the hour is."""
SILENT = ("shelved", "maintenance")
"""States of alarms to which nobody is called."""

TAKE = """
with taken as (
    delete from ops.alarm_news n
    where n.history in (select history from ops.alarm_news order by history limit %s)
    returning n.history
)
select h.id as history, h.alarm, h.what, h.recorded as at, coalesce(h.severity, a.severity) as severity,
       a.kind, a.state,
       case when h.detail ? 'areas' then array(select jsonb_array_elements_text(h.detail -> 'areas'))
            else coalesce(array[a.area]::text[] || case when a.area is null then (
                select array_agg(distinct m.area) from city.alarm_member m where m.alarm = a.id) end, '{}')
       end as areas,
       array(select jsonb_array_elements_text(h.detail -> 'still')) as still
from taken t join city.alarm_history h on h.id = t.history left join city.alarm a on a.id = h.alarm
order by h.id
"""
TOLD = "select distinct alarm, receiver from ops.delivery where alarm = any(%s) and state <> 'given_up'"
PUT = """
insert into ops.delivery (receiver, history, alarm, what, route, language) values (%s, %s, %s, %s, %s, %s)
on conflict (receiver, history) do nothing
"""
# The first of each alarm only, so that a receiver hears of one alarm in order; while the receiver is away only one.
DUE = """
select d.id, d.key::text as key, d.history, d.alarm, d.language, d.attempts, d.away
from ops.delivery d
where d.receiver = %(receiver)s and d.state = 'waiting' and d.next_try <= clock_timestamp()
  and not exists (select from ops.delivery e
                  where e.receiver = %(receiver)s and e.away and e.next_try > clock_timestamp())
  and not exists (select from ops.delivery e where e.alarm = d.alarm and e.receiver = d.receiver
                  and e.history < d.history and e.state = 'waiting')
order by d.history
limit case when exists (select from ops.delivery e where e.receiver = %(receiver)s and e.away) then 1 else %(most)s end
"""
HISTORY = """
select h.id, h.what, h.recorded, h.by, h.note, h.severity, n.vi as areas_vi, n.en as areas_en
from city.alarm_history h cross join lateral (
    select string_agg(a.name_vi, ', ' order by a.code) as vi, string_agg(a.name_en, ', ' order by a.code) as en
    from registry.area a where h.detail -> 'areas' ? a.code) n
where h.id = any(%s)
"""
ALARMS = """
select a.*, r.name_vi as area_vi, r.name_en as area_en
from city.alarm a left join registry.area r on r.code = a.area where a.id = any(%s)
"""
ANSWERED = """
with back as (
    update ops.delivery set away = false, next_try = least(next_try, clock_timestamp())
    where receiver = (select receiver from ops.delivery where id = %(id)s) and away and id <> %(id)s
)
update ops.delivery set state = 'answered', settled = clock_timestamp(), attempts = attempts + 1, away = false,
                        said = %(said)s
where id = %(id)s
"""
FAILED = """
update ops.delivery d
set attempts = d.attempts + 1, said = %(said)s, away = %(away)s and not o.over,
    next_try = clock_timestamp() + %(after_s)s * interval '1 s',
    state = case when o.over then 'given_up' else 'waiting' end,
    settled = case when o.over then clock_timestamp() end
from (select id, %(over)s or begun < clock_timestamp() - %(give_up_s)s * interval '1 s' as over
      from ops.delivery where id = %(id)s) o
where d.id = o.id returning d.state
"""
GIVE_UP = """
with old as (
    select id from ops.delivery where state = 'waiting' and begun < now() - %s * interval '1 s' order by id limit %s
)
update ops.delivery d set state = 'given_up', settled = now(), away = false,
                          said = coalesce(d.said, 'no such receiver in the routes any more')
from old where d.id = old.id
"""
TIDY = """
delete from ops.delivery where id in (
    select d.id from ops.delivery d
    where d.settled < now() - %s::interval
      and not exists (select from ops.alarm a where a.id = d.alarm and a.cleared is null)
    limit %s
)
"""


class Step(NamedTuple):
    """What happened to an alarm. Its own columns are None when it is not there any more. `areas`: the one that it is
    about, or None for the whole province and the districts of its members; or those that the step is about. `still`: of
    one that is over in part, the districts in which it goes on."""

    history: int
    alarm: int
    what: str
    at: datetime
    severity: str | None
    kind: str | None
    state: str | None
    areas: list[str | None]
    still: Sequence[str] = ()


class Due(NamedTuple):
    """One thing to tell. `news`: None when the alarm is not there any more."""

    id: int
    key: str
    language: Language
    attempts: int
    news: News | None


class Pace(NamedTuple):
    """How long a receiver is left alone: `first_s` after the first failure, twice as long after each, at most `most_s`.
    What it refuses is tried `tries` times, anything for `give_up_s`."""

    first_s: float = 1.0
    most_s: float = 60.0
    tries: int = 8
    give_up_s: float = 86_400.0

    def after(self, attempts: int, asked_s: float | None, jitter: float) -> float:
        """Seconds until the next try after so many failures; `asked_s`: as long as it asks for; `jitter`: 0 to 1."""
        usual = min(self.most_s, self.first_s * 2.0 ** min(attempts, 30)) * (0.75 + 0.5 * jitter)
        return max(usual, asked_s or 0.0)


async def fan_out(connection: Connection, routes: Routes, most: int = PORTION) -> tuple[int, set[str]]:
    """Turn the next news into deliveries, in one transaction; how many news there were, and who is to be told."""
    cursor = connection.cursor(row_factory=class_row(Step))
    rows = await (await cursor.execute(TAKE, (most,))).fetchall()
    if not rows or not routes.routes:
        return len(rows), set()
    found = await connection.execute(TOLD, ([row.alarm for row in rows],))
    told: set[tuple[int, str]] = set(await found.fetchall())
    puts = []
    for row in rows:
        for one in addressees(routes, row, {receiver for alarm, receiver in told if alarm == row.alarm}):
            told.add((row.alarm, one.receiver))
            puts.append((one.receiver, row.history, row.alarm, row.what, one.route, one.language))
    if puts:
        await connection.cursor().executemany(PUT, puts)
    return len(rows), {put[0] for put in puts}


def addressees(routes: Routes, row: Step, told: set[str]) -> list[Chosen]:
    """Who hears of one step. What an alarm comes to is told to those who heard of it; nobody is called to one that is
    shelved or under maintenance."""
    if row.kind is None or row.severity is None:
        return []
    if row.what in FOLLOWS:
        return list(followers(routes, row.what, told))
    if row.what == RECEDED:
        return list(followers(routes, row.what, left(routes, row, told)))
    if row.state in SILENT:
        return []
    return chosen(routes, row.what, row.areas, row.severity, row.kind, row.at)


def followers(routes: Routes, what: str, told: set[str]) -> Iterable[Chosen]:
    """Those who were told before and whose routes speak of such steps."""
    for name in sorted(told & routes.receivers.keys()):
        for number, route in enumerate(routes.routes, 1):
            if name in route.to and what in route.what:
                yield Chosen(name, route.language or routes.receivers[name].language, route.name or str(number))
                break


def left(routes: Routes, row: Step, told: set[str]) -> set[str]:
    """Of those who were told, whose districts it has left: they would not hear of what goes on elsewhere."""
    over, still = set(row.areas), {PROVINCE, *row.still}
    found = set()
    for name in told:
        wanted = [set(route.areas) for route in routes.routes if name in route.to]
        if all(wanted) and any(areas & over for areas in wanted) and not any(areas & still for areas in wanted):
            found.add(name)
    return found


async def due(connection: Connection, receiver: str, most: int) -> list[Due]:
    """What a receiver is to be told now: of each alarm the first that waits."""
    cursor = connection.cursor(row_factory=dict_row)
    rows = await (await cursor.execute(DUE, {"receiver": receiver, "most": most})).fetchall()
    if not rows:
        return []
    steps = {row["id"]: row for row in await all_of(connection, HISTORY, [row["history"] for row in rows])}
    alarms = {row["id"]: row for row in await all_of(connection, ALARMS, [row["alarm"] for row in rows])}
    return [
        Due(row["id"], row["key"], row["language"], row["attempts"], news(row, steps, alarms.get(row["alarm"])))
        for row in rows
    ]


async def all_of(connection: Connection, query: str, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Rows by their ids."""
    cursor = connection.cursor(row_factory=dict_row)
    return await (await cursor.execute(query.encode(), (list(ids),))).fetchall()


def news(row: dict[str, Any], steps: dict[int, dict[str, Any]], alarm: dict[str, Any] | None) -> News | None:
    """A step and its alarm, as letters are made of."""
    step = steps.get(row["history"])
    if step is None or alarm is None:
        return None
    tongue = row["language"]
    area = step[f"areas_{tongue}"] or alarm[f"area_{tongue}"]
    plain = {name: value for name, value in alarm.items() if name not in ("area_vi", "area_en")}
    severity = step["severity"] or alarm["severity"]
    return News(row["key"], step["what"], step["recorded"], severity, step["by"], step["note"], area, plain)


async def answered(connection: Connection, delivery: int, said: str) -> None:
    """A receiver has taken it; whatever kept the others of this receiver waiting is over."""
    await connection.execute(ANSWERED, {"id": delivery, "said": said})


async def failed(connection: Connection, one: Due, error: Undelivered, pace: Pace) -> str:
    """It has not; when it is tried again, or that it is given up. The state afterwards."""
    over = error.sort == "gone" or (error.sort == "refused" and one.attempts + 1 >= pace.tries)
    # What is refused waits longer: only a person can change that.
    attempts = one.attempts + (5 if error.sort == "refused" else 0)
    after_s = pace.after(attempts, error.after_s, random.random())  # noqa: S311 -- a pause
    values = {"id": one.id, "said": error.said, "away": error.sort == "away" and not over, "after_s": after_s}
    found = await connection.execute(FAILED, {**values, "over": over, "give_up_s": pace.give_up_s})
    row = await found.fetchone()
    return str(row[0]) if row else "given_up"


async def tidy(connection: Connection, give_up_s: float) -> int:
    """Give up what has waited for too long, whoever it was for; forget what is settled for long. Rows touched."""
    old = await connection.execute(GIVE_UP, (give_up_s, TIDY_PORTION))
    gone = await connection.execute(TIDY, (KEPT, TIDY_PORTION))
    return old.rowcount + gone.rowcount


async def remind(connection: Connection, at: datetime | None = None) -> int:
    """What time brings about in the record: reminders, ends of shelving and maintenance. How many."""
    found = await connection.execute("select count(*) from ops.remind_alarms(coalesce(%s, clock_timestamp()))", (at,))
    row = await found.fetchone()
    return int(row[0]) if row else 0
