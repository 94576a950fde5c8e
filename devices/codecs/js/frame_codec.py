"""`codec: {js: {file: …, sha256: …}}` in a profile."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.codecs.js.decode import decode_many
from devices.codecs.js.source import JsCodec, pinned
from devices.codecs.js.worker_process import Frame
from devices.rejected import Rejected
from devices.time import parse_time

OURS = Path(__file__).parents[2] / "profiles"


@dataclass(frozen=True, slots=True)
class JsFrameCodec:
    """A vendor's file as a frame codec: frame and port → document, list of documents, or Rejected; never raises."""

    codec: JsCodec

    def __call__(self, frame: bytes, port: int | None) -> object:
        """What the codec makes of a frame that is received now."""
        return self.at(frame, port, None)

    def at(self, frame: bytes, port: int | None, received: object) -> object:
        """The same for one received at a time in RFC 3339: the codec's clock stands there, so that a message which is
        decoded once more becomes what it was. Now where there is no such time."""
        time_us = parse_time(received, "rfc3339", "Z") if isinstance(received, str) else None
        stands_ms = time_us / 1000 if isinstance(time_us, int) else time.time_ns() // 1_000_000
        said = decode_many(self.codec, [Frame(frame, port, float(stands_ms))])[0]
        return said._replace(value=frame[:100].hex()) if isinstance(said, Rejected) and said.value is None else said


def js_codec(entry: Any) -> JsFrameCodec:
    """The frame codec of a profile's entry; a relative file name is one beside our own profiles.

    Raises ValueError when the entry is faulty or the file is not the version that it pins.
    """
    if not isinstance(entry, dict) or entry.keys() != {"file", "sha256"}:
        raise ValueError(f"codec js has {entry}; expected {{file: name.js, sha256: 64 hex digits}}")
    return JsFrameCodec(pinned(OURS / str(entry["file"]), str(entry["sha256"])))


def with_folder(document: Any, folder: Path) -> Any:
    """A profile's document whose codec file is looked for in `folder`, where the profile lies."""
    codec = document.get("codec") if isinstance(document, dict) else None
    entry = codec.get("js") if isinstance(codec, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        return document
    return {**document, "codec": {"js": {**entry, "file": str(folder.absolute() / entry["file"])}}}
