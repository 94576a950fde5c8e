"""Whether we hear a district at all: what we did not listen to is not its silence.

A district has an inbox, and an inbox a session that ingest reports as connected every few seconds. While it is not, or
while the stream of batches is far behind, nobody of it is called silent; and not before the time that a silence takes
has passed again.
"""

import psycopg

from analytics.alarms.silences import Known
from analytics.consume import CONSUMER, peek
from devices.area import ZONES

AWAY_S = 30.0
BEHIND_S = 30.0
SEEN = "select inbox, extract(epoch from now() - max(seen))::float8 from ops.inbox group by inbox"
AREAS = {zone.code: zone.id for zone in ZONES}


class Hearing:
    """What is heard. `warm_up_s`: after the start, in which nothing is concluded."""

    def __init__(self, warm_up_s: float) -> None:
        self._warm_up_s = warm_up_s
        self._since: int | None = None
        self._listening: dict[int, int] = {}
        self._away: frozenset[int] = frozenset()

    def listen(self, connection: psycopg.Connection, now: int) -> None:
        """Look at the sessions. `now`: µs since 1970."""
        if peek(connection, CONSUMER, 1).age_s > BEHIND_S:
            self._since = None
        elif self._since is None:
            self._since = now
        away = {AREAS[name] for name, age_s in connection.execute(SEEN) if name in AREAS and age_s > AWAY_S}
        for area in self._away - away:
            self._listening[area] = now
        self._away = frozenset(away)

    def known(self, now: int) -> Known | None:
        """None: it is too early to say who is silent."""
        warm = self._since is not None and now - self._since >= self._warm_up_s * 1e6
        return Known(self._listening, self._away) if warm else None
