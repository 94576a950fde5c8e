"""CBOR (RFC 8949): any bytes become a document of plain values or a Rejected, without surprise types or slow paths."""

from collections.abc import Callable

import cbor2
from cbor2 import CBORTag

from devices.rejected import Reason, Rejected

MAX_DEPTH = 200
SELF_DESCRIBED = b"\xd9\xd9\xf7"
_PAIR, _END = b"\x82", 0xABCD
_END_BYTES = cbor2.dumps(_END)


def _kept(tag: int) -> Callable[..., object]:
    return lambda value, immutable=False: CBORTag(tag, value)


# Tags stay tags: built-in handling would compile regular expressions, parse e-mail, follow shared and cyclic
# references or raise powers of ten, all at the sender's will. Only big integers (2, 3) are built.
_KEPT_TAGS = (0, 1, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000)
_TAGS = {tag: _kept(tag) for tag in _KEPT_TAGS}
_TAGS_FOR_INTEGERS = {**_TAGS, 2: _kept(2), 3: _kept(3)}


def decode_cbor(payload: bytes, integer_keys: bool = False) -> object:
    """The CBOR document, or Rejected. Keys are texts; anything but exactly one data item is malformed.

    `integer_keys`: numbers may be keys, too, as in SenML; then big integers stay tags. Only texts hash by a secret, so
    that a sender could choose numbers that collide: who allows them should not take payloads of any length.
    """
    body = payload[len(SELF_DESCRIBED) :] if payload.startswith(SELF_DESCRIBED) else payload
    try:
        # The decoder does not say where it stopped: as the first of a pair, anything left over shows.
        document, end = cbor2.loads(
            _PAIR + body + _END_BYTES,
            semantic_decoders=_TAGS_FOR_INTEGERS if integer_keys else _TAGS,
            max_depth=MAX_DEPTH,
            strict_hashable_types=not integer_keys,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        return refused(error)
    if end != _END or isinstance(end, bool):
        return Rejected("codec", Reason.MALFORMED, None, None, "bytes follow the CBOR item; send one item a message")
    return document


def encode_cbor(document: object) -> bytes:
    """The document as CBOR. Raises cbor2.CBORError when it cannot be."""
    return cbor2.dumps(document)


def refused(error: Exception) -> Rejected:
    """What the decoder objected to, in our words."""
    text = str(error)
    if "nesting depth" in text:
        return Rejected("codec", Reason.TOO_DEEP, None, None, "CBOR nested too deeply; expected at most 32 levels")
    if isinstance(error.__cause__, UnicodeDecodeError):
        return Rejected("codec", Reason.INVALID_UTF8, None, None, "a CBOR text is not UTF-8; send bytes as bytes")
    if isinstance(error, cbor2.CBORDecodeEOF):
        return Rejected("codec", Reason.MALFORMED, None, None, "the CBOR ends too early; the message was cut off")
    return Rejected("codec", Reason.MALFORMED, None, None, f"not CBOR: {text}"[:300])
