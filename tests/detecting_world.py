"""A small database with devices and batches, and the engine of detectors that follows them, killed at will."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import numpy as np
import psycopg

from analytics import consume
from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.engine import Detectors
from devices.family import FAMILIES, Family

CONSUMER = "analyst"
FAMILY = "air_quality"
BEGIN = datetime(2026, 1, 31, 5, tzinfo=UTC)


class Above(Detector):
    """Three readings in a row above 100."""

    name = "above"
    narrow = True
    general = True
    arrays = {"run": State("i4"), "since": State("i8"), "sum": State("f8")}  # noqa: RUF012 - as the base declares it

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        return [family.index[name] for name in ("pm25", "pm10") if name in family.index]

    def _round(self, rows: Rows) -> Changes:
        state, slot, values = self.state, rows.slot, rows.values[:, self.judged]
        since = np.where(state["run"][slot] == 0, rows.time[:, None], state["since"][slot])
        run = np.where(values > 100, state["run"][slot] + 1, 0)
        state["sum"][slot] += np.nan_to_num(values)
        state["run"][slot], state["since"][slot], state["score"][slot] = run, since, np.minimum(run / 3, 1)
        return self.switched(slot, latched(state["on"][slot], state["score"][slot]), rows.time[:, None], since, values)


class Quiet(Detector):
    """Nothing for ten minutes."""

    name = "quiet"
    arrays = {"heard": State("i8", per_device=True)}  # noqa: RUF012 - as the base declares it

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        return [-1]

    def _round(self, rows: Rows) -> Changes:
        self.state["heard"][rows.slot] = rows.received
        self.state["score"][rows.slot] = 0
        at = rows.received[:, None]
        return self.switched(rows.slot, np.zeros((rows.size, 1), np.bool_), at, at, np.nan)

    def tick(self, now_us: int) -> Changes:
        assert self.fleet is not None
        heard = self.state["heard"][: self.fleet.size]
        slots = np.flatnonzero((heard > 0) & (now_us - heard > 600_000_000) & self.fleet.expected)
        self.state["score"][slots] = 1
        return self.switched(slots, np.ones((len(slots), 1), np.bool_), now_us, heard[slots, None], np.nan)


class Broken(Detector):
    """Fails when it sees 13."""

    name = "broken"

    def update(self, rows: Rows) -> Changes:
        if (rows.values == 13).any():
            raise RuntimeError("13 is no good")
        on = np.isfinite(rows.values[:, self.judged])
        unique = np.append(rows.slot[1:] != rows.slot[:-1], True)
        return self.switched(rows.slot[unique], on[unique], rows.time[unique, None], rows.time[unique, None], np.nan)


@dataclass
class World:
    """Devices of one family, their batches, and an engine. `now` is the engine's clock."""

    admin: "psycopg.Connection[Any]"
    analyst: "psycopg.Connection[Any]"
    kinds: tuple[type[Detector], ...] = (Above, Quiet)
    save_every_s: float = 0.0
    room: int = 1 << 30
    now: datetime = BEGIN
    devices: list[int] = field(default_factory=list)
    engine: Detectors = field(init=False)

    def __post_init__(self) -> None:
        """Nothing stored, nobody known but our devices, an engine that has just started."""
        self.admin.execute(
            "delete from reading.air_quality; delete from ops.batch; delete from ops.consumer; "
            "truncate rollup.finding, rollup.detecting, rollup.detector_state; delete from ops.event; "
            "update registry.device set state = 'retired'"
        )
        self.devices = self.enroll(5)
        self.restart()

    def enroll(self, number: int) -> list[int]:
        """New devices."""
        rows = self.admin.execute(
            "insert into registry.device (device, profile, area) select 'd-' || coalesce(m.id, 0) + g, p.id, 213 "
            "from registry.profile p, generate_series(1, %s) g, (select max(id) as id from registry.device) m "
            "where p.profile = 'native-air-quality' returning id",
            (number,),
        )
        return sorted(number for (number,) in rows.fetchall())

    def state(self, device: int, state: str) -> None:
        """A device is retired or brought back."""
        statement = "update registry.device set state = %s, changed = pg_current_xact_id() where id = %s"
        self.admin.execute(statement, (state, device))

    def write(self, *rows: tuple[int, float], minutes: float = 1.0) -> None:
        """A batch: device and pm25 of each row; time goes on."""
        self.now += timedelta(minutes=minutes)
        with self.admin.transaction():
            (batch,) = self.admin.execute("select nextval('ops.batch_id')").fetchone() or (0,)
            self.admin.cursor().executemany(
                "insert into reading.air_quality (time, seq, received, batch, device, area, pm25) "
                "values (%s, %s, %s, %s, %s, 213, %s)",
                [
                    (at := self.now + timedelta(milliseconds=place), batch, at, batch, device, value)
                    for place, (device, value) in enumerate(rows)
                ],
            )
            self.admin.execute(
                "insert into ops.batch (batch, family, worker, time_min, time_max, rows) "
                "values (%s, %s, 0, %s, %s, %s)",
                (batch, FAMILY, self.now, self.now + timedelta(milliseconds=len(rows)), len(rows)),
            )

    def restart(self) -> None:
        """A new process; the old one is gone without a word."""
        self.engine = Detectors(CONSUMER, self.kinds, self.save_every_s, budget_s=5.0, room=self.room)
        with self.analyst.transaction():
            consume.take(self.analyst, CONSUMER, 0)
            self.engine.reset(self.analyst)

    def round(self, tick: bool = True) -> None:
        """What waits is taken, and then a tick. Any transaction, autovacuum's too, may hold batches back a while."""
        until = monotonic() + 60
        while self.waiting and monotonic() < until:
            self.held_back()
            with self.analyst.transaction():
                for taken in consume.take(self.analyst, CONSUMER, 1000):
                    self.engine.take(self.analyst, consume.read(self.analyst, taken))
        if tick:
            self.tick()

    @property
    def waiting(self) -> bool:
        """Whether batches are committed that were not taken."""
        statement = (
            "select exists(select from ops.batch b where b.xid > "
            "coalesce((select c.xid from ops.consumer c where c.consumer = %s), '0'))"
        )
        return self.admin.execute(statement, (CONSUMER,)).fetchone() == (True,)

    def held_back(self) -> None:
        """Wait until nobody holds back what is written."""
        held = "select count(*) from ops.batch b where b.xid >= pg_snapshot_xmin(pg_current_snapshot())"
        until = monotonic() + 60
        while self.admin.execute(held).fetchone() != (0,) and monotonic() < until:
            sleep(0.02)

    def tick(self) -> None:
        """One tick."""
        with self.analyst.transaction():
            self.engine.tick(self.analyst, self.now)

    def found(self) -> list[tuple[Any, ...]]:
        """All findings: which of our devices, detector, metric, minutes of since and until."""
        rows = self.admin.execute("select device, detector, metric, since, until from rollup.finding").fetchall()
        told = (
            (self.devices.index(device), detector, metric, minute(since), minute(until))
            for device, detector, metric, since, until in rows
        )
        return sorted(told, key=lambda row: (*row[:4], row[4] is None, row[4] or 0))


def minute(time: datetime | None) -> float | None:
    """Minutes since the begin."""
    return None if time is None else round((time - BEGIN) / timedelta(minutes=1), 1)


assert FAMILY in FAMILIES
