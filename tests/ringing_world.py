"""Findings on a real database and the follower that makes alarms of them, killed at will; and signs out of nothing."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from analytics.alarms.engine import Engine, World
from analytics.alarms.follower import Alarms
from analytics.alarms.matching import Sign
from analytics.alarms.outage import There
from analytics.alarms.record import Rehearsed, Rung
from analytics.alarms.rules import Rules, read
from analytics.alarms.silences import Known

SECOND_US = 1_000_000
BEGIN_US = 1_767_225_600_000_000  # 2026-01-01 00:00 UTC
HEARD = Known({}, frozenset())
SHIPPED = read()


def nobody(_area: int) -> There:
    """A district without active devices."""
    return There(np.zeros(0), np.zeros(0), np.zeros(0))


def engine_of(rules: Rules | None = None, population: int = 1000, fleet: Any = nobody) -> Engine:
    """An engine that needs no database."""
    return Engine(rules or SHIPPED, World(lambda _area, _families: population, fleet, lambda _area: None))


def sign(finding: int, device: int, detector: str = "stuck", **said: Any) -> Sign:
    """A finding; times in seconds since the beginning."""
    until = said.pop("until", None)
    found = said.pop("found", 0.0)
    since = said.pop("since", found)
    given: dict[str, Any] = {
        "finding": finding, "device": device, "name": f"d-{device}", "area": 213, "family": "air_quality",
        "model": "native-air-quality", "detector": detector, "metric": "pm25", "since": at(since), "found": at(found),
        "until": None if until is None else at(until), "score": 1.0, "value": 1.0, "expected": 0.0,
        "lat": 21.3, "lon": 106.2, "interval_s": 60.0, "silent_s": 195.0,
    }  # fmt: skip
    return Sign(**given | said)


def at(seconds: float) -> int:
    """µs since 1970."""
    return BEGIN_US + round(seconds * SECOND_US)


def told(record: Rehearsed) -> list[tuple[str, str, int, bool]]:
    """Alarms: key, severity, how many devices, whether it is over."""
    return sorted((one.call.key, one.severity, len(one.devices), one.cleared is not None) for one in record.alarms)


def by_kind(alarms: list[Rung]) -> dict[str, int]:
    """How many of each kind."""
    counts: dict[str, int] = {}
    for one in alarms:
        counts[one.call.kind] = counts.get(one.call.kind, 0) + 1
    return counts


@dataclass
class Desk:
    """Findings in a database and the follower. `now` is its clock."""

    admin: "psycopg.Connection[Any]"
    analyst: "psycopg.Connection[Any]"
    rules: Rules | None = None
    most_held: int = 300_000
    now: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=20))
    devices: list[int] = field(default_factory=list)
    alarms: Alarms = field(init=False)

    def __post_init__(self) -> None:
        """Nothing found, no alarm, a follower that has just started."""
        self.admin.execute(
            "truncate rollup.finding, rollup.sign; set session_replication_role = replica; "
            "truncate ops.alarm, ops.alarm_history, ops.alarm_member, ops.alarm_evidence, ops.alarm_news, "
            "rollup.alarm_cell; delete from ops.event; delete from ops.inbox; "
            "set session_replication_role = origin; update registry.device set state = 'retired'"
        )
        self.devices = self.enroll(5)
        self.restart()

    def enroll(self, number: int, profile: str = "native-air-quality", area: int = 213) -> list[int]:
        """New devices that were heard."""
        rows = self.admin.execute(
            "insert into registry.device (device, profile, area, lat, lon, state) "
            "select 'a-' || coalesce(m.id, 0) + g, p.id, %s, 21.3, 106.2, 'active' "
            "from registry.profile p, generate_series(1, %s) g, (select max(id) as id from registry.device) m "
            "where p.profile = %s returning id",
            (area, number, profile),
        )
        return sorted(number for (number,) in rows.fetchall())

    def find(self, device: int, detector: str = "stuck", metric: str = "pm25", **said: Any) -> int:
        """A finding begins now."""
        row = self.admin.execute(
            "insert into rollup.finding (device, detector, metric, since, found, until, score, value, expected) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
            (
                *(device, detector, metric, said.get("since", self.now), said.get("found", self.now)),
                *(said.get("until"), said.get("score", 1.0), said.get("value", 1.0), said.get("expected", 0.0)),
            ),
        ).fetchone()
        assert row is not None
        self.admin.execute("update rollup.sign set noted = %s where finding = %s", (self.now, row[0]))
        return int(row[0])

    def end(self, *findings: int) -> None:
        """Findings are over now."""
        self.admin.execute("update rollup.finding set until = %s where id = any(%s)", (self.now, list(findings)))

    def restart(self) -> None:
        """A new process; the old one is gone without a word."""
        self.alarms = Alarms(self.rules, most_held=self.most_held, portion=min(5000, self.most_held))
        with self.analyst.transaction():
            self.alarms.reset(self.analyst)

    def tick(self, seconds: float = 1.0, fail: bool = False) -> None:
        """Time goes on; one tick. One that fails leaves nothing behind."""
        self.now += timedelta(seconds=seconds)
        with self.analyst.transaction(force_rollback=fail):
            self.alarms.tick(self.analyst, self.now)
        if fail:
            self.restart()

    def rung(self) -> list[tuple[Any, ...]]:
        """Alarms: key, severity, members now, active; the oldest first."""
        return self.admin.execute(
            "select key, severity, members_now, cleared is null from ops.alarm order by id"
        ).fetchall()

    def history(self, what: str) -> int:
        """How many transitions of a sort there were."""
        row = self.admin.execute("select count(*) from ops.alarm_history where what = %s", (what,)).fetchone()
        assert row is not None
        return int(row[0])
