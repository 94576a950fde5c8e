"""One value of one metric: what it becomes, or why it is refused and what is likely behind it."""

from difflib import get_close_matches
from math import isfinite

from devices.causes import likely_cause
from devices.family import Metric
from devices.raw import as_number, clean, shown
from devices.rejected import Reason, Rejected
from devices.spelling import number_as_text

MOST_REMEMBERED = 4_096
LONGEST_REMEMBERED = 64
"""Characters of a text in place of a number that is worth remembering."""
LONGEST_NAME = 80
"""Characters of an unknown name that are looked at."""
SHOWN = 5
"""Unknown names that are told."""
_refused: dict[object, Rejected] = {}
_unfit: dict[object, Rejected] = {}


def value_of(metric: Metric, raw: object) -> float | Rejected:
    """The value as a float (a state as its place in the list), or Rejected."""
    return state_of(metric, raw) if metric.states else number_of(metric, raw)


def state_of(metric: Metric, raw: object) -> float | Rejected:
    """The place of a state's name."""
    if isinstance(raw, str):
        if raw in metric.states:
            return float(metric.states.index(raw))
        if "\0" in raw:
            return _rejected(Reason.NUL_CHARACTER, metric, raw, "the text holds a NUL character; remove it")
        near = get_close_matches(raw[:80], metric.states, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return _rejected(Reason.UNKNOWN_STATE, metric, raw, f"expected one of {', '.join(metric.states)}{hint}")
    place = raw if type(raw) is int and 0 <= raw < len(metric.states) else None
    hint = "" if place is None else f"; perhaps the place of a state; send its name ({metric.states[place]})"
    return _rejected(Reason.WRONG_TYPE, metric, raw, f"expected a text, one of {', '.join(metric.states)}{hint}")


def number_of(metric: Metric, raw: object) -> float | Rejected:
    """A finite number within the metric's range."""
    number = as_number(raw)
    if number is not None and metric.low <= number <= metric.high:
        return number
    key = key_of(metric, raw)
    again = _refused.get(key)
    return again if again is not None else remember(_refused, key, refused(metric, raw, number))


def key_of(metric: Metric, raw: object) -> object:
    """What a refusal is remembered by: what a device does wrong, it does again and again. None: not at all."""
    kind = type(raw)
    if kind is float or kind is bool or (kind is int and -(2**63) <= raw < 2**63):  # type: ignore[operator]  # an int
        return metric.name, metric.unit, metric.low, metric.high, kind, raw or str(raw)  # -0.0 equals 0.0
    if kind is str and len(raw) <= LONGEST_REMEMBERED:  # type: ignore[arg-type]  # a str
        return metric.name, metric.unit, metric.low, metric.high, kind, raw
    return None


def remember(known: dict[object, Rejected], key: object, rejected: Rejected) -> Rejected:
    """Keep it for the next time, within bounds."""
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    if key is not None:
        known[key] = rejected
    return rejected


def refused(metric: Metric, raw: object, number: float | None) -> Rejected:
    """Why a value is none of the metric. `number`: what it means, None when it is no number."""
    if number is None:
        return wrong_type(metric, raw)
    if not isfinite(number):
        return _rejected(Reason.NOT_FINITE, metric, raw, f"not a finite number; expected {expected(metric)}")
    cause = likely_cause(metric, number)
    detail = f"expected {expected(metric)}" + (f"; perhaps {cause}" if cause else "")
    return _rejected(Reason.OUT_OF_RANGE, metric, raw, detail)


def wrong_type(metric: Metric, raw: object) -> Rejected:
    """Something other than a number where a number belongs."""
    if isinstance(raw, str):
        if "\0" in raw:
            return _rejected(Reason.NUL_CHARACTER, metric, raw, "the text holds a NUL character; send a number")
        what = number_as_text(raw, metric.low, metric.high)
    elif isinstance(raw, bool):
        what = "true or false" + ("; send 1 or 0" if metric.low <= raw <= metric.high else "")
    else:
        what = "a list or an object" if isinstance(raw, list | dict) else "no number"
    return _rejected(Reason.WRONG_TYPE, metric, raw, f"{what}; expected a number, {expected(metric)}")


def expected(metric: Metric) -> str:
    """The legal range with its unit."""
    unit = "" if metric.unit == "1" else f" {metric.unit}"
    return f"{metric.low:.10g} to {metric.high:.10g}{unit}"


def nearest(name: str, metrics: tuple[Metric, ...]) -> str | None:
    """The metric whose name is most like an unknown one: `PM2.5` → pm25."""
    folded = "".join(letter for letter in name.lower()[:80] if letter.isalnum())
    names = {metric.name.replace("_", ""): metric.name for metric in metrics}
    near = get_close_matches(folded, names, n=1, cutoff=0.75)
    return names[near[0]] if near else None


def no_metric(metrics: tuple[Metric, ...], seen: list[str]) -> Rejected:
    """A message that says nothing of its family; remembered, as what is refused of a number."""
    names = ", ".join([metric.name for metric in metrics])
    key = (names, *(name[:LONGEST_NAME] for name in seen[:SHOWN]))
    again = _unfit.get(key)
    return again if again is not None else remember(_unfit, key, nothing_known(metrics, names, seen))


def nothing_known(metrics: tuple[Metric, ...], names: str, seen: list[str]) -> Rejected:
    """Only names that the family does not have, or none."""
    detail = f"holds no metric; expected at least one of {names}"
    if seen:
        detail += f"; found only {', '.join(clean(name[:40]) for name in seen[:SHOWN])}"
        near = next((f"{name} → {close}" for name in seen[:SHOWN] if (close := nearest(name, metrics))), None)
        detail += f"; did you mean {clean(near[:80])}?" if near else ""
    return Rejected("values", Reason.NO_METRIC, None, None, detail)


def _rejected(reason: Reason, metric: Metric, raw: object, detail: str) -> Rejected:
    return Rejected("values", reason, metric.name, shown(raw), f"{metric.name}: {detail}")
