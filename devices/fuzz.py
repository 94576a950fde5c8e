"""Messages made by chance from a profile's examples, which it must survive; and what it makes of the examples."""

import json
import random
import time
from collections.abc import Iterator
from math import inf, nan
from typing import Any

import msgspec

from devices.laws import payload_of, stated_metrics
from devices.profile import Profile
from devices.reading import Reading
from devices.rejected import Rejected

ROUNDS = 200
"""Messages of each example."""
LONGEST_S = 2.0
"""Of one message; a codec of JavaScript is stopped before that."""
MOST_PROBLEMS = 10
ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1e308, -0.0, 2**63, -(2**63) - 1, 10**400, nan, inf, -inf),
    *("", "\0", "\ud800", "NaN", "1e400", "9" * 400, "2026-02-30T00:00:00Z", [], {}, [[]], {"": {}}, [None] * 50),
)


def fuzzed(profile: Profile, rounds: int = ROUNDS, seed: int = 6) -> Iterator[str]:
    """What went wrong: an exception, something that cannot be stored, or a stall. The same seed, the same messages."""
    chance, found = random.Random(seed), 0  # noqa: S311 - the same seed must give the same messages
    for example in profile.examples:
        payload, topic = payload_of(example), example.get("topic", "")
        for _ in range(rounds):
            message = mutated_frame(example, chance) if "frame" in example else mutated(payload, chance)
            problem = trouble(profile, message, topic)
            if problem:
                yield f"example «{example.get('name', '?')}» changed to {message[:80]!r}…: {problem}"
                found += 1
            if found == MOST_PROBLEMS:
                return


def trouble(profile: Profile, message: bytes, topic: str) -> str | None:
    """What is wrong with the answer to a message; None when it is one."""
    begun = time.monotonic()
    try:
        results = profile.read(message, topic)
        for result in results:
            if isinstance(result, Reading):
                msgspec.json.encode(result.extra)
    except Exception as error:  # the law is that there is none
        return f"raises {error!r}"
    seconds = time.monotonic() - begun
    if seconds > LONGEST_S:
        return f"takes {seconds:.1f} s; expected at most {LONGEST_S:g} s"
    return None if results else "gives no answer"


def mutated(payload: bytes, chance: random.Random) -> bytes:
    """The message with a few bytes, or a few places of its document, changed."""
    try:
        document = json.loads(payload)
        if chance.random() < 0.3:
            return mutated_bytes(payload, chance)
        for _ in range(chance.randint(1, 3)):
            document = changed(document, chance)
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return mutated_bytes(payload, chance)


def mutated_frame(example: dict[str, Any], chance: random.Random) -> bytes:
    """An uplink of a changed frame, on its own port or another."""
    frame = mutated_bytes(bytes.fromhex(example["frame"]), chance).hex()
    port = example.get("port", 1) if chance.random() < 0.9 else chance.randint(0, 255)
    return payload_of({**example, "frame": frame, "port": port})


def mutated_bytes(payload: bytes, chance: random.Random) -> bytes:
    """Bytes replaced, cut out, doubled or put in."""
    changing = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randint(0, len(changing)), chance.randint(0, 4)
        piece = changing[at : at + size]
        changing[at : at + size] = chance.choice((chance.randbytes(size), b"", piece * 2, b"\xff" * size))
    return bytes(changing)


def changed(node: Any, chance: random.Random) -> object:
    """The node, or something inside it, replaced, removed, doubled or wrapped."""
    if isinstance(node, dict) and node and chance.random() < 0.85:
        name = chance.choice(list(node))
        rest = {key: value for key, value in node.items() if key != name}
        return rest if chance.random() < 0.1 else {**rest, name: changed(node[name], chance)}
    if isinstance(node, list) and node and chance.random() < 0.85:
        at = chance.randrange(len(node))
        return [*node[:at], changed(node[at], chance), *node[at + chance.randint(0, 1) :]]
    return chance.choice((chance.choice(ODD), chance.choice(ODD), [node, node], {"value": node}, str(node)))


def would_store(profile: Profile) -> Iterator[str]:
    """What each example would leave behind, a line for each of its readings."""
    for example in profile.examples:
        for result in profile.read(payload_of(example), example.get("topic", "")):
            yield f"example «{example.get('name', '?')}»: {left_behind(profile, result)}"


def left_behind(profile: Profile, result: Reading | Rejected) -> str:
    """A row in words, or the reason for quarantine."""
    if isinstance(result, Rejected):
        return f"quarantined: {result.reason.value}: {result.detail}"
    metrics = ", ".join(f"{name} {value}" for name, value in stated_metrics(profile, result).items())
    extra = ", ".join(result.extra) if result.extra else ""
    return f"{profile.family.name}: {metrics}" + (f"; extra: {extra}" if extra else "")
