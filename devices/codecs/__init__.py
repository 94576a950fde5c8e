"""Payload → document in the device's own words. A codec is a pure function in a table: any bytes in, a document or
Rejected out, never an exception."""

from collections.abc import Callable

from cbor2 import CBORError

from devices.codecs.cayenne import decode_cayenne
from devices.codecs.cbor import decode_cbor, encode_cbor
from devices.codecs.circular10 import decode_circular10
from devices.codecs.json_text import decode_json, encode_json
from devices.codecs.ngsi import decode_ngsi
from devices.rejected import Reason, Rejected

MAX_PAYLOAD = 524288  # bytes


def is_cbor(payload: bytes) -> bool:
    """Whether a native payload is CBOR: its first byte is a CBOR list, map or tag, with which no JSON text starts."""
    return payload != b"" and 0x80 <= payload[0] < 0xDC


def decode_native(payload: bytes) -> object:
    """JSON or CBOR, told apart by the first byte."""
    return decode_cbor(payload) if is_cbor(payload) else decode_json(payload)


def _sized(codec: Callable[[bytes], object]) -> Callable[[bytes], object]:
    def decode(payload: bytes) -> object:
        if 0 < len(payload) <= MAX_PAYLOAD:
            return codec(payload)
        return refuse_size(payload)

    return decode


def refuse_size(payload: bytes) -> Rejected:
    """What is wrong with no content, or too much of it."""
    size = len(payload)
    if size == 0:
        return Rejected("codec", Reason.EMPTY_PAYLOAD, None, None, "the message has no content; nothing to decode")
    detail = f"{size} bytes; expected at most {MAX_PAYLOAD}; send smaller lists, more often"
    return Rejected("codec", Reason.TOO_LARGE, None, str(size), detail)


CODECS: dict[str, Callable[[bytes], object]] = {
    "cayenne-lpp": _sized(decode_cayenne),
    "json": _sized(decode_json),
    "native": _sized(decode_native),
    "ngsi": _sized(decode_ngsi),
    "circular10": _sized(decode_circular10),
}


def encode(document: object, like: bytes) -> bytes:
    """A part of a decoded payload, encoded again as that payload was. b"" when it cannot be."""
    try:
        return encode_cbor(document) if is_cbor(like) else encode_json(document)
    except (CBORError, ValueError, TypeError, RecursionError, OverflowError):
        return b""
