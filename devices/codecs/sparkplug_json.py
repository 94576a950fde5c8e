"""Sparkplug payloads written as JSON, as the specification shows them and gateways log them ↔ the message.

Values stand under `value` by their type's name (`dataType`: "Double"), or under the names of protobuf's own JSON
(`doubleValue`, 64-bit numbers as text).
"""

import re
from math import isfinite
from typing import Any

from devices.codecs.json_text import decode_json, encode_json
from devices.codecs.sparkplug import MAX_METRICS, Message
from devices.codecs.sparkplug_values import NAMES, VALUE_NAMES, DataType
from devices.raw import NotFinite, spell_float
from devices.rejected import Reason, Rejected

MAX_DEPTH = 8
TYPE_NAMES: dict[int | None, str] = {int(kind): kind.name for kind in DataType}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def decode_json_payload(payload: bytes) -> Message | Rejected:
    """A payload written as JSON → the message, metrics with their value under `value`; or Rejected."""
    document = decode_json(payload)
    if isinstance(document, Rejected):
        return document._replace(layer="envelope")
    if not isinstance(document, dict) or not isinstance(document.get("metrics", []), list):
        detail = 'expected an object {"timestamp", "metrics": […], "seq"} or protocol buffers; see Sparkplug 3.0, 6.4'
        return Rejected("envelope", Reason.WRONG_SHAPE, "metrics", None, detail)
    metrics = document.get("metrics", [])
    if len(metrics) > MAX_METRICS:
        detail = f"{len(metrics)} metrics; expected at most {MAX_METRICS} a message"
        return Rejected("envelope", Reason.TOO_LARGE, "metrics", str(len(metrics)), detail)
    message: Message = {"metrics": [metric_from(metric) for metric in metrics if isinstance(metric, dict)]}
    for name in ("timestamp", "seq"):
        if (count := whole(document.get(name))) is not None:
            message[name] = count
    return message


def metric_from(entry: dict[str, Any], depth: int = 0) -> Message:
    """One metric with the names of the schema; what has the wrong type is left out."""
    plain = {_WORDS.sub("_", str(key)).lower().replace("data_type", "datatype"): value for key, value in entry.items()}
    metric: Message = {}
    if isinstance(plain.get("name"), str):
        metric["name"] = plain["name"]
    for name in ("alias", "timestamp"):
        if (count := whole(plain.get(name))) is not None:
            metric[name] = count
    datatype = type_of(plain.get("datatype", plain.get("type")))
    if datatype is not None:
        metric["datatype"] = datatype
    metric |= {name: True for name in ("is_historical", "is_transient", "is_null") if plain.get(name) is True}
    key = next((name for name in ("value", *sorted(VALUE_NAMES)) if name in plain), None)
    if key is not None:
        metric["value"] = value_from(plain[key], datatype, depth)
    if isinstance(plain.get("properties"), dict):
        metric["plain_properties"] = properties_from(plain["properties"])
    return metric


def value_from(value: Any, datatype: int | None, depth: int) -> Any:
    """A value; 64-bit numbers that came as text as numbers, the members of a template as metrics."""
    if isinstance(value, str) and datatype is not None and datatype in NUMERIC:
        number = whole(value)
        return value if number is None else number
    if isinstance(value, dict) and isinstance(value.get("metrics"), list) and depth < MAX_DEPTH:
        members = [metric_from(entry, depth + 1) for entry in value["metrics"] if isinstance(entry, dict)]
        definition = value.get("isDefinition") is True or value.get("is_definition") is True
        return {"template": {"metrics": members, "is_definition": definition}}
    return value


NUMERIC = {*range(DataType.Int8, DataType.UInt64 + 1), int(DataType.DateTime)}


def properties_from(entry: dict[str, Any]) -> dict[str, Any]:
    """Properties as names and values, given so or as {name: {"type", "value"}}."""
    return {key: item["value"] if isinstance(item, dict) and "value" in item else item for key, item in entry.items()}


def type_of(said: Any) -> int | None:
    """The index of a data type by its name or number; None when it says none."""
    if isinstance(said, str):
        return NAMES.get(said.lower())
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None


def whole(said: Any) -> int | None:
    """A whole number from 0 to 2^64-1, as a number or as text."""
    if isinstance(said, str) and said.lstrip("-").isdecimal() and len(said) <= 20:
        said = int(said)
    return said if isinstance(said, int) and not isinstance(said, bool) and abs(said) < 2**64 else None


def spelt(value: Any) -> Any:
    """A value that JSON can hold and that reads back as it was: bytes as hex, odd floats by their names."""
    if isinstance(value, float) and not isfinite(value):
        return NotFinite(spell_float(value))
    if isinstance(value, list):
        return [spelt(item) for item in value]
    if isinstance(value, dict):
        return {key: spelt(item) for key, item in value.items()}
    return value.hex() if isinstance(value, bytes) else value


def rendered(timestamp: int | None, values: dict[str, tuple[Any, int | None]], units: dict[str, Any]) -> bytes:
    """The values of one time by name, with their types, as such JSON: readable without any birth before it."""
    metrics = []
    for name, (value, datatype) in values.items():
        metric: dict[str, Any] = {"name": name, "value": spelt(value)}
        if datatype in TYPE_NAMES:
            metric["dataType"] = TYPE_NAMES[datatype]
        if name in units:
            metric["properties"] = units[name]
        metrics.append(metric)
    document: dict[str, Any] = {"metrics": metrics}
    try:
        return encode_json(document if timestamp is None else {"timestamp": timestamp, **document})
    except (ValueError, RecursionError):
        return b""
