"""How the alarms of a time were: how many, how soon taken on, how many false, and who rings most.

ANSI/ISA-18.2 and EEMUA 191 ask these of any alarm desk: the rate that an operator can bear (about six an hour), how
soon somebody answers, and the few sources of most of it.
"""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

# Counted for the centre: severities that are for it, when nobody was at work there already. Due: acknowledged, or
# lasting longer than it may wait; what was over before that needed nobody.
BY_SEVERITY = """
select s.severity, s.for_centre, extract(epoch from s.acknowledge_within)::float8 as within_s,
       count(a.id) as raised, count(a.id) filter (where a.cleared is null) as active,
       count(a.id) filter (where a.acknowledged is not null) as acknowledged,
       count(a.id) filter (where a.acknowledged - a.raised <= s.acknowledge_within) as in_time,
       count(a.id) filter (where a.acknowledged is not null
                           or coalesce(a.cleared, now()) - a.raised > s.acknowledge_within) as due,
       percentile_cont(0.5) within group (order by extract(epoch from a.acknowledged - a.raised)::float8) as median_s,
       count(a.id) filter (where a.verdict = 'true') as judged_true,
       count(a.id) filter (where a.verdict = 'false') as judged_false,
       count(a.id) filter (where a.verdict = 'drill') as drills
from city.alarm_severity s
left join city.alarm a on a.severity = s.severity and a.raised >= %(since)s and a.raised < %(until)s
  and (%(area)s::text is null or a.area = %(area)s)
group by s.severity, s.rank, s.for_centre, s.acknowledge_within order by s.rank desc
"""
BY_HOUR = """
select date_trunc('hour', a.raised) as hour, count(*) as raised
from city.alarm a join city.alarm_severity s on s.severity = a.severity
where s.for_centre and a.raised >= %(since)s and a.raised < %(until)s and (%(area)s::text is null or a.area = %(area)s)
group by 1 order by 2 desc, 1 limit %(most)s
"""
TALKERS = """
select a.device, a.name, a.area, coalesce(a.rule, a.kind) as rule, count(*) as alarms,
       sum(a.occurrences)::bigint as occurrences, max(a.raised) as newest
from city.alarm a
where a.raised >= %(since)s and a.raised < %(until)s and (%(area)s::text is null or a.area = %(area)s)
group by 1, 2, 3, 4 order by alarms desc, occurrences desc, rule, device limit %(most)s
"""


def figures(connection: Connection, since: datetime, until: datetime, area: str | None, most: int) -> Row:
    """The document of `dothi alarms stats`; shares are 0 to 1, null of nothing."""
    asked = {"since": since, "until": until, "area": area, "most": most}
    with connection.cursor(row_factory=dict_row) as cursor:
        severities = cursor.execute(BY_SEVERITY, asked).fetchall()
        hours = cursor.execute(BY_HOUR, asked).fetchall()
        talkers = cursor.execute(TALKERS, asked).fetchall()
    centre = sum(row["raised"] for row in severities if row["for_centre"])
    length_h = (until - since).total_seconds() / 3600
    judged_false = sum(row["judged_false"] for row in severities)
    judged = judged_false + sum(row["judged_true"] for row in severities)
    return {
        "since": since,
        "until": until,
        "area": area,
        "raised": sum(row["raised"] for row in severities),
        "for_centre": centre,
        "per_hour": round(centre / length_h, 3),
        "busiest_hours": hours,
        "in_time_share": share(
            sum(row["in_time"] for row in severities), sum(row["due"] for row in severities if row["within_s"])
        ),
        "judged": judged,
        "false_share": share(judged_false, judged),
        "drills": sum(row["drills"] for row in severities),
        "severities": [
            {**row, "in_time_share": share(row["in_time"], row["due"]) if row["within_s"] else None}
            for row in severities
        ],
        "top_talkers": talkers,
    }


def share(part: int, whole: int) -> float | None:
    """Part of the whole, four digits; None of nothing.

    >>> share(1, 3), share(0, 0)
    (0.3333, None)
    """
    return round(part / whole, 4) if whole else None
