"""ChirpStack v4 and v3 (LoRa App Server): the JSON of their MQTT and HTTP integrations. Both use the same topics.

Source: ChirpStack documentation, "Integrations / Events" of v4 and v3; chirpstack-api, integration.proto of both.
"""

from devices.codecs import CODECS
from devices.envelopes import lorawan
from devices.envelopes.lorawan import Aside, Json, Server, Uplink, inner, listed
from devices.rejected import Rejected
from devices.time import repaired

V4, V3 = "ChirpStack v4", "ChirpStack v3"
_TAKEN_4 = frozenset(
    (
        *("time", "deviceInfo", "fCnt", "fPort", "data", "object", "rxInfo", "txInfo", "deduplicationId"),
        *("devAddr", "adr", "confirmed", "regionConfigId"),
    )
)
_TAKEN_3 = frozenset(
    (
        *("applicationID", "applicationName", "deviceName", "devEUI", "time", "rxInfo", "txInfo", "adr", "fCnt"),
        *("fPort", "data", "object", "objectJSON", "devAddr", "confirmedUplink", "publishedAt", "deviceProfileID"),
        *("deviceProfileName", "reference", "tags"),
    )
)
_OTHER_EVENTS = {
    "join": "joined the network",
    "ack": "downlink acknowledged",
    "txack": "downlink sent",
    "location": "a position that the server worked out",
    "integration": "an event of another integration",
}


def _eui(topic: str, message: Json) -> object:
    """In the message, else in the topic `application/{id}/device/{eui}/…`."""
    said = inner(message, "deviceInfo").get("devEui") or message.get("devEUI")
    levels = topic.split("/")
    return said or (levels[3] if levels[0] == "application" and len(levels) > 3 else None)


def _read(topic: str, message: Json) -> Uplink | Aside | Rejected:
    """Either generation, told apart by `deviceInfo`."""
    if isinstance(message.get("deviceInfo"), dict):
        return _read_4(topic, message)
    return _read_3(topic, message) if "devEUI" in message else lorawan.stranger(V4, message)


def _event(topic: str, message: Json) -> str:
    """The topic's event; without one of the known topics, by what the message holds."""
    last = topic.rpartition("/event/")[2] if "/event/" in topic else topic.rpartition("/")[2]
    if last in ("up", "rx", "log", "error", "status", *_OTHER_EVENTS):
        return {"rx": "up", "error": "log"}.get(last, last)
    if "fCnt" in message and ("rxInfo" in message or "data" in message or "object" in message):
        return "up"
    signs = {
        **{"level": "log", "error": "log", "margin": "status", "acknowledged": "ack", "gatewayId": "txack"},
        **{"gatewayID": "txack", "location": "location", "integrationName": "integration"},
    }
    found = next((event for sign, event in signs.items() if sign in message), None)
    return found or ("join" if "devAddr" in message and "data" not in message else "up")


def _aside(event: str, message: Json) -> Aside | None:
    """What is no uplink."""
    if event == "log":
        return _log(message)
    if event == "status":
        return Aside("other", _status(message))
    return Aside("other", _OTHER_EVENTS[event]) if event in _OTHER_EVENTS else None


def _log(message: Json) -> Aside:
    """A codec that failed here (its uplink comes without `object`) is the integrator's business; the rest the
    network's."""
    code = lorawan.text(message.get("code") or message.get("type")) or "log"
    said = lorawan.text(message.get("description") or message.get("error")) or "no description"
    return Aside("codec_error" if "CODEC" in code else "other", f"{code}: {said}")


def _status(message: Json) -> str:
    battery = message.get("batteryLevel", message.get("battery"))
    level = "unknown" if message.get("batteryLevelUnavailable") is True else lorawan.number(battery)
    power = "external power" if message.get("externalPowerSource") is True else f"battery {level}"
    return f"device status: {power}, link margin {lorawan.number(message.get('margin'))} dB"


def _read_4(topic: str, message: Json) -> Uplink | Aside | Rejected:
    aside = _aside(_event(topic, message), message)
    if aside:
        return aside
    if message.get("joinServerContext"):
        return lorawan.encrypted("joinServerContext", "let ChirpStack have the AppSKey of the join server")
    heard = listed(message, "rxInfo")
    device = inner(message, "deviceInfo")
    best, sent = lorawan.strongest(heard, "rssi"), inner(message, "txInfo")
    times = (entry.get(name) for entry in heard for name in ("nsTime", "gwTime", "time"))
    return lorawan.document(
        port=lorawan.whole(message.get("fPort", 0), 255),
        count=lorawan.whole(message.get("fCnt", 0)),
        time=message.get("time") or next(filter(None, times), None),
        frame=lorawan.from_base64(message.get("data"), "data"),
        decoded=message.get("object"),
        model=lorawan.text(device.get("deviceProfileName")),
        name=device.get("deviceName"),
        tags=device.get("tags"),
        heard=lorawan.radio(
            best.get("rssi"),
            best.get("snr"),
            sent.get("frequency"),
            inner(sent, "modulation", "lora").get("spreadingFactor"),
            best.get("gatewayId"),
        ),
        server=lorawan.without(message, _TAKEN_4),
    )


def _read_3(topic: str, message: Json) -> Uplink | Aside | Rejected:
    aside = _aside(_event(topic, message), message)
    if aside:
        return aside
    heard = listed(message, "rxInfo")
    best, sent = lorawan.strongest(heard, "rssi"), inner(message, "txInfo")
    factor = inner(sent, "loRaModulationInfo").get("spreadingFactor") or inner(sent, "dataRate").get("spreadFactor")
    time, remark = _time_3(message, heard)
    return lorawan.document(
        port=lorawan.whole(message.get("fPort", 0), 255),
        count=lorawan.whole(message.get("fCnt", 0)),
        time=time,
        frame=lorawan.from_base64(message.get("data"), "data"),
        decoded=_object(message),
        model=lorawan.text(message.get("deviceProfileName")),
        name=message.get("deviceName"),
        tags=message.get("tags"),
        heard=lorawan.radio(
            best.get("rssi"),
            best.get("loRaSNR"),
            sent.get("frequency"),
            factor,
            best.get("gatewayID") or best.get("mac"),
        ),
        server=lorawan.without(message, _TAKEN_3) | remark,
    )


def _object(message: Json) -> object:
    """What the server's codec made of it: an object, or JSON in a text."""
    said = message.get("object")
    if not said and isinstance(text := message.get("objectJSON"), str) and text:
        said = CODECS["json"](text.encode(errors="replace"))
    return said if isinstance(said, dict) and said else None


def _time_3(message: Json, heard: list[Json]) -> tuple[str | None, Json]:
    """The first time that is one. Gateways with a server of their own write some that are none: those are repaired
    where only a `-` is missing, else the time of receipt must do; `server` says so."""
    said = [message.get("time"), message.get("publishedAt"), *(entry.get("time") for entry in heard)]
    for raw in said:
        found = repaired(raw)
        if found:
            return found, {} if found == raw else {"time": lorawan.text(raw)}
    return None, {"time": lorawan.text(said[0])} if said[0] else {}


CHIRPSTACK = Server(V4, _eui, _read)
