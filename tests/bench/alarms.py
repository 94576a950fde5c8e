"""The record of alarms under its load: `python -m tests.bench.alarms [--alarms 1000000] [--storm 100000] [--dir DIR]`.

Fills the history of a stack (its own, or a running one that is for this alone), asks what the desk asks, and lets a
storm of candidates in. Milliseconds are medians of seven; CPU seconds are those of the database's process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg

from analytics import alarm_desk, alarm_figures
from analytics.alarm_desk import Wanted
from analytics.alarms.record import Kept
from devices.area import ZONES
from dothi.asking import asked
from tests.ringing_world import HEARD, at, engine_of, sign
from tests.stack import running_stack

DEVICES = 20_000
CHUNK = 2_000
TIMES = 7
STARTS = 30
ACTIVE = 2_000
KINDS = ("stuck", "drift", "clock", "battery", "spike")

ENROL = """
insert into registry.device (device, profile, area, name)
select 'alarm-bench-' || n, (select min(id) from registry.profile), a.id, 'Trạm ' || n
from generate_series(1, %s) n join lateral (
    select id from registry.area order by id offset n %% (select count(*) from registry.area) limit 1
) a on true
"""
# A year of alarms, each with what happened to it; triggers are left out, for nobody is to be told of them.
FILL = """
with placed as (
    select id, area, row_number() over (order by id) - 1 as place
    from registry.device where device like 'alarm-bench-%%'
),
filled as (
    insert into ops.alarm (key, kind, severity, device, area, family, raised, last, acknowledged, acknowledged_by,
                           cleared, value, message, message_en, rule, verdict)
    select 'bench/' || n, (array['level_high', 'silence', 'fire', 'pm25_high', 'possible_loss'])[1 + n %% 5],
           (array['info', 'warning', 'warning', 'minor', 'minor', 'minor', 'minor', 'major', 'major', 'critical'])
               [1 + n %% 10],
           p.id, p.area, 'weather', t.at, t.at + interval '2 min', t.at + interval '4 min', 'lan',
           case when n > %(active)s then t.at + interval '20 min' end, n %% 100, 'mực nước cao ở trạm ' || n,
           'level high at ' || n, 'level', case n %% 50 when 0 then 'false' when 1 then 'true' end
    from generate_series(1, %(alarms)s) n
    join placed p on p.place = n %% %(devices)s
    cross join lateral (select now() - n * interval '365 days' / %(alarms)s as at) t
    returning id, raised, cleared, severity
)
insert into ops.alarm_history (alarm, at, what, by, severity)
select f.id, h.at, h.what, h.by, h.severity from filled f cross join lateral (
    values (f.raised, 'raised', null, f.severity), (f.raised + interval '4 min', 'acknowledged', 'lan', null),
           (f.cleared, 'cleared', null, null)
) h (at, what, by, severity) where h.at is not null
"""


def main() -> None:
    """Fill, ask, storm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=int, default=1_000_000)
    parser.add_argument("--storm", type=int, default=100_000)
    parser.add_argument("--dir", type=Path, help="a running stack for this alone")
    said = parser.parse_args()
    with ExitStack() as open_ones:
        folder = said.dir
        if folder is None:
            scratch = open_ones.enter_context(tempfile.TemporaryDirectory())
            folder = open_ones.enter_context(running_stack(Path(scratch))).folder
        document = json.loads((folder / "stack.json").read_text())
        fill(document["database"], said.alarms)
        ask(document["reader"], folder)
        folded(document["analyst"], document["database"], said.storm)
        storm(document["analyst"], document["database"], said.storm)


def fill(url: str, alarms: int) -> None:
    """A year of history."""
    with psycopg.connect(url) as connection:
        known = connection.execute("select count(*) from ops.alarm where key like 'bench/%'").fetchone()
        if known != (0,):
            return
        began = time.monotonic()
        connection.execute(ENROL, (DEVICES,))
        connection.execute("analyze registry.device")
        connection.execute("set local enable_nestloop = off")  # it knows nothing of what this makes
        connection.execute("set session_replication_role = replica")
        connection.execute(FILL, {"alarms": alarms, "devices": DEVICES, "active": ACTIVE})
        connection.commit()
        connection.autocommit = True
        connection.execute("set session_replication_role = origin")
        connection.execute("vacuum analyze ops.alarm, ops.alarm_history")
        say(f"{alarms:,} alarms with their history in {time.monotonic() - began:.0f} s")


def ask(url: str, folder: Path) -> None:
    """What the desk asks, as it asks."""
    now = datetime.now(UTC)
    with psycopg.connect(url, autocommit=True) as connection:
        asking = asked(connection)
        row = connection.execute("select max(id) from city.alarm where cleared is not null").fetchone()
        number = row[0] if row else 0
        questions: dict[str, Callable[[], Any]] = {
            "list": lambda: alarm_desk.list_alarms(asking, Wanted(), 51),
            "list --severity critical": lambda: alarm_desk.list_alarms(asking, Wanted(severities=("critical",)), 51),
            "list --cleared": lambda: alarm_desk.list_alarms(asking, Wanted(cleared=True), 51),
            "list --cleared --area 219": lambda: alarm_desk.list_alarms(asking, Wanted(cleared=True, area="219"), 51),
            "list --cleared --kind fire --severity major": lambda: alarm_desk.list_alarms(
                asking, Wanted(cleared=True, kinds=("fire",), severities=("critical", "major")), 51
            ),
            "list --cleared --device one": lambda: alarm_desk.list_alarms(
                asking, Wanted(cleared=True, devices=("alarm-bench-77",)), 51
            ),
            "list --cleared --older 300d": lambda: alarm_desk.list_alarms(
                asking, Wanted(cleared=True, until=now - timedelta(days=300)), 51
            ),
            "show": lambda: alarm_desk.one_alarm(asking, number, 1000),
            "history of one": lambda: alarm_desk.history(asking, number, None, 200),
            "history": lambda: alarm_desk.history(asking, None, None, 200),
            "stats --since 24h": lambda: alarm_figures.figures(connection, now - timedelta(days=1), now, None, 10),
            "stats --since 7d": lambda: alarm_figures.figures(connection, now - timedelta(days=7), now, None, 10),
            "stats --since 366d": lambda: alarm_figures.figures(connection, now - timedelta(days=366), now, None, 10),
            "status: how many are active": lambda: connection.execute(
                "select count(*) from city.alarm where cleared is null"
            ).fetchone(),
        }
        for name, question in questions.items():
            say(f"{name:48} {median_ms(question):8.1f} ms")
    starts([sys.executable, "-m", "dothi", "alarms", "list", "--dir", str(folder)])


def starts(command: list[str]) -> None:
    """A command as a process, as it is after an installation: its modules are compiled."""
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        taken = [start(command, environment) for _ in range(STARTS + 1)][1:]
    wall, spent = (sorted(one[place] * 1000 for one in taken) for place in (0, 1))
    said = f"{wall[STARTS // 2]:8.1f} ms (p95 {wall[STARTS * 95 // 100]:.1f}), CPU {spent[STARTS // 2]:.1f} ms"
    say(f"{'dothi alarms list, the whole process':48} {said}; load {os.getloadavg()[0]:.1f}")


def start(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """How long a process took, and what it spent on the processor, s."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, env=environment)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def median_ms(question: Callable[[], Any]) -> float:
    """Median of some turns; the first does not count."""
    question()
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        question()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def devices_of(owner: str) -> list[int]:
    """The devices of this bench."""
    with psycopg.connect(owner, autocommit=True) as connection:
        rows = connection.execute("select id from registry.device where device like 'alarm-bench-%' order by id")
        return [device for (device,) in rows]


def folded(url: str, owner: str, candidates: int) -> None:
    """A minute of findings through the engine, which looks every ten seconds. Nothing of it stays in the database."""
    devices = devices_of(owner)
    with psycopg.connect(url) as connection:
        ours, theirs = psutil.Process(), psutil.Process(connection.info.backend_pid)
        began, held, spent = time.monotonic(), megabytes(ours), [seconds(one) for one in (ours, theirs)]
        engine, record = engine_of(population=len(devices)), Kept(connection)
        for look in range(6):
            some = range(candidates * look // 6, candidates * (look + 1) // 6)
            engine.take(
                sign(n, devices[n % len(devices)], KINDS[n % len(KINDS)], area=ZONES[n % len(ZONES)].id) for n in some
            )
            engine.settle(record, at(10.0 * look), HEARD)
        engine.settle(record, at(400.0), HEARD)
        wall, cpu = time.monotonic() - began, [seconds(ours) - spent[0], seconds(theirs) - spent[1]]
        raised = sum(matter.raised for matter in engine.folding.matters.values())
        said = f"{raised} alarms in {wall:.1f} s, {cpu[0]:.1f} CPU s, {cpu[1]:.1f} of the database"
        memory = f"memory +{megabytes(ours) - held:.0f} MiB, a database process {megabytes(theirs):.0f} MiB"
        say(f"storm: {candidates:,} through the engine: {said}; {memory}")
        connection.rollback()


def seconds(process: psutil.Process) -> float:
    """CPU seconds that it has spent."""
    return sum(process.cpu_times()[:2])


def megabytes(process: psutil.Process) -> float:
    """Memory that is its own alone, MiB."""
    return float(process.memory_full_info().uss) / 2**20


def storm(url: str, owner: str, candidates: int) -> None:
    """Candidates in chunks as the engine gives them: all new, all known, all lasting, then all over."""
    now = datetime.now(UTC)
    devices = devices_of(owner)
    with psycopg.connect(url, autocommit=True) as connection:
        process = psutil.Process(connection.info.backend_pid)
        run = f"storm/{time.time_ns()}"

        def raise_all(at: datetime) -> None:
            for first in range(0, candidates, CHUNK):
                chunk = [
                    {
                        **{
                            "key": f"{run}/{n}",
                            "kind": "level_high",
                            "severity": "major",
                            "device": devices[n % len(devices)],
                        },
                        **{
                            "at": at.isoformat(),
                            "value": n,
                            "message": "mực nước cao",
                            "message_en": "high",
                            "rule": "level",
                        },
                    }
                    for n in range(first, min(first + CHUNK, candidates))
                ]
                connection.execute("select count(*) from ops.raise_alarms(%s)", (json.dumps(chunk),))

        def clear_all(at: datetime) -> None:
            for first in range(0, candidates, CHUNK):
                keys = [f"{run}/{n}" for n in range(first, min(first + CHUNK, candidates))]
                connection.execute("select count(*) from ops.clear_alarms(%s, %s)", (keys, [at] * len(keys)))

        for name, action, after_s in (
            ("raised anew", raise_all, 0),
            ("told again", raise_all, 0),
            ("lasting", raise_all, 1),
            ("over", clear_all, 2),
        ):
            began, spent = time.monotonic(), seconds(process)
            action(now + timedelta(seconds=after_s))
            wall, cpu = time.monotonic() - began, (seconds(process) - spent) * 1e5 / candidates
            say(f"storm: {candidates:,} {name:12} {wall:6.1f} s, {cpu:5.1f} CPU s/100k, {megabytes(process):.0f} MiB")
            if name == "raised anew":
                with psycopg.connect(owner, autocommit=True) as desk:
                    listed = median_ms(lambda: alarm_desk.list_alarms(asked(desk), Wanted(), 51))
                    counted = median_ms(
                        lambda: desk.execute("select count(*) from city.alarm where cleared is null").fetchone()
                    )
                    reminded = median_ms(lambda: desk.execute("select count(*) from ops.remind_alarms()").fetchone())
                say(f"in the storm: list {listed:.1f} ms, count {counted:.1f} ms, remind_alarms {reminded:.1f} ms")


def say(line: str) -> None:
    """A line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
