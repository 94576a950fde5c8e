"""What differs between two JSON documents, in lines that a person can act on."""

import re
from collections.abc import Iterator
from typing import Any

EMPTY: tuple[object, ...] = (None, "", [], {}, False)
SECONDS = {"h": 3600, "m": 60, "s": 1}
NAMED_BY = ("id", "uid", "refId", "name", "title")


def is_empty(value: Any) -> bool:
    """Whether a value says as much as its absence. Nought is a value."""
    return any(value is one or (value == one and type(value) is type(one)) for one in EMPTY)


def essence(document: Any) -> Any:
    """A document without what says nothing: Grafana adds and drops empty settings as it likes, and `5m` is `5m0s`."""
    if isinstance(document, dict):
        kept = {key: essence(value) for key, value in document.items()}
        return {key: value for key, value in kept.items() if not is_empty(value)}
    if isinstance(document, list):
        return [essence(one) for one in document]
    if isinstance(document, float) and document.is_integer():
        return int(document)
    return duration(document) if isinstance(document, str) and re.fullmatch(r"(\d+[hms])+", document) else document


def duration(text: str) -> str:
    """A duration in its one spelling: `90m` and `1h30m0s` are `1h30m`."""
    total = sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
    parts = [(total // 3600, "h"), (total // 60 % 60, "m"), (total % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def differences(wanted: Any, found: Any, at: str = "") -> Iterator[str]:
    """Where two documents differ: place, what is there, what should be there."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            yield from differences(wanted.get(key), found.get(key), f"{at}.{key}" if at else key)
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from of_lists(wanted, found, at)
    elif wanted != found or isinstance(wanted, bool) != isinstance(found, bool):
        yield f"{at}: {short(found)} → {short(wanted)}"


def of_lists(wanted: list[Any], found: list[Any], at: str) -> Iterator[str]:
    """Two lists, entry by entry; entries that have a name by that, so that one more is not said of all behind it."""
    key = next((key for key in NAMED_BY if all_named(key, wanted, found)), None)
    if key is None:
        if len(wanted) != len(found):
            yield f"{at}: {len(found)} entries → {len(wanted)}"
        for place in range(max(len(wanted), len(found))):
            one, other = (entries[place] if place < len(entries) else None for entries in (wanted, found))
            yield from differences(one, other, f"{at}[{place}]")
        return
    ours, theirs = ({entry[key]: entry for entry in entries} for entries in (wanted, found))
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        yield from differences(ours.get(name), theirs.get(name), f"{at}[{key} {name}]")
    if ours.keys() == theirs.keys() and list(ours) != list(theirs):
        yield f"{at}: another order"


def all_named(key: str, *lists: list[Any]) -> bool:
    """Whether every entry of every list has a name of its own under a key."""
    for entries in lists:
        names = [entry.get(key) if isinstance(entry, dict) else None for entry in entries]
        if None in names or any(isinstance(name, dict | list) for name in names) or len(set(names)) != len(names):
            return False
    return True


def short(value: Any) -> str:
    """A value in a few letters."""
    if value is None:
        return "nothing"
    if isinstance(value, dict) and "title" in value:
        return f"«{value['title']}»"
    text = " ".join(str(value).split())
    return text if len(text) <= 70 else text[:69] + "…"
