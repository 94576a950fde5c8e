"""One value of one metric: what it becomes, or why it is refused and what is likely behind it."""

from difflib import get_close_matches
from math import isfinite

from devices.causes import likely_cause
from devices.family import Metric
from devices.raw import as_number, clean, shown
from devices.rejected import Reason, Rejected
from devices.spelling import number_as_text


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
    if number is None:
        return wrong_type(metric, raw)
    if not isfinite(number):
        return _rejected(Reason.NOT_FINITE, metric, raw, f"not a finite number; expected {expected(metric)}")
    if metric.low <= number <= metric.high:
        return number
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
    """A message that says nothing of its family."""
    names = ", ".join(metric.name for metric in metrics)
    detail = f"holds no metric; expected at least one of {names}"
    if seen:
        detail += f"; found only {', '.join(clean(name[:40]) for name in seen[:5])}"
        near = next((f"{name} → {close}" for name in seen[:5] if (close := nearest(name, metrics))), None)
        detail += f"; did you mean {clean(near[:80])}?" if near else ""
    return Rejected("values", Reason.NO_METRIC, None, None, detail)


def _rejected(reason: Reason, metric: Metric, raw: object, detail: str) -> Rejected:
    return Rejected("values", reason, metric.name, shown(raw), f"{metric.name}: {detail}")
