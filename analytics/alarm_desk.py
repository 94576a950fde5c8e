"""The record of alarms as the desk asks it: lists, one alarm with all that is known, what staff do, and figures."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

Row = dict[str, Any]

STATES = ("unacknowledged", "acknowledged", "shelved", "maintenance", "cleared")
SEVERITIES = ("critical", "major", "minor", "warning", "info")
VERDICTS = ("true", "false", "drill")


UNLAWFUL = "DA001"  # SQLSTATE of what the law of alarms refuses


class Unlawful(Exception):
    """The law of alarms refuses; the message is one line that names the alarm, its state and what is allowed."""


class Ask(Protocol):
    """Rows of a statement with a value for each `%s`. Raises Unlawful."""

    def __call__(self, statement: str, values: Sequence[object] = (), /) -> list[Row]: ...


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
from city.alarm where {} order by raised desc, id desc limit %s
"""
COUNTED = "select severity, count(*) as alarms from city.alarm where {} group by severity"
NUMBERED = "select id from city.alarm where {} order by id"
MEMBERS = (
    "select device, name, area, since, until from city.alarm_member where alarm = %s order by since, device limit %s"
)
EVIDENCE = (
    "select at, kind, device, score, distance_m, after_s, detail from city.alarm_evidence where alarm = %s order by id"
)
HISTORY = """
select id, alarm, at, what, by, note, severity, value, detail, recorded, title_vi, title_en
from city.alarm_history where {} order by id {} limit %s
"""
MAINTENANCES = """
select id, area, device, name, since, until, by, reason, ended, ended_by, state from city.maintenance where {}
"""


def list_alarms(ask: Ask, wanted: Wanted, most: int) -> list[Row]:
    """Rows of city.alarm: of those that are not cleared the worst first, else the newest first."""
    if wanted.cleared or "cleared" in wanted.states:
        return listed(ask, wanted, most)
    # One after the other by an index, so that a storm of what is less bad costs nothing.
    found: list[Row] = []
    for severity in SEVERITIES:
        if len(found) < most and severity in (wanted.severities or SEVERITIES):
            found += listed(ask, wanted._replace(severities=(severity,)), most - len(found))
    return found


def listed(ask: Ask, wanted: Wanted, most: int) -> list[Row]:
    """Rows of city.alarm, the newest first."""
    met, values = condition(wanted)
    return ask(LISTED.format(met), (*values, most))


def count_alarms(ask: Ask, wanted: Wanted) -> dict[str, int]:
    """How many there are of each severity."""
    met, values = condition(wanted)
    return {row["severity"]: row["alarms"] for row in ask(COUNTED.format(met), values)}


def numbers(ask: Ask, wanted: Wanted) -> list[int]:
    """Numbers of all of them, oldest first."""
    met, values = condition(wanted)
    return [row["id"] for row in ask(NUMBERED.format(met), values)]


def condition(wanted: Wanted) -> tuple[str, list[object]]:
    """What a row of city.alarm must be, and its values. That an alarm is not cleared is said in words that an index
    knows."""
    met, values = ["true"], list[object]()
    if not wanted.cleared and "cleared" not in wanted.states:
        met.append("cleared is null")
    elif wanted.states == ("cleared",):
        met.append("cleared is not null")
    for column, ones in (
        ("state", wanted.states if wanted.states != ("cleared",) else ()),
        ("severity", wanted.severities),
        ("kind", wanted.kinds),
        ("area", (wanted.area,) if wanted.area else ()),
    ):
        if ones:
            met.append(f"{column} = %s" if len(ones) == 1 else f"{column} = any(%s)")
            values.append(ones[0] if len(ones) == 1 else list(ones))
    if wanted.devices is not None:
        met.append(OF_DEVICES)
        values += [list(wanted.devices)] * 2
    for sign, time in ((">=", wanted.since), ("<=", wanted.until)):
        if time is not None:
            met.append(f"raised {sign} %s")
            values.append(time)
    return " and ".join(met), values


# Of a device are alarms about it and those of which it is a member.
OF_DEVICES = """
id in (select o.id from city.alarm o where o.device = any(%s)
       union select m.alarm from city.alarm_member m where m.device = any(%s))
"""


def one_alarm(ask: Ask, number: int, most_members: int) -> Row | None:
    """An alarm with its members, evidence and history; None: there is no such alarm."""
    found = ask("select * from city.alarm where id = %s", (number,))
    if not found:
        return None
    return {
        **found[0],
        "member": ask(MEMBERS, (number, most_members)),
        "evidence": ask(EVIDENCE, (number,)),
        "history": history(ask, number, None, 10_000),
    }


def history(ask: Ask, number: int | None, since: datetime | None, most: int) -> list[Row]:
    """What happened to one alarm, in order; or to all of them, the newest first."""
    met, values = ["true"], list[object]()
    for words, value in (("alarm = %s", number), ("recorded >= %s", since)):
        if value is not None:
            met.append(words)
            values.append(value)
    return ask(HISTORY.format(" and ".join(met), "desc" if number is None else "asc"), (*values, most))


def act(ask: Ask, function: str, *values: object) -> Any:
    """Call one of the functions of staff (ops.acknowledge_alarm, …); its answer. Raises Unlawful."""
    (row,) = ask(f"select ops.{function}({', '.join(['%s'] * len(values))}) as came", values)
    return row["came"]


def maintenances(ask: Ask, over: bool) -> Sequence[Row]:
    """Maintenances that run or are planned, and those that are over, the newest first."""
    return ask(
        MAINTENANCES.format("true order by id desc limit 1000" if over else "state <> 'over' order by since, id")
    )
