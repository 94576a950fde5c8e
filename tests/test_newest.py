"""Newest values: whatever the order of arrival, the views say what the readings say, at every moment."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics import analyst, newest
from analytics.meters import Meters
from analytics.newest import Newest
from analytics.read_ahead import Ahead
from devices.family import FAMILIES
from ingest.reconcile import reconcile_families
from tests.examples import examples
from tests.stack import RunningStack

T0 = "2026-03-01 12:00+00"
COMPARED = "time, device, area, seq, received, pm25, relative_humidity, extra, boot, batch"
DIRECT = f"select distinct on (device) {COMPARED} from city.air_quality order by device, time desc, seq desc"
DIFFERENCE = f"""
with kept as (select {COMPARED} from city.latest_air_quality), direct as ({DIRECT})
(select 'only kept' as side, * from (select * from kept except all select * from direct) k)
union all (select 'only direct', * from (select * from direct except all select * from kept) d)
"""
WAITING = (
    "select exists(select from ops.batch where "
    "xid > coalesce((select xid from ops.consumer where consumer = 'analyst'), '0'))"
)
SEEN = """
select d.device from city.device d left join (
    select distinct on (device) device, received, seq from city.air_quality order by device, time desc, seq desc
) r using (device) where d.family = 'air_quality'
and (d.last_seen, d.last_seq) is distinct from (r.received, r.seq)
"""
CRASHED = "truncate rollup.newest_state, " + ", ".join(
    f"rollup.{kind}_{family}" for family in FAMILIES for kind in ("newest", "next")
)


Database = psycopg.Connection[Any]


class Row(NamedTuple):
    """One reading to be written, so many minutes after T0."""

    device: int
    minute: int
    seq: int
    area: int = 0
    pm25: float | None = None
    extra: dict[str, Any] | None = None


class City:
    """A database of its own: devices by number, batches written at will, an analyst that takes one round when told."""

    def __init__(self, url: str, owner: Database, follower: Database) -> None:
        self.url = url
        self.owner = owner
        self.follower = follower
        self.areas = [one for (one,) in owner.execute("select id from registry.area order by id limit 2")]
        self.devices = self.enroll("native-air-quality", 4)
        self.cameras = self.enroll("native-camera-event", 1)
        self.restart()

    def enroll(self, profile: str, count: int) -> list[int]:
        """Registry ids of new devices."""
        rows = self.owner.execute(
            "insert into registry.device (device, profile, area) select %s::text || g, p.id, %s "
            "from registry.profile p, generate_series(1, %s) g where p.profile = %s returning id",
            (f"{profile}-", self.areas[0], count, profile),
        )
        return [number for (number,) in rows]

    def forget(self) -> None:
        """As if nothing had ever been received."""
        self.owner.execute("truncate reading.air_quality, reading.camera_event, ops.batch, ops.consumer")
        self.crash()

    def crash(self) -> None:
        """What a crash of the server does to unlogged tables."""
        self.owner.execute(CRASHED)
        self.restart()

    def restart(self, step: int = 2) -> None:
        """A new analyst process."""
        self.analyst = analyst.Analyst(self.url, [Newest(step)], Meters(), threading.Event())
        analyst.reset(self.follower, self.analyst)

    def round(self) -> None:
        """Take what waits, then tick."""
        self.take_all()
        self.tick()

    def take_all(self) -> None:
        """Rounds until nothing waits: any transaction, autovacuum's too, may hold batches back."""
        until = time.monotonic() + 60
        self.one_round(self.analyst)
        while self.one(WAITING) and time.monotonic() < until:
            time.sleep(0.05)
            self.one_round(self.analyst)

    def one_round(self, whose: analyst.Analyst) -> None:
        """As the process does it: the next family is read on a connection of its own."""
        with analyst.session(self.url) as other, Ahead(other) as ahead:
            analyst.one_round(self.follower, whose, ahead)

    def tick(self) -> None:
        with self.follower.transaction():
            self.analyst.followers[0].tick(self.follower, datetime.now(UTC))

    def reserve(self) -> int:
        """A batch number."""
        return int(self.one("select nextval('ops.batch_id')"))

    def write(self, rows: list[Row], batch: int | None = None) -> None:
        """Commit one batch."""
        number = batch or self.reserve()
        with self.owner.transaction():
            for row in rows:
                self.owner.execute(
                    "insert into reading.air_quality (time, seq, received, batch, boot, device, area, pm25, extra) "
                    f"values ('{T0}'::timestamptz + %s * interval '1 minute', %s, now(), %s, 7, %s, %s, %s, %s)",
                    (
                        row.minute,
                        row.seq,
                        number,
                        self.devices[row.device],
                        self.areas[row.area],
                        row.pm25,
                        json.dumps(row.extra) if row.extra else None,
                    ),
                )
            self.note(number, "air_quality", len(rows))

    def note(self, batch: int, family: str, rows: int) -> None:
        self.owner.execute(
            "insert into ops.batch (batch, family, worker, time_min, time_max, rows) "
            f"select %s, %s, 0, min(time), max(time), %s from reading.{family} where batch = %s",
            (batch, family, rows, batch),
        )

    def one(self, query: str) -> Any:
        row = self.owner.execute(query.encode()).fetchone()
        return row[0] if row else None

    def assert_right(self) -> None:
        assert self.owner.execute(DIFFERENCE.encode()).fetchall() == []
        assert self.owner.execute(SEEN.encode()).fetchall() == []


@pytest.fixture(scope="module")
def city(stack: RunningStack) -> Iterator[City]:
    """A migrated database of its own."""
    with (
        stack.database() as url,
        psycopg.connect(url, autocommit=True) as owner,
        psycopg.connect(url, autocommit=True, options="-c role=dothi_analyst") as follower,
    ):
        yield City(url, owner, follower)


@pytest.fixture
def fresh(city: City) -> City:
    """The same without readings, followed from the beginning."""
    city.forget()
    city.round()
    return city


def kept(city: City, column: str = "pm25", device: int = 0) -> Any:
    return city.one(f"select {column} from rollup.newest_air_quality where device = {city.devices[device]}")


def test_late_readings_never_overwrite(fresh: City) -> None:
    fresh.write([Row(0, 5, 1, pm25=5.0), Row(0, 3, 9, pm25=3.0)])
    fresh.round()
    fresh.write([Row(0, 4, 8, pm25=4.0)])
    fresh.round()
    assert kept(fresh) == 5.0
    fresh.write([Row(0, 6, 1, pm25=6.0)])
    fresh.round()
    assert kept(fresh) == 6.0
    fresh.assert_right()


def test_of_one_time_the_higher_seq_is_newer(fresh: City) -> None:
    for seq in (3, 5, 4):
        fresh.write([Row(0, 0, seq, pm25=float(seq))])
        fresh.round()
    assert kept(fresh) == 5.0
    fresh.assert_right()


def test_what_is_newer_may_be_absent(fresh: City) -> None:
    fresh.write([Row(0, 0, 1, pm25=1.0, extra={"rejected": {"pm10": "x"}})])
    fresh.round()
    assert kept(fresh, "extra") == {"rejected": {"pm10": "x"}}
    fresh.write([Row(0, 1, 2)])
    fresh.round()
    assert (kept(fresh), kept(fresh, "extra"), kept(fresh, "seq")) == (None, None, 2)
    fresh.assert_right()


def test_a_device_that_moves_keeps_one_row(fresh: City) -> None:
    for seq, area in ((1, 0), (2, 1), (3, 0)):
        fresh.write([Row(0, seq, seq, area=area)])
        fresh.round()
        codes = fresh.owner.execute("select area from city.latest_air_quality").fetchall()
        assert (
            codes
            == fresh.owner.execute("select code from registry.area where id = %s", (fresh.areas[area],)).fetchall()
        )
    fresh.assert_right()


def test_states_are_shown_by_name(fresh: City) -> None:
    number = fresh.reserve()
    fresh.owner.execute(
        "insert into reading.camera_event (time, seq, received, batch, device, area, object_class) "
        "values (now(), 1, now(), %s, %s, %s, 2)",
        (number, fresh.cameras[0], fresh.areas[0]),
    )
    fresh.note(number, "camera_event", 1)
    live = fresh.one("select object_class from city.latest_camera_event")
    fresh.round()
    assert live is None  # not taken yet
    assert fresh.one("select object_class from city.latest_camera_event") == "motorcycle"
    fresh.crash()
    assert fresh.one("select object_class from city.latest_camera_event") == "motorcycle"


def test_as_of_says_up_to_when_everything_is_in(fresh: City) -> None:
    fresh.write([Row(0, 0, 1)])
    fresh.round()
    fresh.write([Row(0, 1, 2)])
    committed = fresh.one("select max(committed) from ops.batch")
    fresh.tick()
    assert fresh.one("select max(as_of) from city.latest_air_quality") == committed, "the second is not in yet"
    fresh.round()
    assert fresh.one("select max(as_of) from city.latest_air_quality") > committed


def test_a_rebuild_is_not_seen_and_takes_rounds_in(fresh: City) -> None:
    fresh.write([Row(device, 0, 1, pm25=1.0) for device in range(4)])
    fresh.round()
    fresh.crash()
    fresh.assert_right()
    newest = fresh.analyst.followers[0]
    assert isinstance(newest, Newest)
    with fresh.follower.transaction():
        newest.rebuild_step(fresh.follower)
    fresh.write([Row(0, 1, 2, pm25=2.0), Row(3, -1, 2, pm25=0.0)])
    fresh.one_round(fresh.analyst)
    assert fresh.one("select count(*) from rollup.newest_air_quality") == 0
    fresh.assert_right()
    fresh.restart()
    fresh.write([Row(1, -1, 2, pm25=0.0), Row(2, 5, 2, pm25=5.0)])
    fresh.assert_right()
    fresh.round()
    assert fresh.one("select complete from rollup.newest_state")
    assert fresh.one("select count(*) from rollup.newest_air_quality") == 4
    fresh.assert_right()


def test_a_round_that_fails_comes_again(fresh: City) -> None:
    fresh.write([Row(0, 0, 1)])

    class Broken(Newest):
        def take(self, connection: Any, columns: Any) -> None:
            super().take(connection, columns)
            raise RuntimeError("no")

    broken = fresh.analyst._replace(followers=[Broken()])
    analyst.reset(fresh.follower, broken)
    with pytest.raises(RuntimeError):
        fresh.one_round(broken)
    assert kept(fresh, "seq") is None
    fresh.restart()
    fresh.round()
    assert kept(fresh, "seq") == 1


def test_rows_that_are_missing_are_said_and_stop_nothing(fresh: City) -> None:
    fresh.write([Row(0, 0, 1)])
    fresh.owner.execute("update ops.batch set rows = 3")
    fresh.round()
    assert (fresh.analyst.meters.rows, fresh.analyst.meters.missing) == (1, 2)
    fresh.write([Row(0, 1, 2)])
    fresh.owner.execute("truncate reading.air_quality")
    fresh.round()
    assert fresh.analyst.meters.missing == 3


def test_a_table_of_before_gets_its_index_on_batch(fresh: City) -> None:
    fresh.write([Row(0, 0, 1), Row(0, 3 * 24 * 60, 2)])
    fresh.owner.execute("drop index reading.air_quality_batch")
    assert reconcile_families(fresh.owner) == ["created reading.air_quality_batch"]
    assert reconcile_families(fresh.owner) == []
    chunks = fresh.one(
        "select count(*) from pg_indexes where indexdef like '%%brin%%' and tablename in "
        "(select chunk_name from timescaledb_information.chunks where hypertable_name = 'air_quality')"
    )
    assert chunks == 2
    assert fresh.follower.execute("select ops.index_batches('air_quality')").fetchall() == [(0,)]
    fresh.round()
    fresh.assert_right()


ROWS = st.builds(
    Row,
    device=st.integers(0, 3),
    minute=st.sampled_from([-2000, -1, 0, 1, 2, 1500]),
    seq=st.integers(0, 3),
    area=st.integers(0, 1),
    pm25=st.one_of(st.none(), st.integers(0, 9).map(float)),
    extra=st.sampled_from([None, {"note": "kept"}]),
)
BATCHES = st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=6)
BETWEEN = st.lists(
    st.sampled_from(["nothing", "round", "restart", "crash", "crash and restart", "step"]), min_size=6, max_size=6
)


@settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, between=BETWEEN, order=st.randoms(use_true_random=False))
def test_law_newest_is_what_the_readings_say(
    city: City, batches: list[list[Row]], between: list[str], order: Any
) -> None:
    city.forget()
    numbers = [city.reserve() for _ in batches]
    order.shuffle(numbers)
    seen: set[tuple[int, int, int]] = set()
    for number, rows, what in zip(numbers, batches, between, strict=False):
        new = {(row.device, row.minute, row.seq): row for row in rows}
        if fresh_rows := [row for key, row in new.items() if key not in seen]:
            city.write(fresh_rows, number)
        seen |= set(new)
        happen(city, what)
    city.round()
    city.assert_right()


def happen(city: City, what: str) -> None:
    """What befalls the analyst between two batches; right at once after a crash and after a round."""
    if what == "nothing":
        return
    if what.startswith("crash"):
        city.crash()
        city.assert_right()
    if what.endswith("restart"):
        city.restart(step=1)
    elif what == "step":
        city.take_all()
        if not city.one("select complete from rollup.newest_state"):
            newest = city.analyst.followers[0]
            assert isinstance(newest, Newest)
            with city.follower.transaction():
                newest.rebuild_step(city.follower)
        city.assert_right()
    else:
        city.round()
        city.assert_right()


def test_a_rebuild_on_further_connections_takes_rounds_in(fresh: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "FEW", 0)
    fresh.write([Row(device, 0, 1, pm25=1.0) for device in range(4)])
    fresh.crash()
    fresh.analyst = analyst.Analyst(fresh.url, [Newest(1, beside=2)], Meters(), threading.Event())
    analyst.reset(fresh.follower, fresh.analyst)
    fresh.write([Row(0, 1, 2, pm25=2.0), Row(3, -1, 2, pm25=0.0)])
    until = time.monotonic() + 60
    while not fresh.one("select complete from rollup.newest_state"):
        assert time.monotonic() < until
        fresh.round()
        fresh.assert_right()
    fresh.round()
    assert fresh.one("select count(*) from rollup.newest_air_quality") == 4
    fresh.assert_right()
