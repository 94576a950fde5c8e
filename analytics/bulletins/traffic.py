"""The state of roads: every five minutes from what has just come, and by hours when these are closed or made anew."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of, copy_text
from analytics.bulletins.bulletin import fresh_buckets
from analytics.bulletins.traffic_counts import PLANS, Counted, Ints, read
from analytics.indices.free_flow import Learnt, known, learn
from analytics.indices.road import CLASSES, SUMS, Floats, Road, road
from analytics.indices.service import ServiceTable
from analytics.indices.travel import buffer_index, planning_index
from analytics.rollup.width import HOUR
from analytics.tables import load

FAMILY, PROVINCE = "traffic_flow", "bac-giang"
FIVE = timedelta(minutes=5)
REACH = timedelta(days=7)
AT_ONCE = 6  # hours in one transaction
WAIT = timedelta(seconds=30)  # for readings on their way
DAYS, FEWEST_DAYS = 28, 5
US = 1_000_000
EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)

FREE = "select device, speed, evidence from rollup.traffic_free_speed"
KEEP_FREE = """
insert into rollup.traffic_free_speed (device, speed, evidence, until)
select u.device, u.speed, u.evidence, %s from unnest(%s::int[], %s::float8[], %s::float8[]) u(device, speed, evidence)
on conflict (device) do update set (speed, evidence, until) = (excluded.speed, excluded.evidence, excluded.until)
"""
PAST = "select extract(epoch from bucket)::bigint, device, speed from rollup.traffic_1h where bucket = any({})"
KEPT = ("vehicles", "counted_s", "flow", "pcu_flow", "speed", "occupancy", "density", "free_speed", "travel_index")
FIVES = ("bucket", "device", *KEPT, "n", "area", "service", "queued")
FIVE_TYPES = "i8 i4 " + "f8 " * len(KEPT) + "i4 i2 i2 ?"
HOURS = ("bucket", "device", *KEPT, "planning_index", "buffer_index", "queued_min", "n", "days", "area", "service")
HOUR_TYPES = "i8 i4 " + "f8 " * (len(KEPT) + 3) + "i4 i4 i2 i2"


class Traffic:
    """Index `traffic`."""

    name: ClassVar[str] = "traffic"

    def __init__(self) -> None:
        self._begun: datetime | None = None

    def due(self, now: datetime) -> bool:
        """Half a minute after five are over."""
        begun = five_of(now - WAIT)
        if begun == self._begun:
            return False
        self._begun = begun
        return True

    def make(self, connection: psycopg.Connection, now: datetime) -> bool:
        """Hours that are closed or made anew, then the last ten minutes, of which some come a bit late."""
        service, factors = tables(now)
        connection.execute(PLANS)
        fresh = fresh_buckets(connection, self.name, FAMILY, HOUR, REACH, AT_ONCE)
        for hour in (*fresh.closed, *fresh.remade):
            counted = read(connection, hour, hour + timedelta(hours=1))
            free = free_speeds(connection, counted.device)
            write_fives(connection, counted, road(counted.sums, known(free), service, factors), hour, HOUR.us)
            write_hour(connection, hour, counted, free, service, factors)
            if hour in fresh.closed:
                keep_free_speeds(connection, hour, counted)
        if not fresh.more:
            end = five_of(now - WAIT)
            counted = read(connection, end - 2 * FIVE, end)
            free_kmh = known(free_speeds(connection, counted.device))
            fives = road(counted.sums, free_kmh, service, factors)
            write_fives(connection, counted, fives, end - 2 * FIVE, 2 * FIVE // timedelta(microseconds=1))
        return fresh.more


def tables(now: datetime) -> tuple[ServiceTable, dict[str, float]]:
    """Bounds of levels of service, and factors of passenger car units, that hold on a day."""
    day = now.date()
    return (
        load("traffic_service", PROVINCE, day, ServiceTable).held,
        load("pcu", PROVINCE, day, dict[str, float]).held,
    )


def five_of(moment: datetime) -> datetime:
    """The begin of the five minutes in which a moment lies."""
    return moment - (moment - EPOCH_2000) % FIVE


def free_speeds(connection: psycopg.Connection, device: Ints) -> Learnt:
    """What is learnt of the empty roads of these counters."""
    there, speed, evidence = columns_of(connection, sql.SQL(FREE).format(), "i4 f8 f8")
    order = np.argsort(there)
    at = np.searchsorted(there, device, sorter=order)
    place = order[np.minimum(at, len(there) - 1)] if len(there) else np.zeros(len(device), np.int64)
    found = there[place] == device if len(there) else np.zeros(len(device), np.bool_)
    if not len(there):
        return Learnt(np.zeros(len(device)), np.zeros(len(device)))
    return Learnt(np.where(found, speed[place], 0.0), np.where(found, evidence[place], 0.0))


def keep_free_speeds(connection: psycopg.Connection, hour: datetime, counted: Counted) -> None:
    """Learn from the five-minute means of an hour, in their order."""
    device, place = np.unique(counted.device, return_inverse=True)
    learnt = free_speeds(connection, device)
    means = mean_speed_and_occupancy(counted.sums)
    for bucket in np.unique(counted.bucket):
        rows = counted.bucket == bucket
        speed, occupancy = (np.full(len(device), np.nan) for _ in range(2))
        speed[place[rows]], occupancy[place[rows]] = means[0][rows], means[1][rows]
        learnt = learn(learnt, speed, occupancy)
    some = learnt.seen > 0
    lists = (column[some].tolist() for column in (device, learnt.kmh, learnt.seen))
    connection.execute(KEEP_FREE, (hour + timedelta(hours=1), *lists))


def mean_speed_and_occupancy(sums: Floats) -> tuple[Floats, Floats]:
    """km/h and 0–1, NaN where none was told."""
    unknown = ServiceTable((0.0,) * 5, (0.0,) * 5, 0.0)
    found = road(sums, np.full(len(sums), np.nan), unknown, dict.fromkeys(CLASSES, 1.0))
    return found.speed, found.occupancy


def write_fives(connection: psycopg.Connection, counted: Counted, roads: Road, begin: datetime, length_us: int) -> None:
    """Replace the rows of a time."""
    told = roads._asdict() | {
        "bucket": (counted.bucket * 300 - int(EPOCH_2000.timestamp())) * US,
        "device": counted.device,
        "n": counted.sums[:, SUMS.index("n")],
        "area": counted.area,
    }
    end = begin + timedelta(microseconds=length_us)
    replace(connection, "traffic_5m", (begin, end), FIVES, FIVE_TYPES, told)


def write_hour(
    connection: psycopg.Connection,
    hour: datetime,
    counted: Counted,
    free: Learnt,
    service: ServiceTable,
    factors: dict[str, float],
) -> None:
    """Replace the rows of an hour."""
    device, first, place = np.unique(counted.device, return_index=True, return_inverse=True)
    sums = np.zeros((len(device), len(SUMS)))
    np.add.at(sums, place, counted.sums)
    roads = road(sums, known(free)[first], service, factors)
    five = road(counted.sums, known(free), service, factors)
    past = past_speeds(connection, hour, device, roads.speed)
    days = (~np.isnan(past)).sum(axis=0)
    enough = days >= FEWEST_DAYS
    told = roads._asdict() | {
        "bucket": np.full(len(device), (hour - EPOCH_2000) // timedelta(microseconds=1)),
        "device": device,
        "planning_index": np.where(enough, planning_index(past, roads.free_speed), np.nan),
        "buffer_index": np.where(enough, buffer_index(past), np.nan),
        "queued_min": 5.0 * np.bincount(place, five.queued, len(device)),
        "n": sums[:, SUMS.index("n")],
        "days": days,
        "area": counted.area[first],
    }
    replace(connection, "traffic_1h", (hour, hour + timedelta(hours=1)), HOURS, HOUR_TYPES, told)


def past_speeds(connection: psycopg.Connection, hour: datetime, device: Ints, speed: Floats) -> Floats:
    """km/h of the same hour of the days before, and of this one: days × counters, NaN where unknown."""
    past = np.full((DAYS, len(device)), np.nan)
    past[0] = speed
    if not len(device):
        return past
    days = [hour - timedelta(days=back) for back in range(1, DAYS)]
    bucket, there, then = columns_of(connection, sql.SQL(PAST).format(days), "i8 i4 f8")
    both = np.isin(there, device)
    back = (int(hour.timestamp()) - bucket[both]) // (24 * 3600)
    past[back, np.searchsorted(device, there[both])] = then[both]
    return past


def replace(
    connection: psycopg.Connection,
    table: str,
    span: tuple[datetime, datetime],
    names: Sequence[str],
    types: str,
    columns: dict[str, npt.NDArray[Any]],
) -> None:
    """Rows of rollup.<table> from a time to before another, in binary; what is unknown is NaN or -1."""
    target = sql.Identifier("rollup", table)
    connection.execute(sql.SQL("delete from {} where bucket >= %s and bucket < %s").format(target), span)
    copy = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        target, sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor() as cursor, cursor.copy(copy) as writing:
        writing.write(copy_text(types, [columns[name] for name in names]))


INDICES = (Traffic,)
