"""The rounds of a run as one document and as a page."""

import os
import platform
from collections import defaultdict
from statistics import median
from typing import Any

Row = dict[str, Any]


def summary(rounds: list[Row]) -> dict[str, Any]:
    """Totals of rounds as they lie in the run's file."""
    calm = [one for one in rounds if not one["broker_dies"]]
    rough = [one for one in rounds if one["broker_dies"]]
    kills: dict[str, int] = defaultdict(int)
    for one in rounds:
        for fault in one["faults"]:
            kills[fault["fault"]] += fault["kills"]
    acknowledged = total(calm, "readings_by_broker")
    platform_readings = total(rounds, "readings_by_platform")
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "rounds": len(rounds),
        "seconds": round(sum(one["seconds"] for one in rounds)),
        "kills": sum(kills.values()),
        "kills_by_kind": {name: count for name, count in sorted(kills.items()) if count},
        "other_faults": sum(1 for one in rounds for fault in one["faults"] if not fault["kills"]),
        "messages": sum(one["messages"] for one in rounds),
        "readings_stored": total(rounds, "rows"),
        "acknowledged_by_broker": acknowledged,
        "lost_of_those": total(calm, "lost_by_broker") + total(calm, "extras_lost"),
        "acknowledged_by_broker_in_rounds_that_kill_it": total(rough, "readings_by_broker"),
        "lost_with_the_broker": total(rough, "lost_by_broker"),
        "acknowledged_by_platform": platform_readings,
        "lost_by_platform": total(rounds, "lost_by_platform"),
        "never_settled": total(rounds, "unsettled") if platform_readings else None,
        "double_rows": total(rounds, "doubled"),
        "invented_rows": total(rounds, "invented") + total(rounds, "altered"),
        "ledgers_that_balance": sum(one["balance"]["closes"] for one in rounds),
        "bound_per_message": bound(acknowledged),
        "bound_per_platform_acknowledgement": bound(platform_readings),
        "bound_per_kill": bound(sum(kills.values())),
        "rounds_with_complaints": [
            {
                "round": one["round"],
                "seed": one["seed"],
                "faults": [f["fault"] for f in one["faults"]],
                "complaints": one["complaints"],
                "examples": one["verdict"]["examples"],
            }
            for one in rounds
            if one["complaints"]
        ],
        "recovery_from_kills": after_kills(rounds),
        "recovery": recovery(rounds),
    }


def total(rounds: list[Row], what: str) -> int:
    """Sum of one count of the verdicts."""
    return sum(int(one["verdict"][what]) for one in rounds)


def bound(trials: int) -> float | None:
    """Rule of three: none in n trials means, with 95 % confidence, fewer than 3/n."""
    return 3 / trials if trials > 3 else None


def recovery(rounds: list[Row]) -> dict[str, dict[str, float | int | None]]:
    """Seconds by fault: how often, first commit and lag below a second, middle and longest."""
    found: dict[str, list[tuple[float | None, float | None]]] = defaultdict(list)
    for one in rounds:
        for fault in one["faults"]:
            found[fault["fault"]].append((fault["first_commit_s"], fault["lag_below_1_s"]))
    return {
        name: {
            "times": len(pairs),
            "not_recovered": sum(1 for _, lag in pairs if lag is None),
            **spread("first_commit", [first for first, _ in pairs if first is not None]),
            **spread("lag_below_1_s", [lag for _, lag in pairs if lag is not None]),
        }
        for name, pairs in sorted(found.items())
    }


def after_kills(rounds: list[Row]) -> dict[str, float | None]:
    """Seconds after every fault that kills: middle and longest."""
    faults = [fault for one in rounds for fault in one["faults"] if fault["kills"]]
    return {
        **spread("first_commit", [f["first_commit_s"] for f in faults if f["first_commit_s"] is not None]),
        **spread("lag_below_1_s", [f["lag_below_1_s"] for f in faults if f["lag_below_1_s"] is not None]),
    }


def spread(name: str, seconds: list[float]) -> dict[str, float | None]:
    """Middle and longest."""
    return {
        f"{name}_p50": round(median(seconds), 2) if seconds else None,
        f"{name}_max": round(max(seconds), 2) if seconds else None,
    }


def page(s: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = [
        f"{s['rounds']} rounds in {s['seconds'] / 60:.0f} minutes, {s['kills']} kills, "
        f"{s['other_faults']} other faults, "
        f"{s['messages']:,} messages, {s['readings_stored']:,} readings stored.",
        "",
        "| promise | acknowledged | lost | bound (95 %) |",
        "|---|---:|---:|---|",
        f"| broker's PUBACK, the broker not killed | {s['acknowledged_by_broker']:,} | {s['lost_of_those']:,} | "
        f"{said(s['lost_of_those'], s['bound_per_message'])} |",
        f"| platform's acknowledgement, any fault | {s['acknowledged_by_platform']:,} | {s['lost_by_platform']:,} | "
        f"{said(s['lost_by_platform'], s['bound_per_platform_acknowledgement'])} |",
        f"| (no promise) broker's PUBACK, the broker killed | {s['acknowledged_by_broker_in_rounds_that_kill_it']:,} | "
        f"{s['lost_with_the_broker']:,} | |",
        "",
        f"Double rows: {s['double_rows']}. Rows nobody published, or with other values: {s['invented_rows']}. "
        f"Readings of devices that keep them until settled, never settled: {s['never_settled']}. "
        f"Ledgers that balance: {s['ledgers_that_balance']} of {s['rounds']} rounds. "
        f"Kills that broke a promise: {broken(s)}. {recovered(s['recovery_from_kills'])}",
        "",
        "| fault | times | kills | first commit, s: p50 | max | lag < 1 s, s: p50 | max |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, r in s["recovery"].items():
        figures = (r[key] for key in ("first_commit_p50", "first_commit_max", "lag_below_1_s_p50", "lag_below_1_s_max"))
        lines.append(
            f"| {name} | {r['times']} | {s['kills_by_kind'].get(name, 0)} | "
            + " | ".join("–" if one is None else f"{one:.1f}" for one in figures)
            + " |"
        )
    for one in s["rounds_with_complaints"]:
        lines += ["", f"Round {one['round']} (seed {one['seed']}): {'; '.join(one['complaints'])}"]
    return "\n".join(lines) + "\n"


def recovered(r: dict[str, float | None]) -> str:
    """How long it took after kills, in words."""
    return (
        f"From kill to first commit {r['first_commit_p50']} s (middle), {r['first_commit_max']} s (longest); "
        f"to a lag below 1 s {r['lag_below_1_s_p50']} s and {r['lag_below_1_s_max']} s."
    )


def said(lost: int, most: float | None) -> str:
    """The bound in words, where none was lost."""
    return "" if lost or most is None else f"below {most:.1e}"


def broken(s: dict[str, Any]) -> str:
    """How many rounds broke a promise, and what none of n kills says."""
    rounds = len(s["rounds_with_complaints"])
    if rounds:
        return f"in {rounds} rounds"
    return f"0 of {s['kills']}" + (
        f" (below {s['bound_per_kill']:.1%} with 95 % confidence)" if s["bound_per_kill"] else ""
    )
