"""One cause of many silences: devices of a place that fell silent at one moment.

Nothing is known of which gateway a device hangs on, so it is told from when and where. A device that was heard at h and
speaks every i seconds was cut off between h and h + i: the moment that lies in most of these spans is that of the cut,
and those whose span holds it are its devices.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.alarms.matching import Match, Sign, code, within, within_several
from analytics.alarms.rules import FromSilence

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
EARTH_KM = 6371.0
LATE = 1.1  # intervals within which the next reading would have come
EDGE = 1.3  # radii within which a device that falls silent later belongs to the place
LEAST_KM = 0.3
TURNS = 8  # outages of one district that are told apart in one look


class There(NamedTuple):
    """Active devices of a district: where they are, degrees, and after how many seconds each is silent."""

    lat: Floats
    lon: Floats
    silent_s: Floats


class Outage(NamedTuple):
    """The cut was between `moment` and `latest`, µs since 1970; `whole`: of the whole district, else of a disc about a
    point, km."""

    area: int
    moment: int
    signs: tuple[Sign, ...]
    whole: bool
    lat: float
    lon: float
    km: float
    latest: int

    def key(self) -> str:
        """The same place is the same alarm: a gateway that comes and goes is one matter."""
        kind = "power_cut" if self.whole else "gateway_cut"
        return f"{kind}:{code(self.area)}" + ("" if self.whole else f":{self.lat:.2f}:{self.lon:.2f}")

    def has(self, sign: Sign) -> bool:
        """Whether a device that falls silent later belongs to it."""
        begun = sign.since <= self.latest and self.moment <= sign.since + round(LATE * sign.interval_s * 1e6)
        if self.whole or not begun:
            return begun
        apart = apart_km(np.array([sign.lat]), np.array([sign.lon]), self.lat, self.lon)
        return bool(apart[0] <= EDGE * self.km)

    def apart_us(self, other: "Outage") -> int:
        """µs between the beginnings of two, as far as they are known: 0 where they may be the same."""
        return max(0, self.moment - other.latest, other.moment - self.latest)


def match_of(parts: Sequence[Outage], rule: FromSilence, key: str) -> Match:
    """What outages of one cause are an alarm of: of their district, or of all of it where they are in several."""
    whole, areas = any(part.whole for part in parts), sorted({part.area for part in parts})
    kind, severity = ("power_cut", rule.district_severity) if whole else ("gateway_cut", rule.place_severity)
    if len(areas) == 1:
        title = within(rule.district if whole else rule.place, areas[0])
        return Match(rule, key, kind, severity, title, None, areas[0], None)
    return Match(rule, key, kind, severity, within_several(rule.several, areas), None, None, None)


def outages(signs: Sequence[Sign], there: Callable[[], There], rule: FromSilence, now: int) -> list[Outage]:
    """Outages among the silent devices of one district, the largest first. `now`: µs since 1970."""
    left, found = sorted(signs, key=lambda sign: sign.device), []
    for _ in range(TURNS):
        if len(left) < rule.place_least:
            break
        one = largest(left, there(), rule, now)
        if one is None:
            break
        found.append(one)
        gone = {sign.finding for sign in one.signs}
        left = [sign for sign in left if sign.finding not in gone]
    return found


def largest(signs: list[Sign], there: There, rule: FromSilence, now: int) -> Outage | None:
    """The outage with the most devices; None: there is none."""
    heard = np.array([sign.since for sign in signs], np.int64)
    span = np.array([sign.interval_s * LATE * 1e6 for sign in signs]).astype(np.int64)
    moment = most_covered(heard, span)
    mine = (heard <= moment) & (moment <= heard + span)
    if mine.sum() < rule.place_least:
        return None
    some = [sign for sign, one in zip(signs, mine, strict=True) if one]
    latest = int((heard + span)[mine].min())
    lat, lon = np.array([sign.lat for sign in some]), np.array([sign.lon for sign in some])
    late = there.silent_s * 1e6 <= now - moment  # would have been noticed by now, whenever they were heard last
    due = np.array([sign.silent_s * 1e6 <= now - moment for sign in some])
    if due.sum() >= max(rule.least, rule.share * late.sum()):
        return Outage(signs[0].area, moment, tuple(some), True, *middle(lat, lon), 0.0, latest)
    found = in_place(some, lat, lon, due, there, late, rule)
    return None if found is None else found._replace(moment=moment, latest=latest)


def most_covered(heard: npt.NDArray[np.int64], span: npt.NDArray[np.int64]) -> int:
    """The earliest moment that lies in most of the spans from `heard` on.

    >>> most_covered(np.array([0, 5, 50]), np.array([10, 10, 10]))
    5
    """
    begins, ends = np.sort(heard), np.sort(heard + span)
    open_then = np.arange(1, len(begins) + 1) - np.searchsorted(ends, begins, side="left")
    return int(begins[int(np.argmax(open_then))])


def in_place(
    signs: list[Sign], lat: Floats, lon: Floats, due: Bools, there: There, late: Bools, rule: FromSilence
) -> Outage | None:
    """The disc in which most are silent; None: they lie scattered among others that speak. Its moment is not known."""
    where = ~np.isnan(lat) & ~np.isnan(lon)
    if where.sum() < rule.place_least:
        return None
    y, x = middle(lat, lon)
    far = apart_km(lat, lon, y, x)
    for part in (0.75, 0.5):  # the middle holds where some others fell silent at the same time by chance
        km = max(LEAST_KM, float(np.quantile(far[where], part)) / part**0.5)
        inside = where & (far <= km)
        around = late & (apart_km(there.lat, there.lon, y, x) <= km)
        if inside.sum() >= rule.place_least and (inside & due).sum() >= rule.share * around.sum():
            near = where & (far <= EDGE * km)
            some = tuple(sign for sign, one in zip(signs, near, strict=True) if one)
            return Outage(signs[0].area, 0, some, False, y, x, km, 0)
    return None


def middle(lat: Floats, lon: Floats) -> tuple[float, float]:
    """The median place; NaN where none is known."""
    if np.isnan(lat).all() or np.isnan(lon).all():
        return float("nan"), float("nan")
    return float(np.nanmedian(lat)), float(np.nanmedian(lon))


def apart_km(lat: Floats, lon: Floats, y: float, x: float) -> Floats:
    """Distance on a plane that touches the earth there: good to a percent within a district. NaN where unknown."""
    north = np.radians(lat - y) * EARTH_KM
    east = np.radians(lon - x) * EARTH_KM * np.cos(np.radians(y))
    return np.asarray(np.hypot(north, east))


__all__ = ["Outage", "There", "match_of", "outages"]
