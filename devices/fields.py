"""Every value of a document with its name, wherever documents put names and units."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from devices.paths import Path
from devices.raw import TooDeep
from devices.vocabulary import word_of

MAX_FIELDS = 2000
# What a record of a list calls its name, its value and its unit; an object with a value beside its unit.
NAMES, VALUES, UNITS = (
    ("name", "n", "type", "value_type", "key", "variable", "sensor", "parameter", "measurement", "quantity"),
    ("value", "v", "val", "reading", "data"),
    ("unit", "u", "units", "uom", "unitCode", "unit_of_measurement"),
)
MARKS = frozenset(("v", "value", "bn", "n"))


class Field(NamedTuple):
    """A value of the document: where it stands, what it is called, the unit that stands beside it."""

    path: Path
    name: str
    raw: object
    unit: str | None


def fields_of(document: object, path: Path = ()) -> Iterator[Field]:
    """Every value of a document that is neither an object nor a list."""
    if len(path) > 32:
        raise TooDeep
    if isinstance(document, dict):
        record = record_of(document, path)
        if record:
            yield record
            return
        bare = not MARKS.isdisjoint(document)  # a record without a name: `t` is its time, `u` its unit
        for key, item in document.items():
            if bare and not isinstance(item, dict | list):
                yield Field((*path, str(key)), "", item, None)
            else:
                yield from fields_of(item, (*path, str(key)))
    elif isinstance(document, list) and len(document) <= MAX_FIELDS:
        for place, item in enumerate(document):
            yield from fields_of(item, (*path, str(place)))
    elif path and document is not None:
        yield Field(path, path[-1], document, None)


def record_of(document: dict[Any, Any], path: Path) -> Field | None:
    """The one value of `{"name": …, "value": …}` and of `{"value": …, "unit": …}` below its name."""
    said = next((key for key in VALUES if key in document), "")
    value = document.get(said)
    if value is None or isinstance(value, dict | list):
        return None
    unit = next((document[key] for key in UNITS if isinstance(document.get(key), str)), None)
    name = next((document[key] for key in NAMES if isinstance(document.get(key), str)), None)
    if name is not None and word_of(name).meanings:
        return Field((*path, said), name, value, unit)
    below = path[-1] if path and not path[-1].isdecimal() else None
    return Field((*path, said), below, value, unit) if below and (unit or len(document) <= 2) else None
