"""Every query of a board as it reaches the database."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from dashboards.lint import annotation_sql
from dashboards.macros import Range, Value, expand
from dashboards.preview.asking import Ask, choice, flat, least_ms, points, time_range
from dashboards.preview.repeat import repeated
from dashboards.tree import dashboards


class Question(NamedTuple):
    """One query as it reaches the database; `panel` is None for variables and annotations."""

    where: str
    sql: str
    form: str
    panel: dict[str, Any] | None = None


@cache
def boards() -> dict[str, dict[str, Any]]:
    """Every board by uid; drawing them all takes a second."""
    return {board["uid"]: board for board in map(json.loads, dashboards("grafana-postgresql-datasource").values())}


def questions(
    board: dict[str, Any], ask: Ask, wide: timedelta | None, wanted: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Question]:
    """All that a board asks, over its own time range or over the last `wide`.

    `wanted` replaces the choices that its variables begin with.
    """
    now = datetime.now(UTC)
    time = time_range(board, now) if wide is None else Range(now - wide, now)
    values: dict[str, Value] = {}
    shown: dict[str, tuple[str, ...]] = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            sql = expand(variable["query"], time, 60_000, values)
            yield Question(f"{board['uid']} ${variable['name']}", sql, "variable")
        values[variable["name"]], shown[variable["name"]] = choice(variable, ask, time, values, wanted or {})
    for annotation in board["annotations"]["list"]:
        sql = expand(annotation_sql(annotation), time, 60_000, values)
        yield Question(f"{board['uid']} {annotation['name']}", sql, "annotation")
    for panel, own in repeated(flat(board["panels"]), values, shown):
        single: dict[str, Value] = {name: (value,) for name, (value, _) in own.items()}
        interval = time.interval_ms(points(panel), least_ms(panel))
        for target in panel.get("targets", []):
            if "rawSql" in target:
                where = f"{board['uid']} {panel['id']}{target['refId']} {panel['title']}"
                yield Question(
                    where, expand(target["rawSql"], time, interval, values | single), target["format"], panel
                )
