"""NGSI-v2 and NGSI-LD entities, normalized or key-values, alone, in a list or in a notification → key-values."""

from devices.codecs.json_text import decode_json

UNIT, OBSERVED, METADATA = "unitCode", "observedAt", "metadata"
_VALUE_NAMES = ("value", "object", "languageMap", "json", "vocab")


def decode_ngsi(payload: bytes) -> object:
    """The entities with plain attributes, or Rejected.

    Units stand under `unitCode` and times of measurement under `observedAt`, both by attribute; what else an attribute
    said of itself stands under `metadata`.
    """
    document = decode_json(payload)
    if isinstance(document, list):
        return [simplify(entity) for entity in document]
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        return {**document, "data": [simplify(entity) for entity in document["data"]]}
    return simplify(document)


def simplify(entity: object) -> object:
    """One entity with attributes as plain values; what is no entity stays as it is."""
    if not isinstance(entity, dict):
        return entity
    plain: dict[str, object] = {}
    asides: dict[str, dict[str, object]] = {}
    for name, attribute in entity.items():
        value = attribute_value(attribute)
        if value is attribute:
            plain[name] = attribute
            continue
        plain[name] = value
        for kind, said in asides_of(attribute).items():
            asides.setdefault(kind, {})[name] = said
    for kind, said_of in asides.items():
        there = plain.get(kind)
        plain[kind] = {**there, **said_of} if isinstance(there, dict) else said_of
    return plain


def attribute_value(attribute: object) -> object:
    """The value of a normalized attribute; anything else unchanged."""
    if isinstance(attribute, dict) and "type" in attribute:
        for name in _VALUE_NAMES:
            if name in attribute:
                value = attribute[name]
                return value["@value"] if isinstance(value, dict) and "@value" in value else value
    return attribute


def metadata_value(entry: object) -> object:
    """The value of an entry of an attribute's metadata."""
    return entry["value"] if isinstance(entry, dict) and "value" in entry else entry


def asides_of(attribute: dict[str, object]) -> dict[str, object]:
    """Unit, time of measurement and whatever else an attribute says of itself; its `type` is only syntax."""
    rest = {key: value for key, value in attribute.items() if key not in ("type", *_VALUE_NAMES)}
    inner = rest.pop(METADATA, None)
    if isinstance(inner, dict):
        rest = {**{key: metadata_value(value) for key, value in inner.items()}, **rest}
    elif inner is not None:
        rest[METADATA] = inner
    said = {kind: rest.pop(kind) for kind in (UNIT, OBSERVED) if kind in rest}
    return {**said, METADATA: rest} if rest else said
