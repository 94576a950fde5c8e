"""From publish to an alarm's row and to its MQTT message, while a whole stack stores tens of thousands of readings/s.

    python -m tests.bench.alarm_latency [--rate 60000] [--seconds 90] [--single 0.1] [--lengths 10,25,50] [--json]
    python -m tests.bench.alarm_latency --rate 2000 --single 1

The stack is as `dothi up` starts it: broker with authentication, workers, database, analyst with all detectors and the
shipped rules, messenger; the rules have one more, a limit that rings at once for each device by itself. What is sent
beside is in tests/bench/alarm_mix.py. Three kinds of probes, each of which rings once:

- limit: an air-quality station beyond that limit,
- flame: a flame detector, 11 km from all others, so that each is a fire of its own,
- river: a gauge of each district that rises to alarm level I, then II, then III.

A row counts as there when another session sees the step in ops.alarm_history, at looks 20 ms apart; a message when a
client that listens to dothi/alarms/# gets it. Every reading that was sent is looked for: by device as many rows as it
sent. CPU is of every process, senders and this one apart.
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import yaml

from analytics.alarms.rules import SHIPPED
from devices.enroll import Row
from devices.registry import enroll
from dothi.output import print_json, print_table
from tests.bench.alarm_mix import AREAS, FAMILIES, Mix, Sent, send
from tests.bench.alarm_watch import Probes, Spent, Watch, spread
from tests.stack import RunningStack, running_stack

LIMIT = {
    **{"name": "probe", "from": "limit", "kind": "probe", "family": "air_quality", "metric": "pm25", "when": ">"},
    **{"raise": 900, "clear": 800, "severity": "critical", "fold": "device", "title": {"vi": "Thử", "en": "Probe"}},
}
WARM_S = 30.0
LATE_S = 30.0
LEVELS = ((4.5, "minor"), (5.5, "major"), (6.5, "critical"))
FIRST_LAT, FIRST_LON, APART_DEG, IN_A_ROW = 19.0, 105.0, 0.11, 20

ROWS = """
select d.device, r.n from (select device, count(*) as n from reading.{} group by device) r
join registry.device d on d.id = r.device
"""

Figures = dict[str, Any]


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=60_000, help="readings/s of all senders together")
    parser.add_argument("--seconds", type=int, default=90, help="in which probes ring, after 30 s")
    parser.add_argument("--single", type=float, default=0.1, help="share of readings that are messages of their own")
    parser.add_argument("--lengths", default="10,25,50", help="readings in a list, each of an equal share of devices")
    parser.add_argument("--devices", type=int, default=60_000)
    parser.add_argument("--probes", type=float, default=2.0, help="a second of each kind; rivers: 54 in all")
    parser.add_argument("--senders", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    mix = Mix(asked.rate, asked.single, tuple(int(one) for one in asked.lengths.split(",")), asked.devices)
    with tempfile.TemporaryDirectory() as folder:
        rules, shipped = Path(folder) / "rules.yaml", yaml.safe_load(SHIPPED.read_text())
        rules.write_text(yaml.safe_dump({"rules": [LIMIT, *shipped["rules"]]}, allow_unicode=True))
        given = {"DOTHI_ALARM_RULES": str(rules)}
        with running_stack(Path(folder), "--workers", str(asked.workers), environment=given) as stack:
            figures = measured(stack, asked, mix)
    if asked.json:
        print_json(figures)
    else:
        print_table(("what", "figure"), list(flat(figures)))


def measured(stack: RunningStack, asked: argparse.Namespace, mix: Mix) -> Figures:
    """All figures of one run."""
    number = round(asked.seconds * asked.probes)
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll(connection, [*mix.rows(), *probe_rows(number)])
    time.sleep(6)
    done: multiprocessing.Queue[Sent] = multiprocessing.Queue()
    share = (asked.senders, stack.document["broker"], mix, WARM_S + asked.seconds + 2, done)
    senders = [multiprocessing.Process(target=send, args=(place, *share)) for place in range(asked.senders)]
    for sender in senders:
        sender.start()
    time.sleep(WARM_S)
    watch, spent = Watch(stack), Spent(stack)
    probes = ring(stack, number, asked.seconds)
    cpu = spent.so_far()
    waited = watch.wait(probes, LATE_S)
    sent = [done.get(timeout=120) for _ in senders]
    for sender in senders:
        sender.join()
    counts = checked(stack, sent, len(probes))
    return {
        "conditions": conditions(asked, mix, spent),
        "sent": {
            "messages/s": round(sum(one.messages for one in sent) / (WARM_S + asked.seconds + 2)),
            "readings/s": round(sum(sum(one.readings.values()) for one in sent) / (WARM_S + asked.seconds + 2)),
            "most behind its pace (s)": round(max(one.late_s for one in sent), 2),
            "CPU of the senders (cores)": round(sum(one.cpu_s for one in sent) / (WARM_S + asked.seconds + 2), 2),
        },
        "counts": counts,
        "latency": {kind: spread(probes, watch, kind) for kind in ("limit", "flame", "river")},
        "waited for the last (s)": round(waited, 1),
        "age of the oldest batch not taken (s)": watch.lag(),
        "CPU (cores)": cpu,
        "analyst": spent.followers(),
    }


def probe_rows(number: int) -> list[Row]:
    """Devices that will ring, each once; gauges three times."""
    limits = [Row(f"limit-{n:05d}", "native-air-quality", AREAS[n % len(AREAS)]) for n in range(number)]
    flames = [
        Row(
            *(f"flame-{n:05d}", "native-fire-watch", AREAS[n % len(AREAS)], None),
            *(FIRST_LAT + n // IN_A_ROW * APART_DEG, FIRST_LON + n % IN_A_ROW * APART_DEG),
        )
        for n in range(number)
    ]
    return [*limits, *flames, *(Row(gauge(area), "native-water-level", area) for area in AREAS)]


def gauge(area: str) -> str:
    """A gauge that has the levels of a rehearsal."""
    return f"wl-{area}-000009"


def ring(stack: RunningStack, number: int, seconds: float) -> Probes:
    """Publish what rings, evenly mixed; when each was handed over."""
    said: list[tuple[float, str, str, str, str, dict[str, Any]]] = []  # due, kind, device, area, severity, metrics
    for n in range(number):
        area, due = AREAS[n % len(AREAS)], n / number
        said.append((due, "limit", f"limit-{n:05d}", area, "", {"pm25": 1000.0}))
        said.append((due + 0.5 / number, "flame", f"flame-{n:05d}", area, "", {"flame": "flame"}))
    steps = [(level, severity, area) for level, severity in LEVELS for area in AREAS]
    for n, (level, severity, area) in enumerate(steps):
        said.append(((n + 0.25) / len(steps), "river", gauge(area), area, severity, {"water_level": level}))
    probes, begun = Probes(), time.monotonic()
    with stack.gateway() as gateway:
        for sequence, (due, kind, device, area, severity, metrics) in enumerate(sorted(said, key=lambda one: one[0])):
            time.sleep(max(begun + due * seconds - time.monotonic(), 0))
            probes.add(kind, device, area, severity, gateway, sequence + 1, metrics)
        gateway.settle()
    return probes


def checked(stack: RunningStack, sent: list[Sent], probes: int) -> Figures:
    """Every reading is a row; how many devices lack some or have too many."""
    wanted = {device: count for one in sent for device, count in one.readings.items()}
    total, deadline = sum(wanted.values()) + probes, time.monotonic() + 120
    while (settled := stack.received()) < total and time.monotonic() < deadline:
        time.sleep(0.5)
    found: dict[str, int] = {}
    for family in FAMILIES:
        found |= {device: rows for device, rows in stack.query(ROWS.format(family)) if device.startswith("bench-")}
    ledger = stack.query("select sum(received), sum(stored), sum(duplicate), sum(quarantined) from ops.ledger")[0]
    different = sum(found.get(device, 0) != count for device, count in wanted.items()) + len(
        found.keys() - wanted.keys()
    )
    return {
        "readings sent": total,
        "messages sent less acknowledged": sum(one.messages - one.acknowledged for one in sent),
        "readings in the ledger": int(settled),
        **dict(zip(("received", "stored", "duplicate", "quarantined"), map(int, ledger), strict=True)),
        "devices": len(wanted),
        "devices whose rows are not what they sent": different,
    }


def conditions(asked: argparse.Namespace, mix: Mix, spent: Spent) -> Figures:
    """What was asked, and what else the machine had to do."""
    groups = [f"{devices:,} devices in messages of {length}" for length, devices, _ in mix.groups]
    return {
        "asked (readings/s)": asked.rate,
        "that is (messages/s)": round(mix.messages),
        "mix": "; ".join(groups) + f"; {len(FAMILIES)} families of three metrics",
        "load average, 1 min: before, after": spent.loads(),
        "seconds": asked.seconds,
    }


def flat(figures: Figures, before: str = "") -> list[tuple[str, Any]]:
    """Rows of a table."""
    rows: list[tuple[str, Any]] = []
    for name, value in figures.items():
        rows += flat(value, f"{before}{name}: ") if isinstance(value, dict) else [(before + name, value)]
    return rows


if __name__ == "__main__":
    main()
