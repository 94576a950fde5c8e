"""How long chunks are: the indexes that are being written fit into memory, and nobody's are shorter than need be."""

from datetime import timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunk_length import DAY, LENGTHS, NEWEST, Growth, adapt, lengths
from tests.stack import RunningStack

growths = st.dictionaries(
    st.sampled_from(["air_quality", "meter", "rain", "noise", "soil"]), st.floats(0, 1e8), min_size=1
)


@given(growths, st.floats(1e6, 1e12))
def test_indexes_fit_unless_chunks_are_as_short_as_they_may_be(per_s: dict[str, float], room: float) -> None:
    found = lengths(per_s, room)
    assert found.keys() == per_s.keys()
    assert set(found.values()) <= set(LENGTHS)
    longer = {family: one for family, one in found.items() if one > LENGTHS[0]}
    shortest = sum(per_s[family] * LENGTHS[0].total_seconds() for family in found.keys() - longer.keys())
    if shortest <= room / len(per_s):
        assert sum(per_s[family] * one.total_seconds() for family, one in found.items()) <= room * 1.000001


@given(growths, st.floats(1e6, 1e12))
def test_a_family_that_grows_faster_never_has_longer_chunks(per_s: dict[str, float], room: float) -> None:
    found = lengths(per_s, room)
    ordered = sorted(per_s, key=lambda family: per_s[family])
    assert all(found[one] >= found[other] for one, other in pairwise(ordered))


@given(growths)
def test_with_room_for_all_chunks_are_days(per_s: dict[str, float]) -> None:
    room = sum(per_s.values()) * DAY.total_seconds() * 1.01 + 1
    assert set(lengths(per_s, room * len(per_s)).values()) == {DAY}


def test_growth_is_averaged_and_a_new_chunk_begins_anew() -> None:
    growth = Growth()
    growth.see({"rain": ("a", 1_000)}, 0.0)
    growth.see({"rain": ("a", 61_000)}, 60.0)
    assert growth.per_s == {"rain": pytest.approx(1_000)}
    growth.see({"rain": ("b", 0)}, 120.0)
    assert growth.per_s == {"rain": pytest.approx(1_000)}, "what a chunk grew by is not known from another"
    growth.see({"rain": ("b", 600_000)}, 180.0)
    assert growth.per_s["rain"] == pytest.approx(1_000 * 0.9 + 10_000 * 0.1)


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
