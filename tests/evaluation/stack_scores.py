"""Alarms of a running stack against the truth: scenarios one after another, faster than they are made for, scored.

    python -m tests.evaluation.stack_scores --out DIR [--speed 10] [--people 8000] [--track NAME:SECONDS,… …]

The whole way: simulator, broker, ingest, detectors and indices, the engine of alarms, the record. Devices send `speed`
times as often as their profiles say, and the registry expects them as often, so that silence is noticed that much
sooner; what is told in seconds or hours elsewhere (rules, detectors, the hour of the air index) is as shipped. Tracks
run side by side, the scenarios of one after another; `--second` plays in Bắc Kạn, the rest in Bắc Giang.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dothi.commands.simulate_score import read_alarms, read_truth
from dothi.scoring import Alarm, score, summary
from dothi.truth import Event, seconds
from simulators.scenario_file import parse
from tests.evaluation.alarm_scores import show
from tests.evaluation.scenarios import share_as_seconds
from tests.stack import RunningStack, running_stack

TRACKS = (
    "forest-fire:420,monsoon:700,gateway-cut:720,bad-day:450",
    "compromised:220,renamed-field:420,traffic-incident:280,power-cut:540,sensor-faults:420",
    "rush-hour:300,heat-wave:240",
)
SECOND = ("late-burst:900,disorder:200",)
APART_S = 20.0
LEAST_INTERVAL_S = 15.0
GRACE_S = 600.0
RESTART_S = 90.0
PROVINCES = {"bac-giang": "2", "bac-kan": "0"}  # the first digit of the codes of their districts


class Played(NamedTuple):
    """A scenario and its time in the run, s from its beginning."""

    name: str
    begin: float
    end: float


def main() -> None:
    """Play, score, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--people", type=int, default=8_000)
    parser.add_argument("--warm-s", type=float, default=150.0)
    parser.add_argument("--restarts", action="store_true", help="afterwards, of the broker and of the whole stack")
    parser.add_argument("--track", action="append", default=[])
    parser.add_argument("--second", action="append", default=[])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    tracks = {"bac-giang": asked.track or TRACKS, "bac-kan": asked.second or SECOND}
    with running_stack(asked.out) as stack:
        stack.run(f"update registry.profile set interval_s = greatest({LEAST_INTERVAL_S}, interval_s / {asked.speed})")
        runs = [(name, *started(stack, asked, name, some)) for name, some in tracks.items() if any(some)]
        for name, plan, process in runs:
            process.wait()
            ours = alarms_of(stack, asked.out / name, PROVINCES[name])
            kept(asked.out / f"{name}-alarms.json", [one._asdict() for one in ours])
            kept(asked.out / f"{name}.json", scored(asked.out / name, plan, ours))
        if asked.restarts:
            broker_restart(stack)
    if asked.restarts:
        platform_restart(asked.out)


def started(
    stack: RunningStack, asked: argparse.Namespace, province: str, tracks: Sequence[str]
) -> tuple[list[Played], "subprocess.Popen[bytes]"]:
    """One simulator with all of a province's scenarios."""
    plan = [one for track in tracks for one in planned(track, asked.warm_s)]
    total = max(one.end for one in plan) + APART_S
    folder = asked.out / province
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "dothi", "simulate", "run", "--dir", str(stack.folder), "--province", province]
    people = asked.people if province == "bac-giang" else asked.people // 4
    command += ["--people", str(people), "--speed", str(asked.speed), "--for", str(total), "--report", str(folder)]
    for one in plan:
        command += ["--scenario", str(written(one, folder, total))]
    with (folder / "run.log").open("wb") as log:
        return plan, subprocess.Popen(command, stdout=log, stderr=log)


def planned(track: str, warm_s: float) -> list[Played]:
    """The scenarios of a track, each after the one before."""
    found, at = [], warm_s
    for name, lasts in (pair.split(":") for pair in track.split(",") if pair):
        found.append(Played(name, at, at + float(lasts)))
        at += float(lasts) + APART_S
    return found


def written(one: Played, folder: Path, total: float) -> Path:
    """A scenario that comes along, at its time in the run."""
    lasts, events = one.end - one.begin, []
    for event in parse(one.name).events:
        made: dict[str, Any] = {key: share_as_seconds(value, lasts) for key, value in event.items()}
        begin = float(made.get("start", 0.0))
        events.append({"for": lasts - begin} | made | {"start": one.begin + begin})
    file = folder / f"{one.name}.yaml"
    title = {"vi": one.name, "en": one.name}
    file.write_text(yaml.safe_dump({"title": title, "about": title, "lasts": total, "events": events}))
    return file


def alarms_of(stack: RunningStack, folder: Path, digit: str) -> list[Alarm]:
    """Those of a province, and those of no district."""
    document, _ = read_truth(folder / "truth.json")
    alarms = read_alarms(stack.document["reader"], seconds(document["run"]["start"]), time.time(), 0)
    return [alarm for alarm in alarms if alarm.area is None or alarm.area.startswith(digit)]


def kept(file: Path, found: Any) -> None:
    """As JSON."""
    file.write_text(json.dumps(found, indent=1, default=str) + "\n")


def broker_restart(stack: RunningStack) -> None:
    """The broker is killed and comes back: alarms that this raises."""
    begun = stack.query("select clock_timestamp()")[0][0]
    os.kill(json.loads((stack.folder / "stack.json").read_text())["processes"]["broker"][0], signal.SIGKILL)
    time.sleep(RESTART_S)
    say_alarms(stack, "broker restart", begun)


def platform_restart(folder: Path) -> None:
    """The stack ends and comes back."""
    (folder / "ready.json").unlink(missing_ok=True)
    with running_stack(folder) as stack:
        begun = stack.query("select pg_postmaster_start_time()")[0][0]
        time.sleep(RESTART_S)
        say_alarms(stack, "platform restart", begun)


def say_alarms(stack: RunningStack, what: str, begun: object) -> None:
    """What the record noted since."""
    rows = stack.query(
        "select a.id, a.kind, a.severity, h.what, a.message from city.alarm_history h "
        "join city.alarm a on a.id = h.alarm where h.recorded > %s and h.what in ('raised', 'reopened')",
        begun,
    )
    sys.stdout.write(f"{what}: {len(rows)} alarms {rows}\n")


def scored(folder: Path, plan: Sequence[Played], ours: Sequence[Alarm]) -> list[dict[str, Any]]:
    """Each scenario's figures; an alarm without a cause counts for all that were played when it was raised."""
    document, events = read_truth(folder / "truth.json")
    start = seconds(document["run"]["start"])
    whole = score(events, ours, GRACE_S, start)
    results = []
    for one in plan:
        result = of_one(
            one, [event for event in events if event.id.startswith(f"{one.name}/")], ours, whole.false, start
        )
        show(result)
        results.append(result)
    result = {"scenario": "all", "for_the_centre": 0, "centre_false": 0, "cpu_s": None, **summary(whole)}
    show(result)
    results.append(result | {"every": [told(alarm) for alarm in ours]})
    return results


def of_one(
    one: Played, events: Sequence[Event], alarms: Sequence[Alarm], false: Sequence[Alarm], start: float
) -> dict[str, Any]:
    """What came of one scenario."""
    begin, end = start + one.begin, start + one.end + APART_S
    mine = score(events, alarms, GRACE_S, begin)
    about = [alarm for alarm in alarms if alarm.id in mine.by and alarm.raised >= begin]
    without = [alarm for alarm in false if begin <= alarm.raised < end]
    result = summary(mine)
    result |= {
        "alarms": len(about) + len(without),
        "alarms_false": len(without),
        "false": [told(alarm) for alarm in without],
        "about": [told(alarm) for alarm in about],
        "for_the_centre": sum(alarm.severity != "info" for alarm in (*about, *without)),
        "centre_false": sum(alarm.severity != "info" for alarm in without),
        "cpu_s": None,
    }
    return {"scenario": one.name, **result}


def told(alarm: Alarm) -> dict[str, Any]:
    """An alarm in a list."""
    return {**alarm._asdict(), "devices": sorted(alarm.devices)[:10], "members": len(alarm.devices)}


if __name__ == "__main__":
    main()
