"""Alarms as staff read them, in tables and colours."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dothi.commands.alarms_words import age, word
from dothi.lines import Cell, Column, Part, screen, table
from dothi.output import print_lines, shown, visible

Row = dict[str, Any]

SEVERITY_STYLE = {
    "critical": "bold white on red",
    "major": "bold red",
    "minor": "yellow",
    "warning": "cyan",
    "info": "dim",
}
STATE_STYLE = {
    "unacknowledged": "bold",
    "acknowledged": "green",
    "shelved": "dim",
    "maintenance": "dim",
    "cleared": "dim",
}
WIDE = 140  # columns of a terminal from which an alarm is shown in one line; below, cells stand under each other
ONE_LINE = (("alarm",), ("severity",), ("state",), ("age",), ("raised",), ("area",), ("where",), ("message",))
STACKED = (("alarm", "area"), ("age", "raised"), ("severity", "state"), ("where", "message"))
STATE_WIDTH = 16  # of a state where it stands under its severity; who is on it or until when folds
FOLDING = ("state", "where", "message")


def message(row: Row, lang: str) -> str:
    """What an alarm says, how often it was seen, and how many devices it is about."""
    said = (row["message_en"] if lang == "en" else None) or row["message"]
    more = [f"×{row['occurrences']}"] if row["occurrences"] > 1 else []
    more += [f"{row['members_now']}/{row['members']} {word(lang, 'member')}"] if row["members"] else []
    return f"{said} ({', '.join(more)})" if more else str(said)


def state(row: Row, lang: str) -> str:
    """The state, with who is on it or until when."""
    more = {"acknowledged": row["by"], "shelved": row["shelved_until"], "maintenance": row["maintenance_until"]}
    besides = more.get(row["state"])
    return word(lang, row["state"]) + (f" ({shown(besides)})" if besides else "")


def cell(text: object, style: str = "") -> Cell:
    """A cell: nothing in it is markup, nothing reaches the terminal as a command."""
    return [Part(visible(shown(text), "\n"), style)]


def print_alarms(rows: Iterable[Row], lang: str, now: datetime) -> None:
    """A table of alarms: age is since it was raised, of a cleared one how long it lasted."""
    on = screen()
    heads = ONE_LINE if on.width >= WIDE else STACKED
    columns = [
        Column(
            tuple(word(lang, name) for name in head),
            head[-1] in FOLDING,
            STATE_WIDTH if head == ("severity", "state") else None,
        )
        for head in heads
    ]
    shown = [alarm_cells(row, lang, now) for row in rows]
    print_lines(table(columns, [[[*filled(cells, head)] for head in heads] for cells in shown], on))


def filled(cells: dict[str, Cell], names: Iterable[str]) -> Iterable[Part]:
    """What stands under each other in a cell."""
    return (part for name in names for part in cells[name] if part.text)


def alarm_cells(row: Row, lang: str, now: datetime) -> dict[str, Cell]:
    """What a list shows of an alarm, by column."""
    lasted = ((row["cleared"] or now) - row["raised"]).total_seconds()
    return {
        "alarm": cell(row["id"]),
        "severity": cell(word(lang, row["severity"]), SEVERITY_STYLE[row["severity"]]),
        "state": cell(state(row, lang), STATE_STYLE[row["state"]]),
        "age": cell(age(lasted)),
        "raised": cell(row["raised"]),
        "area": cell(row["area"]),
        "where": cell(row["name"] or row["device"]),
        "message": cell(message(row, lang)),
    }


FIELDS = (
    *(
        "severity",
        "state",
        "message",
        "kind",
        "rule",
        "area",
        "device",
        "name",
        "family",
        "raised",
        "last",
        "occurrences",
    ),
    *("members", "members_now", "value", "by", "acknowledged", "shelved_until", "maintenance_until", "cleared_at"),
    *("cleared_by", "verdict", "note", "key"),
)


def print_alarm(alarm: Row, lang: str) -> None:
    """All about one alarm: what it is, its members, what speaks for it, and what happened."""
    told = {**alarm, "cleared_at": alarm["cleared"], "state": state(alarm, lang), "message": message(alarm, lang)}
    told |= {name: word(lang, told[name]) for name in ("severity", "verdict") if told[name]}
    style = {"severity": SEVERITY_STYLE[alarm["severity"]]}
    lines = [
        (cell(word(lang, name)), cell(told[name], style.get(name, "")))
        for name in FIELDS
        if told.get(name) not in (None, 0)
    ]
    heads = (Column((f"{word(lang, 'alarm')} {alarm['id']}",), folds=False), Column(("",)))
    print_lines(table(heads, lines, screen()))
    if alarm["member"]:
        print_rows(
            lang,
            "member",
            ("where", "area", "since", "until"),
            [(one["name"] or one["device"], one["area"], one["since"], one["until"]) for one in alarm["member"]],
        )
    if alarm["evidence"]:
        print_rows(
            lang,
            "evidence",
            ("at", "kind", "where", "score", "distance", "after"),
            [
                (one["at"], one["kind"], one["device"], one["score"], one["distance_m"], one["after_s"])
                for one in alarm["evidence"]
            ],
        )
    print_history(alarm["history"], lang)


def print_history(rows: Iterable[Row], lang: str) -> None:
    """What happened, a line each."""
    print_rows(
        lang,
        "history",
        ("at", "alarm", "what", "by", "note"),
        [(row["at"], row["alarm"], row[f"title_{lang}"] or row["what"], row["by"], told(row, lang)) for row in rows],
    )


def told(row: Row, lang: str) -> str | None:
    """The note, and what a step was about."""
    detail = row["detail"] or {}
    parts = [row["note"], word(lang, row["severity"]) if row["severity"] else None]
    parts += [word(lang, detail["verdict"]) if "verdict" in detail else None]
    parts += [f"{word(lang, 'until')} {shown(datetime.fromisoformat(detail['until']))}" if "until" in detail else None]
    parts += [f"{detail['devices']} {word(lang, 'member')}" if "devices" in detail else None]
    parts += [detail.get("message_before")]
    return "; ".join(part for part in parts if part) or None


def print_rows(lang: str, title: str, heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table whose title and heads are words."""
    columns = [Column((word(lang, head),)) for head in heads]
    print_lines(table(columns, [[cell(one) for one in row] for row in rows], screen(), word(lang, title)))
