"""What the bench of alarms sees: steps in the record, messages on the topics of alarms, and who spends what."""

import contextlib
import json
import os
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import paho.mqtt.client as paho
import psutil
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.spending import Server
from tests.gateway import Gateway
from tests.stack import RunningStack

LOOK_S = 0.02
LAG_EVERY_S = 0.5
STEPS = "select id, alarm, severity from ops.alarm_history where id > %s and what in ('raised', 'grown', 'reopened')"
WHO = """
select l.id, l.kind, coalesce(a.code, ''), coalesce(d.device, m.device)
from ops.alarm l left join registry.area a on a.id = l.area left join registry.device d on d.id = l.device
left join lateral (
    select e.device from ops.alarm_member x join registry.device e on e.id = x.device where x.alarm = l.id limit 1
) m on true
"""
AGE = """
select coalesce(extract(epoch from clock_timestamp() - min(b.committed)), 0)::float8 from ops.batch b
where b.xid > (select c.xid from ops.consumer c where c.consumer = 'analyst')
"""
STORED = """
select d.device, r.seq, extract(epoch from b.committed)::float8 from reading.{family} r
join registry.device d on d.id = r.device join ops.batch b on b.batch = r.batch and b.family = '{family}'
where d.device = any(%s)
"""
FAMILY = {"limit": "air_quality", "flame": "fire_watch", "river": "water_level"}
KINDS = {"probe": "limit", "forest_fire": "flame", "river_level": "river"}


class Probe(NamedTuple):
    """What rings. `of`: its device, of a river its district; `severity`: of a river, else empty."""

    kind: str
    of: str
    severity: str


@dataclass
class Probes:
    """All that rang, with the time when it was handed over, s since 1970."""

    sent: dict[Probe, float] = field(default_factory=dict)
    readings: dict[Probe, tuple[str, int]] = field(default_factory=dict)  # device and number

    def __len__(self) -> int:
        return len(self.sent)

    def add(
        self, kind: str, device: str, area: str, severity: str, gateway: Gateway, seq: int, metrics: dict[str, Any]
    ) -> None:
        """Publish one."""
        now = time.time()
        probe = Probe(kind, area if kind == "river" else device, severity)
        self.sent[probe], self.readings[probe] = now, (device, seq)
        said = {"time": int(now * 1000), "seq": seq, "metrics": metrics}
        gateway.publish(f"dothi/v1/{area}/{device}/up", json.dumps(said).encode())


class Watch:
    """Notes when each step of an alarm can be read, and when its message came: by alarm and severity."""

    def __init__(self, stack: RunningStack) -> None:
        self.rows: dict[tuple[int, str], float] = {}
        self.messages: dict[tuple[int, str], float] = {}
        self._ages: list[float] = []
        self._stack, self._done = stack, threading.Event()
        parts = urlsplit(stack.document["broker"])
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.username_pw_set(parts.username, parts.password)
        self._client.on_message = self._heard
        self._client.connect(parts.hostname or "", parts.port or 1883)
        self._client.subscribe("dothi/alarms/#", qos=1)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _heard(self, _client: object, _told: object, message: paho.MQTTMessage) -> None:
        if message.payload:
            _, _, _, severity, number = message.topic.split("/")
            self.messages.setdefault((int(number), severity), time.time())

    def _look(self) -> None:
        newest, aged = 0, 0.0
        with psycopg.connect(self._stack.document["database"], autocommit=True) as connection:
            while not self._done.wait(LOOK_S):
                steps = connection.execute(STEPS, (newest,)).fetchall()
                now = time.time()
                for number, alarm, severity in steps:
                    newest = max(newest, number)
                    self.rows.setdefault((alarm, severity), now)
                if now - aged > LAG_EVERY_S:
                    aged, row = now, connection.execute(AGE).fetchone()
                    self._ages.append(row[0] if row else 0.0)

    def found(self, seen: dict[tuple[int, str], float]) -> dict[Probe, float]:
        """When each probe was first seen."""
        who = {number: (KINDS.get(kind, ""), area, device) for number, kind, area, device in self._stack.query(WHO)}
        found: dict[Probe, float] = {}
        for (number, severity), at in sorted(seen.items(), key=lambda one: one[1]):
            kind, area, device = who.get(number, ("", "", ""))
            probe = Probe(kind, area if kind == "river" else device or "", severity if kind == "river" else "")
            found.setdefault(probe, at)
        return found

    def stored(self, probes: Probes, kind: str) -> dict[Probe, float]:
        """When the batch of each probe of a kind was committed."""
        devices = {probes.readings[probe][0] for probe in probes.sent if probe.kind == kind}
        rows = self._stack.query(STORED.format(family=FAMILY[kind]), list(devices))
        at = {(device, seq): committed for device, seq, committed in rows}
        known = {probe: at.get(probes.readings[probe]) for probe in probes.sent if probe.kind == kind}
        return {probe: committed for probe, committed in known.items() if committed is not None}

    def wait(self, probes: Probes, seconds: float) -> float:
        """Until all have come, at most so long; how long it was."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if all(probes.sent.keys() <= self.found(dict(seen)).keys() for seen in (self.rows, self.messages)):
                break
            time.sleep(0.2)
        self._done.set()
        self._thread.join()
        self._client.loop_stop()
        return time.monotonic() - begun

    def lag(self) -> dict[str, float]:
        """Of the analyst while probes rang."""
        return {
            "p50": percentile(self._ages, 50),
            "p99": percentile(self._ages, 99),
            "most": percentile(self._ages, 100),
        }


def spread(probes: Probes, watch: Watch, kind: str) -> dict[str, Any]:
    """Latencies of a kind of probe, s."""
    sent = {probe: at for probe, at in probes.sent.items() if probe.kind == kind}
    found: dict[str, Any] = {"probes": len(sent)}
    for name, seen in (("row", watch.found(watch.rows)), ("MQTT", watch.found(watch.messages))):
        late = [seen[probe] - at for probe, at in sent.items() if probe in seen]
        found |= {f"{name}: seen": len(late)}
        found |= {f"{name}: {word}": one for word, one in spread_of(late).items()}
    stored, rows = watch.stored(probes, kind), watch.found(watch.rows)
    steps = {
        "publish to commit": [at - sent[probe] for probe, at in stored.items()],
        "commit to row": [rows[probe] - at for probe, at in stored.items() if probe in rows],
    }
    return found | {f"{name}: {word}": one for name, late in steps.items() for word, one in spread_of(late).items()}


def spread_of(values: list[float]) -> dict[str, float]:
    """Seconds."""
    return {f"{word} (s)": percentile(values, q) for word, q in (("p50", 50), ("p99", 99), ("most", 100))}


def percentile(values: list[float], q: float) -> float:
    """To a hundredth; NaN of nothing."""
    return round(float(np.percentile(values, q)), 2) if values else float("nan")


class Spent:
    """CPU of every process of a stack since this was made, as cores that were busy."""

    def __init__(self, stack: RunningStack) -> None:
        self._document = json.loads((stack.folder / "stack.json").read_text())
        self._server = Server(self._document["processes"]["database"])
        self._load, self._begun = os.getloadavg()[0], time.monotonic()
        self._work, self._before = self._worked(), self._seconds()
        self._took = 0.0

    def _seconds(self) -> dict[str, float]:
        spent = {f"database, {kind}": seconds for kind, seconds in self._server.costs().items()}
        for name, numbers in self._document["processes"].items():
            for number in numbers if isinstance(numbers, list) else [numbers] if name != "database" else []:
                with contextlib.suppress(psutil.Error):
                    spent[name] = spent.get(name, 0.0) + sum(psutil.Process(number).cpu_times()[:2])
        return spent

    def _worked(self) -> dict[tuple[str, str], float]:
        """What the analyst counts of its work: by follower; "sum": seconds; "cpu": CPU seconds; a bound: how many
        pieces took no longer. Of no follower "cpu": the readings."""
        found = {}
        for address in self._document["metrics"].values():
            with contextlib.suppress(OSError):
                text = urllib.request.urlopen(f"{address}/metrics", timeout=5).read().decode()  # noqa: S310 -- loopback
                for line in text.splitlines():
                    if line.startswith(("dothi_analyst_work_seconds_sum{", "dothi_analyst_work_seconds_bucket{")):
                        _, follower, _, bound, *_ = (*line.split('"'), "sum")
                        found[follower, bound if "_bucket{" in line else "sum"] = float(line.rpartition(" ")[2])
                    if line.startswith(("dothi_analyst_cpu_seconds_total{", "dothi_analyst_rows_total")):
                        _, follower, _ = (*line.split('"'), "", "")[:3]
                        found[follower, "cpu"] = float(line.rpartition(" ")[2])
        return found

    def so_far(self) -> dict[str, float]:
        """Cores, the largest first; also ends the time of `followers` and `loads`."""
        after, self._took = self._seconds(), time.monotonic() - self._begun
        self._worked_since = {key: at - self._work.get(key, 0.0) for key, at in self._worked().items()}
        self._after = os.getloadavg()[0]
        self._server.close()
        cores = {name: (after[name] - self._before.get(name, 0.0)) / self._took for name in after}
        return {name: round(one, 3) for name, one in sorted(cores.items(), key=lambda pair: -pair[1]) if one > 0.0005}

    def followers(self) -> dict[str, Any]:
        """Share of the time that the analyst spent with each, how often, and how long it took at a time."""
        found: dict[str, Any] = {}
        since = self._worked_since
        for (name, what), seconds in since.items():
            counts = {bound: n for (other, bound), n in since.items() if other == name and bound not in ("sum", "cpu")}
            if what == "sum" and (times := counts["+Inf"]):
                at_most = {f"{q} % within (s)": bound_of(counts, times * q / 100) for q in (50, 99, 100)}
                cpu = {"CPU (s/100,000 readings)": round(1e5 * since[name, "cpu"] / since["", "cpu"], 4)}
                share = {"share of the time": round(seconds / self._took, 3), "times": round(times)}
                found[name] = share | cpu | {"mean (s)": round(seconds / times, 4)} | at_most
        return found

    def loads(self) -> str:
        """Before and after."""
        return f"{self._load:.1f}, {self._after:.1f}"


def bound_of(counts: dict[str, float], wanted: float) -> str:
    """The first bound that so many did not exceed; `counts` in order of bounds, each with those below it."""
    return next((bound for bound, n in counts.items() if n >= wanted), "+Inf")
