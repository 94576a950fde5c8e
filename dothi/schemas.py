"""JSON Schemas (draft 2020-12) of family and profile files, for editors: made from what the code reads.

`python -m dothi.docs` writes them to `devices/schema/`, `--check` refuses drift. A schema knows words and shapes; what
needs more than that (an example's result, an alarm's limits) `dothi devices check` judges.
"""

import json
from typing import Any, get_args

from devices.alarm import ALARM_KEYS, SIDE, Severity
from devices.behaviour import CURVES, DRIVERS, MAPPINGS
from devices.codecs import CODECS
from devices.codecs.frames import BUILTIN, FRAME_CODECS
from devices.family import FAMILIES, Family, Kind, Worse
from devices.panel import PANEL_KEYS, Form
from devices.profile import KEYS
from devices.rejected import MEANING
from devices.route import ROUTES
from devices.time import UNITS as TIME_UNITS
from devices.units import ALIASES, UNITS

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NUMBER: Schema = {"type": "number"}
MAPPING: Schema = {"type": "object", "additionalProperties": NUMBER}
TEXT: Schema = {"type": "string", "minLength": 1}
BYTES: Schema = {"type": "string", "pattern": "^([0-9a-fA-F]{2}|\\s)*$"}
PATHS: Schema = {
    "description": "A dotted path, or several of which the first counts that is there; `.` is the document itself",
    "anyOf": [TEXT, {"type": "array", "items": TEXT}],
}


def schemas() -> dict[str, str]:
    """File name → text of every schema."""
    made = {"family.schema.json": family_schema(), "profile.schema.json": profile_schema()}
    return {name: json.dumps(schema, ensure_ascii=False, indent=1) + "\n" for name, schema in made.items()}


def thing(properties: Schema, required: tuple[str, ...] = (), about: str = "") -> Schema:
    """An object of these properties and no others."""
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return {"description": about} | schema if about else schema


def one_of(words: Any, about: str = "") -> Schema:
    """One of these words."""
    return ({"description": about} if about else {}) | {"enum": list(words)}


def described(schema: Schema, about: str) -> Schema:
    """A schema with a sentence that the editor shows."""
    return {"description": about} | schema


def both_languages() -> Schema:
    """A text in Vietnamese and English."""
    return thing({"vi": TEXT, "en": TEXT}, ("vi", "en"))


def family_schema() -> Schema:
    """A file of `devices/families/`."""
    name = {"pattern": "^[a-z][a-z0-9_]{0,40}$"}
    return {
        "$schema": DRAFT,
        "title": "Metrics that are observed together",
        **thing(
            {
                "label": both_languages(),
                "headline": described(TEXT, "The gauge by which the map judges; the first gauge unless stated"),
                "worse": one_of(get_args(Worse), "Which values of the headline are the bad ones"),
                "metrics": {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": name,
                    "additionalProperties": metric(),
                },
            },
            ("label", "metrics"),
        ),
    }


def metric() -> Schema:
    """An entry under `metrics`: a number with unit and range, or a state with its words."""
    kinds = [kind for kind in get_args(Kind) if kind != "state"]
    word = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}
    states = {"type": "array", "minItems": 2, "uniqueItems": True, "items": word}
    properties = {
        "unit": one_of(UNITS, "UCUM code"),
        "range": described({"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}, "Of working instruments"),
        "kind": one_of(kinds, "A counter only grows until it is reset"),
        "states": described(states, "In the order that the database stores: new ones go to the end"),
        "label": both_languages(),
        "sdm": described(TEXT, "Property of the Smart Data Model"),
    }
    return thing(properties, ("label",)) | {"oneOf": [{"required": ["unit", "range"]}, {"required": ["states"]}]}


def profile_schema() -> Schema:
    """A file of `devices/profiles/`; metrics are those of the family that it names."""
    properties = profile_properties()
    assert properties.keys() == KEYS  # a key that is read is a key that the editor knows
    return {
        "$schema": DRAFT,
        "title": "What one device model sends",
        **thing(properties, ("title", "family", "interval_s", "examples")),
        "allOf": [of_family(family) for family in FAMILIES.values()],
    }


def profile_properties() -> Schema:
    """Every key of a profile."""
    words = {"type": "array", "items": TEXT}
    return {
        "title": both_languages(),
        "vendor": described(TEXT, "Who makes it"),
        "model": described(TEXT, "What stands on it"),
        "source": described({"type": ["string", "array", "object"]}, "Where its format is described"),
        "family": one_of(FAMILIES, "What it observes"),
        "route": one_of(sorted({route.kind for route in ROUTES.values()}), "None for the platform's own topics"),
        "codec": codec(),
        "interval_s": described({"type": "number", "exclusiveMinimum": 0}, "Seconds between two readings"),
        "offline_after": described(
            {"type": "number", "minimum": 1, "maximum": 1000}, "Missed intervals until silent; 3 unless stated"
        ),
        "acknowledge": described({"type": "boolean"}, "Whether its devices are told on …/ack what is settled"),
        "panel": panel(),
        "alarms": {"type": "array", "items": alarm()},
        "behaviour": {"type": "object", "additionalProperties": curve()},
        "roots": described(PATHS, "Where the paths of the fields may start"),
        "match": thing({"path": TEXT, "value": {}}, ("path",), "By what a message tells that it is of this kind"),
        "fields": {"type": "array", "items": field()},
        "units": described(TEXT, "Where the message names the units of its fields"),
        "time": time(),
        "seq": thing({"path": PATHS}, ("path",)),
        "drop": described(words, "Paths that are not kept in extra"),
        "private": described(words, "Keys or paths that are never stored"),
        "examples": {"type": "array", "minItems": 1, "items": example()},
    }


def codec() -> Schema:
    """A codec of whole messages, or of the frames that a network server hands on."""
    frames: dict[str, Schema] = {kind: {"type": ["object", "array", "string"]} for kind in FRAME_CODECS}
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    frames |= {"builtin": one_of(BUILTIN), "struct": {"$ref": "struct.schema.json"}}
    frames |= {"js": thing({"file": TEXT, "sha256": digest}, ("file", "sha256"))}
    choices = [one_of([*CODECS, "decoded"]), *(thing({kind: inner}, (kind,)) for kind, inner in frames.items())]
    return {"description": "How bytes become a document; native unless stated", "anyOf": choices}


def field() -> Schema:
    """A row of the field table."""
    units = one_of(sorted(UNITS.keys() | ALIASES.keys()), "What the device writes; the metric's unless stated")
    properties = {
        "metric": TEXT,
        "path": PATHS,
        "unit": units,
        "unit_path": PATHS,
        "map": described({"type": "object"}, "The device's words → ours; `*` every other, null none"),
        "between": described({"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}, "Paths of two times"),
        "signed": described({"type": "boolean"}, "Whether the device can send a value below zero"),
    }
    return thing(properties, ("metric",))


def time() -> Schema:
    """Where the time of the reading stands."""
    units = one_of(["rfc3339", *TIME_UNITS], "rfc3339 unless stated")
    zone = described({"type": "string", "pattern": "^(Z|[+-][0-9]{2}:[0-9]{2})$"}, "Of texts without an offset")
    return thing({"path": PATHS, "unit": units, "zone": zone, "ago": PATHS, "ago_unit": TEXT})


def panel() -> Schema:
    """How its readings are best shown."""
    properties = {"form": one_of(get_args(Form)), "metrics": {"type": "array", "minItems": 1, "items": TEXT}}
    properties |= dict.fromkeys(sorted(PANEL_KEYS - properties.keys()), NUMBER)
    both = {"dependentRequired": {"amber": ["red"], "red": ["amber"]}}
    return thing(properties, ("form", "metrics"), "A hint: with red below amber, low values are the bad ones") | both


def alarm() -> Schema:
    """Raised at a limit or in a state, cleared past another: the hysteresis."""
    limits = {"anyOf": [NUMBER, {"type": "array", "minItems": 1, "items": TEXT}]}
    properties = {
        "metric": TEXT,
        "when": one_of(SIDE, "Above, below, or in one of the states"),
        "raise": limits,
        "clear": limits,
        "for_s": described({"type": "number", "minimum": 0}, "How long it must hold first"),
        "severity": one_of(get_args(Severity)),
        "title": both_languages(),
    }
    assert properties.keys() == ALARM_KEYS
    return thing(properties, ("metric", "when", "raise", "severity", "title"))


def curve() -> Schema:
    """How the simulator moves a metric; which keys suit which curve the laws judge."""
    keys = sorted({key for curve in CURVES.values() for key in curve.must | curve.may})
    properties = {key: MAPPING if key in MAPPINGS else NUMBER for key in keys}
    properties["follows"] = thing({name: described(NUMBER, about) for name, about in DRIVERS.items()})
    properties["decimals"] = {"type": "integer", "minimum": 0}
    return thing({"curve": one_of(sorted(CURVES)), **properties}, ("curve",))


def example() -> Schema:
    """A message and what becomes of it."""
    properties: Schema = {
        "name": TEXT,
        "source": described(TEXT, "Who published the message"),
        "topic": TEXT,
        "payload": {"type": "string"},
        "hex": BYTES,
        "frame": described(BYTES, "Of a LoRaWAN device, as a network server hands it on"),
        "port": {"type": "integer", "minimum": 0, "maximum": 255},
        "time": TEXT,
        "metrics": {"type": "object"},
        "extra": {"type": "object"},
        "reasons": {"type": "object", "additionalProperties": reason()},
        "readings": {"type": "integer", "minimum": 1},
        "reason": reason(),
        "absent": described({"type": "array", "items": TEXT}, "What must not be kept"),
    }
    contents = [{"required": [key]} for key in ("payload", "hex", "frame")]
    return thing(properties, ("name",)) | {"oneOf": contents}


def reason() -> Schema:
    """A reason of the platform."""
    return one_of(sorted(reason.value for reason in MEANING))


def of_family(family: Family) -> Schema:
    """That whatever names a metric names one of the family."""
    names = one_of(family.index)
    items = {"items": {"properties": {"metric": names}}}
    then = {
        "panel": {"properties": {"metrics": {"items": names}}},
        "alarms": items,
        "fields": items,
        "behaviour": {"propertyNames": names},
        "examples": {"items": {"properties": {"metrics": {"propertyNames": names}}}},
    }
    return {
        "if": {"properties": {"family": {"const": family.name}}, "required": ["family"]},
        "then": {"properties": then},
    }
