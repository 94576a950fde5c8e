"""The record of alarms as the desk asks it: lists, one alarm with all that is known, what staff do, and figures."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

UNLAWFUL = "DA001"  # SQLSTATE of what the law of alarms refuses
STATES = ("unacknowledged", "acknowledged", "shelved", "maintenance", "cleared")
SEVERITIES = ("critical", "major", "minor", "warning", "info")
VERDICTS = ("true", "false", "drill")


class Unlawful(Exception):
    """The law of alarms refuses; the message is one line that names the alarm, its state and what is allowed."""


class Wanted(NamedTuple):
    """Which alarms; None and empty: all. `severities` and `states`: one of them; raised from `since` up to `until`."""

    states: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    area: str | None = None
    devices: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    cleared: bool = False  # cleared ones as well


LISTED = """
select id, kind, severity, device, area, raised, acknowledged, by, cleared, shelved_until, value, message, state, key,
       rule, occurrences, last, members, message_en, name, family, verdict, note, maintenance_until, members_now,
       cleared_by
from city.alarm where {} order by {} limit {}
"""
MEMBERS = (
    "select device, name, area, since, until from city.alarm_member where alarm = %s order by since, device limit %s"
)
EVIDENCE = (
    "select at, kind, device, score, distance_m, after_s, detail from city.alarm_evidence where alarm = %s order by id"
)
HISTORY = """
select id, alarm, at, what, by, note, severity, value, detail, recorded, title_vi, title_en
from city.alarm_history where {} order by id {} limit {}
"""


def list_alarms(connection: Connection, wanted: Wanted, most: int) -> list[Row]:
    """Rows of city.alarm: of those that are not cleared the worst first, else the newest first."""
    order = sql.SQL("raised desc, id desc")
    with connection.cursor(row_factory=dict_row) as cursor:
        if wanted.cleared or "cleared" in wanted.states:
            return cursor.execute(sql.SQL(LISTED).format(condition(wanted), order, most)).fetchall()
        # One after the other by an index, so that a storm of what is less bad costs nothing.
        found: list[Row] = []
        for severity in SEVERITIES:
            if len(found) < most and severity in (wanted.severities or SEVERITIES):
                of = condition(wanted._replace(severities=(severity,)))
                found += cursor.execute(sql.SQL(LISTED).format(of, order, most - len(found))).fetchall()
        return found


def count_alarms(connection: Connection, wanted: Wanted) -> dict[str, int]:
    """How many there are of each severity."""
    query = sql.SQL("select severity, count(*) from city.alarm where {} group by severity").format(condition(wanted))
    return dict(connection.execute(query).fetchall())


def numbers(connection: Connection, wanted: Wanted) -> list[int]:
    """Numbers of all of them, oldest first."""
    query = sql.SQL("select id from city.alarm where {} order by id").format(condition(wanted))
    return [number for (number,) in connection.execute(query)]


def condition(wanted: Wanted) -> sql.Composable:
    """What a row of city.alarm must be. That an alarm is not cleared is said in words that an index knows."""
    parts: list[sql.Composable] = [sql.SQL("true")]
    if not wanted.cleared and "cleared" not in wanted.states:
        parts.append(sql.SQL("cleared is null"))
    elif wanted.states == ("cleared",):
        parts.append(sql.SQL("cleared is not null"))
    for column, values in (
        ("state", wanted.states if wanted.states != ("cleared",) else ()),
        ("severity", wanted.severities),
        ("kind", wanted.kinds),
        ("area", (wanted.area,) if wanted.area else ()),
    ):
        if len(values) == 1:
            parts.append(sql.SQL("{} = {}").format(sql.Identifier(column), values[0]))
        elif values:
            parts.append(sql.SQL("{} = any({})").format(sql.Identifier(column), list(values)))
    if wanted.devices is not None:
        parts.append(sql.SQL(OF_DEVICES).format(list(wanted.devices), list(wanted.devices)))
    for sign, time in ((">=", wanted.since), ("<=", wanted.until)):
        if time is not None:
            parts.append(sql.SQL("raised " + sign + " {}").format(time))
    return sql.SQL(" and ").join(parts)


# Of a device are alarms about it and those of which it is a member.
OF_DEVICES = """
id in (select o.id from city.alarm o where o.device = any({})
       union select m.alarm from city.alarm_member m where m.device = any({}))
"""


def one_alarm(connection: Connection, number: int, most_members: int) -> Row | None:
    """An alarm with its members, evidence and history; None: there is no such alarm."""
    with connection.cursor(row_factory=dict_row) as cursor:
        alarm = cursor.execute("select * from city.alarm where id = %s", (number,)).fetchone()
        if alarm is None:
            return None
        return {
            **alarm,
            "member": cursor.execute(MEMBERS, (number, most_members)).fetchall(),
            "evidence": cursor.execute(EVIDENCE, (number,)).fetchall(),
            "history": history(connection, number, None, 10_000),
        }


def history(connection: Connection, number: int | None, since: datetime | None, most: int) -> list[Row]:
    """What happened to one alarm, in order; or to all of them, the newest first."""
    parts: list[sql.Composable] = [sql.SQL("true")]
    if number is not None:
        parts.append(sql.SQL("alarm = {}").format(number))
    if since is not None:
        parts.append(sql.SQL("recorded >= {}").format(since))
    order = sql.SQL("desc" if number is None else "asc")
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql.SQL(HISTORY).format(sql.SQL(" and ").join(parts), order, most)).fetchall()


def act(connection: Connection, function: str, *values: object) -> Any:
    """Call one of the functions of staff (ops.acknowledge_alarm, …); its answer. Raises Unlawful."""
    call = sql.SQL("select {}({})").format(
        sql.Identifier("ops", function), sql.SQL(", ").join([sql.Placeholder()] * len(values))
    )
    try:
        with connection.transaction():
            row = connection.execute(call, values).fetchone()
    except psycopg.Error as error:
        if error.sqlstate != UNLAWFUL:
            raise
        raise Unlawful(error.diag.message_primary or str(error)) from None
    return row[0] if row else None


def maintenances(connection: Connection, over: bool) -> Sequence[Row]:
    """Maintenances that run or are planned, and those that are over, the newest first."""
    query = "select id, area, device, name, since, until, by, reason, ended, ended_by, state from city.maintenance "
    query += "order by id desc limit 1000" if over else "where state <> 'over' order by since, id"
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode()).fetchall()
