"""Legal tables: files under `tables/`, each with its source, its province and the day from which it is in force.

A folder of one's own (`use`) replaces a file by one of the same name and adds others. What a table holds is the matter
of the module that asks for it: it gives the shape, a msgspec Struct, and faults are told with file, field and value.
"""

import re
from datetime import date
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

import msgspec
import yaml

from devices.documents import parse_yaml

T = TypeVar("T")
ANY = "any"
"""The province of a table that holds where a province has none of its own."""


class TableRefused(ValueError):
    """A table that cannot be used, or none where one is needed. The message is one line for the reader."""


class Table(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True):
    """One legal table, in force from `valid_from` until a newer one of its province.

    `read`: whether somebody held the `original`, a `transcription` of it, or nobody yet (`unread`: then `values` is
    None). `set`: the short name that stands beside what is made from it. `waits_for`: the source of the province's own
    table that is in force but unread, for which this one stands in.
    """

    table: str
    province: str
    valid_from: date
    source: str
    read: Literal["original", "transcription", "unread"]
    set: str
    values: T | None = None
    note: str = ""
    waits_for: str = ""
    file: str = ""

    @property
    def held(self) -> T:
        """The values of a table that `load` gave."""
        assert self.values is not None
        return self.values


_own: list[Path] = []


def use(folder: Path | None) -> None:
    """Let the files of a folder replace and add to those that come along; None: those alone.

    Raises TableRefused for a folder that is none and for a file in it without a proper head.
    """
    if folder is not None and not folder.is_dir():
        raise TableRefused(f"{folder}: no such folder of tables")
    _own[:] = [] if folder is None else [folder]
    every.cache_clear()
    every()


@lru_cache(1)
def every() -> tuple[Table[Any], ...]:
    """All tables, in the order of the names of their files. Raises TableRefused."""
    places: dict[str, Traversable] = {}
    for folder in (files("analytics").joinpath("tables"), *_own):
        places |= {entry.name: entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    tables = tuple(_table(name, places[name]) for name in sorted(places))
    _check_twice(tables)
    return tables


def _check_twice(tables: tuple[Table[Any], ...]) -> None:
    seen: dict[tuple[str, str, date], str] = {}
    for one in tables:
        key = (one.table, one.province, one.valid_from)
        if key in seen:
            raise TableRefused(f"{one.file}: {seen[key]} is the table {one.table} of {one.province} from that day, too")
        seen[key] = one.file


def _table(name: str, entry: Traversable) -> Table[Any]:
    try:
        found = parse_yaml(entry.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TableRefused(f"{name}: no readable YAML ({' '.join(str(error).split())})") from None
    table = converted(name, found, Table[Any])
    if not table.source.strip() or not table.set.strip():
        raise TableRefused(f"{name}: source and set must not be empty")
    if (table.values is None) != (table.read == "unread"):
        there = "missing" if table.values is None else "there"
        raise TableRefused(f"{name}: read is {table.read}, but values are {there}")
    return msgspec.structs.replace(table, file=name)


def converted(name: str, document: Any, shape: Any, under: str = "") -> Any:
    """What stands `under` a key of a file, as `shape`. Raises TableRefused with file, field and value."""
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        keys = re.findall(r"[^.\[\]`]+", place)
        field = ".".join(filter(None, [under, *keys])) or "the document"
        raise TableRefused(f"{name}: {field} is {_shown(document, keys)}; {said}") from None


def _shown(document: Any, keys: list[str]) -> str:
    for key in keys:
        try:
            document = document[int(key)] if isinstance(document, list) else document[key]
        except (KeyError, IndexError, TypeError, ValueError):
            break
    text = repr(document)
    return text if len(text) <= 60 else f"{text[:57]}…"


@overload
def load(name: str, province: str, on: date) -> Table[Any]: ...
@overload
def load(name: str, province: str, on: date, shape: type[T]) -> Table[T]: ...


def load(name: str, province: str, on: date, shape: Any = Any) -> Table[Any]:
    """The table `name` that holds in a province on a day: its own, else that of `any`; of several the newest.

    Its `held` has the given shape, without one it is the plain document. Raises TableRefused.
    """
    known = [one for one in every() if one.table == name]
    in_force = [one for one in known if one.province in (province, ANY) and one.valid_from <= on]
    newest = sorted(in_force, key=lambda one: (one.province != ANY, one.valid_from), reverse=True)
    chosen = next((one for one in newest if one.values is not None), None)
    if chosen is None:
        days = ", ".join(f"{one.province} from {one.valid_from}" for one in known) or "none"
        raise TableRefused(f"no table {name} holds in {province} on {on}; known: {days}")
    unread = next((one.source for one in newest[: newest.index(chosen)]), "")
    values = converted(chosen.file, chosen.values, shape, "values")
    return msgspec.structs.replace(chosen, values=values, waits_for=unread)


def sets(name: str) -> list[Table[Any]]:
    """Every table of a name that has values, of whatever province: to try what another would say."""
    return [one for one in every() if one.table == name and one.values is not None]
