"""Outlines of districts for maps, with whose they are: ours, or those that a province brings.

Grafana's GeoJSON layer reads an address. A `data:` address needs no server and no file beside Grafana.
"""

import json
from base64 import b64encode
from functools import cache
from typing import Any, NamedTuple

from devices.area import ZONES
from devices.area import outlines as shipped

Point = tuple[float, float]  # longitude, latitude, degrees of WGS 84
FINE = 0.003  # degrees: three pixels of a map of a province
PLACES = 3  # decimals
DATA = "data:application/geo+json;base64,"
ALLOWED = ("Polygon", "MultiPolygon")


class OutlinesRefused(Exception):
    """A file of outlines cannot be used; the message says what is wrong and what is allowed."""


class Outlines(NamedTuple):
    """`address`: a GeoJSON document as a `data:` address; `said`: attribution and licence, as a map's description has
    them."""

    address: str
    said: str


@cache
def ours() -> Outlines:
    """The outlines that come with the project; see devices/areas/SOURCES.md."""
    return outlines_from(shipped() | {"attribution": "Who's On First", "license": "CC0"})


def outlines_from(document: Any) -> Outlines:
    """Outlines of a GeoJSON FeatureCollection with the members `attribution` and `license`; each feature a Polygon or
    MultiPolygon whose property `code` is a district of the plan. Raises OutlinesRefused."""
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise OutlinesRefused("no GeoJSON FeatureCollection")
    whose = [document.get(name) for name in ("attribution", "license")]
    for name, text in zip(("attribution", "license"), whose, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise OutlinesRefused(f"{name}: none is given; say beside `features` whose outlines these are")
    features = document.get("features")
    if not isinstance(features, list) or not features:
        raise OutlinesRefused("features: none")
    rings: dict[str, list[list[Point]]] = {}
    for number, feature in enumerate(features, 1):
        code = code_of(feature, number)
        rings.setdefault(code, []).extend(rings_of(feature, code))
    return Outlines(address(rings), f"{whose[0]} ({whose[1]})")


def address(rings: dict[str, list[list[Point]]]) -> str:
    """Rings by district as lines of one document: lines, so that a click meets what lies below them."""
    features = [
        {
            "type": "Feature",
            "properties": {"code": code},
            "geometry": {"type": "MultiLineString", "coordinates": [thin(ring) for ring in some]},
        }
        for code, some in rings.items()
    ]
    text = json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
    return f"{DATA}{b64encode(text.encode()).decode()}"


def code_of(feature: Any, number: int) -> str:
    """The district that a feature is about. Raises OutlinesRefused."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    code = properties.get("code") if isinstance(properties, dict) else None
    known = [zone.code for zone in ZONES]
    if code not in known:
        raise OutlinesRefused(f"feature {number}: code {code} is not known; allowed are {', '.join(known)}")
    return str(code)


def rings_of(feature: dict[str, Any], code: str) -> list[list[Point]]:
    """The rings of a feature. Raises OutlinesRefused."""
    geometry = feature.get("geometry") or {}
    if geometry.get("type") not in ALLOWED:
        raise OutlinesRefused(f"{code}: geometry {geometry.get('type')} is not allowed; {' or '.join(ALLOWED)} is")
    try:
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        found = [[(float(place[0]), float(place[1])) for place in ring] for part in parts for ring in part]
    except (KeyError, TypeError, ValueError, IndexError):
        raise OutlinesRefused(f"{code}: coordinates are no rings of longitude and latitude") from None
    for ring in found:
        if len(ring) < 4 or not all(abs(lon) <= 180 and abs(lat) <= 90 for lon, lat in ring):
            raise OutlinesRefused(f"{code}: a ring has fewer than 4 places, or one that is not in degrees of WGS 84")
    return found


def thin(ring: list[Point]) -> list[Point]:
    """The ring without places that nobody would see, rounded (Douglas and Peucker, 1973)."""
    kept, spans = {0, len(ring) - 1}, [(0, len(ring) - 1)]
    while spans:
        first, last = spans.pop()
        far, place = max(((off(ring[n], ring[first], ring[last]), n) for n in range(first + 1, last)), default=(0.0, 0))
        if far > FINE:
            kept.add(place)
            spans += [(first, place), (place, last)]
    return [(round(ring[n][0], PLACES), round(ring[n][1], PLACES)) for n in sorted(kept)]


def off(point: Point, one: Point, other: Point) -> float:
    """How far a point lies from the way between two others, degrees."""
    (x, y), (ax, ay), (bx, by) = point, one, other
    along = (bx - ax) ** 2 + (by - ay) ** 2
    share = max(0.0, min(1.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / along)) if along else 0.0
    return float(((x - ax - share * (bx - ax)) ** 2 + (y - ay - share * (by - ay)) ** 2) ** 0.5)
