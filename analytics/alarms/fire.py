"""Evidence of forest fire → one alarm per fire, which grows: suspected by one source, confirmed by two kinds.

What is one fire and what confirms it is in analytics/indices/fire_evidence.py. Evidence that has ended counts on for
the quiet time: smoke that a camera saw five minutes ago bears out the heat of now.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, NamedTuple

from analytics.alarms.matching import rank, within
from analytics.alarms.record import Call, Record, instant
from analytics.alarms.rules import FromFire, Severity
from analytics.indices.fire_evidence import RULE, Evidence, Kind, Verdict, apart_km, places, verdict

MOST = 2_000
"""Pieces of evidence that are looked at together: each is compared with each."""
WATCHES = "fire_watch"


class Piece(NamedTuple):
    """A finding that speaks of fire. `said`: as the index of evidence wants it; times µs since 1970 UTC."""

    finding: int
    said: Evidence
    family: str
    area: int
    found: int
    until: int | None
    danger: int | None


@dataclass
class Fire:
    """An alarm of a fire that lasts. `known`: findings that are evidence of it; `devices`: that told them."""

    key: str
    alarm: int
    severity: Severity
    last: int
    known: set[int] = field(default_factory=set)
    devices: set[int] = field(default_factory=set)


class Fires:
    """All that last."""

    def __init__(self, rule: FromFire) -> None:
        self.rule = rule
        self.judge = RULE._replace(near_km=rule.near_km, within_us=round(rule.within_s * 1e6))
        self.lasting: dict[str, Fire] = {}

    def look(self, record: Record, pieces: Sequence[Piece], now: int) -> None:
        """Judge all evidence of the quiet time before `now`, and of fires that last."""
        newest = sorted(pieces, key=lambda piece: (piece.found, piece.finding))[-MOST:]
        signs = [piece for piece in newest if piece.said.kind != "gate"]
        gates = [piece.said for piece in newest if piece.said.kind == "gate"]
        for members in places([piece.said for piece in signs], self.judge):
            self._place(record, [signs[place] for place in sorted(members)], gates, now)
        self._end(record, pieces, now)

    def _place(self, record: Record, some: list[Piece], gates: list[Evidence], now: int) -> None:
        known = {piece.finding for piece in some}
        fire = next((one for one in self.lasting.values() if one.known & known), None)
        fresh = [piece for piece in some if fire is None or piece.finding not in fire.known]
        judged = verdict([piece.said for piece in some], gates, danger_of(some), self.judge)
        severity = self._severity(judged, some)
        if fire is not None:  # what was confirmed stays so
            severity = max(severity, fire.severity, key=rank)
        if judged.stage == "quiet" or (fire and not fresh and severity == fire.severity):
            return
        if fire is None:
            first = min(some, key=lambda piece: (piece.found, piece.finding))
            key, at = f"forest_fire:{first.finding}", first.found
        else:
            key, at = fire.key, max([fire.last, *(piece.found for piece in fresh)])
        call = self._call(key, severity, judged, some, at)
        answers = record.call([call])
        if any(answer.happened == "ignored" for answer in answers):  # staff closed it, and here is more of it
            answers = record.call([call._replace(at=max(at, now))])
        for answer in answers:
            fire = self.lasting.setdefault(key, Fire(key, answer.id, severity, at))
            fire.alarm, fire.last, fire.severity = answer.id, max(fire.last, at), severity
            fire.known |= known
            fire.devices |= set(judged.devices)
            record.evidence(fire.alarm, told(some, fresh))

    def _severity(self, judged: Verdict, some: Sequence[Piece]) -> Severity:
        if judged.stage == "confirmed":
            return self.rule.confirmed
        watched = any(piece.family == WATCHES or piece.said.kind in ("camera", "hotspot") for piece in some)
        return self.rule.suspected if watched else self.rule.unsure

    def _call(self, key: str, severity: Severity, judged: Verdict, some: Sequence[Piece], at: int) -> Call:
        rule, area = self.rule, min(some, key=lambda piece: (piece.found, piece.finding)).area
        title = within(rule.sure if judged.stage == "confirmed" else rule.title, area)
        where = (None, area, None, at, judged.likely)
        return Call(key, "forest_fire", severity, rule.name, *where, *(title.vi, title.en), 0.0, judged.devices)

    def _end(self, record: Record, pieces: Iterable[Piece], now: int) -> None:
        """Over is a fire of which nothing has spoken for the quiet time."""
        ends = {piece.finding: now if piece.until is None else piece.until for piece in pieces}
        for fire in list(self.lasting.values()):
            newest = max((ends[finding] for finding in fire.known if finding in ends), default=fire.last)
            if now - newest >= self.rule.quiet_s * 1e6:
                record.clear([(fire.key, max(now, fire.last))])
                del self.lasting[fire.key]


def danger_of(some: Iterable[Piece]) -> int | None:
    """The highest of the districts; None where none is known."""
    return max((piece.danger for piece in some if piece.danger is not None), default=None)


def told(some: Sequence[Piece], fresh: Sequence[Piece]) -> list[dict[str, Any]]:
    """New evidence with distance and time from the first sign of the fire."""
    first = min(some, key=lambda piece: (piece.found, piece.finding))
    return [
        {
            "at": instant(piece.found),
            "kind": piece.said.kind,
            "device": piece.said.device,
            "score": piece.said.score,
            "distance_m": metres(first.said, piece.said),
            "after_s": (piece.found - first.found) / 1e6,
            "detail": {"finding": piece.finding, "since": instant(piece.said.since)},
        }
        for piece in fresh
    ]


def metres(one: Evidence, other: Evidence) -> float | None:
    """Between two; None where a place is not known."""
    if any(map(isnan, (one.lat, one.lon, other.lat, other.lon))):
        return 0.0 if one.device == other.device else None
    return round(apart_km(one, other) * 1000.0, 1)


__all__ = ["Evidence", "Fire", "Fires", "Kind", "Piece"]
