"""What one part of a message became, and what can be said of it."""

from math import isnan
from typing import NamedTuple

from devices.envelopes import Notice
from devices.family import Family
from devices.profile import Profile
from devices.raw import as_number, shown
from devices.reading import Reading
from devices.rejected import MEANING, Reason, Rejected
from devices.values import value_of


class Outcome(NamedTuple):
    """What one part of a message became. `device`: as the message calls it, None where it does not; `profile`: None
    for a guess by vocabulary; `guessed`: how profile or metrics were found, None where the message or the user told
    them; `fields`: of a guess by vocabulary, the field each metric was taken from."""

    device: str | None
    profile: Profile | None
    result: Reading | Rejected | Notice
    family: Family | None = None
    guessed: str | None = None
    fields: dict[str, str] | None = None


class Verdict(NamedTuple):
    """`system`: native, frame, document or the name of a route; `notes`: what else a person should know."""

    system: str
    outcomes: list[Outcome]
    notes: list[str]


def legal_values(outcomes: list[Outcome]) -> int:
    """How many values of metrics the readings hold."""
    readings = [outcome.result for outcome in outcomes if isinstance(outcome.result, Reading)]
    return sum(not isnan(value) for reading in readings for value in reading.values)


def metrics_of(family: Family, reading: Reading) -> dict[str, float | str]:
    """The metrics that are there, by name; a state as its word."""
    return {
        metric.name: metric.states[int(value)] if metric.states else value
        for metric, value in zip(family.metrics, reading.values, strict=True)
        if not isnan(value)
    }


def refused_of(family: Family, profile: Profile | None, reading: Reading) -> dict[str, str]:
    """Why each refused value was refused, in the words of a rejection; the reading itself keeps only the reason."""
    raws, reasons = ((reading.extra or {}).get(key) for key in ("rejected", "reasons"))
    found = {}
    for name, raw in raws.items() if isinstance(raws, dict) else ():
        if isinstance(reasons, dict) and reasons.get(name) == Reason.NOT_MEASURED.value:
            found[name] = f"{name}: {shown(raw)}; {MEANING[Reason.NOT_MEASURED]['en']}"
            continue
        metric = family.metrics[family.index[name]]
        rows = [row for row in profile.table.fields if row.metric is metric] if profile and profile.table else []
        number = as_number(raw)
        meant = rows[0].convert(number) if rows and number is not None and not metric.states else raw
        why = value_of(metric, meant)
        if isinstance(why, Rejected):
            found[name] = why.detail
    return found
