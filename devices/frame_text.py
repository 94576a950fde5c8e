"""The bytes of a binary frame as people hand them on: in a file, or written as hex or base64."""

from base64 import b64decode
from collections.abc import Callable

from devices.causes import likely_encoding

LONGEST_FRAME = 255
"""Bytes: more do not fit into one LoRaWAN frame."""


def frame_in(payload: bytes) -> bytes | None:
    """The bytes of a frame: as they are, or written as hex or base64 text; None for what can be none."""
    text = payload.decode("ascii", "replace").strip()
    readers: dict[str, Callable[[str], bytes]] = {"hex": bytes.fromhex, "base64": b64decode}
    spaced = text.replace(" ", "").replace("-", "").replace(":", "")
    encoding = likely_encoding(spaced) or likely_encoding(text)
    if encoding:
        return readers[encoding](spaced if encoding == "hex" else text)
    binary = any(byte < 9 or 13 < byte < 32 or byte > 126 for byte in payload)
    return payload if binary and len(payload) <= LONGEST_FRAME else None
