"""The follower that raises alarms: what waits to be looked at is taken out in the transaction that raises what follows.

Killed anywhere, it takes out the same again and raises the same. What it cannot hold waits in the database.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import structlog

from analytics.alarms import air, signs
from analytics.alarms.engine import Engine, World, only
from analytics.alarms.events import clear_events, raise_events
from analytics.alarms.hearing import Hearing
from analytics.alarms.late import Late, newest_of
from analytics.alarms.limits import in_use
from analytics.alarms.matching import Sign
from analytics.alarms.outage import There
from analytics.alarms.record import Kept
from analytics.alarms.refusals import Refusals
from analytics.alarms.restart import restore
from analytics.alarms.rules import FromAir, Rules
from analytics.alarms.senders import Senders
from analytics.bulletins.bulletin import Every
from analytics.columns import Columns
from devices.family import FAMILIES

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger("analytics.alarms")

PORTION = 5_000
MOST_HELD = 300_000
"""Findings that are remembered at a time, about 400 bytes each; more wait in rollup.sign until others are over."""
BUDGET_S = 0.5
Heard = Callable[[str, Sequence[int]], dict[int, int]]
LOOK_EVERY = timedelta(seconds=5)
SLOW_EVERY = timedelta(seconds=60)
LONGEST_FLEET = timedelta(minutes=15)
FLEET_SHARE = 0.002
"""Of the time, to read the devices of one district anew: of 18 districts, each asked about, that is 4 %."""
OVER_SHARE, LONG_LOOK_S = 0.05, 0.05
"""Of the time, to look for what is over among what waits, where that takes long: after a large outage a million do."""
GONE = """
select i from unnest(%s::bigint[]) i
where not exists (select from ops.alarm l where l.id = i and l.cleared is null)
"""


class Alarms:
    """Follower `alarms`. `rules`: else those in use; `most_held`, `budget_s`: see above, for tests; `heard`: newest
    readings by family and devices as detectors know them, for what boards show may be behind."""

    name = "alarms"

    def __init__(
        self,
        rules: Rules | None = None,
        most_held: int = MOST_HELD,
        budget_s: float = BUDGET_S,
        portion: int = PORTION,
        heard: Heard = lambda _family, _devices: {},
    ) -> None:
        self._heard = heard
        self._rules = rules or in_use().rules
        self._most_held, self._budget_s, self._portion = most_held, budget_s, portion
        self._air = only(self._rules, FromAir)
        self.taken = 0
        self._forget()

    def _forget(self) -> None:
        self.engine = Engine(self._rules, World(self._population, self._fleet, self._danger))
        self.hearing = Hearing(self.engine.silences.rule.warm_up_s if self.engine.silences else 0.0)
        self.late = Late()
        self._connection: psycopg.Connection | None = None
        self._look, self._slow = Every(LOOK_EVERY), Every(SLOW_EVERY)
        self._refusals, self._senders = Refusals(), Senders()
        self._hour: tuple[int, list[air.Index]] | None = None
        self._counts: dict[tuple[int, str], int] = {}
        self._levels: dict[int, int] = {}
        self._fleets: dict[int, tuple[There, Every]] = {}  # and when it is to be read anew
        self._now: datetime | None = None
        self._next_over = 0.0

    def collect(self) -> "Iterator[Metric]":
        """As prometheus_client asks for it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        held = self.engine.folding
        yield CounterMetricFamily("dothi_alarm_signs", "Findings and events looked at for alarms", value=self.taken)
        yield GaugeMetricFamily("dothi_alarm_held", "Findings that last, as the engine holds them", value=held.held)
        raised = sum(matter.raised for matter in list(held.matters.values()))
        yield GaugeMetricFamily("dothi_alarm_folded", "Active alarms of findings", value=raised)

    def reset(self, connection: psycopg.Connection) -> None:
        """Begin anew with what the database knows."""
        self._forget()
        self._connection = connection
        self._levels = signs.danger(connection)
        restore(connection, self.engine, Kept(connection), time.time_ns() // 1000)

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Detectors say what is in the readings; here it is who sends them."""
        self._senders.take(columns)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Take what waits; raise and clear what follows."""
        self._connection, self._now = connection, now
        at, record = round(now.timestamp() * 1e6), Kept(connection)
        slow, look = self._slow.passed(now), self._look.passed(now)
        if slow:
            self._refusals.look(connection, at / 1e6)
            self._counts, self._levels = signs.population(connection), signs.danger(connection)
        if look:
            self._senders.look(connection, at / 1e6)
            self._closed_by_hand(connection)
            self.hearing.listen(connection, at)
            self.engine.take(self.late.ripe(at, partial(self._newest, connection)))
        self._take(connection, at)
        raise_events(record, self._rules, self._events(connection))
        self.engine.settle(record, at, self.hearing.known(at) if look else None)
        if slow:
            clear_events(connection, record, self._rules, at)
            self._judge_air(connection)

    def _take(self, connection: psycopg.Connection, at: int) -> None:
        deadline = time.monotonic() + self._budget_s
        while True:
            full = self.engine.folding.held + self._portion > self._most_held
            began = time.monotonic()
            if full and began < self._next_over:
                return
            some = signs.take_findings(connection, self._portion, only_over=full)
            if full and (took := time.monotonic() - began) > LONG_LOOK_S:
                self._next_over = began + took / OVER_SHARE
            self.engine.take(self.late.sift(some, at, partial(self._newest, connection)))
            self.taken += len(some)
            if not some or time.monotonic() > deadline:
                return

    def _newest(self, connection: psycopg.Connection, signs: Sequence[Sign]) -> dict[int, int]:
        found = newest_of(connection, signs)
        for family in {sign.family for sign in signs} & FAMILIES.keys():
            devices = [sign.device for sign in signs if sign.family == family]
            for device, at in self._heard(family, devices).items():
                found[device] = max(at, found.get(device, at))
        return found

    def _events(self, connection: psycopg.Connection) -> list[signs.Event]:
        found = signs.take_events(connection, self._portion)
        self.taken += len(found)
        return found

    def _closed_by_hand(self, connection: psycopg.Connection) -> None:
        folding = self.engine.folding
        raised = [matter.alarm for matter in folding.matters.values() if matter.raised]
        folding.closed_by_hand([alarm for (alarm,) in connection.execute(GONE, (raised,))])

    def _judge_air(self, connection: psycopg.Connection) -> None:
        """A new hour, or one that late readings have changed."""
        hour = air.newest_hour(connection) if self._air else None
        if self._air is None or hour is None:
            return
        found = air.newest(connection)
        if (hour, found) != self._hour:
            air.judge(connection, Kept(connection), self._air, hour, found)
            self._hour = hour, found

    def _population(self, area: int | None, families: frozenset[str]) -> int:
        return sum(
            devices
            for (where, family), devices in self._counts.items()
            if (area is None or where == area) and family in families
        )

    def _fleet(self, area: int) -> There:
        assert self._connection is not None  # only asked within a tick
        assert self._now is not None
        if area not in self._fleets or self._fleets[area][1].passed(self._now):
            began = time.monotonic()
            there = signs.fleet(self._connection, area)
            anew = Every(min(max(SLOW_EVERY, timedelta(seconds=time.monotonic() - began) / FLEET_SHARE), LONGEST_FLEET))
            anew.passed(self._now)  # its distance begins
            self._fleets[area] = there, anew
        return self._fleets[area][0]

    def _danger(self, area: int) -> int | None:
        return self._levels.get(area)
