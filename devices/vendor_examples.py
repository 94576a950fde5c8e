"""Examples that vendors publish beside a JavaScript codec, and whether the codec keeps to them.

Two forms: the `uplinkDecoder.examples` of a codec's YAML in The Things Network's device repository, and the list in
`test_decode_*.json` of ChirpStack's device profiles. Some of the latter are JavaScript rather than JSON (numbers in
hex, comments); those are read by the engine that runs codecs.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isclose
from typing import Any, NamedTuple

from devices.codecs.js import Decoded, Frame, JsCodec, codec_of, decode_each
from devices.documents import parse_yaml
from devices.raw import shown
from devices.rejected import Reason, Rejected

FROZEN_MS = 1_767_225_600_000.0  # 2026-01-01: for examples that do not say when they were received


class VendorExample(NamedTuple):
    """A frame, and the `{data, warnings, errors}` that the vendor says it becomes."""

    name: str
    frame: Frame
    output: dict[str, Any]


class Tried(NamedTuple):
    """An example with what the codec made of it; `problem`: how that differs, None where it does not."""

    example: VendorExample
    said: Decoded | Rejected
    problem: str | None


def ttn_codec(text: str) -> tuple[str, list[VendorExample]]:
    """File name of the codec and examples of a codec's YAML. Raises ValueError, yaml.YAMLError."""
    document = parse_yaml(text)
    decoder = document.get("uplinkDecoder") if isinstance(document, dict) else None
    if not isinstance(decoder, dict) or not isinstance(decoder.get("fileName"), str):
        raise ValueError("no uplinkDecoder.fileName in it; expected the <codec>.yaml of a device repository")
    return decoder["fileName"], examples_from(decoder.get("examples") or [], "output")


def chirpstack_tests(text: str) -> list[VendorExample]:
    """Examples of a test file. Raises ValueError."""
    return examples_from(loosely(text), "expected")


def loosely(text: str) -> Any:
    """A JSON text, or a JavaScript one of the same kind. Raises ValueError."""
    try:
        return json.loads(text)
    except ValueError as error:
        script = codec_of("tests", f"function decodeUplink() {{ return {{data: {{list: {text}\n}}}} }}".encode())
        said = decode_each(script, [Frame(b"\0", 1, FROZEN_MS)])[0]
        if isinstance(said, Rejected) or not isinstance(said.data, dict):
            raise ValueError(f"not JSON: {error}") from None
        return said.data.get("list")


def examples_from(entries: Any, outcome: str) -> list[VendorExample]:
    """The examples of a list, whose result stands under `outcome`. Raises ValueError on an entry without a frame."""
    if not isinstance(entries, list):
        raise ValueError(f"the examples are {shown(entries)}; expected a list")
    return [example_from(entry, place, outcome) for place, entry in enumerate(entries, 1)]


def example_from(entry: Any, place: int, outcome: str) -> VendorExample:
    """One of them. Bytes may be written as signed. Raises ValueError."""
    try:
        given = entry["input"]
        octets = bytes(int(byte) & 255 for byte in given["bytes"])
        port = given.get("fPort")
        name = str(entry.get("description") or entry.get("name") or f"example {place}")
        frame = Frame(octets, None if port is None else int(port), received_of(given.get("recvTime")))
        return VendorExample(name, frame, dict(entry[outcome]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"example {place} cannot be read ({error!r}); expected input.bytes and {outcome}") from None


def received_of(text: object) -> float:
    """Milliseconds since 1970 of a time in RFC 3339; a fixed one where none is told. Raises ValueError."""
    if not isinstance(text, str):
        return FROZEN_MS
    # Python reads at most microseconds; servers write nanoseconds.
    moment = datetime.fromisoformat(text[:26].rstrip("Z") if len(text) > 30 else text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def try_examples(codec: JsCodec, examples: Sequence[VendorExample]) -> list[Tried]:
    """Every example through the codec."""
    said = decode_each(codec, [example.frame for example in examples])
    return [Tried(example, one, problem_of(example, one)) for example, one in zip(examples, said, strict=True)]


def problem_of(example: VendorExample, said: Decoded | Rejected) -> str | None:
    """How a result differs from what the vendor states, None when it does not."""
    errors = example.output.get("errors")
    if isinstance(said, Rejected):
        return None if errors and said.reason is Reason.CODEC_ERROR else f"rejected: {said.detail}"
    if errors:
        return f"decoded to {shown(said.data)}; expected the error {shown(errors)}"
    return None if alike(said.data, example.output.get("data")) else first_difference(said.data, example.output["data"])


def first_difference(found: Any, stated: Any, at: str = "data") -> str:
    """Where two documents that are not alike part."""
    if isinstance(found, dict) and isinstance(stated, dict):
        for key in [*stated, *found]:
            if key not in found or key not in stated or not alike(found[key], stated[key]):
                return first_difference(found.get(key, "nothing"), stated.get(key, "nothing"), f"{at}.{key}")
    return f"{at} is {shown(found)}; expected {shown(stated)}"


def alike(found: Any, stated: Any) -> bool:
    """Equal as JSON, numbers to nine digits."""
    if isinstance(found, dict) and isinstance(stated, dict):
        return found.keys() == stated.keys() and all(alike(found[key], stated[key]) for key in found)
    if isinstance(found, list) and isinstance(stated, list):
        return len(found) == len(stated) and all(alike(one, two) for one, two in zip(found, stated, strict=True))
    if isinstance(found, bool) or isinstance(stated, bool):
        return found is stated
    if isinstance(found, int | float) and isinstance(stated, int | float):
        return isclose(found, stated, rel_tol=1e-9)
    return bool(found == stated)
