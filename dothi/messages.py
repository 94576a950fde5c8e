"""A file with messages: one as a device sends it, or what tools write that watch a broker."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from devices.codecs import CODECS
from devices.rejected import Rejected
from dothi.errors import WrongUsage

MAX_FILE = 64 * 1024 * 1024  # bytes
MOST_MESSAGES = 10_000
# Each alternative also ends where the text does, so that an open quote or comment is gone through once only.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
# What a record of a watched message may hold beside topic and payload: mosquitto_sub -F %j, MQTT Explorer, Node-RED.
_BESIDE = frozenset(
    ("tst", "timestamp", "time", "qos", "retain", "retained", "payloadlen", "mid", "dup", "_msgid", "properties", "ts")
)


class Message(NamedTuple):
    """`topic`: None where the file does not tell."""

    topic: str | None
    payload: bytes


def read_file(file: Path, stdin: Iterator[bytes] | None = None) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises WrongUsage."""
    if str(file) == "-" and stdin is not None:
        return b"".join(stdin)[:MAX_FILE]
    try:
        if file.is_file() and file.stat().st_size > MAX_FILE:
            raise WrongUsage(f"file {file}: {file.stat().st_size} bytes; expected at most {MAX_FILE}")
        return file.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise WrongUsage(f"file {file}: {reason}; expected a file that holds one message, or - for stdin") from None


def messages_in(content: bytes) -> tuple[list[Message], list[str]]:
    """The messages of a file, at least one, and what was done to find them."""
    found = watched(content)
    if found:
        return found[:MOST_MESSAGES], [f"a record of {len(found)} watched messages: each is read on its own topic"]
    plain = without_comments(content)
    if plain is not None:
        return [Message(None, plain)], ["comments were taken out: JSON has none, and ingest refuses them"]
    return [Message(None, content)], []


def watched(content: bytes) -> list[Message]:
    """The messages of a record `{"topic", "payload", …}`, of a list of them, or of one on each line; else nothing."""
    document = CODECS["json"](content) if content[:1].strip() in (b"{", b"[", b"") else None
    if isinstance(document, dict | list):
        records: list[Any] = document if isinstance(document, list) else [document]
    else:
        records = [CODECS["json"](line) for line in content.splitlines()[:MOST_MESSAGES] if line.strip()]
    if not records or not all(is_record(record) for record in records):
        return []
    return [Message(record["topic"], payload_of(record["payload"])) for record in records]


def is_record(record: object) -> bool:
    """Whether it is a watched message and not a message that happens to name a topic."""
    if not isinstance(record, dict) or not isinstance(record.get("topic"), str) or "payload" not in record:
        return False
    return record.keys() <= {"topic", "payload", *_BESIDE}


def payload_of(said: object) -> bytes:
    """The bytes of a payload as a watcher wrote it: text as it is, anything else as the JSON it was."""
    if isinstance(said, str):
        return said.encode("utf-8", "surrogatepass")
    return b"" if said is None else json.dumps(said).encode()


def without_comments(content: bytes) -> bytes | None:
    """JSON with the comments taken out; None where there are none, or where it is no JSON without them either."""
    if (b"//" not in content and b"/*" not in content) or not isinstance(CODECS["json"](content), Rejected):
        return None
    plain = _TOKENS.sub(lambda match: match[0] if match[0].startswith(b'"') else b" ", content)
    return plain if plain != content and not isinstance(CODECS["json"](plain), Rejected) else None
