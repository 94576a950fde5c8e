"""What devices observe: metrics that belong together, one family per file under `families/`, one hypertable each."""

from dataclasses import dataclass
from typing import Any, Literal

from devices.documents import read_yaml

Kind = Literal["gauge", "counter", "state"]
Worse = Literal["high", "low"]
Label = dict[str, str]


@dataclass(frozen=True, slots=True)
class Metric:
    """A named quantity with one UCUM unit and a legal range, both ends included.

    A `counter` only grows until it is reset. A `state` is one of `states`; its number is the place in that list, which
    therefore only ever grows at the end, and its range is that of the places.
    """

    name: str
    unit: str
    low: float
    high: float
    kind: Kind
    states: tuple[str, ...]
    label: Label
    sdm: str | None


@dataclass(frozen=True, slots=True, eq=False)  # one family is one object: what is derived from it can be kept by it
class Family:
    """Metrics observed together, in the order of the file; `index` gives a metric's place by its name.

    `headline`: the gauge by which the map judges the family, None where it has no gauge; `worse`: which of its values
    are.
    """

    name: str
    label: Label
    metrics: tuple[Metric, ...]
    index: dict[str, int]
    headline: str | None = None
    worse: Worse = "high"


def metric_from(name: str, entry: dict[str, Any]) -> Metric:
    """The metric that an entry of a family file describes. Raises KeyError, TypeError, ValueError on a faulty entry."""
    states = tuple(entry.get("states", ()))
    low, high = (0, len(states) - 1) if states else entry["range"]
    return Metric(
        name=name,
        unit="1" if states else entry["unit"],
        low=float(low),
        high=float(high),
        kind="state" if states else entry.get("kind", "gauge"),
        states=states,
        label=entry["label"],
        sdm=entry.get("sdm"),
    )


def family_from(name: str, document: dict[str, Any]) -> Family:
    """The family that a file describes. Raises KeyError, TypeError, ValueError on a faulty file."""
    metrics = tuple(metric_from(key, entry) for key, entry in document["metrics"].items())
    gauges = [metric.name for metric in metrics if metric.kind == "gauge"]
    headline = document.get("headline", gauges[0] if gauges else None)
    worse: Worse = document.get("worse", "high")
    if headline not in [*gauges, None]:
        raise ValueError(f"headline is {headline}; expected a gauge of the family: {', '.join(gauges)}")
    if worse not in ("high", "low"):
        raise ValueError(f"worse is {worse}; expected high or low")
    index = {metric.name: place for place, metric in enumerate(metrics)}
    return Family(name, document["label"], metrics, index, headline, worse)


FAMILIES: dict[str, Family] = {name: family_from(name, document) for name, document in read_yaml("families").items()}
