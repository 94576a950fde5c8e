"""Which part of a city a machine sends: `2/8` is the second of eight; parts of one seed share no device."""

import re

from simulators.facts import PlanError

MOST_PARTS = 1024
SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


def shard_of(text: str) -> tuple[int, int]:
    """Part and number of parts, counted from 1. Raises PlanError.

    >>> shard_of("2/8")
    (2, 8)
    """
    found = SHARD.fullmatch(text.strip())
    part, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= part <= parts <= MOST_PARTS:
        raise PlanError(f"--shard {text}: allowed: part/parts from 1/1 to {MOST_PARTS}/{MOST_PARTS}, as 2/8")
    return part, parts
