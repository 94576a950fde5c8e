"""Quarantined readings → the bytes of COPY … FORMAT binary: a quarter of the CPU of psycopg's rows (measured).

A reason that came before is not spelt again: garbage repeats itself.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256

from devices.rejected import Rejected
from ingest.batch import Quarantined
from ingest.pack import SIGNATURE, TRAILER
from ingest.parameters import EPOCH_2000_US
from ingest.window import Arrival

NAMES = (
    *("received", "batch", "inbox", "topic", "payload", "sha256", "size", "device", "profile"),
    *("layer", "reason", "field", "value", "detail"),
)
STATEMENT = f"copy ops.quarantine ({', '.join(NAMES)}) from stdin (format binary)".encode()
COUNT = len(NAMES).to_bytes(2)
KEPT_PAYLOAD = 65_536
KEPT_NAME = 200
"""Characters of a name: foreign ones may have thousands, and what is indexed must fit a page."""
PIECE = 512
"""Entries."""
LONGEST_REMEMBERED = 400
"""Characters of a detail that is worth remembering."""
NULL, INT4, INT8, SHA256 = (-1).to_bytes(4, signed=True), (4).to_bytes(4), (8).to_bytes(4), (32).to_bytes(4)


def pack_refused(entries: Sequence[Quarantined], batch: int) -> Iterator[bytes]:
    """All entries as one COPY stream, with the number of their batch: in pieces, so that the server takes one in while
    the next is made."""
    yield SIGNATURE
    for at in range(0, len(entries), PIECE):
        yield pack_some(entries[at : at + PIECE], batch)
    yield TRAILER


def pack_some(entries: Sequence[Quarantined], batch: int) -> bytes:
    """Rows of a stream."""
    parts: list[bytes] = []
    arrival, head = None, b""
    add = parts.extend
    for (came, topic, payload), device, profile, rejected in entries:
        if came is not arrival:
            arrival, head = came, head_of(came, batch)
        size, kept = len(payload), payload[:KEPT_PAYLOAD]
        add(
            (
                head,
                field(topic)
                if topic.isascii() and b"\0" not in topic
                else text(topic.decode(errors="backslashreplace")),
                field(kept),
                SHA256,
                sha256(payload).digest(),
                INT4,
                size.to_bytes(4),
                text(device and device[:KEPT_NAME]),
                word(profile),
                reason(rejected),
            )
        )
    return b"".join(parts)


def head_of(arrival: Arrival, batch: int) -> bytes:
    """The fields that all messages of an arrival share."""
    received = (arrival.received - EPOCH_2000_US).to_bytes(8, signed=True)
    return b"".join((COUNT, INT8, received, INT8, batch.to_bytes(8, signed=True), word(arrival.source.inbox)))


def reason(rejected: Rejected) -> bytes:
    """Why: layer, reason, field, value, detail."""
    return (said if len(rejected.detail) <= LONGEST_REMEMBERED else spell)(*rejected[:5])


def spell(*words: str | None) -> bytes:
    """Texts one after the other."""
    return b"".join(map(text, words))


said = lru_cache(maxsize=4096)(spell)


def text(said: str | None) -> bytes:
    """A text without what PostgreSQL cannot hold, or NULL."""
    return NULL if said is None else field(printable(said).encode())


word = lru_cache(maxsize=4096)(text)
"""Of the few texts that come again and again."""


def field(content: bytes) -> bytes:
    """Its length and its bytes."""
    return len(content).to_bytes(4) + content


def printable(said: str) -> str:
    """Without NUL and lone surrogates, which are not text to PostgreSQL."""
    if said.isascii() and "\0" not in said:
        return said
    return said.replace("\0", "␀").encode(errors="replace").decode()
