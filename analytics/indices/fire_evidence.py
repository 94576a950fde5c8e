"""Whether evidence of several sources is a fire: how likely, and in what stage. No single sensor confirms one.

Log-odds add up: those of a fire before anything was seen, by the day's danger and by who was at a forest gate, and
what each source adds, each kind once. The numbers are judgement, not from a paper. A source that says nothing adds
nothing: a dead sensor is absent evidence, not evidence that all is well.
"""

from collections.abc import Sequence
from math import asin, cos, exp, inf, isnan, nan, radians, sin, sqrt
from typing import Literal, NamedTuple

Kind = Literal["smoke", "heat", "camera", "flame", "hotspot", "lasting", "gate"]
Stage = Literal["quiet", "suspected", "confirmed"]
KIND: dict[str, Kind] = {
    "fire-smoke": "smoke",
    "fire-warmth": "heat",
    "fire-heat": "heat",
    "fire-camera": "camera",
    "fire-event": "camera",
    "fire-flame": "flame",
    "fire-hotspot": "hotspot",
    "fire-lasting": "lasting",
    "forest-gate": "gate",
}
"""Which kind of source each detector of fire listens to; the view city.fire_evidence says the same."""
EARTH_KM = 6371.0
MINUTE_US = 60_000_000


class Evidence(NamedTuple):
    """What one source of one device says. `since`: when it began, µs since 1970 UTC; `score`: 0–1, 1 is enough.

    `lat`, `lon`: where the fire is if the source knows, else where the device is; degrees, NaN: unknown.
    """

    device: int
    kind: Kind
    since: int
    score: float
    lat: float
    lon: float


class Rule(NamedTuple):
    """`prior`: log-odds by danger level I to V, and of one that is not known; `gate`: what somebody at a gate adds;
    `source`: what a source with score 1 adds; `within_us`, `near_km`: what is one fire; `suspected`: log-odds from
    which a fire is suspected."""

    prior: tuple[float, float, float, float, float] = (-3.5, -3.0, -2.5, -2.0, -1.5)
    prior_unknown: float = -2.5
    gate: float = 0.5
    source: float = 4.0
    within_us: int = 10 * MINUTE_US
    near_km: float = 5.0
    suspected: float = 0.0


class Verdict(NamedTuple):
    """`likely`: 0–1, from the log-odds; `kinds`: what speaks of a fire; `since`: µs of the first sign; `lat`, `lon`:
    the mean place of the evidence, NaN where none knows one."""

    stage: Stage
    likely: float
    kinds: tuple[str, ...]
    devices: tuple[int, ...]
    since: int
    lat: float
    lon: float


RULE = Rule()


def judged(evidence: Sequence[Evidence], danger: int | None = None, rule: Rule = RULE) -> list[Verdict]:
    """One verdict per place with evidence of a fire, the likeliest first. Given is what is there at a moment.

    `danger`: the day's level, 1 to 5; None: not known. Confirmed is a fire of which two kinds of sources at two devices
    speak within `within_us` and `near_km` of each other, or lasting heat; of which less speaks is suspected. Gates only
    raise the prior, of fires near them.
    """
    signs = [one for one in evidence if one.kind != "gate"]
    gates = [one for one in evidence if one.kind == "gate"]
    together = [[one for place, one in enumerate(signs) if place in members] for members in places(signs, rule)]
    found = [verdict(members, gates, danger, rule) for members in together]
    return sorted(found, key=lambda one: one.likely, reverse=True)


def verdict(signs: Sequence[Evidence], gates: Sequence[Evidence], danger: int | None, rule: Rule = RULE) -> Verdict:
    """What evidence of one place amounts to."""
    near_gate = any(apart_km(sign, gate) <= rule.near_km for sign in signs for gate in gates)
    kinds = {sign.kind for sign in signs}
    odds = rule.prior_unknown if danger is None else rule.prior[danger - 1]
    odds += rule.gate * near_gate
    odds += sum(rule.source * max(sign.score for sign in signs if sign.kind == kind) for kind in kinds)
    stage: Stage = "confirmed" if confirms(signs, rule) else "suspected" if odds >= rule.suspected else "quiet"
    return Verdict(
        stage,
        1.0 / (1.0 + exp(-odds)),
        tuple(sorted(kinds)),
        tuple(sorted({sign.device for sign in signs})),
        min(sign.since for sign in signs),
        middle([sign.lat for sign in signs]),
        middle([sign.lon for sign in signs]),
    )


def confirms(signs: Sequence[Evidence], rule: Rule = RULE) -> bool:
    """Whether evidence is enough without a person's word: each sign with score 1, of two kinds and two devices."""
    sure = [sign for sign in signs if sign.score >= 1.0]
    if any(sign.kind == "lasting" for sign in sure):
        return True
    return any(agree(one, other, rule) for place, one in enumerate(sure) for other in sure[:place])


def agree(one: Evidence, other: Evidence, rule: Rule) -> bool:
    """Whether two signs bear each other out."""
    apart = one.device != other.device and sort(one) != sort(other)
    return apart and abs(one.since - other.since) <= rule.within_us and apart_km(one, other) <= rule.near_km


def sort(sign: Evidence) -> str:
    """Lasting heat is heat."""
    return "heat" if sign.kind == "lasting" else sign.kind


def places(signs: Sequence[Evidence], rule: Rule = RULE) -> list[set[int]]:
    """Signs by place, as their numbers: what is near one of a place belongs to it."""
    left, found = set(range(len(signs))), []
    while left:
        members, waiting = set(), [min(left)]
        while waiting:
            at = waiting.pop()
            if at in left:
                left.discard(at)
                members.add(at)
                waiting += [other for other in left if apart_km(signs[at], signs[other]) <= rule.near_km]
        found.append(members)
    return found


def apart_km(one: Evidence, other: Evidence) -> float:
    """Great-circle distance (haversine); no distance where a place is not known, except from the device itself."""
    if one.device == other.device:
        return 0.0
    here, there = radians(one.lat), radians(other.lat)
    half = sin((there - here) / 2) ** 2 + cos(here) * cos(there) * sin(radians(other.lon - one.lon) / 2) ** 2
    return inf if isnan(half) else 2 * EARTH_KM * asin(sqrt(min(half, 1.0)))


def middle(degrees: Sequence[float]) -> float:
    """The mean of those that are known."""
    known = [value for value in degrees if not isnan(value)]
    return sum(known) / len(known) if known else nan
