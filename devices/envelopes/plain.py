"""Messages that are the document themselves: the topic or a path names the device, a list may hold several."""

from devices.codecs import CODECS, encode
from devices.envelopes.packet import Opened, Opener, Packet
from devices.paths import MISSING, find
from devices.raw import clean
from devices.rejected import Rejected
from devices.route import Route


def open_plain(route: Route) -> Opener:
    """The opener of a route whose payload its codec reads."""
    codec = CODECS[route.codec]

    def open_message(topic: str, payload: bytes) -> Opened:
        document = codec(payload)
        if isinstance(document, Rejected):
            return [Packet(foreign_name(route, topic, None), document, payload)]
        return [*packets(route, topic, document, payload)]

    return open_message


def packets(route: Route, topic: str, document: object, payload: bytes) -> list[Packet]:
    """Each thing that a document speaks of, at least one."""
    parts = parts_of(route, document)
    alone = len(parts) == 1
    return [
        Packet(
            foreign_name(route, topic, part),
            part,
            payload if alone or isinstance(part, Rejected) else encode(part, payload),
        )
        for part in parts
    ]


def parts_of(route: Route, document: object) -> list[object]:
    """The entities of a list, or the document itself."""
    listed = document
    if route.entities is not None:
        inner = find(document, route.entities)
        listed = document if inner is MISSING else inner
    return listed if isinstance(listed, list) and listed else [document]


def foreign_name(route: Route, topic: str, part: object) -> str | None:
    """What the foreign system calls the device; None when neither topic nor document names it."""
    if route.device_level is not None:
        levels = topic.split("/")
        return (clean(levels[route.device_level]) or None) if route.device_level < len(levels) else None
    found = (find(part, keys) for keys in route.device_paths)
    return next((clean(name) for name in found if isinstance(name, str) and name), None)
