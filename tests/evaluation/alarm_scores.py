"""Alarms against the truth: every scenario that comes along, through detectors and the engine of alarms, scored.

    python -m tests.evaluation.alarm_scores [SCENARIO …] [--devices N] [--seed N] [--step-s S] [--json FILE]

Without broker and database, as tests.evaluation.alarms plays them: what the platform says of itself (ops.event), rivers
and the air-quality index are not part of it, so alarms of these, of garbage, spoofed names and unknown fields cannot
ring and are not expected.
"""

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from analytics.alarms.record import Answer, Call, Rehearsed, Rung
from dothi.scoring import Alarm, score, summary
from dothi.truth import events_of
from simulators.fleet import Fleet, native_profile
from simulators.scenario_file import shipped
from simulators.truth import event_document
from tests.evaluation.alarms import city, found_in, rung, scene
from tests.evaluation.city import START, families_in

NOT_PLAYED = frozenset(("flood", "garbage", "spoof", "unknown_field", "river_level"))


class Joining(Rehearsed):
    """Remembers when each device became a member, s since 1970."""

    def __init__(self) -> None:
        super().__init__()
        self.since: dict[tuple[int, int], float] = {}

    def call(self, calls: Sequence[Call]) -> list[Answer]:
        """As the record does."""
        answers = super().call(calls)
        for call, answer in zip(calls, answers, strict=True):
            for device in (*call.members, *([call.device] if call.device is not None else [])):
                self.since.setdefault((answer.id, device), call.at / 1e6)
        return answers


def scored(name: str, devices: int, seed: int, learn_s: float, processes: int, step_s: float) -> dict[str, Any]:
    """One scenario: its figures, and what they were taken from. Detectors and engine look every `step_s`."""
    began = cpu_s()
    fleet = city(devices, seed)
    world = scene(name, fleet, learn_s)
    families = sorted(families_in(fleet), key=lambda family: native_profile(family).interval_s)
    work = partial(found_in, world, step_s=step_s, names=())
    with ProcessPoolExecutor(processes) as pool:
        found = [one for part in pool.map(work, families) for one in part]
    record = Joining()
    rung(fleet, found, world.seconds, step_s, record)
    since = START + learn_s
    truths = [event_document(effect.truth(fleet), fleet, Path("truth.json")) for effect in world.scenario()]
    events = events_of({"events": played(truths)}, {})
    alarms = alarms_of(fleet, record)
    result = summary(score(events, alarms, since=since))
    centre = sum(alarm.raised >= since and alarm.severity != "info" for alarm in alarms)
    centre_false = sum(one["severity"] != "info" for one in result["false"])
    hours = (world.seconds - learn_s) / 3600.0
    spent = {"devices": len(fleet), "seed": seed, "hours": hours, "cpu_s": round(cpu_s() - began, 1)}
    return {"scenario": name, **spent, "for_the_centre": centre, "centre_false": centre_false, **result}


def cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)


def played(truths: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What can ring here is expected, the rest is told in docs/alarm-scores.md."""
    return [
        truth | {"alarms": [alarm for alarm in truth["alarms"] if alarm["kind"] not in NOT_PLAYED]} for truth in truths
    ]


def alarms_of(fleet: Fleet, record: Joining) -> list[Alarm]:
    """The alarms of a rehearsal as those of the record."""
    ids = fleet.ids()

    def alarm(one: Rung) -> Alarm:
        members = {ids[device]: at for (number, device), at in record.since.items() if number == one.id}
        area = None if one.call.area is None else f"{one.call.area:03d}"
        cleared = None if one.cleared is None else one.cleared / 1e6
        return Alarm(one.id, one.call.kind, one.severity, area, one.raised / 1e6, cleared, members)

    return [alarm(one) for one in record.alarms]


def show(result: dict[str, Any]) -> None:
    """A row of the table in docs/alarm-scores.md, and its kinds."""
    cells = [result["scenario"], *(figure(result[name]) for name in COLUMNS)]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    for row in result["kinds"]:
        cells = [f"  {row['kind']}", *(figure(row[name]) for name in KINDS)]
        sys.stdout.write(f"|   | {' | '.join(cells)} |\n")
    for one in result["missed"][:8]:
        sys.stdout.write(f"      missed: {one['kind']} {one['of'] or one['cause']}\n")
    for one in result["false"][:8]:
        sys.stdout.write(f"      without a cause: {one['kind']} {one['severity']} {one['area']} {one['devices'][:3]}\n")
    sys.stdout.flush()


COLUMNS = (
    *("matters", "matters_told", "recall", "alarms", "alarms_false", "for_the_centre", "centre_false"),
    *("alarms_per_matter", "detect_median_s", "detect_p95_s", "cpu_s"),
)
KINDS = ("expected", "told", "recall", "alarms", "false", "alarms_per_matter", "detect_median_s", "detect_p95_s")


def figure(value: float | None) -> str:
    """As a cell."""
    return "–" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def main() -> None:
    """Play, score, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=shipped())
    parser.add_argument("--devices", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learn-h", type=float, default=1.0)
    parser.add_argument("--step-s", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = []
    for name in asked.names:
        learn_s = asked.learn_h * 3600.0
        results.append(scored(name, asked.devices, asked.seed, learn_s, asked.processes, asked.step_s))
        show(results[-1])
        if asked.json:
            asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
