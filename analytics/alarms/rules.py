"""What becomes an alarm, as data: `rules.yaml`, or a file of one's own. The first rule that fits counts.

A rule says where it listens (`from`), what kind of alarm it makes, how severe, and what is one alarm (`fold`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import yaml

from analytics.detectors.words import words
from devices.alarm import SIDE, Alarm, alarm_from, alarm_problems
from devices.area import ZONES
from devices.documents import parse_yaml
from devices.family import FAMILIES
from devices.profile import PROFILES

Severity = Literal["critical", "major", "minor", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "minor", "major", "critical")
Fold = Literal["device", "area", "province", "none"]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=30 * 86_400)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
SHIPPED = Path(__file__).parent / "rules.yaml"
EVENTS = frozenset(
    (
        *("session_lost", "session_taken_over", "broker_restarted", "messages_dropped", "queue_filling"),
        *("detector_failed", "index_failed", "reader_stopped", "disk_filling"),
        *("device_online", "device_offline", "codec_error", "refused", "denied", "flood", "taken"),
        *("spoof", "garbage", "clock", "strangers"),
    )
)
"""Kinds of ops.event. A kind that is new there has an alarm only when a rule names it."""


ALLOWED: dict[str, tuple[str, ...]] = {
    "from": ("profile", "limit", "finding", "silence", "fire", "air", "event"),
    "severity": SEVERITIES,
    "fold": ("device", "area", "province", "none"),
    "when": (">", "<", "in"),
}


class RulesRefused(ValueError):
    """A file of rules that cannot be used. The message is one line: rule, field, value, what is allowed."""


class Title(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In both languages."""

    vi: Annotated[str, msgspec.Meta(min_length=1)]
    en: Annotated[str, msgspec.Meta(min_length=1)]


class Many(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From how many members on an alarm is of another severity: `least`, and `share` of the devices in its place."""

    severity: Severity
    least: Count = 5
    share: Share = 0.0


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="from"):
    """`areas`, `families`: where it holds, none: everywhere; `fold`: what is one alarm, `none`: nothing is raised;
    `hold_s`: for how long it must last before it is raised; `cool_down_s`: within which the same again is the same
    alarm."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]*$")]
    areas: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    fold: Fold = "area"
    hold_s: Seconds = 0.0
    cool_down_s: Seconds = 900.0


class FromProfile(Rule, frozen=True, kw_only=True, tag="profile"):
    """The alarms of the devices' profiles: of these metrics and `severities`, none: of all. Kind, severity and title
    are the alarm's unless they are said here."""

    metrics: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    kind: str = ""
    severity: Severity | None = None
    title: Title | None = None
    many: Many | None = None


class FromLimit(Rule, frozen=True, kw_only=True, tag="limit"):
    """A threshold on a metric of a family, as profiles write them; for devices of that family it takes the place of
    their profile's alarm on the same metric, side and severity."""

    kind: str
    family: str
    metric: str
    when: Literal[">", "<", "in"]
    raise_: float | list[str] = msgspec.field(name="raise")
    clear: float | list[str] | None = None
    for_s: Seconds = 0.0
    severity: Literal["critical", "major", "minor", "warning"] = "minor"
    title: Title
    many: Many | None = None

    def alarm(self) -> Alarm:
        """As of a profile. Raises RulesRefused."""
        entry: dict[str, Any] = {"metric": self.metric, "when": self.when, "raise": self.raise_, "for_s": self.for_s}
        entry |= {"severity": self.severity, "title": {"vi": self.title.vi, "en": self.title.en}}
        if self.clear is not None:
            entry["clear"] = self.clear
        try:
            made = alarm_from(FAMILIES[self.family], entry)
            problem = next(alarm_problems(made), None)
        except KeyError as error:
            problem = f"{error.args[0]} is missing; expected a value of {self.metric}"
        except (TypeError, ValueError) as error:
            problem = str(error)
        if problem:
            raise RulesRefused(f"rule {self.name}: {problem}")
        return made


class FromFinding(Rule, frozen=True, kw_only=True, tag="finding"):
    """What detectors find, while it lasts. `levels`: severities by the finding's score, in equal parts up to 1."""

    kind: str
    detectors: tuple[str, ...]
    severity: Severity = "minor"
    levels: tuple[Severity, ...] = ()
    title: Title
    many: Many | None = None


class FromSilence(Rule, frozen=True, kw_only=True, tag="silence"):
    """Devices of a place that fall silent at one moment are one outage. `least` devices and `share` of those that
    could have been noticed by then: of a district (`district`), or of a place in it (`place`), where `place_least` are
    enough: a gateway may have a handful of devices. `back`: share of the members of each district that are heard again
    when it is over; `within_s`: outages that begin so close together are one, wherever they are (`several`);
    `warm_up_s`: after our start in which nothing is concluded."""

    district: Title
    place: Title
    several: Title = Title("Mất điện hoặc mất kết nối nhiều huyện", "Several districts without power or connection")
    district_severity: Severity = "critical"
    place_severity: Severity = "major"
    least: Annotated[int, msgspec.Meta(ge=3)] = 5
    place_least: Annotated[int, msgspec.Meta(ge=3)] = 3
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    back: Annotated[float, msgspec.Meta(gt=0.5, le=1)] = 0.9
    within_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 300.0
    warm_up_s: Seconds = 60.0


class FromFire(Rule, frozen=True, kw_only=True, tag="fire"):
    """Evidence of forest fire. `confirmed`, `suspected`, `unsure`: severities, the last where no source is a fire
    watch; `near_km`, `within_s`: what is one fire; `quiet_s`: after the last evidence it is over."""

    title: Title
    sure: Title
    confirmed: Severity = "critical"
    suspected: Severity = "major"
    unsure: Severity = "minor"
    near_km: Annotated[float, msgspec.Meta(gt=0, le=50)] = 5.0
    within_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    quiet_s: Seconds = 900.0


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From an index on."""

    least: Annotated[float, msgspec.Meta(ge=0, le=500)]
    severity: Severity


class FromAir(Rule, frozen=True, kw_only=True, tag="air"):
    """VN_AQI of the newest hour, by district; over when all are `margin` below the lowest band."""

    kind: str
    bands: tuple[Band, ...]
    margin: Annotated[float, msgspec.Meta(ge=0, le=100)] = 5.0
    title: Title


class FromEvent(Rule, frozen=True, kw_only=True, tag="event"):
    """What the platform says of itself. Severity is the event's unless it is said here; over when `quiet_s` have
    passed without another."""

    kind: str
    events: tuple[str, ...]
    severity: Severity | None = None
    quiet_s: Seconds = 3600.0
    title: Title


AnyRule = FromProfile | FromLimit | FromFinding | FromSilence | FromFire | FromAir | FromEvent


class Rules(NamedTuple):
    """Rules in their order. `source`: the name of their file."""

    rules: tuple[AnyRule, ...]
    source: str = SHIPPED.name

    def limits(self) -> list[FromLimit]:
        """Thresholds of our own."""
        return [rule for rule in self.rules if isinstance(rule, FromLimit)]

    def named(self, name: str) -> AnyRule | None:
        """The rule of a name."""
        return next((rule for rule in self.rules if rule.name == name), None)


def read(path: Path = SHIPPED) -> Rules:
    """The rules of a file. Raises RulesRefused."""
    try:
        document = parse_yaml(path.read_text("utf-8"))
    except OSError as error:
        raise RulesRefused(f"{path.name} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RulesRefused(f"{path.name}: no readable YAML ({' '.join(str(error).split())})") from None
    entries = document.get("rules") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(entries, list) or not entries:
        raise RulesRefused(f"{path.name}: expected a list under the one key rules")
    rules = Rules(tuple(rule_from(place, entry) for place, entry in enumerate(entries, 1)), path.name)
    check(rules)
    return rules


def rule_from(place: int, entry: Any) -> AnyRule:
    """The rule that an entry describes. Raises RulesRefused."""
    called = entry.get("name", place) if isinstance(entry, dict) else place
    try:
        rule: AnyRule = msgspec.convert(entry, AnyRule)
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at `$.")
        field = where.strip("`")
        value = f"{field} is {shown(entry, field)}; " if field else ""
        allowed = ALLOWED.get(field.rpartition(".")[2])
        known = f"expected {', '.join(allowed)}" if allowed and said.startswith("Invalid") else said
        raise RulesRefused(f"rule {called}: {value}{known}") from None
    return rule


def shown(entry: Any, field: str) -> str:
    """The value of a field, as far as it can be shown."""
    for key in field.split("."):
        entry = entry.get(key.partition("[")[0], entry) if isinstance(entry, dict) else entry
    text = repr(entry)
    return text if len(text) <= 60 else f"{text[:57]}…"


def check(rules: Rules) -> None:
    """Raises RulesRefused on the first rule that could never work."""
    names: set[str] = set()
    for rule in rules.rules:
        if rule.name in names:
            raise RulesRefused(f"rule {rule.name}: name is there twice; expected each once")
        names.add(rule.name)
        for problem in problems(rule):
            raise RulesRefused(f"rule {rule.name}: {problem}")
    for single in (FromSilence, FromFire):
        if sum(isinstance(rule, single) for rule in rules.rules) > 1:
            raise RulesRefused(f"{rules.source}: two rules from {single.__name__[4:].lower()}; expected one at most")
    codes = [(rule.family, rule.alarm().code) for rule in rules.limits()]
    for rule, code in zip(rules.limits(), codes, strict=True):
        if codes.count(code) > 1:
            raise RulesRefused(f"rule {rule.name}: {code[1]} is there twice; expected one per metric, side, severity")


def problems(rule: AnyRule) -> Iterator[str]:
    """What it names that is not there."""
    yield from unknown("areas", rule.areas, [zone.code for zone in ZONES])
    yield from unknown("families", rule.families, list(FAMILIES))
    if isinstance(rule, FromProfile):
        known = {alarm.metric.name for profile in PROFILES.values() for alarm in profile.alarms}
        yield from unknown("metrics", rule.metrics, sorted(known))
    if isinstance(rule, FromLimit):
        yield from unknown("family", [rule.family], list(FAMILIES))
        rule.alarm()
    if isinstance(rule, FromFinding):
        yield from unknown("detectors", rule.detectors, sorted(words()))
        if not rule.detectors:
            yield "detectors is empty; expected at least one"
    if isinstance(rule, FromEvent):
        yield from unknown("events", rule.events, sorted(EVENTS))
        if not rule.events:
            yield "events is empty; expected at least one"
    if isinstance(rule, FromAir):
        least = [band.least for band in rule.bands]
        if not least or least != sorted(set(least)) or rule.margin >= least[0]:
            yield f"bands is {least}; expected rising limits, the lowest above the margin {rule.margin:g}"


def unknown(field: str, said: tuple[str, ...] | list[str], known: list[str]) -> Iterator[str]:
    """The first that is not known."""
    for one in said:
        if one not in known:
            some = ", ".join(known) if len(known) <= 40 else f"{', '.join(known[:40])}, …"
            yield f"{field} is {one}; expected one of {some}"


def side_of(alarm: Alarm) -> str:
    """As in codes: high, low or state."""
    return SIDE[alarm.when]
