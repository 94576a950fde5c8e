"""How many readings a second are really stored while the day is asked, and how far the analyst is behind them."""

import statistics
import time
from typing import Any, NamedTuple

import psycopg

from analytics.consume import BOARDS, CONSUMER
from simulators.fleet import Fleet, native_profile
from tests.bench.day_fill import say
from tests.bench.hour_watch import WAITS
from tests.bench.spending import Sampler

LOOK_S = 10.0
FIRST_SHARE = 0.02
"""Of the messages may be first ones of their devices, which are dearer than those that follow."""
ENOUGH = 0.95
"""Of the rate that is asked for."""
LOOKS = 3
STEADY_S = 1200.0
STORED = f"""
select coalesce(sum(stored), 0)::int8, {WAITS.format(CONSUMER)}, {WAITS.format(BOARDS)}
from ops.ledger where inbox not like 'day-%'
"""
LAST_DAY = "select coalesce(sum(stored), 0)::int8 from ops.ledger where minute > now() - interval '24 hours'"


class Look(NamedTuple):
    """Readings stored a second since the look before; age of the oldest batch that a strand has not taken, s."""

    per_s: float
    rings_waits_s: float
    shown_waits_s: float


class Pace(Sampler):
    """Looks every ten seconds until `close`."""

    def __init__(self, database: str) -> None:
        self._database = database
        self.looks: list[Look] = []
        super().__init__()

    def _run(self) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            before, at = looked(connection)[0], time.monotonic()
            while not self._stop.wait(LOOK_S):
                (stored, rings, shown), now = looked(connection), time.monotonic()
                self.looks.append(Look((stored - before) / (now - at), rings, shown))
                before, at = stored, now

    def steady(self, rate: float) -> bool:
        """Wait until as many are stored as are asked for, look after look; whether they are."""
        end = time.monotonic() + STEADY_S
        while time.monotonic() < end:
            newest = [look.per_s for look in self.looks[-LOOKS:]]
            if len(newest) == LOOKS and min(newest) >= ENOUGH * rate:
                return True
            say("stored: " + ", ".join(f"{one:,.0f}/s" for one in newest))
            time.sleep(LOOK_S)
        return False

    def document(self, since: int) -> dict[str, Any]:
        """What was seen from a look on."""
        some = self.looks[since:]
        if not some:
            return {}
        rates = [look.per_s for look in some]
        return {
            "readings_per_s": {
                name: round(of(rates)) for name, of in (("least", min), ("p50", statistics.median), ("most", max))
            },
            "rings_waits_most_s": round(max(look.rings_waits_s for look in some), 1),
            "shown_waits_most_s": round(max(look.shown_waits_s for look in some), 1),
            "looks": len(some),
        }


def looked(connection: psycopg.Connection) -> tuple[int, float, float]:
    """Readings stored so far that were not loaded; how long what rings waits, and what is shown, s."""
    row = connection.execute(STORED.encode()).fetchone()
    assert row is not None  # an aggregate always gives a row
    return int(row[0]), float(row[1]), float(row[2])


def last_day(database: str) -> int:
    """Readings that were stored for the last 24 hours, by the books."""
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute(LAST_DAY).fetchone()
    assert row is not None  # an aggregate always gives a row
    return int(row[0])


def heard_after_s(fleet: Fleet, rate: float) -> float:
    """After how long nearly all that a city sends comes from devices that were heard, at so many messages a second."""
    pace = {name: count / native_profile(name).interval_s for name, count in fleet.count_by_family().items() if count}
    faster = rate / sum(pace.values())
    first = rate
    for name in sorted(pace, key=lambda name: native_profile(name).interval_s):
        first -= pace[name] * faster
        if first <= FIRST_SHARE * rate:
            return native_profile(name).interval_s / faster
    raise AssertionError("the last family leaves nothing")
