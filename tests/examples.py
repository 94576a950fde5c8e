"""How much of a law the quick run tries, where an example is costly or a law holds for hundreds of things."""

import os

FULL = bool(os.environ.get("FULL"))
"""`make test FULL=1`"""
FULL_TIMES = 5


def examples(quick: int) -> int:
    """So many, and five times as many in the full run."""
    return quick * FULL_TIMES if FULL else quick
