"""An hour of a whole city at a rate, on a platform as shipped: what it carried, how late, with how much memory and CPU.

    python -m tests.bench.hour --folder DIR --rate 28000 --seconds 3600                  the hour
    python -m tests.bench.hour --folder DIR --rate 28000 --seconds 180 --keep            whether it will be kept up
    python -m tests.bench.hour --folder DIR --rate 25000 --seconds 3600 --chunk-min 60   chunks that roll over meanwhile
    python -m tests.bench.hour --folder DIR --rate 2000 --seconds 60 --people 20000      a trial

It starts `dothi up` in the folder, lets `dothi simulate run` enrol the city, send, wait and look for every message, and
looks at every process every ten seconds. The folder gets `samples.jsonl` (while it goes), `report/` (the simulator's
report) and `hour.json` (what is printed). It ends by itself: after enrolment, sending, settling and the account, each
with a bound, and so does the stack. With --keep the next run goes on with the same stack and its devices.

Publish → COMMIT is bounded from above twice, from the moment at which a message was handed to the network: `told`, when
a device that asks was told that it is settled, which a worker says after COMMIT through the broker (some ten messages a
second); `queryable`, when a reader's query, asked ten times a second, gave its row (some twenty a second).
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from dothi.output import print_json, print_table
from tests.bench.day_stack import started
from tests.bench.hour_watch import Look, Watch, during, slopes, spent

LOOK_S = 10.0
LAST_S = 300.0
ENROLLED_S, ACCOUNT_SHARE, PATIENCE_S = 1200.0, 1.5, 600.0
SET_CHUNKS = """
select set_chunk_time_interval(format('reading.%%I', hypertable_name)::regclass, %s)
from timescaledb_information.hypertables where hypertable_schema = 'reading'
"""
Figures = dict[str, Any]


def main() -> None:
    """Run, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the stack; made if it is not there")
    parser.add_argument("--rate", type=float, default=28_000.0, help="messages/s")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--preset", default="2030")
    parser.add_argument("--people", type=int, help="a smaller city in place of the preset")
    parser.add_argument("--density", type=float, default=200.0, help="devices per 100 people, together with --people")
    parser.add_argument(
        "--chunk-min", type=float, help="of new chunks at first, minutes; the keeper decides on later ones"
    )
    parser.add_argument("--brokers", type=int, default=2)
    parser.add_argument("--settle-s", type=float, default=600.0)
    parser.add_argument("--keep", action="store_true", help="the folder has been used before, or will be")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.chunk_min is not None and not 1 <= asked.chunk_min <= 1440:
        parser.error(f"--chunk-min {asked.chunk_min:g}: expected 1 to 1440, such as 60")
    folder = asked.folder.absolute()
    if (folder / "stack.json").exists() and not asked.keep:
        parser.error(f"--folder {folder}: has a stack already; name another folder, or go on with it by --keep")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    (folder / "report/report.json").unlink(missing_ok=True)
    with started(folder, "--broker-shards", str(asked.brokers)):
        if asked.chunk_min:
            set_chunks(folder, timedelta(minutes=asked.chunk_min))
        watch, code = watched(folder, asked)
    if not (folder / "report/report.json").exists():
        sys.exit(f"no report was made, see {folder}/log/simulate.log; what was seen is in {folder}/samples.jsonl")
    figures = summary(folder, watch.looks, asked) | {"exit code of the simulator": code}
    (folder / "hour.json").write_text(json.dumps(figures, indent=1) + "\n")
    if asked.json:
        print_json(figures)
    else:
        print_table(("what", "figure"), [(name, said(value)) for name, value in flat(figures)])
    sys.exit(code)


def set_chunks(folder: Path, length: timedelta) -> None:
    """How long the chunks of readings are that begin from now on."""
    url = json.loads((folder / "stack.json").read_text())["database"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SET_CHUNKS, (length,))


def watched(folder: Path, asked: argparse.Namespace) -> tuple[Watch, int]:
    """Send, and look meanwhile; also the sender's exit code."""
    with sending(folder, asked) as process:
        watch = Watch(folder, process.pid, folder / "samples.jsonl")
        until = time.monotonic() + ENROLLED_S + (1 + ACCOUNT_SHARE) * asked.seconds + asked.settle_s + PATIENCE_S
        while process.poll() is None:
            watch.look()
            if time.monotonic() > until:
                say("takes too long: the sender is asked to end")
                process.send_signal(signal.SIGINT)
                until += PATIENCE_S
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
        return watch, process.returncode


@contextlib.contextmanager
def sending(folder: Path, asked: argparse.Namespace) -> Iterator["subprocess.Popen[bytes]"]:
    """`dothi simulate run` while the block runs; its own lines go to log/simulate.log."""
    city = ["--preset", asked.preset]
    if asked.people:
        city = ["--people", str(asked.people), "--density", str(asked.density)]
    command = [
        *(sys.executable, "-m", "dothi", "simulate", "run", "--dir", str(folder), *city),
        *("--rate", str(asked.rate), "--for", str(asked.seconds), "--settle-s", str(asked.settle_s)),
        *("--report", str(folder / "report"), "--json"),
    ]
    say(" ".join(command))
    with (folder / "log/simulate.json").open("wb") as out, (folder / "log/simulate.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=out, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
            process.kill()


def summary(folder: Path, looks: list[Look], asked: argparse.Namespace) -> Figures:
    """What the run gave, from the simulator's report and the looks while it sent."""
    report = json.loads((folder / "report/report.json").read_text())
    account, delays, run = report["conservation"], report["delays"]["whole_s"], report["run"]
    begin = datetime.fromisoformat(run["start"]).timestamp()
    sent = during(looks, begin, begin + run["seconds"])
    last = during(looks, begin + run["seconds"] - LAST_S, begin + run["seconds"])
    per, cpu = 1e5 / max(1, account["sent"]), spent(sent) if sent else {}
    lag = [one for one in report["processes"]["platform"]["lag_s"] if one is not None]
    return {
        "run": {name: run[name] for name in ("start", "seconds", "devices", "families", "rate_per_s")},
        "enrolled and ready after (s)": round(begin - looks[0]["at"]),
        "messages/s": {
            "asked": asked.rate,
            "acknowledged": round(account["acknowledged"] / run["seconds"]),
            "stored": round(account["stored"] / run["seconds"]),
        },
        "account": {name: value for name, value in account.items() if isinstance(value, int)},
        "waited until settled": account["settled"],
        "delays (s)": {
            name: {one: delays[name][one] for one in ("p50", "p90", "p99", "max", "count")} for name in delays
        },
        "lag, greatest of a look (s)": max(lag, default=None),
        "what rings waits, most (s)": round(max((one.get("rings_waits_s", 0.0) for one in sent), default=0.0), 1),
        "what is shown waits, most (s)": round(max((one.get("shown_waits_s", 0.0) for one in sent), default=0.0), 1),
        "CPU s per 100,000, by part": report["processes"]["cpu_s_per_100k"],
        "CPU s per 100,000, by process": {name: round(value * per, 3) for name, value in sorted(cpu.items())},
        "memory, last five minutes": slopes(last),
        "memory, while it sent": slopes(sent),
        "database meanwhile": report["platform"].get("meanwhile"),
        "load average": {"before": looks[0]["load"], "most": max(one["load"] for one in looks)},
        "cores": os.cpu_count(),
        "memory free at least (GB)": min(one["memory_free_gb"] for one in looks),
        "disk free at least (GB)": min(one["disk_free_gb"] for one in looks),
    }


def flat(figures: Figures, before: str = "") -> Iterator[tuple[str, Any]]:
    """Rows of a table; a line of least squares is one."""
    for name, value in figures.items():
        if isinstance(value, dict) and "percent_a_minute" not in value:
            yield from flat(value, f"{before}{name}: ")
        else:
            yield before + name, value


def say(text: str) -> None:
    """A line for whoever waits; stdout is for the figures."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def said(value: Any) -> str:
    """A figure as a cell."""
    if isinstance(value, dict):
        return f"{value['from_mib']} → {value['to_mib']} MiB, {value['percent_a_minute']} % a minute"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    main()
