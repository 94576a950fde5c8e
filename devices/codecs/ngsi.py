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
        attribute, others = one_instance(said)
        if name == "type":
            plain[name] = type_names(attribute)
            continue
        plain[name] = plain_value(name, attribute)
        for kind, aside in asides_of(attribute).items():
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
    if text in ("@id", "@type", "@value"):
        return text[1:]
    return text.replace("#", "/").rstrip("/").rpartition("/")[2] if text.startswith(_IRIS) else text


def type_names(said: object) -> object:
    """The short type of an entity; a list only where there are several."""
    if isinstance(said, list):
        names = [short_name(name) for name in said if isinstance(name, str)]
        return names[0] if len(names) == 1 else names
    return short_name(said) if isinstance(said, str) else said


def one_instance(said: object) -> tuple[object, list[object]]:
    """The instance of an attribute that counts, and the others: without datasetId before with, the newest first."""
    if not (isinstance(said, list) and said and all(is_attribute(one) for one in said)):
        return said, []
    default = [one for one in said if "datasetId" not in one] or said
    best = max(default, key=instance_time)
    return best, [one for one in said if one is not best]


def instance_time(attribute: dict[str, Any]) -> int:
    """Microseconds since 1970 that an instance states; long ago when it states none."""
    found = parse_time(asides_of(attribute).get(OBSERVED), "rfc3339", "Z")
    return -(2**62) if isinstance(found, Rejected) else found


def is_attribute(said: object) -> bool:
    """Whether an object is an attribute (normalized or concise) rather than a structured value."""
    if not isinstance(said, dict):
        return False
    names = {short_name(name) for name in said}
    if "type" in names:
        return any(name in names for name in _VALUE_NAMES)
    return bool(names & {"value", "languageMap", "vocab", "hasValue"}) or (names == {"object"})


def plain_value(name: str, attribute: object) -> object:
    """The value of an attribute in plain form; anything else unchanged, but for the null of NGSI-LD."""
    value = attribute
    declared: object = None
    if isinstance(attribute, dict) and is_attribute(attribute):
        said = {short_name(key): inner for key, inner in attribute.items()}
        value = next(said[key] for key in _VALUE_NAMES if key in said)
        declared = said.get("type")
    if (
        isinstance(value, list)
        and len(value) == 1
        and isinstance(value[0], dict)
        and value[0].keys() & {"@value", "@id"}
    ):
        value = value[0]
    if isinstance(value, dict) and "@value" in value:
        declared, value = value.get("@type", declared), value["@value"]
    elif isinstance(value, dict) and value.keys() == {"@id"}:
        value = value["@id"]
    if value == _NULL:
        return None
    return in_plain_form(name, number_if_declared(value, declared), declared)


def aside_value(entry: object) -> object:
    """The value of an entry of an attribute's metadata, or of a property of a property."""
    while isinstance(entry, list) and len(entry) == 1:
        entry = entry[0]
    if not isinstance(entry, dict):
        return entry
    found = {short_name(name): value for name, value in entry.items()}
    return aside_value(found[name]) if (name := next((n for n in _VALUE_NAMES if n in found), None)) else entry


def asides_of(attribute: object) -> dict[str, object]:
    """Unit, time of measurement and whatever else an attribute says of itself; its `type` is only syntax."""
    if not isinstance(attribute, dict) or not is_attribute(attribute):
        return {}
    syntax = ("type", *_VALUE_NAMES)
    rest = {short_name(key): value for key, value in attribute.items() if short_name(key) not in syntax}
    inner = rest.pop(METADATA, None)
    if isinstance(inner, dict):
        rest = {**{key: aside_value(value) for key, value in inner.items()}, **rest}
    elif inner is not None:
        rest[METADATA] = inner
    said: dict[str, object] = {}
    for kind, names in ((UNIT, _UNIT_NAMES), (OBSERVED, _TIME_NAMES)):
        found = next((name for name in names if isinstance(aside_value(rest.get(name)), str)), None)
        if found:
            text = str(aside_value(rest.pop(found)))
            said[kind] = whole_time(text) if kind == OBSERVED else text
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
