"""Files of environmental stations (Circular 10/2021/TT-BTNMT): the topic names the station, each time is a packet."""

import re

from devices.codecs import CODECS
from devices.envelopes.packet import Opened, Opener, Packet
from devices.raw import clean
from devices.rejected import Rejected
from devices.route import Route

_STAMP = re.compile(rb"\d{4}[-/]?\d\d[-/]?\d\d[T ]?\d\d:?\d\d(?::?\d\d)?(?=[\s;|]+\d{1,2}\s*$)")
_FILE = re.compile(r"(.+?)_(?:\d{12}|\d{14})(?:\.txt)?|(.+?)\.txt", re.IGNORECASE | re.ASCII)


def open_circular10(route: Route) -> Opener:
    """The opener for `<prefix>/<station>` and `<prefix>/…/<station>_<YYYYMMDDhhmmss>.txt`."""
    prefixes = {pattern.removesuffix("/#") for pattern in route.topics}

    def open_message(topic: str, payload: bytes) -> Opened:
        station = None if topic in prefixes else station_of(topic)
        documents = CODECS["circular10"](payload)
        if isinstance(documents, Rejected) or not isinstance(documents, list):
            return [Packet(station, documents, payload)]
        if len(documents) == 1:
            return [Packet(station, documents[0], payload)]
        lines = lines_by_time(payload)
        return [Packet(station, document, part_of(document, lines) or payload) for document in documents]

    return open_message


def station_of(topic: str) -> str | None:
    """The station that the topic's last level names: itself, or the file name before the time."""
    last = topic.rpartition("/")[2]
    match = _FILE.fullmatch(last) if len(last) < 300 else None
    return clean((match[1] or match[2]) if match else last) or None


def lines_by_time(payload: bytes) -> dict[bytes, list[bytes]]:
    """The lines as they came, by the digits of their time."""
    found: dict[bytes, list[bytes]] = {}
    for line in payload.split(b"\n"):
        stamp = _STAMP.search(line)
        if stamp:
            found.setdefault(re.sub(rb"\D", b"", stamp[0]), []).append(line)
    return found


def part_of(document: object, lines: dict[bytes, list[bytes]]) -> bytes:
    """The lines of one time; nothing for what could not be read."""
    if not isinstance(document, dict):
        return b""
    stamp = re.sub(r"\D", "", str(document["time"])[:19]).encode()
    return b"\n".join(lines.get(stamp) or lines.get(stamp[:12]) or [])
