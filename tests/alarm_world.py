"""The record of alarms in a transaction that leaves nothing behind, asked as the engine and as staff ask it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.alarm_model import REFUSED
from tests.stack import RunningStack

STATE = """
select id, key, severity, device, raised, last, occurrences, acknowledged_by, cleared, cleared_by, shelved_until,
       maintenance_until, verdict, note, members, members_now
from ops.alarm where id = any(%s) order by id
"""
Row = tuple[Any, ...]


class Unlawful(Exception):
    """The law refuses; the message is its one line."""


class World:
    """Times are seconds from `beginning`; `number` says which devices there are."""

    def __init__(self, connection: "psycopg.Connection[Any]", devices: Sequence[str], area: str = "213") -> None:
        self.connection = connection
        self.beginning = datetime.now(UTC).replace(microsecond=0)
        self.number = {}
        for device in devices:
            rows = connection.execute(
                "insert into registry.device (device, profile, area) "
                "select %s, (select min(id) from registry.profile), "
                "id from registry.area where code = %s returning id",
                (device, area),
            ).fetchall()
            self.number[device] = rows[0][0]

    def now(self) -> float:
        """The clock."""
        return self.seconds(datetime.now(UTC))

    def time(self, seconds: float) -> datetime:
        return self.beginning + timedelta(seconds=seconds)

    def seconds(self, time: datetime) -> float:
        return (time - self.beginning).total_seconds()

    def ask(self, statement: str, *values: object) -> list[Row]:
        """Rows of a call. Raises Unlawful for what is refused, which leaves the transaction as it was."""
        try:
            with self.connection.transaction():
                return self.connection.execute(statement.encode(), values).fetchall()
        except psycopg.Error as error:
            if error.sqlstate != REFUSED or not (said := error.diag.message_primary) or "\n" in said:
                raise
            raise Unlawful(said) from None

    def raise_alarms(self, *alarms: dict[str, Any]) -> dict[str, tuple[int, str]]:
        """Number and what happened, by key. An alarm is given with `at` in seconds and devices by name."""
        rows = self.ask("select * from ops.raise_alarms(%s)", json.dumps([self.told(one) for one in alarms]))
        return {key: (number, happened) for key, number, happened in rows}

    def told(self, alarm: dict[str, Any]) -> dict[str, Any]:
        """An alarm as the function takes it."""
        given = {
            "kind": "law",
            "severity": "major",
            "message": "luật",
            **alarm,
            "at": self.time(alarm["at"]).isoformat(),
        }
        if "device" in alarm:
            given["device"] = self.number.get(alarm["device"])
        if "members" in alarm:
            given["members"] = self.numbers(alarm["members"])
        return given

    def numbers(self, devices: Sequence[str]) -> list[int]:
        return [self.number[device] for device in devices]

    def rows(self, alarms: Sequence[int]) -> list[Row]:
        return self.ask(STATE, list(alarms))

    def history(self, alarm: int) -> list[dict[str, Any]]:
        rows = self.ask(
            "select id, at, what, by, note, severity, detail from ops.alarm_history where alarm = %s order by id", alarm
        )
        return [dict(zip(("id", "at", "what", "by", "note", "severity", "detail"), row, strict=True)) for row in rows]


@contextmanager
def undone(stack: RunningStack, devices: Sequence[str] = ()) -> Iterator[World]:
    """A world in a transaction of the database's owner that is rolled back."""
    with psycopg.connect(stack.document["database"]) as connection:
        yield World(connection, devices)
        connection.rollback()


def explained(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The state of an alarm as its history alone has it."""
    state: dict[str, Any] = dict.fromkeys(("by", "cleared", "cleared_by", "verdict", "shelved", "maintenance", "note"))
    state["devices"] = 0
    for row in history:
        detail = row["detail"] or {}
        match row["what"]:
            case "raised":
                state |= {"severity": row["severity"], "devices": detail.get("devices", 0)}
                state |= {"shelved": detail.get("shelved_until"), "maintenance": detail.get("maintenance_until")}
            case "grown":
                state |= {"severity": row["severity"], "by": None}
            case "reopened":
                kept = state["by"] if row["severity"] == state["severity"] and not state["cleared_by"] else None
                state |= {"severity": row["severity"], "by": kept, "cleared": None, "cleared_by": None}
            case "acknowledged":
                state["by"] = row["by"]
            case "cleared":
                state |= {"cleared": row["at"], "cleared_by": row["by"]}
            case "judged":
                state["verdict"] = detail["verdict"]
            case "shelved":
                state["shelved"] = detail["until"]
            case "unshelved":
                state["shelved"] = None
            case "maintenance":
                state["maintenance"] = detail["until"]
            case "maintenance_over":
                state["maintenance"] = None
            case "joined":
                state["devices"] += detail["devices"]
            case "left":
                state["devices"] -= detail["devices"]
        if row["note"] and row["by"] and row["what"] in NOTED:
            state["note"] = row["note"]
    return state


NOTED = ("acknowledged", "shelved", "cleared", "commented", "judged")
