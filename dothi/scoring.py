"""Alarms against the truth of a scenario: which happenings were told, how soon, and what was said without a cause.

A *matter* is what an operations centre wants to be told once: all events of a truth file with the same cause, as far as
they expect alarms. An *expectation* is one alarm of it: of one kind, for the cause, for a district, or for a device.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from dothi.truth import Event, Expectation, expectations

EARLY_S = 60.0
"""A clock may be a little off, and what is rounded begins a little earlier."""

TELLS: Mapping[str, tuple[str, ...]] = {
    "traffic_incident": ("traffic_incident", "congestion"),
    "drift": ("drift", "anomaly"),
    "spike": ("spike", "anomaly"),
    "bias": ("bias", "drift", "spike", "anomaly"),
    "wrong_unit": ("wrong_unit", "drift", "spike", "anomaly"),
    "battery": ("battery", "battery_low"),
    "silent": ("silent", "battery", "battery_low"),
    "gateway_cut": ("gateway_cut", "power_cut"),
    "power_cut": ("power_cut", "gateway_cut"),
    "flood": ("flood", "refused"),
    "spoof": ("spoof", "refused"),
    "garbage": ("garbage", "refused"),
}
"""By expected kind the kinds of alarms that tell of it; of a kind that is not here the same."""


class Alarm(NamedTuple):
    """An alarm as it was. Times are s since 1970; `cleared`: None while it lasts; `devices`: ids, of those it is or was
    about, with the time from which; `area`: None for the whole province."""

    id: int
    kind: str
    severity: str
    area: str | None
    raised: float
    cleared: float | None
    devices: Mapping[str, float]

    def lasts_in(self, start: float, end: float) -> bool:
        """Whether it was there at some time of a span."""
        return self.raised <= end and (self.cleared is None or self.cleared >= start - EARLY_S)


@dataclass(frozen=True)
class Score:
    """What came of all. `told`: by expectation the s after which it was told, None: it was not; `by`: alarms that told
    of a matter or followed from an event; `false`: those for which nothing had happened there and then."""

    told: Mapping[Expectation, float | None]
    by: Mapping[int, frozenset[str]]
    false: Sequence[Alarm]
    alarms: Sequence[Alarm]

    @property
    def matters(self) -> dict[str, bool]:
        """By cause whether any of its alarms was there."""
        found: dict[str, bool] = {}
        for expectation, after in self.told.items():
            found[expectation.cause] = found.get(expectation.cause, False) or after is not None
        return found


def there(alarm: Alarm, event: Event, grace_s: float) -> bool:
    """Whether an alarm is about the place, the devices and the time of an event."""
    if not alarm.lasts_in(event.start, event.end + grace_s):
        return False
    if alarm.devices:
        return any(device in event.devices for device in alarm.devices) or near(alarm, event)
    return alarm.area is None or alarm.area in event.areas


def near(alarm: Alarm, event: Event) -> bool:
    """Whether other devices of the event's district speak of what was expected: a fire is seen from afar."""
    expected = [kind for one in event.expected if one["one_per"] != "device" for kind in words(one["kind"])]
    return alarm.area in event.areas and alarm.kind in expected


def when_told(alarm: Alarm, expectation: Expectation, about: Sequence[Event], grace_s: float) -> float | None:
    """Seconds from its start until an alarm told of what was expected; None: it does not tell of it."""
    if not alarm.lasts_in(expectation.start, expectation.end + grace_s):
        return None
    told = alarm.raised
    if expectation.of is None:
        if not any(there(alarm, event, grace_s) for event in about):
            return None
    elif expectation.per == "device":
        if expectation.of not in alarm.devices:
            return None
        told = max(told, alarm.devices[expectation.of])
    elif expectation.of != alarm.area:
        return None
    return max(0.0, told - expectation.start) if told <= expectation.end + grace_s else None


class Sought(NamedTuple):
    """Expectations where an alarm finds those that it may tell of: by kind, and by kind and device."""

    expected: Mapping[Expectation, Sequence[Event]]
    general: Mapping[str, Sequence[Expectation]]
    single: Mapping[tuple[str, str], Sequence[Expectation]]

    def by(self, alarm: Alarm) -> Iterator[Expectation]:
        """Those of an alarm's kind and devices."""
        yield from self.general.get(alarm.kind, ())
        for device in alarm.devices:
            yield from self.single.get((alarm.kind, device), ())


def sought(expected: Mapping[Expectation, Sequence[Event]]) -> Sought:
    """Expectations by the kinds of alarms that tell of them."""
    general: dict[str, list[Expectation]] = {}
    single: dict[tuple[str, str], list[Expectation]] = {}
    for one in expected:
        for kind in words(one.kind):
            if one.per == "device":
                single.setdefault((kind, one.of or ""), []).append(one)
            else:
                general.setdefault(kind, []).append(one)
    return Sought(expected, general, single)


def words(kind: str) -> tuple[str, ...]:
    """The kinds of alarms that tell of an expected kind."""
    return TELLS.get(kind, (kind,))


def score(events: Sequence[Event], alarms: Sequence[Alarm], grace_s: float = 3600.0, since: float = -math.inf) -> Score:
    """Alarms against events. `grace_s`: for how long after an event what follows from it may still be told; alarms from
    before `since` (s since 1970) count where they tell of something, and are left out where they do not."""
    expected = expectations(events)
    ours = sought(expected)
    told: dict[Expectation, float | None] = dict.fromkeys(expected)
    by: dict[int, set[str]] = {}
    for alarm in alarms:
        for expectation in ours.by(alarm):
            after = when_told(alarm, expectation, expected[expectation], grace_s)
            if after is not None:
                by.setdefault(alarm.id, set()).add(expectation.cause)
                best = told[expectation]
                told[expectation] = after if best is None else min(best, after)
        if alarm.id not in by:
            follows = {event.cause for event in events if there(alarm, event, grace_s)}
            if follows:
                by[alarm.id] = follows
    counted = [alarm for alarm in alarms if alarm.id in by or alarm.raised >= since]
    false = [alarm for alarm in counted if alarm.id not in by]
    return Score(told, {number: frozenset(causes) for number, causes in by.items()}, false, counted)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which so much of them lies, the nearest rank; None of nothing.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.95), percentile([], 0.5)
    (4.0, None)
    """
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else None


def summary(found: Score) -> dict[str, Any]:
    """All figures of a score, as one document. Times in s, shares 0 to 1; null where there is nothing to share."""
    matters, after = found.matters, [one for one in found.told.values() if one is not None]
    told_of = sum(matters.values())
    explained = len(found.alarms) - len(found.false)
    about = {cause: sum(cause in causes for causes in found.by.values()) for cause in matters}
    return {
        "matters": len(matters),
        "matters_told": told_of,
        "recall": share(told_of, len(matters)),
        "alarms": len(found.alarms),
        "alarms_false": len(found.false),
        "precision": share(explained, len(found.alarms)),
        "alarms_per_matter": share(sum(about.values()), len(matters)),
        "detect_median_s": rounded(median(after)) if after else None,
        "detect_p95_s": rounded(percentile(after, 0.95)),
        "kinds": kinds_of(found),
        "missed": [expectation._asdict() for expectation, told in found.told.items() if told is None],
        "false": [told_briefly(alarm) for alarm in found.false],
    }


def kinds_of(found: Score) -> list[dict[str, Any]]:
    """The same by expected kind, then kinds of alarms that nobody expected."""
    rows = []
    for kind in sorted({expectation.kind for expectation in found.told}):
        mine = {expectation: told for expectation, told in found.told.items() if expectation.kind == kind}
        after = [told for told in mine.values() if told is not None]
        causes = {expectation.cause for expectation in mine}
        telling = [
            one for one in found.alarms if one.kind in words(kind) and found.by.get(one.id, frozenset()) & causes
        ]
        false = [alarm for alarm in found.false if alarm.kind in words(kind)]
        rows.append(
            {
                "kind": kind,
                "expected": len(mine),
                "told": len(after),
                "recall": share(len(after), len(mine)),
                "alarms": len(telling),
                "false": len(false),
                "precision": share(len(telling), len(telling) + len(false)),
                "alarms_per_matter": share(len(telling), len(causes)),
                "detect_median_s": rounded(median(after)) if after else None,
                "detect_p95_s": rounded(percentile(after, 0.95)),
            }
        )
    return rows


def told_briefly(alarm: Alarm) -> dict[str, Any]:
    """An alarm in a list."""
    return {**alarm._asdict(), "devices": sorted(alarm.devices)[:10]}


def share(part: float, whole: float) -> float | None:
    """0 to 1, or more where parts are counted more than once; None of nothing."""
    return round(part / whole, 4) if whole else None


def rounded(value: float | None) -> float | None:
    """To a tenth."""
    return None if value is None else round(value, 1)
