"""Which rule a finding falls under, and what it would be an alarm of: the first rule that fits counts."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from analytics.alarms.limits import MODELS, Limits
from analytics.alarms.rules import (
    SEVERITIES,
    AnyRule,
    FromFinding,
    FromLimit,
    FromProfile,
    Many,
    Rules,
    Severity,
    Title,
)
from devices.alarm import Alarm
from devices.area import ZONES
from devices.family import FAMILIES

LIMIT = "limit-"
AREA = {zone.id: zone for zone in ZONES}
SILENT = "silent"
NAMED = 6  # districts that a title names


class Sign(NamedTuple):
    """A finding as it is now, of one device. Times are µs since 1970 UTC; `until`: None while it lasts; `area`,
    `device`: registry ids, `name`: what staff call the device; `model`: its profile; `lat`, `lon`: degrees, NaN where
    unknown; `silent_s`: without a reading for so long its profile calls it silent; `began`: it was never looked at;
    `late`: µs from its reading's time until it was noted."""

    finding: int
    device: int
    name: str
    area: int
    family: str
    model: str
    detector: str
    metric: str
    since: int
    found: int
    until: int | None
    score: float
    value: float
    expected: float
    lat: float
    lon: float
    interval_s: float
    silent_s: float
    began: bool = True
    late: int = 0


class Match(NamedTuple):
    """What a sign is an alarm of. `device`, `area`: None where the alarm is about more than one."""

    rule: AnyRule
    key: str
    kind: str
    severity: Severity
    title: Title
    device: int | None
    area: int | None
    family: str | None
    many: Many | None = None


def rank(severity: Severity) -> int:
    """0 information … 4 critical."""
    return SEVERITIES.index(severity)


class Matching:
    """Rules, ready to be asked."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.limits = Limits(rules)
        self._finding = lru_cache(4096)(self._of_finding)
        self._limit = lru_cache(16_384)(self._of_limit)

    def of(self, sign: Sign) -> Match | None:
        """What it is an alarm of; None: of nothing."""
        if sign.detector.startswith(LIMIT):
            side = self._side(sign)
            found = self._limit(sign.area, sign.family, sign.model, sign.metric, side, sign.detector[len(LIMIT) :])
            if found is None:
                return None
            rule, alarm = found
            return self._match_limit(rule, alarm, side, sign)
        rule_of = self._finding(sign.area, sign.family, sign.detector)
        return None if rule_of is None else self._match_finding(rule_of, sign)

    def _side(self, sign: Sign) -> str:
        metric = FAMILIES[sign.family].metrics[FAMILIES[sign.family].index[sign.metric]]
        if metric.kind == "state":
            return "state"
        return "low" if sign.value < sign.expected else "high"

    def _of_limit(
        self, area: int, family: str, model: str, metric: str, side: str, severity: str
    ) -> tuple[FromProfile | FromLimit, Alarm] | None:
        alarm = self.limits.alarm_of(FAMILIES[family], model, metric, side, severity)
        if alarm is None:
            return None
        for rule in self.rules.rules:
            fits = isinstance(rule, FromLimit) and (rule.family, rule.alarm().code) == (family, alarm.code)
            fits |= isinstance(rule, FromProfile) and (
                (not rule.metrics or metric in rule.metrics)
                and (not rule.severities or severity in rule.severities)
                and not self._has_own(family, alarm)
            )
            if fits and holds(rule, area, family):
                assert isinstance(rule, FromLimit | FromProfile)
                return None if rule.fold == "none" else (rule, alarm)
        return None

    def _has_own(self, family: str, alarm: Alarm) -> bool:
        return any(rule.family == family and rule.alarm().code == alarm.code for rule in self.rules.limits())

    def _of_finding(self, area: int, family: str, detector: str) -> FromFinding | None:
        for rule in self.rules.rules:
            if isinstance(rule, FromFinding) and detector in rule.detectors and holds(rule, area, family):
                return None if rule.fold == "none" else rule
        return None

    def _match_limit(self, rule: FromProfile | FromLimit, alarm: Alarm, side: str, sign: Sign) -> Match:
        kind = rule.kind or f"{alarm.metric.name}-{side}"
        title = rule.title or Title(**alarm.title)
        return placed(rule, kind, rule.severity or alarm.severity, title, sign, rule.many)

    def _match_finding(self, rule: FromFinding, sign: Sign) -> Match:
        severity = rule.severity
        if rule.levels:
            level = min(max(round(sign.score * len(rule.levels)), 1), len(rule.levels))
            severity = rule.levels[level - 1]
        return placed(rule, rule.kind, severity, rule.title, sign, rule.many)


def holds(rule: AnyRule, area: int, family: str) -> bool:
    """Whether a rule is for this place and family."""
    here = not rule.areas or (area in AREA and AREA[area].code in rule.areas)
    return here and (not rule.families or family in rule.families)


def placed(rule: AnyRule, kind: str, severity: Severity, title: Title, sign: Sign, many: Many | None) -> Match:
    """A match with the key that its rule's folding gives, and its words."""
    if rule.fold == "device":
        said = Title(f"{title.vi}: {sign.name}", f"{title.en}: {sign.name}")
        key, device, area = f"{kind}:d{sign.device}", sign.device, sign.area
        return Match(rule, key, kind, severity, said, device, area, sign.family, many)
    if rule.fold == "province":
        return Match(rule, kind, kind, severity, title, None, None, None, many)
    return Match(
        rule, f"{kind}:{code(sign.area)}", kind, severity, within(title, sign.area), None, sign.area, None, many
    )


def within(title: Title, area: int) -> Title:
    """A title with the name of the district."""
    zone = AREA.get(area)
    return Title(f"{title.vi} – {zone.name_vi}", f"{title.en} – {zone.name_en}") if zone else title


def within_several(title: Title, areas: Sequence[int]) -> Title:
    """A title with the names of districts: all of them, or how many more there are."""
    zones = [AREA[area] for area in areas if area in AREA]
    more = f" +{len(zones) - NAMED}" if len(zones) > NAMED else ""
    vi, en = (", ".join(names[:NAMED]) for names in ([z.name_vi for z in zones], [z.name_en for z in zones]))
    return Title(f"{title.vi} – {vi}{more}", f"{title.en} – {en}{more}")


def code(area: int) -> str:
    """Of a district, as staff know it."""
    return AREA[area].code if area in AREA else f"{area:03d}"


__all__ = [
    "MODELS",
    "SILENT",
    "Match",
    "Matching",
    "Sign",
    "code",
    "holds",
    "placed",
    "rank",
    "within",
    "within_several",
]
