"""Rows of a profile's field table, guessed from documents of the device: path, unit, words of states."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from devices.family import Family, Metric
from devices.fields import VALUES, Field, fields_of
from devices.guess import USUAL, matched, state_meant
from devices.paths import MISSING, find
from devices.raw import TooDeep, as_number
from devices.spelling import number_and_unit
from devices.units import UnknownUnit, conversion, ucum
from devices.vocabulary import Meaning, word_of


class FieldGuess(NamedTuple):
    """`paths`: dotted, the first that is there counts; `unit`: None where it is the metric's own; `states`: the
    device's words → ours; `note`: what to look at."""

    metric: str
    paths: list[str]
    unit: str | None
    states: dict[str, str]
    note: str


def matched_fields(family: Family, document: dict[str, Any]) -> dict[str, tuple[Field, float, bool]]:
    """The fields of a document that can be metrics of the family, by metric; none of one that is nested too deeply.

    What stands in a list is left alone: mostly it is of another time.
    """
    try:
        fields = [field for field in fields_of(document) if not any(key.isdecimal() for key in field.path)]
        return matched(family, fields[:500])
    except (TooDeep, RecursionError):
        return {}


def field_guesses(family: Family, documents: Sequence[dict[str, Any]]) -> list[FieldGuess]:
    """A row for each metric that any of the documents holds, in the family's order."""
    seen: dict[str, list[tuple[Field, str, object]]] = {}
    for document in documents:
        for name, (field, _, _) in matched_fields(family, document).items():
            keys = value_keys(document, field)
            if keys:
                seen.setdefault(name, []).append((field, ".".join(keys), find(document, keys)))
    return [row_of(metric, seen[metric.name]) for metric in family.metrics if metric.name in seen]


def value_keys(document: dict[str, Any], field: Field) -> tuple[str, ...] | None:
    """Where the bare value of a field stands; None where a dotted path cannot say it."""
    found = find(document, field.path)
    keys = field.path
    if isinstance(found, dict):
        inner = next((key for key in VALUES if key in found), None)
        if inner is None:
            return None
        keys = (*keys, inner)
    elif found is MISSING:
        return None
    return None if any("." in key or not key for key in keys) else keys


def row_of(metric: Metric, seen: list[tuple[Field, str, object]]) -> FieldGuess:
    """The row of a metric from all places where it was seen."""
    paths = list(dict.fromkeys(path for _, path, _ in seen))
    meaning = meaning_of(metric, seen[0][0])
    if metric.states:
        states = states_of(metric, meaning, [raw for _, _, raw in seen])
        odd = sorted({str(raw) for _, _, raw in seen} - states.keys() - {*metric.states, "True", "False"})[:8]
        unknown = f"; {', '.join(odd)}: which of them?" if odd else ""
        return FieldGuess(metric.name, paths, None, states, f"states are {', '.join(metric.states)}{unknown}")
    unit = unit_of(metric, meaning, seen)
    return FieldGuess(metric.name, paths, None if unit == metric.unit else unit, {}, f"{unit}?")


def meaning_of(metric: Metric, field: Field) -> Meaning | None:
    """What the field's name says of the metric."""
    return next((one for one in word_of(field.name).meanings if one.metric == metric.name), None)


def unit_of(metric: Metric, meaning: Meaning | None, seen: list[tuple[Field, str, object]]) -> str:
    """The unit in which all values that were seen are legal: as told, as named, the metric's own, a usual one."""
    field = seen[0][0]
    told = [field.unit, word_of(field.name).unit, meaning.unit if meaning else None]
    numbers = [number for _, _, raw in seen if (number := bare_number(raw)) is not None]
    share = metric.unit == "1" and (metric.low, metric.high) == (0, 1)
    own = ["%", "1"] if share and (max(numbers, default=0) > 1 or not numbers) else [metric.unit]
    for unit in (*(ucum_or_none(one) for one in told), *own, *USUAL.get(metric.unit, ())):
        if unit is not None and all(is_legal(metric, unit, number) for number in numbers):
            return unit
    return metric.unit


def bare_number(raw: object) -> float | None:
    """The number of a value, also of one written as text."""
    if isinstance(raw, str):
        spelt = number_and_unit(raw)
        return spelt[0] if spelt else None
    return as_number(raw)


def ucum_or_none(name: str | None) -> str | None:
    """The UCUM code of a unit, None of one that is not known."""
    try:
        return ucum(name) if name else None
    except UnknownUnit:
        return None


def is_legal(metric: Metric, unit: str, number: float) -> bool:
    """Whether a number of this unit lies in the metric's range."""
    try:
        return metric.low <= float(f"{conversion(unit, metric.unit)(number):.14g}") <= metric.high
    except UnknownUnit:
        return False


def states_of(metric: Metric, meaning: Meaning | None, raws: list[object]) -> dict[str, str]:
    """The device's words → states; both words of a yes and no, of which examples often show one."""
    words: dict[str, str] = {}
    if meaning is None:
        return words
    if any(isinstance(raw, bool) for raw in raws):
        words = {"true": meaning.yes or "", "false": meaning.no or ""}
    for raw in raws:
        place = state_meant(metric, meaning, raw)
        text = str(raw).lower() if isinstance(raw, bool) else str(raw)
        if place is not None and metric.states[int(place)] != text:
            words[text] = metric.states[int(place)]
    return {word: state for word, state in words.items() if state}
