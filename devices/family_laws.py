"""What every family must keep to; a new file is tested by existing."""

import re
from collections.abc import Iterator
from math import isfinite

from devices.family import Family, Metric
from devices.units import CEFACT, UNITS

COLUMNS = {"time", "device", "area", "seq", "boot", "received", "extra", "batch"}
BUCKET_COLUMNS = {"bucket", "n", "complete", "as_of"}
SUFFIXES = ("_avg", "_min", "_max", "_n", "_increase", "_time")


def family_problems(family: Family) -> Iterator[str]:
    """What is wrong with a family."""
    if set(family.label) != {"vi", "en"}:
        yield "labels in vi and en are needed"
    for metric in family.metrics:
        yield from name_problems(family, metric)
        yield from value_problems(metric)


def name_problems(family: Family, metric: Metric) -> Iterator[str]:
    """A name that cannot be a column of readings or of buckets, or has no words for people."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", metric.name) or metric.name in COLUMNS | BUCKET_COLUMNS:
        yield f"{metric.name} cannot name a column"
    if any(metric.name.endswith(end) and metric.name.removesuffix(end) in family.index for end in SUFFIXES):
        yield f"{metric.name} is also what a bucket calls a part of {metric.name.rsplit('_', 1)[0]}"
    if set(metric.label) != {"vi", "en"} or not all(metric.label.values()):
        yield f"{metric.name}: labels in vi and en are needed"


def value_problems(metric: Metric) -> Iterator[str]:
    """A unit, range, kind or list of states that no value could be judged by."""
    if metric.unit not in UNITS:
        yield f"{metric.name}: unit {metric.unit} is no UCUM code of units.py"
    elif metric.unit not in CEFACT:
        yield f"{metric.name}: units.py does not say the UN/CEFACT code of {metric.unit}, or that it has none"
    if not (isfinite(metric.low) and isfinite(metric.high) and metric.low < metric.high):
        yield f"{metric.name}: range {metric.low:g} to {metric.high:g}"
    if metric.kind not in ("gauge", "counter", "state") or (metric.kind == "state") != bool(metric.states):
        yield f"{metric.name}: kind {metric.kind}"
    if len(set(metric.states)) != len(metric.states) or not all(
        re.fullmatch(r"[a-z][a-z0-9_]*", state) for state in metric.states
    ):
        yield f"{metric.name}: states must differ and be words of a-z, 0-9 and _"
    if metric.kind == "counter" and metric.low != 0:
        yield f"{metric.name}: a counter starts at 0"
