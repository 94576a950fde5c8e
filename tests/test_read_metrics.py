"""Reading batches with the metrics that are sent alone: what comes is what comes with all of them."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from analytics.columns import Columns
from analytics.consume import Sent, Taken, read
from devices.family import FAMILIES, Family
from tests.stack import RunningStack

Row = set[str]  # names of the metrics that it has
T0 = datetime(2026, 3, 1, tzinfo=UTC)
WITH_STATES = "street_light"


@pytest.fixture(scope="module")
def owner(stack: RunningStack) -> Iterator[psycopg.Connection[Any]]:
    """A database of its own."""
    with stack.database() as url, psycopg.connect(url, autocommit=True) as connection:
        yield connection


class Batches:
    """Batches of one family, written and read."""

    def __init__(self, owner: psycopg.Connection[Any], family: Family) -> None:
        self.owner, self.family = owner, family
        self.names = [metric.name for metric in family.metrics]

    def write(self, *rows: Row) -> Taken:
        """One batch; its place makes the values, 0 or 1, which a state may have too."""
        number = self.owner.execute("select nextval('ops.batch_id')").fetchone()
        assert number is not None
        for place, row in enumerate(rows):
            names = sorted(row)
            columns = sql.SQL(", ").join(
                map(sql.Identifier, ["time", "seq", "received", "batch", "device", "area", *names])
            )
            values = [T0 + timedelta(seconds=place), place, T0, number[0], 1_000_000 + number[0], 213]
            values += [(place + at) % 2 for at in range(len(names))]
            self.owner.execute(
                sql.SQL("insert into reading.{} ({}) values ({})").format(
                    sql.Identifier(self.family.name), columns, sql.SQL(", ").join([sql.Placeholder()] * len(values))
                ),
                values,
            )
        return Taken(self.family, (number[0],), len(rows), T0, T0 + timedelta(seconds=len(rows)))

    def same(self, taken: Taken, sent: Sent) -> Columns:
        """Read both ways."""
        some, whole = read(self.owner, taken, True, sent), read(self.owner, taken, True)
        one, other = np.argsort(some.seq), np.argsort(whole.seq)
        for name in ("device", "area", "time", "seq", "received", "values", "batch"):
            assert np.array_equal(getattr(some, name)[one], getattr(whole, name)[other], equal_nan=name == "values"), (
                name
            )
        return some


@pytest.mark.parametrize("family", ["air_quality", WITH_STATES])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_sent_is_read(owner: psycopg.Connection[Any], family: str, seed: int) -> None:
    batches, chance, sent = Batches(owner, FAMILIES[family]), random.Random(seed), Sent()  # noqa: S311 - tests repeat themselves
    for _ in range(8):
        common = chance.sample(batches.names, 3)
        rows = [{chance.choice(common)} | set(chance.sample(common, chance.randrange(3))) for _ in range(4)]
        batches.same(batches.write(*rows), sent)


def test_metrics_that_nobody_sends_are_not_asked_for(owner: psycopg.Connection[Any]) -> None:
    batches, sent = Batches(owner, FAMILIES["air_quality"]), Sent()
    first, second, third = batches.names[:3]
    assert sent.places(batches.family) is None
    for rows, places in (
        ([{first}, {third}], [0, 2]),
        ([{first}], [0, 2]),
        ([{first}, {second}], [0, 1, 2]),  # another metric: all are read again
        ([set(batches.names)], list(range(len(batches.names)))),
        ([{first}], list(range(len(batches.names)))),  # what was sent once may come again
    ):
        batches.same(batches.write(*rows), sent)
        assert sent.places(batches.family) == places


def test_batches_whose_rows_are_gone(owner: psycopg.Connection[Any]) -> None:
    batches, sent = Batches(owner, FAMILIES["air_quality"]), Sent()
    gone = batches.write({batches.names[0]})
    owner.execute("delete from reading.air_quality where batch = any(%s)", (list(gone.batches),))
    assert len(batches.same(gone, sent).device) == 0
    assert len(batches.same(batches.write({batches.names[0]}), sent).device) == 1


def test_the_family_with_states_has_some() -> None:
    assert any(metric.states for metric in FAMILIES[WITH_STATES].metrics)
