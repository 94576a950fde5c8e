"""What is asked of the loaded day, and how long each answer takes while readings go on coming in."""

import json
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from simulators.fleet import Fleet, native_profile
from tests.bench.day_rows import often, often_share

SINCE = sql.SQL("now() - interval '24 hours'")
PLANS = 5
"""Of each question so many plans are kept."""


class Question(NamedTuple):
    """`made` draws one. `aim_ms`: of its 95th percentile, None where nothing is promised."""

    name: str
    aim_ms: float | None
    made: Callable[[], sql.Composed]


def questions(fleet: Fleet, readings: int) -> list[Question]:
    """All kinds of question."""
    chance = random.Random(9)  # noqa: S311 - a repeatable benchmark
    drawn = np.flatnonzero(often(fleet, often_share(fleet, readings)))
    interval = np.array([native_profile(name).interval_s for name in fleet.families])[fleet.family[drawn]]
    by_pace = {f"one device, 24 h, every {pace:.0f} s": drawn[interval == pace] for pace in (10, 30, 60, 300)}
    devices = {"one device, 24 h, of all": np.arange(len(fleet)), "one device, 24 h, at its own pace": drawn} | by_pace
    large = populous(fleet)

    def device(some: Any) -> tuple[str, str]:
        at = int(some[chance.randrange(len(some))])
        return fleet.families[fleet.family[at]], fleet.ids(np.array([at]))[0]

    def of_device(some: Any) -> sql.Composed:
        family, name = device(some)
        return sql.SQL("select * from {} where device = {} and time > {} order by time").format(
            sql.Identifier("city", family), name, SINCE
        )

    def hours(some: Any) -> sql.Composed:
        family, name = device(some)
        return sql.SQL("select * from {} where device = {} and bucket > {} order by bucket").format(
            sql.Identifier("city", f"{family}_1h"), name, SINCE
        )

    def newest(order: str) -> sql.Composed:
        family, area = chance.choice(large)
        return sql.SQL("select * from {} where area = {} " + order + " limit 1000").format(
            sql.Identifier("city", f"latest_{family}"), area
        )

    def area(template: str) -> sql.Composed:
        family, code = chance.choice(large)
        return sql.SQL(template).format(view=sql.Identifier("city", f"{family}_area_1h"), area=code, since=SINCE)

    one_of = [Question(name, 50.0, lambda some=some: of_device(some)) for name, some in devices.items()]  # type: ignore[misc]
    return [
        *one_of,
        Question("first 1,000 newest of a district", 50.0, lambda: newest("")),
        Question("first 1,000 newest of a district, by device", 50.0, lambda: newest("order by device")),
        Question("1,000 most recent of a district", None, lambda: newest("order by time desc")),
        Question("one device's hours, 24 h", None, lambda: hours(drawn)),
        Question(
            "a district's closed hours, 24 h",
            None,
            lambda: area(
                "select * from {view} where area = {area} and bucket > {since} "
                "and bucket < date_trunc('hour', now()) order by bucket"
            ),
        ),
        Question("connectivity", None, lambda: sql.SQL("select * from city.connectivity").format()),
        Question("counts", None, lambda: sql.SQL("select * from city.device_count").format()),
        Question("ages", None, lambda: sql.SQL("select family, max(time) from city.newest_time group by 1").format()),
        Question(
            "devices of a district",
            None,
            lambda: sql.SQL("select * from city.device where area = {} order by device limit 1000").format(
                chance.choice(large)[1]
            ),
        ),
    ]


def populous(fleet: Fleet) -> list[tuple[str, str]]:
    """Families and areas with a thousand devices at least."""
    counts = np.zeros((len(fleet.families), len(fleet.areas)), dtype=np.int64)
    np.add.at(counts, (fleet.family, fleet.area), 1)
    return [(fleet.families[family], fleet.areas[area]) for family, area in np.argwhere(counts >= 1000).tolist()]


def ask_all(url: str, some: list[Question], times: int, told: Callable[[str], None]) -> dict[str, Any]:
    """Each question so many times, in turn; milliseconds, rows and plans by question."""
    took: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    rows: dict[str, list[int]] = defaultdict(list)
    plans: dict[str, list[dict[str, Any]]] = defaultdict(list)
    failed: dict[str, str] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.prepare_threshold = None  # a dashboard sends each question as text
        server = Path(f"/proc/{connection.info.backend_pid}/schedstat")
        for turn in range(times):
            for one in some:
                if one.name in failed:
                    continue
                query = one.made()
                try:
                    spent, began = on_cpu_ms(server), time.perf_counter()
                    found = connection.execute(query).fetchall()
                    took[one.name].append((time.perf_counter() - began) * 1000)
                    cpu[one.name].append(on_cpu_ms(server) - spent)
                    rows[one.name].append(len(found))
                    if turn % max(1, times // PLANS) == 0:
                        plans[one.name].append(explained(connection, one.made()))
                except psycopg.Error as error:
                    failed[one.name] = str(error).splitlines()[0]
            if turn % 10 == 9:
                told(f"{turn + 1} of {times} rounds asked")
    return {
        one.name: summary(took[one.name], cpu[one.name], rows[one.name], plans[one.name]) | {"aim_ms": one.aim_ms}
        if one.name not in failed
        else {"failed": failed[one.name]}
        for one in some
    }


def on_cpu_ms(schedstat: Path) -> float:
    """How long the server's process was on a processor: what an answer takes where nobody else is at work."""
    return int(schedstat.read_text().split()[0]) / 1e6


def summary(took: list[float], cpu: list[float], rows: list[int], plans: list[dict[str, Any]]) -> dict[str, Any]:
    """Percentiles (ms), rows in the middle, the plans."""
    cuts = np.percentile(took, (50, 95, 99, 100)).round(1).tolist()
    return dict(zip(("p50", "p95", "p99", "max"), cuts, strict=True)) | {
        "n": len(took),
        "cpu_ms": np.percentile(cpu, (50, 95)).round(1).tolist(),
        "rows": statistics.median(rows),
        "plans": plans,
    }


def explained(connection: psycopg.Connection, query: sql.Composed) -> dict[str, Any]:
    """Milliseconds of planning and execution, pages from the server's memory and from outside it, kinds of node."""
    row = connection.execute(sql.SQL("explain (analyze, buffers, format json) ") + query).fetchone()
    assert row is not None
    top = row[0][0]
    plan = top["Plan"]
    nodes: dict[str, int] = defaultdict(int)
    for node in walked(plan):
        nodes[" ".join(filter(None, (node["Node Type"], of_index(node.get("Index Name")))))] += 1
    return {
        "planning_ms": round(top["Planning Time"], 2),
        "execution_ms": round(top["Execution Time"], 2),
        "pages_hit": plan["Shared Hit Blocks"],
        "pages_read": plan["Shared Read Blocks"],
        "planning_pages": top.get("Planning", {}).get("Shared Hit Blocks", 0),
        "nodes": dict(nodes),
        "question": query.as_string(connection),
    }


def of_index(name: str | None) -> str | None:
    """The index without the chunk's number."""
    return name and "on " + name.partition("_chunk_")[2] if name and "_chunk_" in name else name


def walked(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Each node."""
    yield plan
    for one in plan.get("Plans", ()):
        yield from walked(one)


def told(found: Mapping[str, Any]) -> Iterator[str]:
    """The table."""
    yield (
        "question | p50, p95, p99, longest, ms | CPU of the server p50, p95, ms | rows | planning, execution, ms | "
        "pages hit, read"
    )
    for name, one in found.items():
        if "failed" in one:
            yield f"{name} | {one['failed']}"
            continue
        middle = {
            key: round(statistics.median(plan[key] for plan in one["plans"]), 1)
            for key in ("planning_ms", "execution_ms", "pages_hit", "pages_read")
        }
        yield (
            f"{name} | {one['p50']}, {one['p95']}, {one['p99']}, {one['max']} | "
            f"{one['cpu_ms'][0]}, {one['cpu_ms'][1]} | {one['rows']:.0f} | "
            f"{middle['planning_ms']}, {middle['execution_ms']} | {middle['pages_hit']:.0f}, {middle['pages_read']:.0f}"
        )


def document(found: Mapping[str, Any], beside: Mapping[str, Any]) -> str:
    """As JSON."""
    return json.dumps({**beside, "questions": found}, indent=1) + "\n"
