"""Two at once: whatever staff, the engine and time do to one alarm together, it comes out as if one had come first."""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.alarm_model import Candidate, Record
from tests.alarm_world import Unlawful, World, explained
from tests.stack import RunningStack

pytestmark = pytest.mark.stack


class Call(NamedTuple):
    """A call on one alarm: the statement with its values, and what the model makes of it."""

    statement: str
    values: tuple[object, ...]
    meant: Callable[[Record, str, int], object]


def staff(name: str, *values: object, meant: Callable[[Record, int], object]) -> Call:
    places = ", ".join(["%s"] * (1 + len(values)))
    return Call(f"select ops.{name}_alarm({places})", values, lambda record, _, number: meant(record, number))


def raised(severity: str, at: float) -> Call:
    def meant(record: Record, key: str, _: int) -> object:
        return record.raise_all([Candidate(key, severity, at, 150, None, ())], 0)[key]

    return Call("raise", (severity, at), meant)


CALLS = {
    "acknowledge by lan": staff("acknowledge", "lan", meant=lambda r, n: r.acknowledge(n, "lan", None)),
    "acknowledge by minh": staff("acknowledge", "minh", meant=lambda r, n: r.acknowledge(n, "minh", None)),
    "clear by lan": staff("clear", "lan", meant=lambda r, n: r.clear(n, "lan", None, 0)),
    "clear by minh": staff("clear", "minh", meant=lambda r, n: r.clear(n, "minh", None, 0)),
    "judge": staff("judge", "false", "lan", meant=lambda r, n: r.judge(n, "false", "lan", None)),
    "judge otherwise": staff("judge", "true", "minh", meant=lambda r, n: r.judge(n, "true", "minh", None)),
    "comment": staff("comment", "lan", "xem", meant=lambda r, n: r.comment(n, "lan", "xem")),
    "raise again": raised("major", 100),
    "raise the same again": raised("major", -1000),
    "raise what is worse": raised("critical", -500),
    "raise what is worse, later": raised("critical", 200),
    "over": Call("over", (50.0,), lambda record, key, _: record.clear_all([key], [50.0]) != set()),
    "over, too late": Call("over", (-2000.0,), lambda record, key, _: record.clear_all([key], [-2000.0]) != set()),
}
PAIRS = list(itertools.combinations_with_replacement(sorted(CALLS), 2))


@pytest.fixture(scope="module")
def desks(stack: RunningStack) -> Iterator[tuple[World, World]]:
    """Two connections that commit."""
    url = stack.document["database"]
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        first, second = World(one, ()), World(other, ())
        second.beginning = first.beginning = datetime.now(UTC).replace(microsecond=0)
        yield first, second


def begin(world: World, record: Record) -> tuple[str, int]:
    """A new alarm; its key and number."""
    key = f"race/{uuid.uuid4()}"
    number, happened = world.raise_alarms({"key": key, "at": -1000})[key]
    assert record.raise_all([Candidate(key, "major", -1000, 150, None, ())], 0)[key] == happened == "raised"
    record.adopt(key, number)
    return key, number


def answer(world: World, call: Call, key: str, number: int) -> object:
    """What a call says; None when it is refused."""
    if call.statement == "raise":
        severity, at = call.values
        return world.raise_alarms({"key": key, "severity": severity, "at": at, "cool_down_s": 150})[key][1]
    if call.statement == "over":
        (at,) = call.values
        return world.ask("select id from ops.clear_alarms(%s, %s)", [key], [world.time(float(str(at)))]) != []
    try:
        return world.ask(call.statement, number, *call.values)[0][0]
    except Unlawful:
        return None


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    """Answers of actions that begin together."""
    answers: list[object] = [None] * len(actions)
    gate = threading.Barrier(len(actions))

    def act(place: int) -> None:
        gate.wait()
        answers[place] = actions[place]()

    threads = [threading.Thread(target=act, args=(place,)) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def in_turn(record: Record, calls: list[Call], order: tuple[int, int], key: str, number: int) -> Any:
    """Answers and state when one comes after the other."""
    record = deepcopy(record)
    answers: list[object] = [None, None]
    for place in order:
        answers[place] = calls[place].meant(record, key, number)
    alarm = record.alarms[number]
    said = (alarm.severity, alarm.acknowledged_by, alarm.cleared is None, alarm.cleared_by, alarm.verdict)
    return answers, said, alarm.occurrences, sorted(map(str, alarm.history))


@pytest.mark.parametrize("pair", PAIRS, ids=" | ".join)
def test_two_at_once_are_as_one_after_the_other(desks: tuple[World, World], pair: tuple[str, str]) -> None:
    calls = [CALLS[name] for name in pair]
    record = Record()
    key, number = begin(desks[0], record)
    answers = at_once([partial(answer, desk, call, key, number) for desk, call in zip(desks, calls, strict=True)])
    (row,) = desks[0].rows([number])
    history = desks[0].history(number)
    state = (row[2], row[7], row[8] is None, row[9], row[12])
    happened = (answers, state, row[6], sorted(str((one["what"], one["by"])) for one in history))
    assert happened in [in_turn(record, calls, order, key, number) for order in ((0, 1), (1, 0))]
    told = explained(history)
    assert (told["severity"], told["by"], told["cleared"] is None, told["cleared_by"], told["verdict"]) == state
    assert len(desks[0].ask("select id from ops.alarm where key = %s and cleared is null", key)) <= 1
    desks[0].ask("select * from ops.clear_alarms(%s, %s)", [key], [desks[0].time(250)])


def test_shelving_that_expires_is_noted_once(desks: tuple[World, World]) -> None:
    """The view says so at once; of two who tell the time one writes it down."""
    key, number = begin(desks[0], Record())
    until = datetime.now(UTC) + timedelta(seconds=0.3)
    assert desks[0].ask("select ops.shelve_alarm(%s, %s, 'lan', 'thử')", number, until) == [(True,)]
    assert desks[0].ask("select state from city.alarm where id = %s", number) == [("shelved",)]
    time.sleep(0.4)
    assert desks[0].ask("select state from city.alarm where id = %s", number) == [("unacknowledged",)], "by time alone"
    tick = "select alarm from ops.remind_alarms() where alarm = %s"
    at_once([partial(desk.ask, tick, number) for desk in desks])
    assert [(row["what"], row["by"]) for row in desks[0].history(number)] == [
        ("raised", None),
        ("shelved", "lan"),
        ("unshelved", "expiry"),
    ]
    desks[0].ask("select * from ops.clear_alarms(%s, %s)", [key], [desks[0].time(250)])


def test_of_many_that_raise_the_same_one_does(desks: tuple[World, World]) -> None:
    for _ in range(10):
        key = f"race/{uuid.uuid4()}"
        answers = at_once([partial(desk.raise_alarms, {"key": key, "at": 0.0}) for desk in desks])
        (one, first), (other, second) = (answer[key] for answer in answers if isinstance(answer, dict))
        assert sorted((first, second)) == ["ignored", "raised"]
        assert one == other
        desks[0].ask("select * from ops.clear_alarms(%s, %s)", [key], [desks[0].time(250)])
