"""The words of a profile's `behaviour`: how the simulator moves a metric. `docs/behaviour.md` tells them to people."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from devices.family import Metric


class Curve(NamedTuple):
    """A way of moving: the keys that a section of it must and may have, beside `curve`."""

    must: frozenset[str]
    may: frozenset[str]


def _curve(must: str, may: str) -> Curve:
    return Curve(frozenset(must.split()), frozenset(may.split()))


CURVES: Mapping[str, Curve] = {
    "battery": _curve("full empty days", "decimals"),
    "choice": _curve("weights", "hold decimals"),
    "count": _curve("", "rate swing peak start own follows resets decimals"),
    "day": _curve("", "mean swing peak noise own follows decimals"),
    "step": _curve("follows steps", "noise weights hold"),
}
MAPPINGS = ("follows", "steps", "weights")
"""Keys that hold a name → number mapping; all others hold a number."""
ABOVE_ZERO = ("days", "hold", "rate", "resets")

RHYTHMS = ("awake", "broadcast", "dark", "home", "school", "street", "town", "work")
"""Drivers of people's day and week, 0 to 1; counters may follow these."""
DRIVERS: Mapping[str, str] = {
    "awake": "how many people are up, 0 to 1",
    "broadcast": "whether communes broadcast, 0 or 1: at five in the morning and in the afternoon",
    "dark": "whether the sun is down, 0 or 1",
    "home": "what a household uses, 0 to about 2: mornings, evenings, days off; each household in its own way",
    "school": "how full schools are, 0 to 1: workdays outside of June to August",
    "street": "traffic by the hour, 0 to 1: two rush hours on workdays, later the farther from the city",
    "town": "how many people are in town, 0 to 1",
    "work": "how busy offices and factories are, 0 to 1",
    "heat": "air temperature less 24 Cel",
    "season": "the season's air temperature less 24 Cel, whatever weather and hour: what water, soil and rooms follow",
    "humidity": "relative humidity less 0.8, low when it is hot",
    "pressure": "air pressure less 1008 hPa",
    "rain": "mm/h",
    "wet": "mm of rain upstream in the days before, as it passes a gauge",
    "wind": "m/s",
    "wind_from": "deg from north",
    "sun": "sunshine on level ground, kW/m2",
    "dust": "particles as a share of the yearly mean: more in still winter nights",
    "density": "vehicles on the road as a share of a standstill, 0 to 1",
    "flow": "vehicles passing as a share of the road's capacity, 0 to 1, by the density",
    "pace": "speed as a share of that of an empty road, 0 to 1, by the density",
    "latitude": "deg, of a vehicle that sets out from where it is registered and comes back",
    "longitude": "deg, of the same vehicle",
    "ride": "km/h, of the same vehicle",
    "heading": "deg from north, of the same vehicle",
}
"""What a metric may follow: its amount is what one unit of the driver adds to it."""


def misspelt(metric: Metric, section: object) -> Iterator[str]:
    """What is wrong in a metric's section, each with what is allowed."""
    if not isinstance(section, Mapping):
        yield f"{section!r} is no section; expected curve and its keys"
        return
    curve = CURVES.get(str(section.get("curve")))
    if curve is None:
        yield f"curve {section.get('curve')}; expected one of {', '.join(CURVES)}"
        return
    for key in sorted(curve.must - section.keys()):
        yield f"{key} is missing"
    for key in sorted(section.keys() - curve.must - curve.may - {"curve"}, key=str):
        yield f"{key} means nothing to curve {section['curve']}; expected {', '.join(sorted(curve.must | curve.may))}"
    numbers = list(_not_numbers(section))
    yield from numbers or _misled(metric, section)


def _not_numbers(section: Mapping[str, Any]) -> Iterator[str]:
    for key, value in section.items():
        if key in MAPPINGS:
            if not isinstance(value, dict) or not value or not all(map(_is_number, value.values())):
                yield f"{key} is {value!r}; expected names with a number each"
        elif key != "curve" and not _is_number(value):
            yield f"{key} is {value!r}; expected a number"
        elif key in ABOVE_ZERO and value <= 0:
            yield f"{key} is {value:g}; expected more than 0"
        elif key == "decimals" and value not in range(10):
            yield f"decimals is {value:g}; expected a whole number from 0 to 9"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _misled(metric: Metric, section: Mapping[str, Any]) -> Iterator[str]:
    """What is well-formed, yet leads out of the range, to unknown states or after what does not exist."""
    curve = section["curve"]
    known = (*RHYTHMS, "rain") if curve == "count" else tuple(DRIVERS)
    for driver in section.get("follows", {}):
        if driver not in known:
            yield f"follows {driver}; expected one of {', '.join(known)}"
    for option in (*section.get("weights", ()), *section.get("steps", ())):
        if not _legal(metric, option):
            yield f"{option} is not legal; expected {', '.join(metric.states) or _range(metric)}"
    if curve in ("day", "battery") and any(not metric.low <= end <= metric.high for end in _ends(section)):
        yield f"leaves the range {_range(metric)}"
    if curve != "choice" and (curve == "step") != bool(metric.states):
        yield f"curve {curve} does not suit a {metric.kind}"
    yield from _unweighed(curve, tuple(section.get("weights", {}).values()))
    if curve == "count":
        yield from _falling(section)


def _unweighed(curve: str, weights: tuple[float, ...]) -> Iterator[str]:
    if any(weight < 0 for weight in weights):
        yield "a weight is below 0"
    elif weights and not any(weights):
        yield "no weight is above 0"
    elif curve == "step" and sum(weights) > 1:
        yield f"weights add up to {sum(weights):g}; expected at most 1"


def _falling(section: Mapping[str, Any]) -> Iterator[str]:
    """What would let a counter fall."""
    follows = section.get("follows", {})
    if any(share <= 0 for share in follows.values()):
        yield "follows has a share that is not above 0"
    if "rain" in follows and len(follows) > 1:
        yield "follows rain and more; expected rain alone"
    for key, low in (("swing", -1), ("own", 0)):
        if not low <= section.get(key, low) <= 1:
            yield f"{key} is {section[key]:g}; expected {low} to 1"


def _legal(metric: Metric, option: Any) -> bool:
    if metric.states:
        return option in metric.states
    return _is_number(option) and metric.low <= option <= metric.high


def _ends(section: Mapping[str, Any]) -> tuple[float, ...]:
    """The values between which a gauge moves by itself; what it follows may take it anywhere."""
    if section["curve"] == "battery":
        return section.get("full", 0.0), section.get("empty", 0.0)
    if section.get("follows"):
        return ()
    mean, reach = section.get("mean", 0.0), abs(section.get("swing", 0.0)) + section.get("noise", 0.0)
    return mean - reach, mean + reach


def _range(metric: Metric) -> str:
    return f"{metric.low:g} to {metric.high:g}"
