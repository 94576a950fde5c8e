"""Mutations of JSON documents: raw byte mutations rarely get past the first bracket."""

import json
import random

from devices.family import FAMILIES

WORDS = [
    *("time", "seq", "boot", "metrics", "rejected", "reasons", "after", "before", "data", "objects", "id", "type"),
    *("value", "object", "unitCode", "observedAt", "metadata", "@value", "@context", "DateTime", "Property"),
    *("message.time", "metrics.x", "camera", "label", "plate", "params", "device", "src", "method", "ts", "extra", ""),
    *sorted({metric.name for family in FAMILIES.values() for metric in family.metrics}),
]
VALUES: list[object] = [
    *(None, True, False, 0, -1, 1, 41.2, -0.0, 1e308, 2**63 - 1, 2**63, -(2**63), 10**400, 1_767_225_600_000),
    *("", "\0", "\ud800", "NaN", "online", "GP", "CEL", "2026-01-01T00:00:00Z", "2026-02-30T00:00:00+07:00", "9" * 80),
    *(float("nan"), float("inf"), [], {}, [[]], {"": {}}, [None] * 3, {"type": "Property", "value": 1}),
]


def mutate_document(raw: bytes, chance: random.Random) -> bytes | None:
    """The same document with a few places changed; None when the bytes hold no document. A first line is kept."""
    head, newline, body = raw.partition(b"\n") if b"\n" in raw and not raw.startswith((b"{", b"[")) else (b"", b"", raw)
    try:
        document = json.loads(body)
        for _ in range(chance.randint(1, 4)):
            document = changed(document, chance)
        return head + newline + json.dumps(document).encode()
    except (ValueError, RecursionError):
        return None


def changed(node: object, chance: random.Random) -> object:
    """The node, or something inside it, replaced, renamed, removed, doubled or wrapped."""
    if isinstance(node, dict) and node and chance.random() < 0.85:
        return changed_object(dict(node), chance)
    if isinstance(node, list) and node and chance.random() < 0.85:
        place = chance.randrange(len(node))
        return [*node[:place], changed(node[place], chance), *node[place + chance.randint(0, 1) :]]
    return chance.choice([chance.choice(VALUES), [node, node], {chance.choice(WORDS): node}])


def changed_object(node: dict[str, object], chance: random.Random) -> dict[str, object]:
    """An object with one of its members changed."""
    name = chance.choice(list(node))
    match chance.randint(0, 5):
        case 0:
            node[chance.choice(WORDS)] = node.pop(name)
        case 1:
            node[chance.choice(WORDS)] = chance.choice(VALUES)
        case 2:
            del node[name]
        case _:
            node[name] = changed(node[name], chance)
    return node
