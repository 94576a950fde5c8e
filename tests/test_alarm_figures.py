"""Figures of the desk: days that were counted before say what counting all anew says, whatever changed meanwhile."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from analytics.alarm_figures import counted, figures
from tests.stack import RunningStack

COUNT = "select rollup.count_alarm_days(%s)"


@pytest.fixture(scope="module")
def admin(stack: RunningStack) -> Iterator["psycopg.Connection[Any]"]:
    with stack.database() as url, psycopg.connect(url, autocommit=True) as connection:
        yield connection


def raised(admin: "psycopg.Connection[Any]", random_: random.Random, number: int, days: float) -> None:
    """Alarms of the last days, many of them acknowledged, cleared and judged."""
    now = datetime.now(UTC)
    ids = []
    for n in range(number):
        at = now - timedelta(days=random_.random() * days)
        severity = random_.choice(["critical", "major", "minor", "warning", "info"])
        alarm = {"key": f"{at}-{n}", "kind": "k", "severity": severity, "at": at.isoformat(), "message": "x"}
        alarm |= {"rule": random_.choice("abc"), "area": random_.choice([213, 214, None])}
        found = admin.execute("select id from ops.raise_alarms(%s)", (json.dumps([alarm]),)).fetchone()
        assert found is not None
        ids.append((found[0], at))
    for alarm_id, at in ids:
        if random_.random() < 0.6:
            admin.execute(
                "update ops.alarm set acknowledged = %s, acknowledged_by = 'lan' where id = %s",
                (at + timedelta(seconds=random_.random() * 20_000), alarm_id),
            )
        if random_.random() < 0.6:
            admin.execute(
                "update ops.alarm set cleared = last + interval '7 h', verdict = %s where id = %s",
                (random_.choice(["true", "false", "drill", None]), alarm_id),
            )


def both(admin: "psycopg.Connection[Any]", days: float) -> tuple[Any, Any]:
    """What the desk says with the days that are counted, and with none."""
    now = datetime.now(UTC)
    asked = (now - timedelta(days=days), now, None, 50)
    quick = figures(admin, *asked)
    with admin.transaction(force_rollback=True):
        admin.execute("truncate rollup.alarm_counted")
        admin.execute("truncate rollup.alarm_day, rollup.alarm_wait, rollup.alarm_talker")
        slow = figures_within(admin, asked)
    return quick, slow


def figures_within(admin: "psycopg.Connection[Any]", asked: tuple[Any, ...]) -> Any:
    """The same in a transaction that runs already."""
    patch = pytest.MonkeyPatch()
    with patch.context() as inner:
        inner.setattr("analytics.alarm_figures.ISOLATED", "select 1")
        return figures(admin, *asked)


@pytest.mark.parametrize("seed", range(3))
def test_days_that_are_counted_say_what_counting_anew_says(admin: "psycopg.Connection[Any]", seed: int) -> None:
    random_ = random.Random(seed)  # noqa: S311 -- to be repeated
    raised(admin, random_, 60, 6.0)
    assert admin.execute(COUNT, (100,)).fetchone() is not None
    assert admin.execute(COUNT, (100,)).fetchone() == (0,), "nothing is counted twice"
    now = datetime.now(UTC)
    assert len(counted(admin, now - timedelta(days=5.5), now)) >= 3
    for days in (6.0, 3.3, 0.4):
        quick, slow = both(admin, days)
        assert quick == slow
    raised(admin, random_, 20, 6.0)
    admin.execute("update ops.alarm set verdict = 'false' where id % 7 = 0")
    admin.execute("delete from ops.alarm where id % 11 = 0")
    quick, slow = both(admin, 6.0)
    assert quick == slow, "a day that was changed is not believed"
    admin.execute(COUNT, (100,))
    quick, slow = both(admin, 6.0)
    assert quick == slow, "nor after it was counted anew"
    assert admin.execute("select count(*) from rollup.alarm_day_changed where day < current_date - 2").fetchone() == (
        0,
    )
