"""One thing that a doctor looked at, and times in the words of the people who read of it."""

from datetime import datetime
from typing import NamedTuple

from dothi.output import shown


class Finding(NamedTuple):
    """One thing looked at. `ok`: None where it cannot be known, or need not be well or wrong; `mend`: the way out."""

    name: str
    said: str
    ok: bool | None = True
    mend: str = ""


def shown_at(when: datetime) -> str:
    """A time in the province's own."""
    return shown(when)


def long(seconds: float) -> str:
    """A span in its largest unit.

    >>> long(95), long(5400), long(200_000)
    ('95 s', '90 min', '56 h')
    """
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 72)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
