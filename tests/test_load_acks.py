"""Devices that ask: when each of their messages was first said to be settled."""

import math

from hypothesis import given
from hypothesis import strategies as st

from dothi.load.acks import Told, heard_at, note

SAID = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 10)))


@given(SAID)
def test_each_number_was_heard_of_when_it_was_first_said(said: list[tuple[int, int]]) -> None:
    told: list[Told] = []
    for at, (first, more) in enumerate(said):
        note(told, first, first + more, float(at))
    for seq in range(45):
        plain = [at for at, (first, more) in enumerate(said) if first <= seq <= first + more]
        heard = heard_at(told, seq)
        assert heard == plain[0] if plain else math.isnan(heard)
