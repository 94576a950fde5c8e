"""Dotted paths into a document: `after.box.0`, `cover:0.apower`. A number is a place where a list stands; a dot that
belongs to a name is written `\\.`."""

from collections.abc import Iterator

Path = tuple[str, ...]
MISSING = object()


def path(text: str) -> Path:
    """The keys of a dotted path. `.` alone is the document itself."""
    return () if text == "." else tuple(key.replace("\0", ".") for key in text.replace("\\.", "\0").split("."))


def find(document: object, keys: Path) -> object:
    """What stands at the path, or MISSING."""
    for key in keys:
        if isinstance(document, dict):
            document = document.get(key, MISSING)
        elif isinstance(document, list) and key.isdecimal() and len(key) < 7 and int(key) < len(document):
            document = document[int(key)]
        else:
            return MISSING
    return document


def first(document: object, candidates: tuple[Path, ...]) -> tuple[Path, object]:
    """The first candidate where something other than null stands, and what stands there; else ((), MISSING)."""
    for keys in candidates:
        found = find(document, keys)
        if found is not MISSING and found is not None:
            return keys, found
    return (), MISSING


def leaves(document: object, skipped: frozenset[Path], keys: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value that is not an object, with its path, except at and below the skipped paths.

    Lists are given whole, and so is what lies deeper than 32 levels.
    """
    if isinstance(document, dict) and len(keys) < 32:
        for key, item in document.items():
            at = (*keys, str(key))
            if at not in skipped:
                yield from leaves(item, skipped, at)
    else:
        yield keys, document


def without(document: object, hidden: frozenset[Path], hidden_keys: frozenset[str], at: Path = ()) -> object:
    """A copy without the hidden paths, and without the hidden keys at any depth. RecursionError when very deep."""
    if isinstance(document, dict):
        return {
            key: without(item, hidden, hidden_keys, (*at, key))
            for key, item in document.items()
            if key not in hidden_keys and (*at, key) not in hidden
        }
    if isinstance(document, list):
        return [without(item, hidden, hidden_keys, (*at, str(place))) for place, item in enumerate(document)]
    return document
