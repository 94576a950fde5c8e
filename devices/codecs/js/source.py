"""The file of a vendor's codec, held to the version that was tried."""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

LARGEST = 1024 * 1024  # bytes; vendors' codecs are a few KB to 100 KB


@dataclass(frozen=True, slots=True)
class JsCodec:
    """One version of a codec: `name` for people, its text, and the SHA-256 of the file in hex."""

    name: str
    sha256: str
    source: str = field(repr=False)


def codec_of(name: str, content: bytes) -> JsCodec:
    """The codec that a file holds. Raises ValueError on one that is no text or far too large."""
    if len(content) > LARGEST:
        raise ValueError(f"{name} has {len(content)} bytes; expected a codec of at most {LARGEST}")
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: byte {error.start} is not UTF-8; save the codec as UTF-8") from None
    if "\0" in source:
        raise ValueError(f"{name} holds a NUL; expected JavaScript")
    return JsCodec(name, sha256(content).hexdigest(), source)


def pinned(path: Path, expected: str) -> JsCodec:
    """The codec in a file that must be the version of this SHA-256. Raises ValueError on any other."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"codec file {path}: {error.strerror}") from None
    found = sha256(content).hexdigest()
    if found != expected:
        raise ValueError(
            f"codec file {path.name} has sha256 {found}, the profile pins {expected}: the file was changed; "
            "look at the change, run the examples, then pin the new one"
        )
    return codec_of(path.name, content)
