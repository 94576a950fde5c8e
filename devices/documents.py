"""Reads the room's own files, YAML 1.2 and CSV: package resources, so that a wheel serves as well as a work tree."""

import csv
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from yamlcore import CCoreLoader


def parse_yaml(text: str) -> Any:
    """The document in a YAML 1.2 text (core schema: `on` and `N` are words, not booleans). Raises `yaml.YAMLError`."""
    return yaml.load(text, Loader=CCoreLoader)  # noqa: S506 - the core schema builds plain data only


def read_yaml(folder: str) -> dict[str, Any]:
    """Every `*.yaml` of a folder of this room, by file name without its ending, sorted."""
    found = sorted((entry for entry in _folder(folder).iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name)
    return {entry.name.removesuffix(".yaml"): parse_yaml(entry.read_text("utf-8")) for entry in found}


def read_csv(folder: str, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of this room, every cell as text."""
    return list(csv.DictReader(read_text(folder, name).splitlines()))


def read_text(folder: str, name: str) -> str:
    """A text file of this room."""
    return _folder(folder).joinpath(name).read_text("utf-8")


def _folder(name: str) -> Traversable:
    return files("devices").joinpath(name)
