"""Keys seen not long ago are only a hint, but a good one; and repeats within a batch are found exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.profile import PROFILES
from devices.reading import Reading
from ingest import recent
from ingest.columns import Columns
from ingest.known import Device
from ingest.recent import Recent, marks_of, repeats
from ingest.replay import Archive
from ingest.window import Arrival
from tests.model.clock import START_S

PROFILE = PROFILES["native-air-quality"]
Key = tuple[int, int, int]
KEYS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(-2, 2)), max_size=30)
WIDE = st.lists(
    st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 2**52), st.integers(-(2**63), 2**63 - 1)), max_size=30
)


def columns_of(keys: list[Key]) -> Columns:
    """Rows with these devices, times and numbers."""
    columns, arrival = Columns(PROFILE.family), Arrival(Archive("213"), int(START_S * 1e6), [], 0)  # type: ignore[arg-type]
    for place, (device, time, seq) in enumerate(keys):
        reading = Reading(time, seq, None, [1.0] * len(PROFILE.family.metrics), None, b"")
        columns.add(Device(device, str(device), b"213", 213, PROFILE, False), reading, time, (arrival, b"", b""), place)
    return columns


@given(st.one_of(KEYS, WIDE))
def test_repeats_are_rows_whose_key_came_before(keys: list[Key]) -> None:
    columns = columns_of(keys)
    wanted = {row: keys.index(key) for row, key in enumerate(keys) if keys.index(key) != row}
    assert repeats(columns, marks_of(columns)) == wanted


@given(st.one_of(KEYS, WIDE))
def test_repeats_are_exact_when_marks_are_not(keys: list[Key]) -> None:
    columns = columns_of(keys)
    wanted = {row: keys.index(key) for row, key in enumerate(keys) if keys.index(key) != row}
    assert repeats(columns, np.ones(len(keys), dtype=np.uint64)) == wanted


@given(WIDE, WIDE)
def test_what_is_kept_is_seen(before: list[Key], after: list[Key]) -> None:
    memory = Recent()
    memory.keep(marks_of(columns_of(before)))
    seen = memory.seen(marks_of(columns_of(before + after)))
    lost = len(before) - len(set(marks_of(columns_of(before)) >> recent.SHIFT))
    assert seen[: len(before)].sum() >= len(before) - 2 * lost
    assert [key for key, one in zip(after, seen[len(before) :], strict=True) if one and key not in before] == []


def test_few_of_many_new_keys_are_taken_for_old_ones() -> None:
    chance = np.random.default_rng(1)
    memory, now = Recent(), int(START_S * 1e6)
    keys = [(device, now + second * 60_000_000, second) for second in range(20) for device in range(1, 501)]
    memory.keep(marks_of(columns_of(keys)))
    assert memory.seen(marks_of(columns_of(keys))).mean() > 0.99
    new = [(int(device), now + 3_600_000_000, 99) for device in chance.permutation(10_000)]
    assert not memory.seen(marks_of(columns_of(new))).any()


@pytest.mark.parametrize("part", [0, 1, 2])
def test_each_part_of_a_key_changes_its_mark(part: int) -> None:
    key = (7, int(START_S * 1e6), 40)
    others = [(*key[:part], key[part] + step, *key[part + 1 :]) for step in range(1, 2_000)]
    marks = marks_of(columns_of([(a, b, c) for a, b, c in [key, *others]]))
    assert len(set(marks.tolist())) == 2_000
