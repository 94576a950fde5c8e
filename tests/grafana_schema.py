"""JSON Schema of dashboards, derived from the types of the pinned SDK: an unknown key or a wrong type is a fault.

The SDK's classes name their types, and their `to_json` the keys. Known gaps of the types are mended in `MENDED`.
"""

import enum
import inspect
import re
import types
import typing
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common, dashboard
from jsonschema import Draft202012Validator

Schema = dict[str, Any]
MODELS = "grafana_foundation_sdk.models."
PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    types.NoneType: {"type": "null"},
}
KEY = re.compile(r'"(?P<must>\w+)": self\.(?P<attribute>\w+),|payload\["(?P<may>\w+)"\] = self\.(?P<other>\w+)\n')

# What the types say wrongly: (class, key) → what Grafana takes.
MENDED: dict[tuple[str, str], Schema] = {
    ("MatcherConfig", "options"): {"type": ["string", "object"]},
    ("MapViewConfig", "lat"): {"type": "number"},
    ("MapViewConfig", "lon"): {"type": "number"},
    ("MapViewConfig", "zoom"): {"type": "number"},
    ("Threshold", "value"): {"type": ["number", "null"]},
    ("FieldConfig", "links"): {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["title", "url"],
            "properties": {"title": {"type": "string"}, "url": {"type": "string"}, "targetBlank": {"type": "boolean"}},
        },
    },
}
QUERY: Schema = {
    "type": "object",
    "required": ["refId", "datasource"],
    "additionalProperties": False,
    "properties": {
        "refId": {"type": "string", "pattern": "^[A-Z][A-Za-z]*$"},
        "datasource": {"$ref": "#/$defs/DataSourceRef"},
        "editorMode": {"const": "code"},
        "format": {"enum": ["table", "time_series"]},
        "rawQuery": {"const": True},
        "rawSql": {"type": "string", "minLength": 1},
        "panelId": {"type": "integer"},
        "hide": {"type": "boolean"},
    },
}
# Panel type → the module of its options, and the class of its fields' own settings.
KINDS: dict[str, tuple[str, Any]] = {
    "stat": ("stat", None),
    "gauge": ("gauge", None),
    "bargauge": ("bargauge", None),
    "timeseries": ("timeseries", common.GraphFieldConfig),
    "table": ("table", common.TableFieldOptions),
    "geomap": ("geomap", None),
    "text": ("text", None),
    "barchart": ("barchart", "FieldConfig"),
    "state-timeline": ("statetimeline", "FieldConfig"),
    "status-history": ("statushistory", "FieldConfig"),
    "dashlist": ("dashboardlist", None),
}


class Shapes:
    """Schemas of classes, collected while they are met."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def of(self, hint: Any) -> Schema:
        """The schema of a type."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if hint in PLAIN:
            return PLAIN[hint]
        if origin in (typing.Union, types.UnionType):
            shapes = [self.of(one) for one in arguments if one is not types.NoneType]
            return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if origin is typing.Literal:
            return {"enum": list(arguments)}
        if hint is variants.Dataquery:
            self.of(common.DataSourceRef)
            return QUERY
        if inspect.isclass(hint) and issubclass(hint, enum.Enum):
            return {"enum": [one.value for one in hint]}
        return self.of_class(hint) if inspect.isclass(hint) and hasattr(hint, "to_json") else {}

    def of_class(self, shape: Any) -> Schema:
        """A reference to the schema of a class."""
        name = (
            shape.__name__
            if shape.__module__.endswith((".dashboard", ".common"))
            else f"{shape.__module__}.{shape.__name__}"
        )
        name = name.removeprefix(MODELS)
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name].update(self.properties(shape))
        return {"$ref": f"#/$defs/{name}"}

    def properties(self, shape: Any) -> Schema:
        """The schema of a class: its keys, which of them must be there, nothing else."""
        hints = typing.get_type_hints(shape)
        found = [one.groupdict() for one in KEY.finditer(inspect.getsource(shape.to_json))]
        keys = {one["must"] or one["may"]: hints[one["attribute"] or one["other"]] for one in found}
        return {
            "type": "object",
            "additionalProperties": False,
            "required": [one["must"] for one in found if one["must"]],
            "properties": {key: MENDED.get((shape.__name__, key)) or self.of(hint) for key, hint in keys.items()},
        }


@cache
def schema() -> Schema:
    """The schema of a dashboard; its panels by type, with their options and the settings of their fields."""
    shapes = Shapes()
    whole = shapes.properties(dashboard.Dashboard)
    shapes.of(dashboard.Panel)
    for kind, (module, fields) in KINDS.items():
        models = import_module(MODELS + module)
        own = getattr(models, fields) if isinstance(fields, str) else fields
        options = shapes.of(models.Options)
        custom = shapes.of(own) if own else {"type": "object", "maxProperties": 0}
        shapes.definitions[f"kind.{kind}"] = {
            "properties": {
                "options": options,
                "fieldConfig": {"properties": {"defaults": {"properties": {"custom": custom}}}},
            }
        }
    shapes.definitions["Panel"]["properties"]["type"] = {"enum": [*KINDS]}
    shapes.definitions["Panel"]["required"] = ["id", "type", "gridPos"]
    shapes.definitions["Panel"]["allOf"] = [
        {"if": {"properties": {"type": {"const": kind}}}, "then": {"$ref": f"#/$defs/kind.{kind}"}} for kind in KINDS
    ]
    # A row is a class of its own; which of the two a panel is, its type says.
    shapes.of(dashboard.RowPanel)
    whole["properties"]["panels"]["items"] = {
        "if": {"properties": {"type": {"const": "row"}}},
        "then": {"$ref": "#/$defs/RowPanel"},
        "else": {"$ref": "#/$defs/Panel"},
    }
    return whole | {"$defs": shapes.definitions}


def structure_faults(board: dict[str, Any]) -> Iterator[str]:
    """Where a dashboard breaks the schema."""
    for error in Draft202012Validator(schema()).iter_errors(board):
        for one in error.context or [error]:
            yield f"{one.json_path}: {one.message[:200]}"
