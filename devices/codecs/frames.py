"""Binary frames inside a message (LoRaWAN and alike) → document. A profile names its codec; each is a pure function."""

from collections.abc import Callable
from typing import Any

from devices.codecs.cayenne import decode_cayenne
from devices.codecs.js import JsFrameCodec, js_codec
from devices.codecs.struct_frame import struct_codec
from devices.rejected import Reason, Rejected

FrameCodec = Callable[[bytes, int | None], object]
"""Frame and port → document, or a list of documents (stored measurements sent together), or Rejected; never raises.

An element of the list may be Rejected: the part of a frame that cannot be read, behind one that can."""

BUILTIN: dict[str, FrameCodec] = {
    "cayenne-lpp": lambda frame, port: decode_cayenne(frame),
}


def builtin(name: Any) -> FrameCodec:
    """A codec that is written in code. Raises ValueError when there is none of that name."""
    if name not in BUILTIN:
        raise ValueError(f"codec.builtin is {name}; expected {', '.join(BUILTIN)}")
    return BUILTIN[name]


FRAME_CODECS: dict[str, Callable[[Any], FrameCodec]] = {
    "builtin": builtin,
    "js": js_codec,
    "struct": struct_codec,
}
"""The key under `codec:` in a profile → a maker from what stands there; makers raise ValueError on a faulty one."""


def unpacked(codec: FrameCodec, document: object) -> object:
    """The document of a packet with what its frame holds under `data`: one, a list of them, or Rejected.

    Without a frame, what the server itself decoded takes its place.
    """
    if not isinstance(document, dict):
        return document
    frame = document.get("frame")
    if not isinstance(frame, bytes) or not frame:
        return server_decoded(document)
    port = document["port"] if isinstance(document.get("port"), int) else None
    said = codec.at(frame, port, document.get("time")) if isinstance(codec, JsFrameCodec) else codec(frame, port)
    if isinstance(said, Rejected):
        return said
    rest = {key: value for key, value in document.items() if key not in ("frame", "decoded")}
    if isinstance(said, list):
        return [one if isinstance(one, Rejected) else {**rest, "data": one} for one in said]
    return {**rest, "data": said}


def server_decoded(document: dict[str, Any]) -> object:
    """The document with the network server's own decoding under `data`; Rejected when there is none."""
    decoded = document.get("decoded")
    if isinstance(decoded, dict):
        return {**{key: value for key, value in document.items() if key not in ("frame", "decoded")}, "data": decoded}
    detail = "the uplink carries no frame and no decoded fields; expected one of them; the device sent an empty one"
    return Rejected("codec", Reason.EMPTY_PAYLOAD, "frame", None, detail)
