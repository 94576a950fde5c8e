"""A reading of a document that no profile describes, by the names of its fields: for eyes, never for the database."""

from itertools import islice
from math import isnan, nan
from typing import NamedTuple

from devices.family import FAMILIES, Family, Metric
from devices.fields import MAX_FIELDS, Field, fields_of
from devices.native import Extra, note_refused
from devices.paths import Path
from devices.raw import TooDeep, as_number, clean, storable
from devices.reading import Reading, hash_seq
from devices.rejected import Reason, Rejected
from devices.spelling import number_and_unit
from devices.time import check_time, parse_time
from devices.units import UnknownUnit, conversion
from devices.values import value_of
from devices.vocabulary import Meaning, word_of

# Of families that explain a document equally well, the earlier one.
PRIOR = (
    "classroom",
    "weather",
    "air_quality",
    "soil",
    "water_level",
    "meter",
    "contact",
    "parking",
    "vehicle",
    "server",
)
FEW = 5
TIMES = ("time", "timestamp", "ts", "datetime", "date_time", "dateobserved", "observedat", "received_at", "receivedat")
# Where a number without a unit is illegal, but would be legal in the unit that devices prefer.
USUAL = {"hPa": ("Pa", "kPa"), "V": ("mV",), "kW.h": ("W.h",), "m": ("mm", "cm")}
YES, NO = frozenset(("true", "yes", "1", "on")), frozenset(("false", "no", "0", "off"))
YEARS_US = 40 * 366 * 86_400 * 1_000_000


class Guess(NamedTuple):
    """A reading made by vocabulary: the family that explains most fields; which field each metric is from."""

    family: Family
    reading: Reading
    fields: dict[str, str]


def guess(document: object, payload: bytes, now_us: int) -> Guess | Rejected:
    """The reading that a document most likely holds, or why none can be guessed. `now_us`: to believe times by."""
    try:
        fields = [*islice(fields_of(document), MAX_FIELDS)]
        found = {name: matched(family, fields) for name, family in FAMILIES.items()}
        best = max(found, key=lambda name: (score(FAMILIES[name], found[name]), -prior(name)))
        if not found[best]:
            return nothing_known(fields)
        return Guess(
            FAMILIES[best], reading_of(FAMILIES[best], found[best], fields, payload, now_us), sources(found[best])
        )
    except (TooDeep, RecursionError):
        return Rejected(
            "profile", Reason.TOO_DEEP, None, None, "lists or objects are nested too deeply; expected 32 levels"
        )


def matched(family: Family, fields: list[Field]) -> dict[str, tuple[Field, float, bool]]:
    """By metric: the first field that gives it a legal value, the value, and whether its word hints at the family."""
    taken: dict[str, tuple[Field, float, bool]] = {}
    for field in fields:
        word = word_of(field.name)
        for meaning in word.meanings:
            place = family.index.get(meaning.metric)
            if place is None or meaning.metric in taken or (meaning.families and family.name not in meaning.families):
                continue
            value = meant(family.metrics[place], meaning, field, field.unit or word.unit or meaning.unit)
            if value is not None:
                taken[meaning.metric] = (field, value, meaning.hint == family.name)
                break
    return taken


def meant(metric: Metric, meaning: Meaning, field: Field, unit: str | None) -> float | None:
    """The field's value in the metric's unit; None where it is not legal there."""
    if metric.states:
        return state_meant(metric, meaning, field.raw)
    number, said = as_number(field.raw), None
    if isinstance(field.raw, str):
        spelt = number_and_unit(field.raw)
        number, said = spelt if spelt else (None, None)
    if number is None or isnan(number):
        return None
    if metric.name in ("battery_level", "battery_voltage") and (said or unit) is None and volts(number) != meaning.bare:
        return None if meaning.bare or metric.name == "battery_level" else legal(metric, number, USUAL["V"])
    return in_unit(metric, number, said or unit)


def volts(number: float) -> bool:
    """Whether a number that is only called `battery` can hardly be a percentage: 3.6, 3426."""
    return (1.5 <= number <= 15 and number != int(number)) or 1000 <= number <= 60_000


def in_unit(metric: Metric, number: float, unit: str | None) -> float | None:
    """The number in the metric's unit, None when it is of another quantity or not legal."""
    if unit is not None:
        try:
            return legal(metric, conversion(unit, metric.unit)(number), ())
        except UnknownUnit:
            return None
    if metric.unit == "1" and (metric.low, metric.high) == (0, 1) and number > 1:
        return legal(metric, number / 100, ())
    return legal(metric, number, USUAL.get(metric.unit, ()))


def legal(metric: Metric, number: float, other_units: tuple[str, ...]) -> float | None:
    """The number when it is in range, else as one of other units."""
    for value in (number, *(conversion(unit, metric.unit)(number) for unit in other_units)):
        tidy = float(f"{value:.14g}")
        if metric.low <= tidy <= metric.high:
            return tidy
    return None


def state_meant(metric: Metric, meaning: Meaning, raw: object) -> float | None:
    """The place of the state that a word, a yes or a no stands for."""
    text = str(raw).strip().lower() if isinstance(raw, bool | str) or raw in (0, 1) else ""
    word = meaning.yes if text in YES else meaning.no if text in NO else text.replace(" ", "_")
    if text in metric.states:
        word = text
    value = value_of(metric, word)
    return None if isinstance(value, Rejected) else value


def score(family: Family, found: dict[str, tuple[Field, float, bool]]) -> float:
    """How well a family explains a document: fields, more for metrics that few families have, for hints, a headline."""
    telling = 0.25 if family.headline in found and SPREAD[family.headline] <= FEW else 0.0
    return telling + sum(weight(name) + 0.5 * hint for name, (_, _, hint) in found.items())


def weight(name: str) -> float:
    """What a metric says of its family; many devices send a position, whatever they measure."""
    return 0.5 if name in ("latitude", "longitude", "altitude") else 1 + 1 / SPREAD[name]


def prior(name: str) -> int:
    """The place among families that explain equally much."""
    return PRIOR.index(name) if name in PRIOR else len(PRIOR)


SPREAD = {
    metric.name: sum(metric.name in family.index for family in FAMILIES.values())
    for family in FAMILIES.values()
    for metric in family.metrics
}


def sources(found: dict[str, tuple[Field, float, bool]]) -> dict[str, str]:
    """Which field each metric was taken from."""
    return {name: clean(".".join(field.path)) for name, (field, _, _) in found.items()}


def reading_of(
    family: Family, found: dict[str, tuple[Field, float, bool]], fields: list[Field], payload: bytes, now_us: int
) -> Reading:
    """The reading; what explains nothing goes to extra. Raises TooDeep."""
    values = [nan] * len(family.metrics)
    for name, (_, value, _) in found.items():
        values[family.index[name]] = value
    used = {field.path for field, _, _ in found.values()}
    time, path = time_of(fields, now_us)
    extra: Extra = {
        clean(".".join(field.path)): storable(field.raw) for field in fields if field.path not in used | {path}
    }
    note_refused(extra, *refusals(family, found, fields))
    return Reading(time, hash_seq(payload), None, values, extra or None, payload)


def refusals(
    family: Family, found: dict[str, tuple[Field, float, bool]], fields: list[Field]
) -> tuple[dict[str, Rejected], Extra]:
    """Fields that are named like a metric of the family and whose value cannot be one."""
    refused: dict[str, Rejected] = {}
    raws: Extra = {}
    for field in fields:
        for meaning in word_of(field.name).meanings[:1]:
            place = family.index.get(meaning.metric)
            if place is not None and meaning.metric not in found and meaning.metric not in refused:
                why = value_of(family.metrics[place], field.raw)
                if isinstance(why, Rejected):
                    refused[meaning.metric], raws[meaning.metric] = why, field.raw
    return refused, raws


def time_of(fields: list[Field], now_us: int) -> tuple[int | None, Path | None]:
    """The first field that is called a time and can be one, whatever its unit."""
    found = time_field(fields, now_us)
    if found is None:
        return None, None
    path, unit = found
    time = next(parse_time(field.raw, unit, "+07:00") for field in fields if field.path == path)
    return (None, None) if isinstance(time, Rejected) else (time, path)


def time_field(fields: list[Field], now_us: int) -> tuple[Path, str] | None:
    """Where the document's time stands, and its unit; a text without a zone is Vietnam's."""
    names = {name.replace("_", "") for name in TIMES}
    for field in fields:
        if field.name.replace("_", "").lower() in names:
            for unit in ("rfc3339", "s", "ms", "us"):
                time = parse_time(field.raw, unit, "+07:00")
                if isinstance(time, int) and check_time(time, now_us, YEARS_US, 86_400_000_000) is None:
                    return field.path, unit
    return None


def nothing_known(fields: list[Field]) -> Rejected:
    """A document in which the vocabulary finds nothing."""
    seen = ", ".join(clean(".".join(field.path))[:40] for field in fields[:5]) or "nothing"
    detail = f"no profile was told and no field has a name that is known; found {seen}; give --profile"
    return Rejected("profile", Reason.NO_METRIC, None, None, detail)
