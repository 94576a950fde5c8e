"""Alarms of a running stack against the truth: scenarios one after another, faster than they are made for, scored.

    python -m tests.evaluation.stack_scores --out DIR [--speed 10] [--people 5000] [--track NAME:SECONDS,… …]

The whole way: simulator, broker, ingest, detectors and indices, the engine of alarms, the record. Devices send `speed`
times as often as their profiles say, and the registry expects them as often, so that silence is noticed that much
sooner; what is told in seconds or hours elsewhere (rules, detectors, the hour of the air index) is as shipped. Tracks
run side by side, the scenarios of one after another; `--second` plays in Bắc Kạn, the rest in Bắc Giang. `--history`
gives stations of a family days of readings before; `--restarts` ends brokers and stack while devices go on.
"""

import argparse
import contextlib
import json
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
from tests.evaluation.stack_history import lived
from tests.evaluation.stack_restarts import broker_restart, platform_restart
from tests.stack import RunningStack, running_stack

TRACKS = (
    "forest-fire:420,monsoon:700,gateway-cut:1200,power-cut:600",
    "traffic-incident:280,rush-hour:300,bad-day:900",
)
SECOND = ("compromised:420,renamed-field:700,sensor-faults:420,late-burst:600,disorder:200",)
SITES: dict[str, dict[str, Any]] = {
    "gateway-cut": {"lat": 21.3926, "lon": 106.1276, "radius_km": 2.0},
    "power-cut": {"areas": ["218"]},
}
"""Elsewhere than is written: the commune of the one has six devices in so small a city, the largest district is dark
on the bad day as well."""
APART_S = 20.0
LEAST_INTERVAL_S = 15.0
GRACE_S = 600.0
RESTARTS_S = 900.0
PROVINCES = {"bac-giang": "2", "bac-kan": "0"}  # the first digit of the codes of their districts


class Played(NamedTuple):
    """A scenario and its time in the run, s from its beginning."""

    name: str
    begin: float
    end: float


class Run(NamedTuple):
    """A province's simulator, and what it plays."""

    province: str
    plan: list[Played]
    process: "subprocess.Popen[bytes]"


def main() -> None:
    """Play, score, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--warm-s", type=float, default=150.0)
    parser.add_argument("--history", default="", help="FAMILY:DAYS")
    parser.add_argument("--restarts", action="store_true", help="afterwards, of the broker and of the whole stack")
    parser.add_argument("--track", action="append", default=[])
    parser.add_argument("--second", action="append", default=[])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as ends:
        with running_stack(asked.out) as stack:
            begun = time.time()
            runs = played(stack, asked, ends)
            ours = read_alarms(stack.document["reader"], begun, time.time(), 0)
            kept(asked.out / "alarms.json", [one._asdict() for one in ours])
            if asked.restarts:
                broker_restart(stack)
            else:
                finish(runs)
        if asked.restarts:
            platform_restart(asked.out, lambda: finish(runs))
    for run in runs:
        mine = [one for one in ours if one.area is None or one.area.startswith(PROVINCES[run.province])]
        kept(asked.out / f"{run.province}.json", scored(asked.out / run.province, run.plan, mine))


def finish(runs: Sequence[Run]) -> None:
    """The simulators end; they write their truth when the platform has dealt with all."""
    for run in runs:
        ended(run.process)


def played(stack: RunningStack, asked: argparse.Namespace, ends: contextlib.ExitStack) -> list[Run]:
    """All that is played, until it is over; with restarts to come devices go on afterwards."""
    tracks = {"bac-giang": asked.track or TRACKS, "bac-kan": asked.second or SECOND}
    tracks = {province: some for province, some in tracks.items() if any(some)}
    spedup = f"update registry.profile set interval_s = greatest({LEAST_INTERVAL_S}, interval_s / {asked.speed})"
    stack.run(spedup)
    if asked.history:
        for province in tracks:
            enrol = [*simulated(stack, asked, province), "--no-account", "--speed", "0.001", "--for", "1"]
            subprocess.run(enrol, check=True)  # so slowly that nobody speaks: what comes later must not be late
        lived(stack, *asked.history.split(":"))
    runs = [started(stack, asked, province, some) for province, some in tracks.items()]
    for run in runs:
        ends.callback(ended, run.process)
    last = max(one.end for run in runs for one in run.plan) + APART_S
    deadline = time.monotonic() + last + 30.0
    while time.monotonic() < deadline and any(run.process.poll() is None for run in runs):
        time.sleep(1.0)
    return runs


def simulated(stack: RunningStack, asked: argparse.Namespace, province: str) -> list[str]:
    """The command that lets a city live."""
    people = asked.people if province == "bac-giang" else asked.people // 2
    command = [sys.executable, "-m", "dothi", "simulate", "run", "--dir", str(stack.folder), "--province", province]
    return [*command, "--people", str(people), "--speed", str(asked.speed), "--settle-s", "1"]


def started(stack: RunningStack, asked: argparse.Namespace, province: str, tracks: Sequence[str]) -> Run:
    """One simulator with all of a province's scenarios."""
    plan = [one for track in tracks for one in planned(track, asked.warm_s)]
    total = max(one.end for one in plan) + APART_S + RESTARTS_S * asked.restarts
    folder = asked.out / province
    folder.mkdir(exist_ok=True)
    command = [*simulated(stack, asked, province), "--for", str(total), "--report", str(folder)]
    for one in plan:
        command += ["--scenario", str(written(one, folder, total))]
    with (folder / "run.log").open("wb") as log:
        return Run(province, plan, subprocess.Popen(command, stdout=log, stderr=log))


def ended(process: "subprocess.Popen[bytes]") -> None:
    """A simulator that goes on is told to stop."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.wait(200)


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
        site = {"where": SITES[one.name]} if one.name in SITES else {}
        events.append({"for": lasts - begin} | made | site | {"start": one.begin + begin})
    file = folder / f"{one.name}.yaml"
    title = {"vi": one.name, "en": one.name}
    file.write_text(yaml.safe_dump({"title": title, "about": title, "lasts": total, "events": events}))
    return file


def kept(file: Path, found: Any) -> None:
    """As JSON."""
    file.write_text(json.dumps(found, indent=1, default=str) + "\n")


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
        "precision": precision([alarm.severity for alarm in about], [alarm.severity for alarm in without]),
        "cpu_s": None,
    }
    return {"scenario": one.name, **result}


def precision(true: Sequence[str], false: Sequence[str]) -> float | None:
    """Of alarms above info, by their severities; None: there was none.

    >>> precision(["major", "info", "minor"], ["info", "major"])
    0.67
    """
    right, wrong = (sum(one != "info" for one in some) for some in (true, false))
    return round(right / (right + wrong), 2) if right + wrong else None


def told(alarm: Alarm) -> dict[str, Any]:
    """An alarm in a list."""
    return {**alarm._asdict(), "devices": sorted(alarm.devices)[:10], "members": len(alarm.devices)}


if __name__ == "__main__":
    main()
