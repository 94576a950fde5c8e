"""NGSI-v2 (FIWARE) and NGSI-LD (ETSI GS CIM 009) entities, in whichever representation → key-values.

Representations: normalized, concise, simplified (key-values), GeoJSON features, JSON-LD with full names; alone, in a
list, in a notification, in a batch. A context (`@context`) is never fetched: the short names decide.
"""

from typing import Any

from devices.codecs.json_text import decode_json
from devices.codecs.ngsi_values import in_plain_form, number_if_declared, whole_time
from devices.rejected import Rejected
from devices.time import parse_time

UNIT, OBSERVED, METADATA, INSTANCES = "unitCode", "observedAt", "metadata", "instances"
NEWEST = "newestObservedAt"
_ASIDES = frozenset((UNIT, OBSERVED, METADATA, INSTANCES))
_VALUE_NAMES = ("value", "object", "languageMap", "json", "vocab", "valueList", "objectList", "hasValue", "hasObject")
_UNIT_NAMES = ("unitCode", "unitText", "unit", "units")
_TIME_NAMES = ("observedAt", "TimeInstant", "dateObserved", "timestamp")
_LISTS = ("data", "entities", "features")
_NULL = "urn:ngsi-ld:null"
_IRIS = ("http://", "https://")
_LONG = (*_IRIS, "@")
_JSON_LD = frozenset(("@value", "@id"))
_SYNTAX = frozenset(("type", *_VALUE_NAMES))
_CONCISE = frozenset(("value", "languageMap", "vocab", "hasValue"))


def decode_ngsi(payload: bytes) -> object:
    """The entities with plain attributes, or Rejected: one entity, a list, or `{…, "data": [entities]}`.

    Units stand under `unitCode` and times of measurement under `observedAt`, both by attribute, the newest of these
    times under `newestObservedAt`; what else an attribute said of itself stands under `metadata`, further instances of
    it (`datasetId`, a history) under `instances`.
    """
    document = decode_json(payload)
    try:
        return plain_document(document)
    except RecursionError:
        return document


def plain_document(document: object) -> object:
    """Every entity of a document simplified, wherever it lists them."""
    if isinstance(document, Rejected):
        return document
    if isinstance(document, list):
        return [simplify(entity) for entity in document]
    if not isinstance(document, dict):
        return document
    if isinstance(document.get("body"), dict) and not document.keys() - {"body", METADATA}:
        return plain_document(document["body"])  # the MQTT binding of NGSI-LD: {"metadata": headers, "body": …}
    for name in _LISTS:
        listed = None if is_entity(document) else listed_entities(document.get(name))
        if listed is not None:
            rest = {key: value for key, value in document.items() if key != name}
            return {**rest, "data": [with_notified(simplify(entity), document) for entity in listed]}
    return simplify(document)


def is_entity(document: dict[str, Any]) -> bool:
    """Whether a document is an entity of its own, whatever it lists: a notification has a type of its own or no id."""
    return "id" in document and document.get("type") not in (None, "Notification", "FeatureCollection")


def listed_entities(listed: object) -> list[object] | None:
    """What stands where a document lists its entities; one entity or a feature collection counts as a list."""
    if isinstance(listed, dict) and isinstance(listed.get("features"), list):
        return list(listed["features"])
    if isinstance(listed, dict):
        return [listed] if {"id", "type"} <= listed.keys() or {"@id", "@type"} <= listed.keys() else None
    return listed if isinstance(listed, list) and all(isinstance(entity, dict) for entity in listed) else None


def with_notified(entity: object, notification: dict[str, Any]) -> object:
    """The entity with the time of its notification, for the case that it states none of its own."""
    if isinstance(entity, dict) and isinstance(notification.get("notifiedAt"), str):
        entity.setdefault("notifiedAt", whole_time(notification["notifiedAt"]))
    return entity


def simplify(entity: object) -> object:
    """One entity with attributes as plain values; what is no entity stays as it is."""
    if not isinstance(entity, dict):
        return entity
    if entity.get("type") == "Feature" and isinstance(entity.get("properties"), dict):
        entity = from_feature(entity)
    plain: dict[str, Any] = {}
    asides: dict[str, dict[str, object]] = {}
    for full_name, said in entity.items():
        name = short_name(full_name)
        if name in _ASIDES and isinstance(said, dict):
            plain[name] = {**said, **plain.get(name, {})}
            continue
        attribute, others = one_instance(series(said))
        if name == "type":
            plain[name] = type_names(attribute)
            continue
        plain[name], said_aside = plain_attribute(name, attribute)
        for kind, aside in said_aside.items():
            asides.setdefault(kind, {})[name] = aside
        if others:
            asides.setdefault(INSTANCES, {})[name] = others
    for kind, said_of in asides.items():
        there = plain.get(kind)
        plain[kind] = {**there, **said_of} if isinstance(there, dict) else said_of
    return with_newest(plain)


def from_feature(feature: dict[str, Any]) -> dict[str, Any]:
    """The entity of a GeoJSON feature (ETSI GS CIM 009, 4.5.16)."""
    entity = {"id": feature.get("id"), **feature["properties"]}
    if "geometry" in feature:
        entity.setdefault("location", feature["geometry"])
    return entity


def short_name(name: object) -> str:
    """The last part of a full name (IRI), `https://uri.etsi.org/ngsi-ld/name` → `name`; `@id` and `@type` without @."""
    text = str(name)
    if not text.startswith(_LONG):
        return text
    if text in ("@id", "@type", "@value"):
        return text[1:]
    return text.replace("#", "/").rstrip("/").rpartition("/")[2] if text.startswith(_IRIS) else text


def type_names(said: object) -> object:
    """The short type of an entity; a list only where there are several."""
    if isinstance(said, list):
        names = [short_name(name) for name in said if isinstance(name, str)]
        return names[0] if len(names) == 1 else names
    return short_name(said) if isinstance(said, str) else said


def series(said: object) -> object:
    """The instances of a history in its short form, `{"type": "Property", "values": [[value, time], …]}`."""
    pairs = said.get("values") if isinstance(said, dict) and "type" in said else None
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs) or not pairs:
        return said
    return [{"value": value, OBSERVED: time} for value, time in pairs]


def one_instance(said: object) -> tuple[object, list[object]]:
    """The instance of an attribute that counts, and the others: without datasetId before with, the newest first."""
    if not isinstance(said, list) or not said or not all(isinstance(one, dict) and is_attribute(one) for one in said):
        return said, []
    default = [one for one in said if "datasetId" not in one] or said
    best = max(default, key=instance_time)
    return best, [one for one in said if one is not best]


def instance_time(attribute: dict[str, Any]) -> int:
    """Microseconds since 1970 that an instance states; long ago when it states none."""
    found = parse_time(asides_of(attribute).get(OBSERVED), "rfc3339", "Z")
    return -(2**62) if isinstance(found, Rejected) else found


def shortened(said: dict[str, Any]) -> dict[str, Any]:
    """An object with short names; itself where they are short already."""
    if any(name.startswith(_LONG) for name in said if isinstance(name, str)):
        return {short_name(name): value for name, value in said.items()}
    return said


def is_attribute(said: dict[str, Any]) -> bool:
    """Whether an object is an attribute (normalized or concise) rather than a structured value."""
    names = shortened(said).keys()
    if "type" in names:
        return not names.isdisjoint(_VALUE_NAMES)
    return not names.isdisjoint(_CONCISE) or names == {"object"}


def plain_attribute(name: str, said: object) -> tuple[object, dict[str, object]]:
    """The value of an attribute in plain form, None for the null of NGSI-LD; and what it says of itself."""
    if not isinstance(said, dict):
        return in_plain_form(name, only(said), None), {}
    if not is_attribute(said):
        return in_plain_form(name, said.get("@value", said), said.get("@type")), {}
    attribute = shortened(said)
    value = only(next(attribute[key] for key in _VALUE_NAMES if key in attribute))
    declared = attribute.get("type")
    if isinstance(value, dict) and "@value" in value:
        declared, value = value.get("@type", declared), value["@value"]
    elif isinstance(value, dict) and value.keys() == {"type", "value"}:  # wrapped twice
        declared, value = value["type"], value["value"]
    return in_plain_form(name, number_if_declared(value, declared), declared), asides_of(attribute)


def only(value: object) -> object:
    """The value; of a list of one JSON-LD value that one; None for the null of NGSI-LD."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and value[0].keys() & _JSON_LD:
        value = value[0]
    if isinstance(value, dict) and value.keys() == {"@id"}:
        value = value["@id"]
    return None if value == _NULL else value


def aside_value(entry: object) -> object:
    """The value of an entry of an attribute's metadata, or of a property of a property."""
    while isinstance(entry, list) and len(entry) == 1:
        entry = entry[0]
    if not isinstance(entry, dict):
        return entry
    found = shortened(entry)
    name = next((name for name in _VALUE_NAMES if name in found), None)
    return aside_value(found[name]) if name else entry


def asides_of(attribute: dict[str, Any]) -> dict[str, object]:
    """Unit, time of measurement and whatever else an attribute says of itself; its `type` is only syntax."""
    rest = {key: value for key, value in shortened(attribute).items() if key not in _SYNTAX}
    inner = rest.pop(METADATA, None)
    if isinstance(inner, dict):
        rest = {**{key: aside_value(value) for key, value in inner.items()}, **rest}
    elif inner is not None:
        rest[METADATA] = inner
    said: dict[str, object] = {}
    if not rest:
        return said
    for kind, names in ((UNIT, _UNIT_NAMES), (OBSERVED, _TIME_NAMES)):
        for name in names:
            text = aside_value(rest[name]) if name in rest else None
            if isinstance(text, str):
                said[kind] = whole_time(text) if kind == OBSERVED else text
                del rest[name]
                break
    return {**said, METADATA: rest} if rest else said


def with_newest(plain: dict[str, Any]) -> dict[str, Any]:
    """The entity with the newest of its attributes' times, which is that of a reading that states none as a whole; and
    with both ends of an interval that is stated as one text."""
    start, slash, end = (
        plain["dateObserved"].partition("/") if isinstance(plain.get("dateObserved"), str) else ("",) * 3
    )
    if slash:
        plain.setdefault("dateObservedFrom", start)
        plain.setdefault("dateObservedTo", end)
    observed = plain.get(OBSERVED)
    if isinstance(observed, dict):
        times = [
            (found, said) for said in observed.values() if isinstance(found := parse_time(said, "rfc3339", "Z"), int)
        ]
        if times:
            plain[NEWEST] = max(times)[1]
    return plain
