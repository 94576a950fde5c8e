"""JSON Schema, draft 2020-12, as far as our own schemas go: an independent reading of the files that editors use.

A keyword that is not known here is an error, so that no schema passes for what it does not ask.
"""

import re
from collections.abc import Iterator
from typing import Any

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
# The struct codec's schema is a file of its own, and has a test of its own.
SILENT = {"$schema", "$ref", "title", "description", "then", "properties", "additionalProperties"}


def faults(schema: Any, value: Any, at: str = "$") -> Iterator[str]:
    """Where and how a document breaks its schema."""
    if "properties" in schema or "additionalProperties" in schema:
        yield from of_properties(schema, value, at)
    for keyword, asked in schema.items():
        if keyword in SILENT:
            continue
        yield from KEYWORDS[keyword](asked, value, at, schema)


def is_of(kind: str, value: Any) -> bool:
    """Whether a value is of a JSON type; true is no number."""
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def of_type(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    kinds = [asked] if isinstance(asked, str) else asked
    if not any(is_of(kind, value) for kind in kinds):
        yield f"{at}: {value!r} is no {' or '.join(kinds)}"


def of_properties(schema: Any, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    for key, inner in value.items():
        if key in known:
            yield from faults(known[key], inner, f"{at}.{key}")
        elif rest is False:
            yield f"{at}.{key} is unknown"
        else:
            yield from faults(rest, inner, f"{at}.{key}")


def required(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    yield from (f"{at}.{key} is missing" for key in asked if isinstance(value, dict) and key not in value)


def dependent(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    for key, others in asked.items():
        if isinstance(value, dict) and key in value:
            yield from required(others, value, at, _schema)


def names(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    for key in value if isinstance(value, dict) else ():
        yield from faults(asked, key, f"{at}, name {key}")


def items(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    for place, inner in enumerate(value if isinstance(value, list) else ()):
        yield from faults(asked, inner, f"{at}[{place}]")


def enum(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    if not any(type(word) is type(value) and word == value for word in asked):
        yield f"{at}: {value!r} is not one of {asked}"


def const(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    yield from enum([asked], value, at, _schema)


def pattern(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    if isinstance(value, str) and not re.search(asked, value):
        yield f"{at}: {value!r} does not match {asked}"


def measure(asked: Any, value: Any, at: str, schema: Any) -> Iterator[str]:
    """Lengths and limits, all at once: called for the first of them only to keep the table flat."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
        if (
            (low is not None and value < low)
            or (above is not None and value <= above)
            or (high is not None and value > high)
        ):
            yield f"{at}: {value} is outside {schema}"
    for kind, least, most in ((str, "minLength", ""), (list, "minItems", "maxItems"), (dict, "minProperties", "")):
        if isinstance(value, kind) and not schema.get(least, 0) <= len(value) <= schema.get(most, len(value)):
            yield f"{at}: {value!r} has {len(value)}"


def unique(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    if asked and isinstance(value, list) and any(value.count(one) > 1 for one in value):
        yield f"{at}: {value!r} repeats"


def choice(least: int, most: int) -> Any:
    """Between `least` and `most` of the schemas must hold."""

    def judge(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
        broken = [list(faults(one, value, at)) for one in asked]
        if not least <= sum(not found for found in broken) <= (most or len(asked)):
            yield f"{at}: {sum(not found for found in broken)} of {len(asked)} choices hold: {broken}"

    return judge


def every(asked: Any, value: Any, at: str, _schema: Any) -> Iterator[str]:
    for one in asked:
        yield from faults(one, value, at)


def condition(asked: Any, value: Any, at: str, schema: Any) -> Iterator[str]:
    if not list(faults(asked, value, at)):
        yield from faults(schema["then"], value, at)


KEYWORDS: dict[str, Any] = {
    "type": of_type,
    "required": required,
    "dependentRequired": dependent,
    "propertyNames": names,
    "items": items,
    "enum": enum,
    "const": const,
    "pattern": pattern,
    "uniqueItems": unique,
    "anyOf": choice(1, 0),
    "oneOf": choice(1, 1),
    "allOf": every,
    "if": condition,
    **dict.fromkeys(
        ("minimum", "exclusiveMinimum", "maximum", "minLength", "minItems", "maxItems", "minProperties"), measure
    ),
}
