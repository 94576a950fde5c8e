"""Facts in YAML files, the room's own and those of users, checked against their shape."""

import re
from collections.abc import Mapping
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from devices.documents import parse_yaml

Shape = TypeVar("Shape", bound=msgspec.Struct)


class PlanError(ValueError):
    """An argument is outside what is allowed; the message names it, its value and what is allowed."""


def own_file(name: str) -> str:
    """The text of a file of `simulators/provinces`."""
    return files("simulators").joinpath("provinces", f"{name}.yaml").read_text("utf-8")


def own_files() -> tuple[str, ...]:
    """The names of those files."""
    folder = files("simulators").joinpath("provinces").iterdir()
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder if entry.name.endswith(".yaml")))


def user_file(path: Path, setting: str) -> str:
    """The text of a user's file; `setting` is what named it. Raises PlanError."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise PlanError(f"{setting} {path}: cannot be read ({reason}); allowed: a YAML file") from None


def shaped(text: str, shape: type[Shape], where: str) -> Shape:
    """A YAML text as `shape`; keys may be written as numbers. `where` begins the refusal. Raises PlanError."""
    try:
        document = keys_as_text(parse_yaml(text))
    except yaml.YAMLError as error:
        raise PlanError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None
    try:
        return msgspec.convert(document, shape, strict=False)
    except msgspec.ValidationError as error:
        raise PlanError(f"{where}: {told(str(error), document, shape)}") from None


WORDS = (("`object`", "a mapping"), ("`array`", "a list"), ("`str`", "text"), ("`$.", "`"), ("`$`", "the top"))


def told(text: str, document: Any, shape: type[msgspec.Struct]) -> str:
    """What is wrong in words for people; a `[...]`, by which any key of a mapping is meant, gets the key's name."""
    found = re.search(r"\$\.(\w+)\[\.\.\.\]", text)
    if found:
        field = found[1]
        key = next(
            (one for one in document[field] if fails(document | {field: {one: document[field][one]}}, shape)), ""
        )
        text = text.replace(f"{field}[...]", f"{field}.{key}", 1)
    for word, plain in WORDS:
        text = text.replace(word, plain)
    return text


def fails(document: Any, shape: type[msgspec.Struct]) -> bool:
    """Whether a document is not of the shape."""
    try:
        msgspec.convert(document, shape, strict=False)
    except msgspec.ValidationError:
        return True
    return False


def keys_as_text(value: Any) -> Any:
    """The document with every key as text; a number that is not one is refused."""
    if isinstance(value, dict):
        return {str(key): keys_as_text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [keys_as_text(one) for one in value]
    if isinstance(value, float) and not isfinite(value):
        raise PlanError(f"{value} is no number")
    return value


def along(points: Mapping[int, float], year: int) -> float:
    """The value of a year on straight lines between the points; before the first and after the last as there.

    >>> along({2020: 10.0, 2030: 20.0}, 2025), along({2020: 10.0}, 2050)
    (15.0, 10.0)
    """
    before = max((known for known in points if known <= year), default=min(points))
    after = min((known for known in points if known >= year), default=max(points))
    if before >= after:
        return points[before if year >= before else after]
    share = (year - before) / (after - before)
    return points[before] + share * (points[after] - points[before])
