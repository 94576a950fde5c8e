"""What the analyst itself finds out about senders → events in both languages; rules make alarms of them."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

TELL = """
insert into ops.event (time, kind, severity, device, message, detail) values (to_timestamp(%s), %s, %s, %s, %s, %s)
"""
Said = tuple[str, str]
"""English and Vietnamese, with the names of what is given in braces."""


def tell(
    connection: psycopg.Connection,
    at_s: float,
    event: tuple[str, str, str | None],
    said: Said,
    given: Mapping[str, object],
    detail: Mapping[str, Any],
) -> None:
    """Write an event of `at_s`, seconds since 1970: kind, severity, and the device whose it is, None: of many."""
    kind, severity, device = event
    english, vietnamese = (one.format(**given) for one in said)
    connection.execute(TELL, (at_s, kind, severity, device, english, Jsonb({"message_vi": vietnamese, **detail})))
