"""Rows are made anew in passes: a share of the time at most, whatever is touched, and nothing is forgotten."""

from collections import Counter
from typing import Any, NamedTuple, cast

import psycopg
import pytest

from analytics.rollup import remaking
from analytics.rollup.remaking import LONGEST_PAUSE_S, MOST_PIECES, PAUSES, PIECE, Remaking
from analytics.rollup.rolling import Rolling
from analytics.rollup.width import DAY, HOUR, Width
from devices.family import FAMILIES, Family

CONNECTION = cast("psycopg.Connection[Any]", None)


class Rows(NamedTuple):
    """A family and width, as far as a pass asks for it."""

    family: Family
    width: Width


class World:
    """A clock that only the work moves on, and how many rows of what are touched."""

    def __init__(self, row_s: float) -> None:
        self.now, self.row_s, self.worked_s = 1000.0, row_s, 0.0
        self.touched: Counter[tuple[Family, Width]] = Counter()
        self.made: list[tuple[str, str]] = []

    def piece(self, _: object, one: Rolling, most: int) -> int:
        """A piece of what is touched."""
        family, width = one.family, one.width
        rows = min(self.touched[family, width], most)
        self.touched[family, width] -= rows
        self.made.append((family.name, width.name))
        self.now += rows * self.row_s
        self.worked_s += rows * self.row_s
        return rows


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(row_s=0.001)
    monkeypatch.setattr(remaking.time, "monotonic", lambda: made.now)
    return made


def rows(family: str, width: Width) -> Rolling:
    return cast("Rolling", Rows(FAMILIES[family], width))


def seconds(world: World, passes: Remaking, touched: list[Rolling], number: int, each: int) -> None:
    """So many seconds, in each of which so many rows of each are touched, and half a second is for passes."""
    for second in range(number):
        for one in touched:
            world.touched[one.family, one.width] += each
            passes.note(one)
        list(passes.go_on(CONNECTION, world.now + 0.5))
        world.now = max(world.now, 1001.0 + second)


@pytest.mark.parametrize("each", [1, 40, 400])
def test_passes_take_a_share_of_the_time(world: World, each: int) -> None:
    touched = [rows("meter", HOUR), rows("meter", DAY), rows("vehicle", HOUR)]
    seconds(world, Remaking(world.piece), touched, 600, each)
    share = world.worked_s / (world.now - 1000.0)
    assert world.worked_s
    if each < 400:  # at 400 there is more to do than a second has
        assert share <= 1.1 / (1 + PAUSES)


def test_what_a_fifth_of_the_time_cannot_take_is_caught_up_all_the_same(world: World) -> None:
    passes, touched = Remaking(world.piece), [rows("meter", HOUR), rows("meter", DAY), rows("vehicle", HOUR)]
    seconds(world, passes, touched, 7200, 130)  # 0.39 s of work a second
    assert world.touched.total() <= 390 * 3 * 100, "what comes in a pass of a minute, and in the pauses around it"


def test_nothing_is_forgotten_and_hours_come_before_days(world: World) -> None:
    passes, touched = Remaking(world.piece), [rows("meter", DAY), rows("vehicle", HOUR), rows("meter", HOUR)]
    seconds(world, passes, touched, 10, 100)
    first = world.made[: world.made.index(("meter", "1d"))]
    assert list(dict.fromkeys(first)) == [("meter", "1h"), ("vehicle", "1h")]
    for _ in range(1000):
        list(passes.go_on(CONNECTION, world.now + 0.5))
        world.now += LONGEST_PAUSE_S
    assert not +world.touched


def test_rows_touched_as_fast_as_they_are_made_anew_do_not_keep_others_waiting(world: World) -> None:
    passes, touched = Remaking(world.piece), [rows("meter", HOUR), rows("meter", DAY)]
    for _ in range(2 * MOST_PIECES):
        for one in touched:
            world.touched[one.family, one.width] += PIECE
            passes.note(one)
        list(passes.go_on(CONNECTION, world.now))  # a piece at a time
    assert Counter(world.made) == {("meter", "1h"): MOST_PIECES, ("meter", "1d"): MOST_PIECES}
    list(passes.go_on(CONNECTION, world.now))
    assert world.made[-1] == ("meter", "1h"), "and those are not forgotten"


def test_without_pauses_each_call_makes_what_was_touched(world: World) -> None:
    passes, one = Remaking(world.piece, pauses=0.0), rows("meter", HOUR)
    for _ in range(5):
        passes.note(one)
        world.touched[one.family, one.width] += 7
        assert list(passes.go_on(CONNECTION, world.now + 1.0)) == [one]
        assert not +world.touched
