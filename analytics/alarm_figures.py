"""How the alarms of a time were: how many, how soon taken on, how many false, and who rings most.

ANSI/ISA-18.2 and EEMUA 191 ask these of any alarm desk: the rate that an operator can bear (about six an hour), how
soon somebody answers, and the few sources of most of it.
"""

from collections import Counter
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

# Each of the three reads one index alone. Due: acknowledged, or lasting longer than it may wait; what was over
# before that needed nobody.
ASKED = sql.SQL("t.raised >= %(since)s and t.raised < %(until)s and (%(area)s::text is null or t.area = %(area)s)")
BY_HOUR = sql.SQL("""
select s.severity, date_bin('1 hour', t.raised, '2000-01-01 00:00Z') as hour, count(*) as raised,
       count(*) filter (where t.cleared is null) as active,
       count(*) filter (where t.acknowledged is not null) as acknowledged,
       count(*) filter (where t.acknowledged - t.raised <= s.acknowledge_within) as in_time,
       count(*) filter (where t.acknowledged is not null
                        or coalesce(t.cleared, now()) - t.raised > s.acknowledge_within) as due,
       count(*) filter (where t.verdict = 'true') as judged_true,
       count(*) filter (where t.verdict = 'false') as judged_false,
       count(*) filter (where t.verdict = 'drill') as drills
from city.alarm_times t join city.alarm_severity s on s.severity = t.severity
where {asked} group by 1, 2
""").format(asked=ASKED)
# Seconds up to an hour, minutes beyond: as exact as a median needs to be, and few whatever the number of alarms.
TO_ACKNOWLEDGE = sql.SQL("""
select w.severity, case when w.seconds < 3600 then w.seconds else w.seconds / 60 * 60 end as seconds, count(*)
from (select t.severity, date_part('epoch', t.acknowledged - t.raised)::integer as seconds
      from city.alarm_times t where t.acknowledged is not null and {asked}) w
group by 1, 2 order by 1, 2
""").format(asked=ASKED)
TALKERS = sql.SQL("""
with most as (
    select t.device_number, t.area, t.rule, count(*) as alarms, max(t.raised) as newest, max(t.id) as id
    from city.alarm_times t where {asked}
    group by 1, 2, 3 order by alarms desc, newest desc, id desc limit %(most)s
)
select a.device, a.name, a.area, m.rule, m.alarms, o.occurrences, m.newest
from most m join city.alarm a on a.id = m.id cross join lateral (
    select sum(b.occurrences)::bigint as occurrences from city.alarm_times t join city.alarm b on b.id = t.id
    where t.device_number is not distinct from m.device_number and t.area is not distinct from m.area
      and t.rule = m.rule and t.raised >= %(since)s and t.raised < %(until)s
) o
order by m.alarms desc, o.occurrences desc, m.rule, a.device
""").format(asked=ASKED)
SEVERITIES = """
select severity, for_centre, extract(epoch from acknowledge_within)::float8 as within_s
from city.alarm_severity order by rank desc
"""
COUNTS = ("raised", "active", "acknowledged", "in_time", "due", "judged_true", "judged_false", "drills")


def figures(connection: Connection, since: datetime, until: datetime, area: str | None, most: int) -> Row:
    """The document of `dothi alarms stats`; shares are 0 to 1, null of nothing."""
    asked = {"since": since, "until": until, "area": area, "most": most}
    with connection.cursor(row_factory=dict_row) as cursor:
        known = cursor.execute(SEVERITIES).fetchall()
        by_hour = cursor.execute(BY_HOUR, asked).fetchall()
        talkers = cursor.execute(TALKERS, asked).fetchall()
    severities = by_severity(known, by_hour, connection.execute(TO_ACKNOWLEDGE, asked).fetchall())
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
        "busiest_hours": busiest({row["severity"] for row in known if row["for_centre"]}, by_hour, most),
        "in_time_share": share(total["in_time"], sum(row["due"] for row in severities if row["within_s"])),
        "judged": judged,
        "false_share": share(total["judged_false"], judged),
        "drills": total["drills"],
        "severities": severities,
        "top_talkers": talkers,
    }


def by_severity(known: list[Row], by_hour: list[Row], took: list[tuple[str, int, int]]) -> list[Row]:
    """Counts of each severity, those that nobody raised included; `took`: severity, seconds and how many, in order."""
    rows = []
    for one in known:
        mine = [row for row in by_hour if row["severity"] == one["severity"]]
        counts = {name: sum(row[name] for row in mine) for name in COUNTS}
        in_time = share(counts["in_time"], counts["due"]) if one["within_s"] else None
        waits = [(seconds, n) for severity, seconds, n in took if severity == one["severity"]]
        rows.append({**one, **counts, "median_s": median(waits), "in_time_share": in_time})
    return rows


def busiest(severities: set[str], by_hour: list[Row], most: int) -> list[Row]:
    """The hours with the most alarms for the centre."""
    hours: Counter[datetime] = Counter()
    for row in by_hour:
        if row["severity"] in severities:
            hours[row["hour"]] += row["raised"]
    chosen = sorted(hours.items(), key=lambda one: (-one[1], one[0]))[:most]
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
