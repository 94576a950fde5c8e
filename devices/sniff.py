"""Which system a message came from, by its content alone: where nobody says on which topic it was.

Each recogniser looks for words that one system uses and others do not. It answers with a topic on which the system
would have sent the message, or None. Only for people's eyes: on the way in, the topic decides.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from devices.codecs import CODECS
from devices.codecs.cbor import decode_cbor
from devices.rejected import Rejected

Recogniser = Callable[[bytes, object], str | None]
"""Payload, and its JSON document (None when it is none) → a topic, or None."""

UNNAMED = "unnamed"
_COMPONENT = re.compile(r"[a-z][a-z0-9]*:\d{1,4}")
_FRIGATE_ID = re.compile(r"\d{9,11}\.\d+-[a-z0-9]+")
_STATION_LINE = re.compile(r"[^\t;]{1,40}[\t; ]+-?[\d.,]+[\t; ]+\S*[\t; ]+(?:19|20)\d{12}[\t; ]+\d{1,2}\s*", re.ASCII)
_SENML_LABELS = {"bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"}


class Sniffed(NamedTuple):
    """A system that the content speaks for, and a topic of it."""

    system: str
    topic: str


def sniff(payload: bytes) -> list[Sniffed]:
    """The systems that a message may be of, the most telling first; none when nothing is recognised."""
    found = CODECS["json"](payload)
    document = None if isinstance(found, Rejected) else found
    return [
        Sniffed(system, topic)
        for system, recognise in SNIFFERS.items()
        if (topic := recognise(payload, document)) is not None
    ]


def first_of(document: object) -> dict[str, object]:
    """The object, or the first object of a list; an empty one where there is none."""
    one = document[0] if isinstance(document, list) and document else document
    return one if isinstance(one, dict) else {}


def lorawan(payload: bytes, document: object) -> str | None:
    """The Things Stack, ChirpStack v4 and v3, LORIOT, ThingPark."""
    one = first_of(document)
    known = "end_device_ids" in one or isinstance(one.get("deviceInfo"), dict) or ("cmd" in one and "EUI" in one)
    chirpstack3 = "devEUI" in one and one.keys() & {"fCnt", "applicationID", "rxInfo", "fPort", "data"}
    thingpark = any(isinstance(key, str) and key.startswith("DevEUI_") for key in one)
    return f"lorawan/{UNNAMED}" if known or chirpstack3 or thingpark else None


def frigate(payload: bytes, document: object) -> str | None:
    """Frigate's events, reviews, updates of tracked objects, statistics."""
    one = first_of(document)
    after = one.get("after")
    if isinstance(after, dict) and "before" in one:
        return "frigate/reviews" if "severity" in after else "frigate/events"
    if "cameras" in one and "detectors" in one:
        return "frigate/stats"
    if isinstance(one.get("id"), str) and _FRIGATE_ID.fullmatch(str(one["id"])) and "type" in one:
        return "frigate/tracked_object_update"
    return None


def axis(payload: bytes, document: object) -> str | None:
    """Axis events `{"topic": "axis:…", "message": …}` and those of its data applications."""
    one = first_of(document)
    said, serial = one.get("topic"), str(one.get("serial", UNNAMED))
    if isinstance(said, str) and ":" in said and isinstance(one.get("message"), dict):
        return f"axis/{serial}/event/{re.sub('[a-z0-9]+:', '', said)}"
    if "serial" in one and isinstance(one.get("timestamp"), int):
        kind = next((kind for kind, sign in _DATA_MESSAGES.items() if sign in one), None)
        return f"dataq/{kind}/{serial}" + ("/event" if kind == "event" else "") if kind else None
    return None


_DATA_MESSAGES = {"image": "image", "tracker": "id", "occupancy": "occupancy", "event": "active"}


def onvif(payload: bytes, document: object) -> str | None:
    """ONVIF events as JSON (Profile M)."""
    one = first_of(document)
    return f"{UNNAMED}/onvif-ej/Event" if "UtcTime" in one and one.keys() & {"Data", "Source"} else None


def opendatacam(payload: bytes, document: object) -> str | None:
    """OpenDataCam's status and counters."""
    one = first_of(document)
    if "counterSummary" in one or "trackerSummary" in one:
        return f"opendatacam/{UNNAMED}/status"
    return f"opendatacam/{UNNAMED}/counter" if "areas" in one and "dateStart" in one else None


def shelly(payload: bytes, document: object) -> str | None:
    """Shelly's notifications, answers and single components."""
    one = first_of(document)
    if "src" in one and one.keys() & {"method", "result"}:
        return f"{clean_level(one['src'])}/events/rpc"
    if sum(bool(_COMPONENT.fullmatch(str(key))) for key in one) >= 1 and not one.keys() & {"metrics", "n"}:
        return f"{UNNAMED}/events/rpc"
    if isinstance(one.get("id"), int):
        component = next((name for name, signs in _COMPONENTS.items() if signs & one.keys()), None)
        return f"{UNNAMED}/status/{component}:{one['id']}" if component else None
    return None


_COMPONENTS = {
    "blutrv": {"target_C", "current_C"},
    "temperature": {"tC"},
    "humidity": {"rh"},
    "devicepower": {"battery"},
    "em": {"total_act_power", "a_act_power"},
    "em1": {"act_power"},
    "emdata": {"total_act"},
    "em1data": {"total_act_energy"},
    "cover": {"current_pos", "pos_control"},
    "light": {"brightness"},
    "switch": {"output", "apower"},
    "smoke": {"alarm"},
    "input": {"state"},
}


def tasmota(payload: bytes, document: object) -> str | None:
    """Tasmota's telemetry and status."""
    one = first_of(document)
    if any(isinstance(key, str) and re.fullmatch("Status(SNS|STS|NET|PRM|FWR)?", key) for key in one):
        return f"stat/{UNNAMED}/STATUS8"
    if isinstance(one.get("Time"), str):
        return f"tele/{UNNAMED}/{'STATE' if 'Wifi' in one else 'SENSOR'}"
    return None


def zigbee(payload: bytes, document: object) -> str | None:
    """zigbee2mqtt: only it tells the quality of the link so."""
    return f"zigbee2mqtt/{UNNAMED}" if "linkquality" in first_of(document) else None


def homie(payload: bytes, document: object) -> str | None:
    """Homie 4 and 5: the description of a device; its values are bare texts."""
    one = first_of(document)
    return f"homie/5/{UNNAMED}/$description" if "homie" in one and "nodes" in one else None


def sparkplug(payload: bytes, document: object) -> str | None:
    """Sparkplug B, as Protocol Buffers or in the specification's JSON."""
    one = first_of(document)
    metrics = one.get("metrics")
    listed = [metric for metric in metrics if isinstance(metric, dict)] if isinstance(metrics, list) else []
    if any({"dataType", "datatype", "alias"} & metric.keys() for metric in listed):
        return f"spBv1.0/{UNNAMED}/NBIRTH/{UNNAMED}"
    if one and one.keys() <= {"timestamp", "seq", "metrics"} and "seq" in one and "timestamp" in one:
        return f"spBv1.0/{UNNAMED}/NDATA/{UNNAMED}"
    if document is None and is_sparkplug(payload):
        death = b"bdSeq" in payload and len(payload) < 64 and payload.count(b"\x12") <= 1
        birth = b"bdSeq" in payload or b"Control/" in payload
        return f"spBv1.0/{UNNAMED}/{'NDEATH' if death else 'NBIRTH' if birth else 'NDATA'}/{UNNAMED}"
    return None


def is_sparkplug(payload: bytes) -> bool:
    """Whether bytes are fields 1 to 5 of a Sparkplug payload, with the wire types they have there, to the last byte."""
    place, fields = 0, 0
    while place < len(payload) and fields < 10_000:
        tag = payload[place]
        if tag in (0x08, 0x18):  # timestamp and seq: varints
            end = next((at for at in range(place + 1, min(place + 11, len(payload))) if payload[at] < 128), None)
            place = -1 if end is None else end + 1
        elif tag in (0x12, 0x22, 0x2A):  # metrics, uuid, body: a length in front
            size, shift, at = 0, 0, place + 1
            while at < len(payload) and shift < 28:
                size |= (payload[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if payload[at - 1] < 128:
                    break
            place = at + size
        else:
            return False
        if place <= 0 or place > len(payload):
            return False
        fields += 1
    return fields >= 2 or (fields == 1 and payload[:1] == b"\x12")


def senml(payload: bytes, document: object) -> str | None:
    """SenML packs, JSON and CBOR; there a list of maps whose keys are the labels -6 to 8 (RFC 8428, 6)."""
    if len(payload) > 3 and 0x80 < payload[0] <= 0x9F and 0xA0 < payload[1] <= 0xBF:
        return f"senml/{UNNAMED}" if payload[2] <= 8 or 0x20 <= payload[2] <= 0x25 else None
    if not isinstance(document, list) or not document or not all(isinstance(one, dict) and one for one in document):
        return None
    labels = {key for record in document for key in record}
    if labels <= _SENML_LABELS and labels & {"v", "vs", "vb", "vd", "s"} and labels & {"n", "bn"}:
        return f"senml/{UNNAMED}"
    return None


def ngsi(payload: bytes, document: object) -> str | None:
    """Entities of NGSI-v2 and NGSI-LD, alone, listed or in a notification."""
    one = first_of(document)
    inner = first_of(one.get("data")) if isinstance(one.get("data"), list) else one
    kind = inner.get("type", inner.get("@type"))
    return f"ngsi/{UNNAMED}" if ("id" in inner or "@id" in inner) and isinstance(kind, str | list) else None


def circular10(payload: bytes, document: object) -> str | None:
    """Lines of environmental stations: name, value, unit, time, status."""
    lines = [line for line in payload.decode("utf-8", "replace").removeprefix("\ufeff").splitlines() if line.strip()]
    return f"circular10/{UNNAMED}" if lines and sum(bool(_STATION_LINE.fullmatch(x)) for x in lines[:50]) else None


def native(payload: bytes, document: object) -> str | None:
    """Our own message, JSON or CBOR."""
    known = decode_cbor(payload) if document is None and payload[:1] > b"\x7f" else document
    return "" if isinstance(first_of(known).get("metrics"), dict) else None


SNIFFERS: dict[str, Recogniser] = {
    "lorawan": lorawan,
    "native": native,
    "frigate": frigate,
    "axis": axis,
    "onvif": onvif,
    "opendatacam": opendatacam,
    "tasmota": tasmota,
    "zigbee": zigbee,
    "homie": homie,
    "sparkplug": sparkplug,
    "senml": senml,
    "shelly": shelly,
    "ngsi": ngsi,
    "circular10": circular10,
}


def clean_level(name: object) -> str:
    """A name as one level of a topic."""
    return re.sub(r"[/+#\0]", "-", str(name)[:64]) or UNNAMED
