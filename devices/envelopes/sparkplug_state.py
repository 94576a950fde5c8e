"""Whether a Sparkplug host application is there: `spBv1.0/STATE/{host}` (3.0, JSON), `STATE/{host}` (2.2, text)."""

from devices.codecs.json_text import decode_json
from devices.envelopes.packet import Notice, Packet
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected

WORDS = {b"ONLINE": True, b"OFFLINE": False}


def host_state(topic: str, payload: bytes) -> Notice | Packet | None:
    """What a STATE message says of a host; None when the topic is no STATE topic."""
    levels = topic.split("/")
    if levels[:2] != ["spBv1.0", "STATE"] and levels[0] != "STATE":
        return None
    host = clean("/".join(levels[levels.index("STATE") + 1 :]))
    online = WORDS.get(payload.strip().upper())
    if online is None and 0 < len(payload) <= 65_536:
        document = decode_json(payload)
        online = document.get("online") if isinstance(document, dict) else None
    if isinstance(online, bool):
        word = "online" if online else "offline"
        return Notice(f"STATE/{host}", "online" if online else "offline", f"host application {host} is {word}")
    value = shown(payload[:100].decode("utf-8", "replace"))
    detail = f'the state of host {host} cannot be read; expected {{"online": true, "timestamp": …}} or ONLINE'
    return Packet(None, Rejected("envelope", Reason.MALFORMED, "state", value, detail), payload)
