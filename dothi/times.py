"""Times as people give them to commands."""

import re
from datetime import datetime, timedelta

from dothi.errors import WrongUsage

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(option: str, text: str, now: datetime) -> datetime:
    """`30m`, `12h`, `7d` before now, or RFC 3339 with its zone. Raises WrongUsage, which names the option.

    >>> from datetime import UTC
    >>> moment("--since", "2h", datetime(2026, 1, 1, 12, tzinfo=UTC)).isoformat()
    '2026-01-01T10:00:00+00:00'
    """
    ago = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if ago:
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise WrongUsage(f"{option} {text!r} is no time; allowed: 30m, 12h or 7d ago, or 2026-01-31T07:00:00+07:00")
    return when
