"""Values of NGSI attributes in one form: times as RFC 3339, points as GeoJSON, declared numbers as numbers."""

import re
from typing import Any

from devices.codecs.json_text import decode_json

_NUMBERS = frozenset(("number", "float", "double", "integer", "int", "long", "decimal"))
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?(Z|z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_POINT = re.compile(r"\s*(-?\d{1,3}(?:\.\d{1,20})?)\s*,\s*(-?\d{1,3}(?:\.\d{1,20})?)\s*", re.ASCII)
_DECIMAL = re.compile(r"\s*[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
_TIMES = frozenset(
    ("TimeInstant", "timestamp", "observationDateTime", "observationDate", "binLoggedTime", "notifiedAt")
)


def number_if_declared(value: object, declared: object) -> object:
    """The number in a text whose attribute calls it a number (`{"type": "Number", "value": "3.2"}`)."""
    if not isinstance(value, str) or not isinstance(declared, str):
        return value
    kind = re.split(r"[:#/]", declared)[-1].lower()
    return float(value) if kind in _NUMBERS and _DECIMAL.fullmatch(value) else value


def in_plain_form(name: str, value: object, declared: object) -> object:
    """A time written out in full, a place as GeoJSON; other values unchanged."""
    if not isinstance(value, str):
        return value
    if declared == "DateTime" or name in _TIMES or name.lower().startswith("date"):
        return whole_time(value)
    if declared == "geo:point" or name in ("location", "position"):
        return geometry(value)
    return value


def whole_time(text: str) -> str:
    """RFC 3339 for the shorter forms of ISO 8601 (no seconds, basic, `+07`), an interval by its ends; else unchanged.

    A zone that is missing stays missing: the profile says what that means.
    """
    start, slash, end = text.strip().partition("/") if len(text) < 80 else (text, "", "")
    return _whole(start) + slash + _whole(end)


def _whole(text: str) -> str:
    match = _ISO.fullmatch(text.strip())
    if match is None:
        return text
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}" + (f".{fraction}" if fraction else "")
    if zone and zone not in "Zz":
        zone = f"{zone[:3]}:{zone[3:].lstrip(':') or '00'}"
    return f"{year}-{month}-{day}T{clock}{zone or ''}"


def geometry(text: str) -> object:
    """GeoJSON for `"41.4, -3.7"` (latitude first, as `geo:point` has it) and for GeoJSON in a text; else unchanged."""
    match = _POINT.fullmatch(text[:80])
    if match:
        return {"type": "Point", "coordinates": [float(match[2]), float(match[1])]}
    if text[:200].lstrip().startswith("{"):
        found: Any = decode_json(text.encode("utf-8", "replace"))
        return found if isinstance(found, dict) and "coordinates" in found else text
    return text
