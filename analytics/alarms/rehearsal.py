"""Rules on stored history: how often would they have rung? The engine is the same as in the analyst."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from analytics.alarms import air
from analytics.alarms.engine import Engine, only
from analytics.alarms.events import call_of, rule_of
from analytics.alarms.matching import Sign
from analytics.alarms.record import Rehearsed, Rung
from analytics.alarms.rules import FromAir, FromEvent, Rules
from analytics.alarms.silences import Known
from analytics.alarms.stored import EPOCH, Stored, us
from analytics.detectors import all_detectors
from analytics.detectors.limit import Limit
from analytics.detectors.watch import Found, Watch
from devices.family import FAMILIES, Family

PORTION = timedelta(hours=6)
STEP_US = 10_000_000
HEARD = Known({}, frozenset())
OWN = 1 << 62
"""Numbers of findings from here on are ours."""


class Score(NamedTuple):
    """Of one rule in `days`: how often it rang, on how many devices, for how long (median, s; those that last count up
    to the end), what rang most and how often."""

    rule: str
    kind: str
    rang: int
    per_day: float
    devices: int
    lasted_s: float | None
    noisiest: str | None
    noisiest_rang: int
    severities: dict[str, int]


class Limits:
    """The detectors of limits of one family on its stored readings."""

    def __init__(self, stored: Stored, family: Family) -> None:
        kinds = [kind for kind in all_detectors() if issubclass(kind, Limit) and kind.judges(family)]
        self.family = family
        self.metrics = sorted({place for kind in kinds for place in kind.judges(family)})
        self._fleet, self._places = stored.fleet(family)
        self._slot = np.full(len(stored.devices), -1, np.int64)
        self._slot[self._places] = np.arange(len(self._places))
        self._stored = stored
        self._watch = Watch(family, kinds, fail)
        self._watch.grow(self._fleet)
        self._open: dict[tuple[int, str, int], Sign] = {}
        self._made = 0

    @property
    def judges(self) -> bool:
        """Whether there is anything to judge."""
        return bool(self.metrics) and bool(len(self._places))

    def signs(self, begin: datetime, end: datetime) -> list[tuple[int, Sign]]:
        """What comes and ends between two times, with when."""
        columns = self._stored.readings(self.family, self.metrics, begin, end)
        if not len(columns.device):
            return []
        found = self._watch.take(self._slot[columns.device], columns)
        return [sign for one in found for sign in self._told(one)]

    def _told(self, found: Found) -> Iterable[tuple[int, Sign]]:
        columns = (column.tolist() for column in found.changes)
        for slot, metric, on, at, since, score, value, expected in zip(*columns, strict=True):
            key = (slot, found.detector, metric)
            if on:
                self._made += 1
                number = int(self._places[slot])
                one, name = self._stored.devices[number], self.family.metrics[metric].name
                made = OWN + self._made * 64 + list(FAMILIES).index(self.family.name) % 64
                self._open[key] = Sign(
                    finding=made,
                    device=number,
                    name=one.name,
                    area=one.area,
                    family=self.family.name,
                    model=one.profile,
                    detector=found.detector,
                    metric=name,
                    since=min(since, at),
                    found=at,
                    until=None,
                    score=score,
                    value=value,
                    expected=expected,
                    lat=one.lat,
                    lon=one.lon,
                    interval_s=one.interval_s,
                    silent_s=one.silent_s,
                )
                yield at, self._open[key]
            elif key in self._open:
                yield at, self._open.pop(key)._replace(until=at, began=False)


def fail(_detector: object, error: Exception) -> None:
    """Here nobody goes on without one."""
    raise error


def rehearse(
    stored: Stored, rules: Rules, since: datetime, until: datetime, progress: Callable[[float], None]
) -> list[Rung]:
    """The alarms of these rules between two times. `progress` is told the share that is done, 0 to 1."""
    engine, record = Engine(rules, stored.world(until)), Rehearsed()
    limits = [one for one in (Limits(stored, family) for family in FAMILIES.values()) if one.judges]
    begin = since
    while begin < until:
        end = min(begin + PORTION, until)
        play(engine, record, changes(stored, limits, begin, end), us(begin), us(end))
        beside(record, rules, stored, begin, end)
        begin = end
        progress((end - since) / (until - since))
    return record.alarms


def changes(stored: Stored, limits: list[Limits], begin: datetime, end: datetime) -> list[tuple[int, Sign]]:
    """What comes and ends between two times, in order."""
    found = [change for one in limits for change in one.signs(begin, end)]
    first, last = us(begin), us(end)
    for sign in stored.findings(begin, end):
        if first <= sign.found < last:
            found.append((sign.found, sign._replace(until=None)))
        if sign.until is not None and first <= sign.until < last:
            found.append((max(sign.until, sign.found), sign._replace(began=False)))
    return sorted(found, key=lambda change: (change[0], change[1].until is not None, change[1].finding))


def play(engine: Engine, record: Rehearsed, found: list[tuple[int, Sign]], begin: int, end: int) -> None:
    """Let time pass for the engine."""
    place = 0
    for now in range(begin + STEP_US, end + STEP_US, STEP_US):
        first = place
        while place < len(found) and found[place][0] < now:
            place += 1
        if place > first or engine.restless:
            engine.take(sign for _, sign in found[first:place])
            engine.settle(record, now, HEARD)


def beside(record: Rehearsed, rules: Rules, stored: Stored, begin: datetime, end: datetime) -> None:
    """Events and air indices, which need no folding."""
    quiet = {rule.name: rule.quiet_s * 1e6 for rule in rules.rules if isinstance(rule, FromEvent)}
    for event in stored.events(begin, end):
        rule = rule_of(rules, event)
        if rule is not None:
            record.clear(ended(record, quiet, event.at))
            record.call([call_of(rule, event)])
    record.clear(ended(record, quiet, us(end)))
    of_air = only(rules, FromAir)
    hours: dict[int, list[air.Index]] = {}
    for area, device, index, hour in stored.air(begin, end) if of_air else ():
        hours.setdefault(hour, []).append(air.Index(area, device, index))
    for hour, indices in sorted(hours.items()):
        assert of_air is not None  # there are hours
        record.call(air.calls(of_air, indices, hour))
        record.clear([(air.key_of(of_air, area), hour) for area in air.over(of_air, indices)])


def ended(record: Rehearsed, quiet: dict[str, float], now: int) -> list[tuple[str, int]]:
    """Alarms of events that are over by now, and since when."""
    lasting = [one for one in record.alarms if one.cleared is None and one.call.rule in quiet]
    over = [(one, one.last + round(quiet[one.call.rule])) for one in lasting]
    return [(one.call.key, at) for one, at in over if at <= now]


def scores(rules: Rules, alarms: list[Rung], since: datetime, until: datetime) -> list[Score]:
    """By rule, in the order of the file; a rule that makes several kinds has a line for each."""
    days = max((until - since) / timedelta(days=1), 1e-9)
    order = {rule.name: place for place, rule in enumerate(rules.rules)}
    kinds = sorted({(order[one.call.rule], one.call.rule, one.call.kind) for one in alarms})
    made = [score(rule, kind, [a for a in alarms if (a.call.rule, a.call.kind) == (rule, kind)], days, us(until))
            for _, rule, kind in kinds]  # fmt: skip
    silent = [rule.name for rule in rules.rules if rule.fold != "none" and rule.name not in {one.rule for one in made}]
    return made + [Score(name, "", 0, 0.0, 0, None, None, 0, {}) for name in silent]


def score(rule: str, kind: str, alarms: list[Rung], days: float, end: int) -> Score:
    """Of the alarms of one rule and kind."""
    keys = Counter(one.call.key for one in alarms)
    noisiest, most = min(keys.items(), key=lambda item: (-item[1], item[0]))
    lasted = float(np.median([((one.cleared or end) - one.raised) / 1e6 for one in alarms]))
    devices = {device for one in alarms for device in (*one.devices, one.call.device) if device is not None}
    worst = Counter(str(one.severity) for one in alarms)
    return Score(rule, kind, len(alarms), len(alarms) / days, len(devices), lasted, noisiest, most, dict(worst))


def local(at: int) -> datetime:
    """A moment in µs as a time."""
    return EPOCH + timedelta(microseconds=at)


__all__: list[Any] = ["Score", "rehearse", "scores"]
