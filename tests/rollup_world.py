"""A small database with readings, a clock of its own and a follower that keeps rollups; and what rollups must be,
computed from the readings in plain Python."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import psycopg

from analytics.columns import Columns
from analytics.rollup.follower import Rollups
from devices.family import Family
from tests.stack import RunningStack

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
FAMILY_PROFILES = {
    "air_quality": "native-air-quality",
    "meter": "native-meter",
    "camera_event": "native-camera-event",
    "traffic_flow": "native-traffic-flow",
}
CONSUMER = "analyst"

Row = dict[str, Any]


def midnight() -> datetime:
    """A local midnight that is past, and near enough to be kept."""
    today = datetime.now(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=2)).astimezone(UTC)


class Reading(NamedTuple):
    """One stored row; `values` by metric, absent ones left out, states as their number."""

    device: int
    area: int
    time: datetime
    seq: int
    values: dict[str, float]


Connections = tuple["psycopg.Connection[Any]", "psycopg.Connection[Any]"]


def owner_and_analyst(stack: RunningStack) -> Iterator[Connections]:
    """Connections to a migrated database of its own: as its owner, and as the analyst."""
    with (
        stack.database() as url,
        psycopg.connect(url, autocommit=True) as admin,
        psycopg.connect(url, autocommit=True, options="-c role=dothi_analyst") as analyst,
    ):
        yield admin, analyst


@dataclass
class World:
    """One family's readings and rollups. `now` is the follower's clock."""

    family: Family
    admin: "psycopg.Connection[Any]"
    analyst: "psycopg.Connection[Any]"
    now: datetime
    devices: list[int] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    interval_s: float = 0.0
    budget_s: float = 2.0
    beside: bool = False
    follower: Rollups | None = None

    def __post_init__(self) -> None:
        """Empty tables, everything before `now` closed, and a follower that has just started."""
        name = self.family.name
        for (table,) in self.admin.execute(
            "select format('%%I.%%I', schemaname, tablename) from pg_tables where schemaname = 'rollup' "
            "and tablename like %s || '\\_%%' or schemaname = 'reading' and tablename = %s",
            (name, name),
        ).fetchall():
            self.admin.execute(f"delete from {table}")
        self.admin.execute(
            "delete from ops.batch; delete from ops.consumer; delete from rollup.touched; delete from rollup.late; "
            "delete from rollup.area_open_state"
        )
        self.admin.execute("update rollup.closed set until = '2100-01-01'")
        self.admin.execute(
            "update rollup.closed set until = date_trunc(case width when '1d' then 'day' when '1h' then 'hour' "
            "else 'minute' end, %s, 'Asia/Ho_Chi_Minh') where family = %s",
            (self.now, name),
        )
        self.devices = self.devices or self.enroll(2)
        self.areas = [a for (a,) in self.admin.execute("select id from registry.area order by id").fetchall()]
        (self.interval_s,) = self.row("select interval_s from registry.profile where profile = %s", self.profile)
        self.restart()

    @property
    def profile(self) -> str:
        return FAMILY_PROFILES[self.family.name]

    def row(self, statement: str, *parameters: object) -> tuple[Any, ...]:
        """The first row."""
        row = self.admin.execute(statement.encode(), parameters).fetchone()
        assert row is not None
        return row

    def enroll(self, number: int) -> list[int]:
        """New devices, or those of an earlier world."""
        return [
            device
            for (device,) in self.admin.execute(
                "insert into registry.device (device, profile, area) select 'w-' || p.id || '-' || g, p.id, "
                "(select min(id) from registry.area) "
                "from registry.profile p, generate_series(1, %s) g where p.profile = %s "
                "on conflict (device) do update set name = null returning id",
                (number, self.profile),
            ).fetchall()
        ]

    def write(self, readings: list[Reading]) -> None:
        """Store readings as one batch, committed."""
        if not readings:
            return
        with self.admin.transaction():
            (number,) = self.row("select nextval('ops.batch_id')")
            for reading in readings:
                columns = ["time", "seq", "received", "batch", "device", "area", *reading.values]
                values = [reading.time, reading.seq, self.now, number, reading.device, reading.area]
                self.admin.execute(
                    f"insert into reading.{self.family.name} ({', '.join(columns)}) "
                    f"values ({', '.join(['%s'] * len(columns))})".encode(),
                    [*values, *reading.values.values()],
                )
            self.admin.execute(
                "insert into ops.batch (batch, family, worker, time_min, time_max, rows) "
                "values (%s, %s, 0, %s, %s, %s)",
                (
                    number,
                    self.family.name,
                    min(r.time for r in readings),
                    max(r.time for r in readings),
                    len(readings),
                ),
            )
        self.readings += readings

    def restart(self) -> None:
        """A new process follows the stream; the old one's second connection goes with it."""
        if self.follower:
            self.follower.hands.close()
        self.follower = Rollups(
            CONSUMER, clock=lambda: self.now, budget_s=self.budget_s, beside=self.beside, open_every_s=0.0, pauses=0.0
        )
        with self.analyst.transaction():
            self.follower.reset(self.analyst)

    def take(self, fail: bool = False) -> None:
        """One round; a round that fails leaves nothing behind."""
        try:
            with self.analyst.transaction():
                batches = self.analyst.execute("select batch from ops.take_batches(%s)", (CONSUMER,)).fetchall()
                if batches:
                    self.follower.take(self.analyst, self.columns([number for (number,) in batches]))
                if fail:
                    raise psycopg.errors.QueryCanceled
        except psycopg.errors.QueryCanceled:
            self.restart()

    def columns(self, batches: list[int]) -> Columns:
        """The rows of batches."""
        metrics = ", ".join(f"coalesce({metric.name}::float8, 'NaN')" for metric in self.family.metrics)
        rows = self.analyst.execute(
            "select device, area, (extract(epoch from time) * 1000000)::bigint, seq, "
            f"(extract(epoch from received) * 1000000)::bigint, {metrics} "
            f"from reading.{self.family.name} where batch = any(%s)".encode(),
            (batches,),
        ).fetchall()
        fixed = [np.array([row[place] for row in rows], dtype=np.int64) for place in range(5)]
        values = np.array([row[5:] for row in rows], dtype=np.float64).reshape(len(rows), len(self.family.metrics))
        device, area, time, seq, received = fixed
        return Columns(self.family, device.astype(np.int32), area.astype(np.int16), time, seq, received, values)

    def tick(self) -> None:
        """One tick."""
        with self.analyst.transaction():
            self.follower.tick(self.analyst, self.now)

    def rest(self) -> None:
        """Take and tick until nothing changes."""
        self.follower.budget_s = 60.0
        self.take_all()
        for _ in range(200):
            before = self.position()
            self.tick()
            if self.position() == before and before[1] == 0:
                return
        raise AssertionError("it does not come to rest")

    def take_all(self) -> None:
        """Take until nothing waits: any transaction, autovacuum's too, may hold batches back."""
        until = monotonic() + 60
        self.take()
        while self.waiting and monotonic() < until:
            sleep(0.05)
            self.take()

    def tick_until(self, statement: str, *wanted: object) -> None:
        """Tick until a statement gives this row, while work is done beside."""
        until = monotonic() + 60
        while self.row(statement) != wanted:
            assert monotonic() < until, f"{self.row(statement)} after 60 s, not {wanted}"
            self.tick()
            sleep(0.02)

    @property
    def waiting(self) -> bool:
        """Whether batches are committed that were not taken."""
        statement = (
            "select exists(select from ops.batch b where b.xid > c.xid) from ops.consumer c where c.consumer = %s"
        )
        return self.row(statement, CONSUMER) == (True,)

    def position(self) -> tuple[Any, ...]:
        """Borders, and how much waits."""
        return self.row(
            "select (select array_agg((width, until)::text order by width) from rollup.closed where family = %s), "
            "(select count(*) from rollup.touched) + (select count(*) from rollup.late)",
            self.family.name,
        )

    def view(self, name: str) -> list[Row]:
        """All rows of a view of the family, as the reader sees them."""
        with self.admin.transaction():
            self.admin.execute("set local role dothi_reader")
            cursor = self.admin.execute(f"select * from city.{self.family.name}_{name}".encode())
            titles = [column.name for column in cursor.description or ()]
            return [dict(zip(titles, row, strict=True)) for row in cursor.fetchall()]


def bucket_of(time: datetime, width: str) -> datetime:
    """The start of a bucket, by the calendar of the place."""
    local = time.astimezone(LOCAL).replace(microsecond=0, second=0)
    if width != "1m":
        local = local.replace(minute=0)
    if width == "1d":
        local = local.replace(hour=0)
    return local.astimezone(UTC)


SPAN = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}


def expected(world: World, width: str) -> dict[tuple[datetime, int, int], Row]:
    """The rows of a width by (bucket, device, area), computed from the readings one by one."""
    rows: dict[tuple[datetime, int, int], list[Reading]] = {}
    for reading in world.readings:
        rows.setdefault((bucket_of(reading.time, width), reading.device, reading.area), []).append(reading)
    return {key: expected_row(world, width, key, group) for key, group in rows.items()}


def expected_row(world: World, width: str, key: tuple[datetime, int, int], group: list[Reading]) -> Row:
    """One row."""
    bucket, device, area = key
    expect = SPAN[width].total_seconds() / world.interval_s
    row: Row = {"n": len(group), "complete": min(1.0, len(group) / expect)}
    for metric in world.family.metrics:
        name = metric.name
        history = sorted(
            (r.time, r.seq, r.area, r.values[name]) for r in world.readings if r.device == device and name in r.values
        )
        values = [r.values[name] for r in group if name in r.values]
        row[f"{name}_n"] = len(values)
        if metric.kind == "state":
            row |= expected_state(world, metric.states, name, history, (bucket, bucket + SPAN[width]), area)
            continue
        row[f"{name}_avg"] = sum(values) / len(values) if values else None
        row[f"{name}_min"], row[f"{name}_max"] = min(values, default=None), max(values, default=None)
        if metric.kind == "counter":
            row[f"{name}_increase"] = increase(history, (bucket, bucket + SPAN[width]), area) if values else None
    return row


History = list[tuple[datetime, int, int, float]]


def increase(history: History, bucket: tuple[datetime, datetime], area: int) -> float:
    """What a counter grew by in a bucket."""
    total, before = 0.0, None
    for time, _, where, value in history:
        if bucket[0] <= time < bucket[1] and where == area and before is not None:
            total += value if value < before else value - before
        before = value
    return total


def expected_state(
    world: World, states: tuple[str, ...], name: str, history: History, bucket: tuple[datetime, datetime], area: int
) -> Row:
    """How long each state held in a bucket."""
    seconds: dict[str, float] = {}
    for place, (time, _, where, value) in enumerate(history):
        end = time + timedelta(seconds=3 * world.interval_s)
        if place + 1 < len(history):
            end = min(end, history[place + 1][0])
        known = (min(end, bucket[1]) - max(time, bucket[0])).total_seconds()
        if known > 0 and where == area:
            seconds[states[int(value)]] = seconds.get(states[int(value)], 0.0) + known
    total = sum(seconds.values())
    share = {state: part / total for state, part in seconds.items()} if seconds else None
    return {f"{name}_share": share, f"{name}_known_s": total}


def expected_areas(rows: dict[tuple[datetime, int, int], Row], family: Family) -> dict[tuple[datetime, int], Row]:
    """The rows of areas from those of their devices."""
    groups: dict[tuple[datetime, int], list[Row]] = {}
    for (bucket, _, area), row in rows.items():
        groups.setdefault((bucket, area), []).append(row)
    return {key: expected_area(group, family) for key, group in groups.items()}


def expected_area(group: list[Row], family: Family) -> Row:
    """One row."""
    row: Row = {
        "devices": len(group),
        "n": sum(r["n"] for r in group),
        "complete": sum(r["complete"] for r in group) / len(group),
    }
    for metric in family.metrics:
        name = metric.name
        if metric.kind == "state":
            continue
        some = [r for r in group if r[f"{name}_n"]]
        n = sum(r[f"{name}_n"] for r in some)
        row[f"{name}_n"] = n
        row[f"{name}_avg"] = sum(r[f"{name}_avg"] * r[f"{name}_n"] for r in some) / n if n else None
        row[f"{name}_min"] = min((r[f"{name}_min"] for r in some), default=None)
        row[f"{name}_max"] = max((r[f"{name}_max"] for r in some), default=None)
        if metric.kind == "counter":
            row[f"{name}_increase"] = sum(r[f"{name}_increase"] for r in some) if n else None
    return row
