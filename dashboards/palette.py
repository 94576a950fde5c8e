"""Colours and what they mean, the same on every board: what is in order stays grey."""

from typing import NamedTuple

QUIET = "text"  # what is in order
RED, ORANGE, YELLOW, BLUE = "#F2495C", "#FF9830", "#FADE2A", "#5794F2"
AMBER = ORANGE
BRIGHT, DIM = "#D8DDE3", "#6E7785"  # lines that tell nothing bad
MARKER = "#7F8A96"  # what is in order on a map
BORDER = "#3E454D"  # of a district on a map
ABSENT = "#4A5059"  # where there is nothing to judge
LOST = "#B877D9"  # nobody speaks any more
TRANSPARENT = "transparent"

Steps = tuple[tuple[float | None, str], ...]
NEVER: Steps = ((None, QUIET),)


class Shown(NamedTuple):
    """How a value is written instead of itself: text, and a colour where it is not in order."""

    text: str
    color: str | None = None


SEVERITIES: dict[str, str] = {"critical": RED, "major": ORANGE, "minor": YELLOW, "warning": BLUE, "info": MARKER}
"""Severity → colour, the worst first. Always beside the word: colour alone says nothing to some eyes."""


def too_high(amber: float, red: float, quiet: str = QUIET) -> Steps:
    """Colour from `amber` and from `red` upwards."""
    return ((None, quiet), (amber, AMBER), (red, RED))


def too_low(amber: float, red: float) -> Steps:
    """Colour below `amber` and below `red`, none where there is no value. For values from 0."""
    return ((None, QUIET), (0, RED), (red, AMBER), (amber, QUIET))


def any_is(color: str) -> Steps:
    """Colour as soon as there is one."""
    return ((None, QUIET), (1, color))
