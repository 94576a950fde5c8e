"""Days of ordinary readings for all devices of a family: what detectors have to learn before they judge."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from simulators.fleet import native_profile
from tests.stack import RunningStack

DAY_S = 86_400.0
LIST = 200
BOOT = 1
MEANS = {"temperature": 24.0, "relative_humidity": 0.7}
"""Of metrics for which 20 would not do."""
DEVICES = """
select d.device, a.code, p.interval_s from registry.device d
join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area
where p.family = %s and p.profile = %s order by d.device
"""


def lived(stack: RunningStack, family: str, days: str) -> None:
    """Publish readings at the interval that the registry knows, until now; wait until all are stored."""
    devices = stack.query(DEVICES, family, f"native-{family.replace('_', '-')}")
    metrics, before, sent = measured(family), stack.received(), 0
    with stack.gateway() as gateway:
        for device, area, interval_s in devices:
            for some in lists(device, metrics, float(days) * DAY_S, float(interval_s)):
                gateway.publish(f"dothi/v1/{area}/{device}/up", json.dumps(some).encode())
                sent += len(some)
            gateway.settle()
    while stack.received() < before + sent:
        time.sleep(0.5)
    sys.stdout.write(f"{len(devices)} devices of {family} have {sent} readings of {days} days\n")


def measured(family: str) -> list[str]:
    """What the simulated devices of a family measure."""
    profile = native_profile(family)
    return [
        metric.name for metric in profile.family.metrics if metric.name in profile.behaviour and metric.kind == "gauge"
    ]


def lists(device: str, metrics: list[str], lasted_s: float, interval_s: float) -> Iterator[list[dict[str, Any]]]:
    """Readings, a list at a time: each metric about its mean, with an even daily course."""
    random = np.random.default_rng(sum(device.encode()))
    count = int(lasted_s / interval_s)
    at = time.time() - 5.0 - interval_s * np.arange(count)[::-1]
    course = (
        1.0 + 0.2 * np.sin(2.0 * np.pi * at / DAY_S)[:, None] + 0.05 * random.standard_normal((count, len(metrics)))
    )
    values = np.round(course * [MEANS.get(name, 20.0) for name in metrics], 3)
    for begin in range(0, count, LIST):
        yield [
            {
                "time": int(at[n] * 1000),
                "seq": n + 1,
                "boot": BOOT,
                "metrics": dict(zip(metrics, values[n].tolist(), strict=True)),
            }
            for n in range(begin, min(begin + LIST, count))
        ]
