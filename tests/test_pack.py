"""What numpy packs is what PostgreSQL reads: any mixture of absent values, states, boots and extras."""

from math import isnan, nan
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from devices.family import FAMILIES, Family
from devices.profile import PROFILES
from devices.reading import Reading
from ingest.batch import Columns
from ingest.known import Device
from ingest.mqtt import Messages
from ingest.pack import Prepared
from ingest.settle import copy_into
from ingest.window import Arrival
from tests.stack import RunningStack

EPOCH_US = 1_763_690_400_000_000


class Source:
    """Where test rows come from."""

    inbox = "213"


def readings_of(family: Family) -> st.SearchStrategy[list[Reading]]:
    """Readings of a family: every metric present or absent, states as places, extra or none."""
    values = [
        st.one_of(
            st.just(nan),
            st.integers(0, len(m.states) - 1).map(float)
            if m.states
            else st.floats(allow_nan=False, allow_infinity=False),
        )
        for m in family.metrics
    ]
    return st.lists(
        st.builds(
            Reading,
            time=st.integers(0, 253_402_300_799_000_000),
            seq=st.integers(-(2**63), 2**63 - 1),
            boot=st.one_of(st.none(), st.integers(0, 2**63 - 1)),
            values=st.tuples(*values).map(list),
            extra=st.one_of(
                st.none(), st.dictionaries(st.text(alphabet="abcđ€😀 ", max_size=5), st.integers(), min_size=1)
            ),
            payload=st.just(b""),
        ),
        min_size=1,
        max_size=12,
    )


def expected(device: Device, reading: Reading, family: Family) -> tuple[Any, ...]:
    """The row that PostgreSQL must give back."""
    numbers = [None if isnan(value) else value for value in reading.values]
    assert reading.time is not None
    extra = msgspec.json.decode(msgspec.json.encode(reading.extra)) if reading.extra else None
    return (reading.time, reading.seq, EPOCH_US, 77, device.id, device.area_id, reading.boot, *numbers, extra)


def into_packed(prepared: Prepared) -> bytes:
    """COPY into the table that is looked at."""
    return copy_into(sql.Identifier("packed"), prepared.names)


def columns_of(family: Family) -> list[str]:
    """All columns of a family's table, in the order of `expected`."""
    return ["time", "seq", "received", "batch", "device", "area", "boot", *family.index, "extra"]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_copy_gives_back_what_was_packed(stack: RunningStack, family: Family) -> None:
    names = columns_of(family)
    shown = [f"(extract(epoch from {n}) * 1000000)::int8" if n in {"time", "received"} else n for n in names]
    profile = next(profile for profile in PROFILES.values() if profile.family is family)
    device = Device(4711, "any", b"213", 213, profile, False)
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        connection.execute(f"create temporary table packed (like reading.{family.name}, ordinal int)")

        @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(readings_of(family), st.booleans())
        def round_trip(readings: list[Reading], some: bool) -> None:
            columns = Columns(family)
            only = range(0, len(readings), 2) if some else None
            for reading in readings:
                assert reading.time is not None
                columns.add(device, reading, reading.time, (Arrival(Source(), EPOCH_US, Messages(), 0), b"", b""), 0)
            connection.execute("truncate packed")
            prepared = Prepared(columns, 77, ordinals=True)
            sent = {
                name for place, name in enumerate(family.index) if not all(isnan(r.values[place]) for r in readings)
            }
            assert sent == {*prepared.names} & {*family.index}
            with connection.cursor() as cursor, cursor.copy(into_packed(prepared)) as stdin:
                stdin.write(prepared.pack(only))
            rows = connection.execute(f"select {', '.join(shown)} from packed order by ordinal".encode()).fetchall()
            wanted = readings[::2] if some else readings
            assert rows == [expected(device, reading, family) for reading in wanted]

        round_trip()


def test_rows_go_by_device_and_those_of_a_device_as_they_came(stack: RunningStack) -> None:
    family, profile = FAMILIES["rain"], PROFILES["native-rain"]
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        connection.execute("create temporary table packed (like reading.rain)")

        @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(st.integers(1, 6), min_size=1, max_size=40))
        def in_order(devices: list[int]) -> None:
            columns = Columns(family)
            arrival = Arrival(Source(), EPOCH_US, Messages(), 0)
            for seq, number in enumerate(devices):
                device = Device(number, "any", b"213", 213, profile, False)
                values = [1.0] * len(family.metrics)
                columns.add(device, Reading(EPOCH_US, seq, None, values, None, b""), EPOCH_US, (arrival, b"", b""), seq)
            connection.execute("truncate packed")
            prepared = Prepared(columns, 77)
            with connection.cursor().copy(into_packed(prepared)) as stdin:
                stdin.write(prepared.pack())
            rows = connection.execute("select device, seq from packed order by ctid").fetchall()
            assert rows == sorted((device, seq) for seq, device in enumerate(devices))

        in_order()
