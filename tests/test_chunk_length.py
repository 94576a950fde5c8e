"""How long chunks are: the indexes that are being written fit into memory, and nobody's are shorter than need be."""

from datetime import timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.family import FAMILIES
from dothi.stack.cluster import settings
from dothi.storage_plan import INDEX_BYTES
from ingest.chunk_length import DAY, LENGTHS, NEWEST, SHARE, Growth, adapt, lengths
from simulators.fleet import build, districts, native_profile, zones_of
from tests.stack import RunningStack

growths = st.dictionaries(
    st.sampled_from(["air_quality", "meter", "rain", "noise", "soil"]), st.floats(0, 1e8), min_size=1
)


@given(growths, st.floats(1e6, 1e12))
def test_indexes_fit_unless_chunks_are_as_short_as_they_may_be(per_s: dict[str, float], room: float) -> None:
    found = lengths(per_s, room)
    assert found.keys() == per_s.keys()
    assert set(found.values()) <= set(LENGTHS)
    assert taken(per_s, found) <= room or set(found.values()) == {LENGTHS[0]}


@pytest.mark.parametrize("rate", [1_000, 20_000, 62_000])
def test_indexes_of_the_whole_province_fit_into_a_machine_of_24_gib(rate: float) -> None:
    fleet = build(districts(zones_of("bac-giang"), 20.0), 1)
    own = {name: count / native_profile(name).interval_s for name, count in fleet.count_by_family().items()}
    assert len(own) == len(FAMILIES)
    per_s = {name: one * rate / sum(own.values()) * INDEX_BYTES for name, one in own.items()}
    for gib in (8, 16, 24, 64, 256):
        room = int(settings(1, gib << 30, 1 << 30)["effective_cache_size"].removesuffix("MB")) * 2**20 / SHARE
        found = lengths(per_s, room)
        assert taken(per_s, found) <= room or gib < 24
        assert gib < 24 or sum(DAY / length for length in found.values()) < 2_000, "not more than the server bears"


def taken(per_s: dict[str, float], found: dict[str, timedelta]) -> float:
    """Bytes of the indexes of the newest chunks when they are full."""
    return sum(growth * found[family].total_seconds() for family, growth in per_s.items())


@given(growths, st.floats(1e6, 1e12))
def test_a_family_that_grows_faster_never_has_longer_chunks(per_s: dict[str, float], room: float) -> None:
    found = lengths(per_s, room)
    ordered = sorted(per_s, key=lambda family: per_s[family])
    assert all(found[one] >= found[other] for one, other in pairwise(ordered))


@given(growths, st.floats(1e6, 1e12), st.floats(1, 100))
def test_more_room_never_makes_more_chunks(per_s: dict[str, float], room: float, times: float) -> None:
    narrow, wide = lengths(per_s, room), lengths(per_s, room * times)
    assert all(wide[family] >= narrow[family] for family in per_s)


@given(growths)
def test_with_room_for_all_chunks_are_days(per_s: dict[str, float]) -> None:
    room = sum(per_s.values()) * DAY.total_seconds() * 1.01 + 1
    assert set(lengths(per_s, room).values()) == {DAY}


def test_growth_is_averaged() -> None:
    growth = Growth()
    growth.see([("rain", "a", 1_000)], 0.0)
    assert not growth.per_s, "what was there before is no growth"
    growth.see([("rain", "a", 61_000)], 60.0)
    assert growth.per_s == {"rain": pytest.approx(1_000)}
    growth.see([("rain", "a", 661_000)], 120.0)
    assert growth.per_s["rain"] == pytest.approx(1_000 * 0.9 + 10_000 * 0.1)


def test_growth_goes_on_over_the_end_of_a_chunk_that_some_clocks_are_ahead_of() -> None:
    growth = Growth()
    growth.see([("meter", "m", 5), ("rain", "b", 10), ("rain", "a", 100_000)], 0.0)
    growth.see([("meter", "m", 5), ("rain", "b", 20), ("rain", "a", 159_990)], 60.0)
    assert growth.per_s == {"meter": 0.0, "rain": pytest.approx(1_000)}
    growth.see([("meter", "m", 5), ("rain", "c", 40_000), ("rain", "b", 10_020), ("rain", "a", 169_990)], 120.0)
    assert growth.per_s["rain"] == pytest.approx(1_000)


def test_the_newest_chunks_are_those_that_the_view_of_chunks_shows(stack: RunningStack) -> None:
    latest = """
    select h.hypertable_name, array(
        select format('%I.%I', c.chunk_schema, c.chunk_name)::regclass::text from timescaledb_information.chunks c
        where c.hypertable_schema = 'reading' and c.hypertable_name = h.hypertable_name
        order by c.range_end desc limit 2), array(select ops.newest_chunks(h.hypertable_name, 2)::text)
    from timescaledb_information.hypertables h where h.hypertable_schema = 'reading'
    """
    rows = """
    insert into reading.noise (time, seq, received, batch, device, area)
    select now() - n * interval '9 days', n, now(), 0, 1, 1 from unnest(array[7, 1, 5]) n
    """
    with psycopg.connect(stack.document["database"]) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute(rows.encode())
        found = {family: (view, ours) for family, view, ours in connection.execute(latest.encode()).fetchall()}
        connection.rollback()
    assert found.keys() == FAMILIES.keys()
    assert len(found["noise"][0]) == 2
    assert all(view == ours for view, ours in found.values())


def test_chunks_are_shortened_when_an_index_grows_fast_and_lengthened_when_it_does_not(stack: RunningStack) -> None:
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        length_now = (
            "select time_interval from timescaledb_information.dimensions "
            "where hypertable_schema = 'reading' and hypertable_name = 'parking' and dimension_number = 1"
        )
        assert connection.execute(length_now).fetchone() == (DAY,)
        assert all(isinstance(size, int) for _, _, size in connection.execute(NEWEST.encode()))
        growth = Growth()
        growth.per_s["parking"] = 1e12
        assert adapt(connection, growth, 0.0) == {"parking": LENGTHS[0]}
        assert connection.execute(length_now).fetchone() == (LENGTHS[0],)
        growth.per_s["parking"] = 0.0
        assert adapt(connection, growth, 1.0)["parking"] == timedelta(days=1)
        assert connection.execute(length_now).fetchone() == (DAY,)
        assert not adapt(connection, growth, 2.0)
