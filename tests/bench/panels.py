"""How long each query of each board takes on a database: median and 95th percentile of many runs, plans of the slowest.

    python -m tests.bench.panels DATABASE [--runs 20] [--board UID]… [--var NAME=VALUE]… [--slowest 3] [--json FILE]

DATABASE is a URL; queries are asked as dothi_reader, one after another as one viewer would, each board in every round,
so that what else the machine does in the meantime meets all of them alike. Times are those of the client: one round
trip, all rows fetched. Run it while readings come in to see what a viewer sees.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from dashboards.preview.asking import QueryError
from dashboards.preview.database import Database
from tests.dashboard_questions import Question, boards, questions


class Timed(NamedTuple):
    """One query: rows of its answer, sorted times in ms; `error` when it had none."""

    question: Question
    rows: int
    times_ms: list[float]
    error: str | None = None

    def at(self, share: float) -> float:
        """The time that so large a share of the runs did not exceed, in ms."""
        return self.times_ms[max(0, math.ceil(share * len(self.times_ms)) - 1)] if self.times_ms else math.nan


def measure(database: Database, asked: list[Question], runs: int) -> list[Timed]:
    """Every query `runs` times, round by round; the first round only warms up."""
    times: dict[str, list[float]] = {one.where: [] for one in asked}
    rows: dict[str, int] = {}
    errors: dict[str, str] = {}
    for number in range(runs + 1):
        for one in asked:
            if one.where in errors:
                continue
            began = time.perf_counter()
            try:
                rows[one.where] = len(database.ask(one.sql)[1])
            except QueryError as error:
                errors[one.where] = str(error)
            if number:
                times[one.where].append(1000 * (time.perf_counter() - began))
    found = [Timed(one, rows.get(one.where, 0), sorted(times[one.where]), errors.get(one.where)) for one in asked]
    return sorted(found, key=lambda one: -1 if one.error else one.at(0.95), reverse=True)


def plan(database: Database, question: Question) -> str:
    """What the database does for a query, measured."""
    _, rows = database.ask(f"EXPLAIN (ANALYZE, BUFFERS, SETTINGS) {question.sql}")
    return "\n".join(str(row[0]) for row in rows)


def table(found: list[Timed], limit_ms: float) -> str:
    """The figures as a Markdown table, the slowest first, and in how many cases the limit is kept."""
    lines = ["| query | kind | rows | median, ms | 95 %, ms |", "|---|---|---:|---:|---:|"]
    for one in found:
        kind = one.question.panel["type"] if one.question.panel else one.question.form
        figures = f"{one.at(0.5):.1f} | {one.at(0.95):.1f}" if one.error is None else f"failed: {one.error} |"
        lines.append(f"| {one.question.where} | {kind} | {one.rows} | {figures} |")
    kept = sum(one.error is None and one.at(0.95) < limit_ms for one in found)
    return "\n".join([*lines, "", f"95 % below {limit_ms:g} ms: {kept} of {len(found)} queries"])


def wants(uid: str, named: list[str], english: bool) -> bool:
    """Whether a board is measured: those that are named, else all of one language or of both."""
    return uid in named if named else english or not uid.endswith("-en")


def asked_by(chosen: list[dict[str, Any]], database: Database, wanted: Mapping[str, Sequence[str]]) -> list[Question]:
    """Every query of some boards; `wanted` replaces the choices that their variables begin with."""
    return [one for board in chosen for one in questions(board, database.ask, None, wanted)]


def figures_of(one: Timed) -> dict[str, object]:
    """One query's entry in the file."""
    figures = {"query": one.question.where, "rows": one.rows, "p50_ms": one.at(0.5), "p95_ms": one.at(0.95)}
    return figures | {"error": one.error}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--board", action="append", default=[])
    parser.add_argument("--var", action="append", default=[])
    parser.add_argument("--english", action="store_true", help="the English boards as well")
    parser.add_argument("--slowest", type=int, default=3, help="so many plans are printed")
    parser.add_argument("--limit-ms", type=float, default=300.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    wanted = {name: value.split(",") for name, _, value in (one.partition("=") for one in given.var)}
    chosen = (
        [board for uid, board in boards().items() if uid in given.board] if given.board else list(boards().values())
    )
    if not given.board and not given.english:
        chosen = [board for uid, board in boards().items() if wants(uid, given.board, given.english)]
    with closing(Database(given.database)) as database:
        found = measure(database, asked_by(chosen, database, wanted), given.runs)
        print(table(found, given.limit_ms))  # noqa: T201 - this is what it is for
        for one in [one for one in found if one.error is None][: given.slowest]:
            print(f"\n## {one.question.where}\n\n{plan(database, one.question)}")  # noqa: T201
    if given.json:
        figures = [figures_of(one) for one in found]
        given.json.write_text(json.dumps({"runs": given.runs, "queries": figures}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
