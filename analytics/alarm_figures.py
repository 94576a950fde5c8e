"""How the alarms of a time were: how many, how soon taken on, how many false, and who rings most.

ANSI/ISA-18.2 and EEMUA 191 ask these of any alarm desk: the rate that an operator can bear (about six an hour), how
soon somebody answers, and the few sources of most of it.
"""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

# What is counted anew: times of which no day is counted (rollup.count_alarm_days), or all of an area. Due:
# acknowledged, or lasting longer than it may wait; what was over before that needed nobody.
ANEW = sql.SQL("""
unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) w (begins, ends)
join city.alarm_times t on t.raised >= w.begins and t.raised < w.ends and (%(area)s::text is null or t.area = %(area)s)
""")
BY_HOUR = sql.SQL("""
select s.severity, date_bin('1 hour', t.raised, '2000-01-01 00:00Z') as hour, count(*) as raised,
       count(*) filter (where t.acknowledged is not null) as acknowledged,
       count(*) filter (where t.acknowledged - t.raised <= s.acknowledge_within) as in_time,
       count(*) filter (where t.acknowledged is not null
                        or coalesce(t.cleared, now()) - t.raised > s.acknowledge_within) as due,
       count(*) filter (where t.verdict = 'true') as judged_true,
       count(*) filter (where t.verdict = 'false') as judged_false,
       count(*) filter (where t.verdict = 'drill') as drills
from {anew} join city.alarm_severity s on s.severity = t.severity group by 1, 2
""").format(anew=ANEW)
BY_DAY = """
select severity, day, raised, acknowledged, in_time, due, judged_true, judged_false, drills, hours
from city.alarm_day where day = any(%(days)s)
"""
ACTIVE = """
select severity, count(*) from city.alarm_times t
where t.cleared is null and t.raised >= %(since)s and t.raised < %(until)s
  and (%(area)s::text is null or t.area = %(area)s)
group by severity
"""
# Seconds up to an hour, minutes beyond: as exact as a median needs to be, and few whatever the number of alarms.
WAITS = sql.SQL("""
select severity, seconds, sum(alarms)::bigint from (
    select d.severity, d.seconds, d.alarms from city.alarm_wait d where d.day = any(%(days)s)
    union all
    select o.severity, case when o.seconds < 3600 then o.seconds else o.seconds / 60 * 60 end, 1
    from (select t.severity, date_part('epoch', t.acknowledged - t.raised)::integer as seconds
          from {anew} where t.acknowledged is not null) o
) v group by 1, 2 order by 1, 2
""").format(anew=ANEW)
TALKERS = sql.SQL("""
with most as (
    select v.rule, sum(v.alarms)::bigint as alarms, sum(v.occurrences)::bigint as occurrences, max(v.newest) as newest,
           max(v.alarm) as alarm
    from (
        select d.device, d.area, d.rule, d.alarms, d.occurrences, d.newest, d.alarm
        from city.alarm_talker d where d.day = any(%(days)s)
        union all
        select t.device_number, t.area, t.rule, count(*), sum(t.occurrences), max(t.raised), max(t.id)
        from {anew} group by 1, 2, 3
    ) v group by v.device, v.area, v.rule order by alarms desc, occurrences desc, v.rule, alarm limit %(most)s
)
select a.device, a.name, a.area, m.rule, m.alarms, m.occurrences, m.newest
from most m join city.alarm a on a.id = m.alarm order by m.alarms desc, m.occurrences desc, m.rule, m.alarm
""").format(anew=ANEW)
SEVERITIES = """
select severity, for_centre, extract(epoch from acknowledge_within)::float8 as within_s
from city.alarm_severity order by rank desc
"""
COUNTED = "select day from city.alarm_counted where day >= %s and day < %s order by day"
COUNTS = ("raised", "acknowledged", "in_time", "due", "judged_true", "judged_false", "drills")
DAY = timedelta(days=1)
ISOLATED = "set transaction isolation level repeatable read"  # a day is counted, or it is not


def figures(connection: Connection, since: datetime, until: datetime, area: str | None, most: int) -> Row:
    """The document of `dothi alarms stats`; shares are 0 to 1, null of nothing. Days that are counted already are added
    up; for an area all is counted anew."""
    asked: dict[str, Any] = {"since": since, "until": until, "area": area, "most": most}
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(ISOLATED)
        days = [] if area else counted(connection, since, until)
        begins, ends = zip(*between(since, until, days), strict=True)
        asked |= {"days": days, "begins": list(begins), "ends": list(ends)}
        known = cursor.execute(SEVERITIES).fetchall()
        parts = cursor.execute(BY_HOUR, asked).fetchall() + cursor.execute(BY_DAY, asked).fetchall()
        talkers = cursor.execute(TALKERS, asked).fetchall()
        waits = connection.execute(WAITS, asked).fetchall()
        active = dict(connection.execute(ACTIVE, asked).fetchall())
    severities = by_severity(known, parts, waits, active)
    total = {name: sum(row[name] for row in severities) for name in COUNTS}
    centre = sum(row["raised"] for row in severities if row["for_centre"])
    judged = total["judged_false"] + total["judged_true"]
    return {
        "since": since,
        "until": until,
        "area": area,
        "raised": total["raised"],
        "for_centre": centre,
        "per_hour": round(centre / ((until - since).total_seconds() / 3600), 3),
        "busiest_hours": busiest({row["severity"] for row in known if row["for_centre"]}, parts, most),
        "in_time_share": share(total["in_time"], sum(row["due"] for row in severities if row["within_s"])),
        "judged": judged,
        "false_share": share(total["judged_false"], judged),
        "drills": total["drills"],
        "severities": severities,
        "top_talkers": talkers,
    }


def counted(connection: Connection, since: datetime, until: datetime) -> list[date]:
    """Whole days (UTC) within a time that are counted already."""
    first = (since - timedelta(microseconds=1)).astimezone(UTC).date() + DAY
    return [day for (day,) in connection.execute(COUNTED, (first, until.astimezone(UTC).date()))]


def between(since: datetime, until: datetime, days: list[date]) -> list[tuple[datetime, datetime]]:
    """What a time has beside these days, at least one piece, which may be empty; `days` in order.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> [(a.day, b.day) for a, b in between(noon, noon + 3 * DAY, [date(2026, 1, 2)])]
    [(1, 2), (3, 4)]
    """
    pieces, begin = [], since
    for day in days:
        start = datetime.combine(day, time(), UTC)
        if start > begin:
            pieces.append((begin, start))
        begin = start + DAY
    return [*pieces, (begin, until)]


def by_severity(
    known: list[Row], parts: list[Row], took: list[tuple[str, int, int]], active: dict[str, int]
) -> list[Row]:
    """Counts of each severity, those that nobody raised included; `took`: severity, seconds and how many, in order."""
    rows = []
    for one in known:
        name = one["severity"]
        counts = {count: sum(row[count] for row in parts if row["severity"] == name) for count in COUNTS}
        in_time = share(counts["in_time"], counts["due"]) if one["within_s"] else None
        waits = [(seconds, n) for severity, seconds, n in took if severity == name]
        more = {"active": active.get(name, 0), "median_s": median(waits), "in_time_share": in_time}
        rows.append({**one, **counts, **more})
    return rows


def busiest(severities: set[str], parts: list[Row], most: int) -> list[Row]:
    """The hours with the most alarms for the centre; a part is an hour, or a day with its hours."""
    hours: Counter[datetime] = Counter()
    for row in parts:
        if row["severity"] not in severities:
            continue
        if "hour" in row:
            hours[row["hour"]] += row["raised"]
            continue
        start = datetime.combine(row["day"], time(), UTC)
        for hour, raised in enumerate(row["hours"]):
            hours[start + timedelta(hours=hour)] += raised
    chosen = sorted(((hour, n) for hour, n in hours.items() if n), key=lambda one: (-one[1], one[0]))[:most]
    return [{"hour": hour, "raised": raised} for hour, raised in chosen]


def median(counts: list[tuple[int, int]]) -> float | None:
    """Of values in order, each with how often it came; None of nothing.

    >>> median([(1, 2), (60, 1)]), median([(1, 1), (3, 1)]), median([])
    (1.0, 2.0, None)
    """
    total = sum(n for _, n in counts)
    middle, seen = [], 0
    for value, n in counts:
        middle += [value for place in ((total - 1) // 2, total // 2) if seen <= place < seen + n]
        seen += n
    return sum(middle) / 2 if middle else None


def share(part: int, whole: int) -> float | None:
    """Part of the whole, four digits; None of nothing.

    >>> share(1, 3), share(0, 0)
    (0.3333, None)
    """
    return round(part / whole, 4) if whole else None
