"""`codec: {js: {file: …, sha256: …}}` in a profile."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices.codecs.js.decode import decode_many
from devices.codecs.js.source import pinned
from devices.codecs.js.worker_process import Frame
from devices.rejected import Rejected

PROFILES = Path(__file__).parents[2] / "profiles"


def js_codec(entry: Any) -> Callable[[bytes, int | None], object]:
    """The frame codec of a vendor's file; a relative name is one beside our own profiles.

    The codec's clock stands at the time of the call. Raises ValueError when the entry is faulty or the file is not the
    version that it pins.
    """
    if not isinstance(entry, dict) or entry.keys() != {"file", "sha256"}:
        raise ValueError(f"codec js has {entry}; expected {{file: name.js, sha256: 64 hex digits}}")
    codec = pinned(PROFILES / str(entry["file"]), str(entry["sha256"]))

    def decode(frame: bytes, port: int | None) -> object:
        said = decode_many(codec, [Frame(frame, port, time.time_ns() // 1_000_000)])[0]
        return said._replace(value=frame[:100].hex()) if isinstance(said, Rejected) and said.value is None else said

    return decode


def with_folder(document: Any, folder: Path) -> Any:
    """A profile's document whose codec file is looked for in `folder`, where the profile lies."""
    codec = document.get("codec") if isinstance(document, dict) else None
    entry = codec.get("js") if isinstance(codec, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        return document
    return {**document, "codec": {"js": {**entry, "file": str(folder.absolute() / entry["file"])}}}
