"""What Homie devices said of their properties, in bounded memory: what was heard of longest ago is forgotten first."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from devices.raw import clean

MAX_DEVICES = 20_000
MAX_PROPERTIES = 500
"""Of one device."""
MAX_IN_ALL = 200_000
"""Properties of all devices together."""
LONGEST = 200
COUNT = "#"


class Said(NamedTuple):
    """The type and the unit of a property, "" where it said none."""

    datatype: str = ""
    unit: str = ""
    format: str = ""


class Memory:
    """Properties by device and `node/property`."""

    def __init__(self, max_devices: int = MAX_DEVICES, max_in_all: int = MAX_IN_ALL) -> None:
        self._devices: OrderedDict[str, dict[str, Said]] = OrderedDict()
        self._max_devices, self._max_in_all = max_devices, max_in_all
        self.in_all = 0

    def __len__(self) -> int:
        """Devices remembered."""
        return len(self._devices)

    def describe(self, device: str, description: dict[str, Any]) -> int:
        """Take in a description in the place of an earlier one; how many properties it has."""
        found = dict(list(properties(description))[:MAX_PROPERTIES])
        self._keep(device, found)
        return len(found)

    def say(self, device: str, node: str, name: str, attribute: str, text: str) -> None:
        """Take in one attribute of Homie 4."""
        known = {**self._devices.get(device, {})}
        key = f"{node}/{name}"
        if key not in known and len(known) >= MAX_PROPERTIES:
            return
        known[key] = known.get(key, Said())._replace(**{attribute[1:]: unit(text) if attribute == "$unit" else text})
        self._keep(device, known)

    def of(self, device: str, node: str, name: str) -> Said | None:
        """What is known of a property."""
        return self._devices.get(device, {}).get(f"{node}/{name}")

    def _keep(self, device: str, known: dict[str, Said]) -> None:
        self.in_all += len(known) - len(self._devices.pop(device, {}))
        if known:
            self._devices[device] = known
        while len(self._devices) > self._max_devices or self.in_all > self._max_in_all:
            self.in_all -= len(self._devices.popitem(last=False)[1])


def properties(description: dict[str, Any]) -> Iterator[tuple[str, Said]]:
    """The properties of a description by `node/property`; what is not built as Homie 5 says is passed over."""
    for node, entry in named(description.get("nodes")):
        for name, said in named(entry.get("properties")):
            yield (
                f"{node}/{name}",
                Said(text(said.get("datatype")), unit(text(said.get("unit"))), text(said.get("format"))),
            )


def named(entries: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects by their id, whether given as an object or, in drafts of Homie 5, as a list."""
    if isinstance(entries, dict):
        yield from ((clean(str(key)), entry) for key, entry in entries.items() if isinstance(entry, dict))
    elif isinstance(entries, list):
        yield from ((clean(str(e["id"])), e) for e in entries if isinstance(e, dict) and "id" in e)


def text(said: Any) -> str:
    """A text of bounded length, "" for anything else."""
    return clean(said[:LONGEST]) if isinstance(said, str) else ""


def unit(said: str) -> str:
    """Homie's unit; its `#` is a count."""
    return "1" if said == COUNT else said[:40]
