"""Reads the room's own files, YAML 1.2 and CSV: package resources, so that a wheel serves as well as a work tree."""

import csv
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

import yaml
from yamlcore import CCoreLoader

T = TypeVar("T")


def parse_yaml(text: str) -> Any:
    """The document in a YAML 1.2 text (core schema: `on` and `N` are words, not booleans). Raises `yaml.YAMLError`."""
    return yaml.load(text, Loader=CCoreLoader)  # noqa: S506 - the core schema builds plain data only


def read_yaml(folder: str) -> dict[str, Any]:
    """Every `*.yaml` of a folder of this room, by file name without its ending, sorted."""
    found = sorted((entry for entry in _folder(folder).iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name)
    return {entry.name.removesuffix(".yaml"): parse_yaml(entry.read_text("utf-8")) for entry in found}


class Shelf(Mapping[str, T]):
    """A folder of YAML files by name, each read when it is first asked for: a hundred of them cost nothing at start."""

    def __init__(self, folder: str, make: Callable[[str, Any], T]) -> None:
        """`make`: name and document → what stands on the shelf."""
        self._folder = folder
        self._make = make
        self._names: dict[str, T | None] | None = None

    def _known(self) -> dict[str, T | None]:
        if self._names is None:
            names = sorted(entry.name for entry in _folder(self._folder).iterdir() if entry.name.endswith(".yaml"))
            self._names = dict.fromkeys((name.removesuffix(".yaml") for name in names), None)
        return self._names

    def __getitem__(self, name: str) -> T:
        """Raises KeyError for a name without a file, and whatever `make` raises for a faulty one."""
        known = self._known()
        found = known[name]
        if found is None:
            found = known[name] = self._make(name, parse_yaml(read_text(self._folder, f"{name}.yaml")))
        return found

    def __iter__(self) -> Iterator[str]:
        """In the order of the names."""
        return iter(self._known())

    def __len__(self) -> int:
        """Files in the folder."""
        return len(self._known())

    def __contains__(self, name: object) -> bool:
        """Without reading the file."""
        return name in self._known()


def read_csv(folder: str, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of this room, every cell as text."""
    return list(csv.DictReader(read_text(folder, name).splitlines()))


def read_text(folder: str, name: str) -> str:
    """A text file of this room."""
    return _folder(folder).joinpath(name).read_text("utf-8")


def _folder(name: str) -> Traversable:
    return files("devices").joinpath(name)
