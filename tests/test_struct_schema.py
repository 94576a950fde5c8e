"""The published schema of the struct codec takes what the codec takes: every profile of the catalogue, and the page."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devices.codecs.struct_frame import BadSpec, struct_codec
from devices.documents import parse_yaml, read_text, read_yaml

SCHEMA = json.loads(read_text("schema", "struct.schema.json"))
SPECS = {
    name: document["codec"]["struct"]
    for name, document in read_yaml("profiles").items()
    if isinstance(document.get("codec"), dict) and "struct" in document["codec"]
}
KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
}


def is_kind(value: object, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and isinstance(value, bool) == (kind == "boolean")


def properties_hold(schema: dict[str, Any], value: object) -> bool:
    """`properties`, `patternProperties` and `additionalProperties` together."""
    if not isinstance(value, dict):
        return True
    patterns = schema.get("patternProperties", {})
    for key, item in value.items():
        inner = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        inner += [one for pattern, one in patterns.items() if re.search(pattern, key)]
        rest = schema.get("additionalProperties", {})
        if not inner and rest is False:
            return False
        if not all(holds(one, item) for one in inner or ([rest] if rest else [])):
            return False
    return True


CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "$ref": lambda asked, value: holds(SCHEMA["$defs"][asked.removeprefix("#/$defs/")], value),
    "type": lambda asked, value: any(is_kind(value, kind) for kind in ([asked] if isinstance(asked, str) else asked)),
    "enum": lambda asked, value: value in asked,
    "anyOf": lambda asked, value: any(holds(one, value) for one in asked),
    "pattern": lambda asked, value: not isinstance(value, str) or re.search(asked, value) is not None,
    "required": lambda asked, value: not isinstance(value, dict) or set(asked) <= value.keys(),
    "items": lambda asked, value: not isinstance(value, list) or all(holds(asked, one) for one in value),
    "minItems": lambda asked, value: not isinstance(value, list) or len(value) >= asked,
    "maxItems": lambda asked, value: not isinstance(value, list) or len(value) <= asked,
    "minProperties": lambda asked, value: not isinstance(value, dict) or len(value) >= asked,
    "minimum": lambda asked, value: not is_kind(value, "number") or value >= asked,
    "maximum": lambda asked, value: not is_kind(value, "number") or value <= asked,
}
WORDS = {"$schema", "$id", "$defs", "title", "description", "properties", "patternProperties", "additionalProperties"}


def holds(schema: dict[str, Any], value: object) -> bool:
    """Whether a value is as the schema says; a word of it that is not known here is an error."""
    return properties_hold(schema, value) and all(
        CHECKS[word](asked, value) for word, asked in schema.items() if word not in WORDS
    )


def as_json(spec: object) -> Any:
    """The spec as an editor sees it: keys are texts."""
    return json.loads(json.dumps(spec))


@pytest.mark.parametrize("name", SPECS)
def test_every_profile_is_taken(name: str) -> None:
    assert holds(SCHEMA, as_json(SPECS[name]))


@pytest.mark.parametrize(
    "spec",
    [
        "5",
        "{}",
        "[{name: a, type: u17}]",
        "[{name: a}]",
        "[{name: 1a, type: u8}]",
        "[{name: a, type: u8, colour: red}]",
        "[{name: a, type: u8, scale: ten}]",
        "[{name: a, type: u8, bits: [3]}]",
        '[{table: {"1": {name: a, type: u8}}}]',
        "[{flags: u8, groups: [{words: 0, values: {}}]}]",
        "[{repeat: 3}]",
        "{order: middle, fields: []}",
        "{length: many, fields: []}",
        "{ports: {3000: []}}",
        "{ports: {1: []}, fields: []}",
    ],
)
def test_what_the_codec_refuses_the_schema_refuses(spec: str) -> None:
    document = parse_yaml(spec)
    with pytest.raises(BadSpec):
        struct_codec(document)
    assert not holds(SCHEMA, as_json(document))


def test_the_page_holds_what_works() -> None:
    page = (Path(__file__).parents[1] / "docs" / "struct-codec.md").read_text("utf-8")
    example, examples = (parse_yaml(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.S))
    spec = example["codec"]["struct"]
    assert holds(SCHEMA, as_json(spec))
    frame = bytes.fromhex(examples["examples"][0]["frame"])
    assert struct_codec(spec)(frame, 2) == {
        "battery": 100,
        "temperature": -2.7,
        "open": True,
        "mode": "idle",
        "pulses": 7,
    }
    for word in ("value", "table", "flags", "repeat", "record", "switch", "skip", "missing", "until"):
        assert word in page
