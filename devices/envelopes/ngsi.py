"""NGSI notifications and entities: each entity is a packet, named by its id; number plates never get further."""

import re
from typing import Any
from urllib.parse import unquote

from devices.codecs import CODECS, encode
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.paths import without
from devices.raw import clean
from devices.rejected import Reason, Rejected
from devices.route import Route
from devices.units import UnknownUnit, ucum

PLATE = re.compile(r"(?:^|[^A-Za-z])plate(?!au)|Plate|PLATE|(?:licen[sc]e|number|vehicle)plate")
"""Names of attributes that name a person's vehicle: taken out before anything is kept, whatever the entity."""
_PLATE_BYTES = re.compile(rb"plate|\\u00", re.IGNORECASE)  # an escape may spell any letter
_STAMP = r"[-_.:/]?\d{4}-?\d\d-?\d\d[T ]\d\d[-:]?\d\d(?:[-:]?\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?"
_STAMPED = re.compile(rf"(.+?)(?:{_STAMP}){{1,2}}", re.ASCII | re.DOTALL)
_PAIR = re.compile(r"\s*([^=|;]{1,40})[=|]([^;|]{1,40})\s*")
MAX_MEASURED = 64
MAX_ENTITIES = 10_000
SILENT: dict[str, frozenset[str]] = {
    "RainFallRadarObserved": frozenset(),
    "WasteContainer": frozenset(("fillingLevel", "cargoWeight", "status", "temperature", "batteryLevel")),
}
"""Types that only describe a thing (or refer to a picture of it) unless they have one of these attributes."""


def open_ngsi(route: Route) -> Opener:
    """The opener of a route that a context broker notifies."""
    del route

    def open_message(topic: str, payload: bytes) -> Opened:
        del topic
        document = CODECS["ngsi"](payload)
        if isinstance(document, Rejected):
            return [Packet(None, document, b"" if _PLATE_BYTES.search(payload) else payload)]
        entities = entities_of(document)
        if not entities:
            return [Notice(None, "other", "a notification without entities")]
        if len(entities) > MAX_ENTITIES:
            detail = f"{len(entities)} entities; expected at most {MAX_ENTITIES}; let the broker notify fewer at once"
            refused = Rejected("envelope", Reason.TOO_LARGE, None, str(len(entities)), detail)
            return [Packet(None, refused, b"" if _PLATE_BYTES.search(payload) else payload)]
        alone = len(entities) == 1
        return [packet(entity, payload, alone) for entity in entities]

    return open_message


def entities_of(document: object) -> list[object]:
    """The entities that a document lists; none where a notification lists none."""
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        return list(document["data"])
    return document if isinstance(document, list) and document else [document]


def packet(entity: object, payload: bytes, alone: bool) -> Packet | Notice:
    """One entity; a notice when it only describes a thing. Its bytes are the message's own where it is alone and holds
    nothing private."""
    if not isinstance(entity, dict):
        return Packet(None, entity, payload if alone else encode(entity, payload))
    private = bool(_PLATE_BYTES.search(payload))
    try:
        shared: Any = without(entity, frozenset(), plate_names(entity)) if private else entity
    except RecursionError:
        return Packet(None, entity if not private else {}, b"")
    kept = payload if alone and shared == entity else encode(shared, payload)
    said, kind = shared.get("id"), shared.get("type")
    name = foreign_name(said) if isinstance(said, str) and said else None
    if isinstance(kind, str) and kind in SILENT and not SILENT[kind] & shared.keys():
        measured = ", ".join(sorted(SILENT[kind])) or "nothing that could be measured"
        return Notice(name, "other", f"{kind} only describes; of what is observed it could hold {measured}")
    return Packet(name, with_measurands(with_measured(shared)), kept)


def plate_names(document: object) -> frozenset[str]:
    """The names in a document, at any depth, that stand for a number plate. RecursionError when it is very deep."""
    if isinstance(document, list):
        return frozenset().union(*map(plate_names, document))
    if not isinstance(document, dict):
        return frozenset()
    own = frozenset(name for name in document if isinstance(name, str) and PLATE.search(name))
    return own.union(*map(plate_names, document.values()))


def foreign_name(entity_id: str) -> str:
    """The id of an entity without the time that many observations carry at its end, so that one name stays."""
    match = _STAMPED.fullmatch(entity_id) if len(entity_id) < 400 else None
    return clean(match[1] if match else entity_id)


def with_measured(entity: dict[str, Any]) -> dict[str, Any]:
    """A Device or DeviceMeasurement with its values under `measured`, by the property that each is said to be.

    Smart Data Models, dataModel.Device: a Device packs them into `value` as `l=0.22;t=21.2` in the order of
    `controlledProperty`; a DeviceMeasurement has one, `numValue`.
    """
    found = entity.get("controlledProperty")
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names[:MAX_MEASURED]):
        return entity
    values = [entity["numValue"]] if "numValue" in entity else packed_values(entity.get("value"))
    if not values or len(values) != len(names) or len(names) > MAX_MEASURED:
        return entity
    measured = dict(zip(names, values, strict=True))
    taken = {key: value for key, value in entity.items() if key not in ("numValue", "value")}
    unit = entity.get("unit", entity.get("unitCode"))
    if isinstance(unit, str) and known_unit(unit):
        taken["unitCode"] = {"measured": dict.fromkeys(names, unit)}
        taken.pop("unit", None)
    return {**taken, "measured": measured}


def with_measurands(entity: dict[str, Any]) -> dict[str, Any]:
    """An observation with what its `measurand` lists (`NO, 45, GQ, nitrogen monoxide`, also with `|`) as attributes,
    where it has no attribute of the name: earlier versions of the data models only had these."""
    listed = entity.get("measurand")
    if not isinstance(listed, list):
        return entity
    texts = [row for row in listed[:MAX_MEASURED] if isinstance(row, str)]
    columns = [[part.strip() for part in re.split(r"[,|]", text)] for text in texts]
    found = {row[0]: row for row in columns if len(row) > 1 and row[0] and row[0] not in entity}
    units = {name: row[2] for name, row in found.items() if len(row) > 2 and known_unit(row[2])}
    said = entity.get("unitCode")
    stated = said if isinstance(said, dict) else {}
    return {**entity, **{name: number_or_text(row[1]) for name, row in found.items()}, "unitCode": units | stated}


def packed_values(said: object) -> list[object]:
    """The values of `l%3D0.22%3Bt%3D21.2`, or of a plain number; empty when it is neither."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        return [said]
    text = unquote(said[:4000]) if isinstance(said, str) else ""
    pairs = [_PAIR.fullmatch(part) for part in text.split(";") if part.strip()]
    if pairs and all(pairs):
        return [number_or_text(pair[2]) for pair in pairs if pair]
    return [number_or_text(text)] if isinstance(number_or_text(text), float) else []


def number_or_text(text: str) -> float | str:
    """The number that a text spells, else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def known_unit(name: str) -> bool:
    """Whether a unit can be converted; a reference to some register of the sender cannot."""
    try:
        return bool(ucum(name[:40]))
    except UnknownUnit:
        return False
