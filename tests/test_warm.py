"""The indexes of the last day are kept in memory, as far as they fit."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.warm import fitting, warm
from tests.stack import RunningStack

ROWS = """
insert into reading.noise (time, seq, received, batch, device, area)
select now() - d * interval '2 days' - n * interval '1 ms', n, now(), 0, n, 1
from generate_series(1, 20000) n, generate_series(0, 1) d
"""
INDEXES = """
select x.indexrelid::regclass::text, pg_relation_size(x.indexrelid) from ops.newest_chunks('noise', 10) c (chunk)
join pg_index x on x.indrelid = c.chunk join pg_class i on i.oid = x.indexrelid join pg_am m on m.oid = i.relam
where m.amname = 'btree'
"""


@pytest.fixture
def readings(stack: RunningStack) -> Iterator[psycopg.Connection]:
    """Readings of today, and of two days ago, that go again."""
    with psycopg.connect(stack.document["database"]) as connection:
        connection.execute(ROWS)
        yield connection
        connection.rollback()


@given(st.lists(st.integers(0, 100)), st.integers(0, 300))
def test_what_fits_is_taken_from_the_first_on(sizes: list[int], room: int) -> None:
    indexes = [(str(number), size) for number, size in enumerate(sizes)]
    found = fitting(indexes, room)
    assert sum(size for _, size in found) <= room
    left = room - sum(size for _, size in found)
    assert all(one in found or one[1] > left for one in indexes), "nothing that has room is left out"
    assert found == [one for one in indexes if one in found]


def test_the_indexes_of_the_last_day_are_read(readings: psycopg.Connection) -> None:
    names: list[str] = []
    done = warm(readings, names.append)
    sizes = dict(readings.execute(INDEXES).fetchall())
    inside = [name for name in names if name in sizes]
    assert len(sizes) == 2
    assert len(inside) == 1, "the older one is left out"
    assert sizes[inside[0]] > 500_000
    assert done >= sizes[inside[0]]


def test_what_is_told_to_stop_stops(readings: psycopg.Connection) -> None:
    def stop(_: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        warm(readings, stop)


def test_a_server_without_the_extension_is_left_alone(readings: psycopg.Connection) -> None:
    readings.execute("drop extension pg_prewarm")
    assert warm(readings) == 0
