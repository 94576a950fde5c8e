"""The payload of Sparkplug B (Eclipse Sparkplug 3.0, chapter 6): bytes ↔ the message by the schema's own names."""

import zlib
from typing import Any

from devices.codecs.protobuf import BadWire, Part, Shape, TooDeepWire, decode, encode
from devices.rejected import Reason, Rejected

Message = dict[str, Any]
COMPRESSED = "SPBV1.0_COMPRESSED"
MAX_INFLATED = 1024 * 1024  # bytes
MAX_METRICS = 10_000
_EXTENSION: Shape = {}


def _values(first: int, *more: tuple[int, Part]) -> Shape:
    """The `oneof value` that metrics, properties, parameters and cells of data sets share, from a field number on."""
    kinds = (("int", "uint32"), ("long", "uint64"), ("float", "float"), ("double", "double"), ("boolean", "bool"))
    shape: Shape = {first + at: Part(f"{name}_value", kind) for at, (name, kind) in enumerate(kinds)}  # type: ignore[arg-type]  # they are Kinds
    return {**shape, first + 5: Part("string_value", "string"), **dict(more)}


PROPERTY_SET: Shape = {1: Part("keys", "string", repeated=True)}
PROPERTY_SETS: Shape = {1: Part("propertyset", "message", repeated=True, shape=PROPERTY_SET)}
PROPERTY: Shape = {
    1: Part("type", "uint32"),
    2: Part("is_null", "bool"),
    **_values(
        3,
        (9, Part("propertyset_value", "message", shape=PROPERTY_SET)),
        (10, Part("propertysets_value", "message", shape=PROPERTY_SETS)),
        (11, Part("extension_value", "message", shape=_EXTENSION)),
    ),
}
PROPERTY_SET[2] = Part("values", "message", repeated=True, shape=PROPERTY)
CELL: Shape = _values(1, (7, Part("extension_value", "message", shape=_EXTENSION)))
ROW: Shape = {1: Part("elements", "message", repeated=True, shape=CELL)}
DATA_SET: Shape = {
    1: Part("num_of_columns", "uint64"),
    2: Part("columns", "string", repeated=True),
    3: Part("types", "uint32", repeated=True),
    4: Part("rows", "message", repeated=True, shape=ROW),
}
PARAMETER: Shape = {
    1: Part("name", "string"),
    2: Part("type", "uint32"),
    **_values(3, (9, Part("extension_value", "message", shape=_EXTENSION))),
}
METADATA: Shape = {
    1: Part("is_multi_part", "bool"),
    2: Part("content_type", "string"),
    3: Part("size", "uint64"),
    4: Part("seq", "uint64"),
    5: Part("file_name", "string"),
    6: Part("file_type", "string"),
    7: Part("md5", "string"),
    8: Part("description", "string"),
}
METRIC: Shape = {}
TEMPLATE: Shape = {
    1: Part("version", "string"),
    2: Part("metrics", "message", repeated=True, shape=METRIC),
    3: Part("parameters", "message", repeated=True, shape=PARAMETER),
    4: Part("template_ref", "string"),
    5: Part("is_definition", "bool"),
}
METRIC |= {
    1: Part("name", "string"),
    2: Part("alias", "uint64"),
    3: Part("timestamp", "uint64"),
    4: Part("datatype", "uint32"),
    5: Part("is_historical", "bool"),
    6: Part("is_transient", "bool"),
    7: Part("is_null", "bool"),
    8: Part("metadata", "message", shape=METADATA),
    9: Part("properties", "message", shape=PROPERTY_SET),
    **_values(
        10,
        (16, Part("bytes_value", "bytes")),
        (17, Part("dataset_value", "message", shape=DATA_SET)),
        (18, Part("template_value", "message", shape=TEMPLATE)),
        (19, Part("extension_value", "message", shape=_EXTENSION)),
    ),
}
PAYLOAD: Shape = {
    1: Part("timestamp", "uint64"),
    2: Part("metrics", "message", repeated=True, shape=METRIC),
    3: Part("seq", "uint64"),
    4: Part("uuid", "string"),
    5: Part("body", "bytes"),
}


def decode_payload(payload: bytes) -> Message | Rejected:
    """A payload as a dict by the names of the schema (`timestamp`, `metrics`, `seq`, …), unpacked when it came
    compressed; or Rejected, whatever the bytes."""
    message = _decoded(payload)
    if isinstance(message, dict) and message.get("uuid") == COMPRESSED:
        body = inflated(message.get("body", b""))
        message = _decoded(body) if isinstance(body, bytes) else body
    if isinstance(message, dict) and len(message.get("metrics", ())) > MAX_METRICS:
        count = len(message["metrics"])
        detail = f"{count} metrics; expected at most {MAX_METRICS} a message; spread them over several devices"
        return Rejected("envelope", Reason.TOO_LARGE, "metrics", str(count), detail)
    return message


def encode_payload(message: Message) -> bytes:
    """A payload of these fields, as `decode_payload` gives them."""
    return encode(message, PAYLOAD)


def _decoded(payload: bytes) -> Message | Rejected:
    try:
        return decode(payload, PAYLOAD)
    except TooDeepWire as error:
        return Rejected("envelope", Reason.TOO_DEEP, None, None, f"{error}; templates and properties are bounded")
    except BadWire as error:
        return Rejected("envelope", Reason.MALFORMED, None, None, malformed(payload, str(error)))


def malformed(payload: bytes, found: str) -> str:
    """What is wrong, the likely cause, and what to do."""
    likely = "was the message cut off, or is it another encoding?"
    if payload[:1] in (b"{", b"["):
        likely = "it looks like JSON"
    elif payload[:2] == b"\x1f\x8b":
        likely = "it looks compressed as a whole; Sparkplug compresses inside (uuid SPBV1.0_COMPRESSED)"
    return f"not a Sparkplug B payload: {found}; {likely}; send protocol buffers as in Sparkplug 3.0, chapter 6"


def inflated(body: bytes) -> bytes | Rejected:
    """A compressed body unpacked: GZIP or DEFLATE, told by its first bytes, since senders disagree on the metric
    `algorithm`; at most MAX_INFLATED bytes."""
    windows = (zlib.MAX_WBITS | 16,) if body[:2] == b"\x1f\x8b" else (zlib.MAX_WBITS, -zlib.MAX_WBITS)
    for window in windows:
        unpacker = zlib.decompressobj(window)
        try:
            plain = unpacker.decompress(body, MAX_INFLATED + 1)
        except zlib.error:
            continue
        if len(plain) > MAX_INFLATED:
            detail = f"unpacks to more than {MAX_INFLATED} bytes; send smaller messages"
            return Rejected("envelope", Reason.TOO_LARGE, "body", None, detail)
        if unpacker.eof:
            return plain
    detail = "the compressed body cannot be unpacked; expected GZIP or DEFLATE; was the message cut off?"
    return Rejected("envelope", Reason.MALFORMED, "body", body[:20].hex() or None, detail)
