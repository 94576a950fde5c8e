"""The record of alarms obeys its law: any sequence of calls and of retries, held against a model of it."""

from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg.types.json import Jsonb

from tests.alarm_model import RANK, TOLD, Candidate, Record, Window
from tests.alarm_world import Unlawful, World, explained, undone
from tests.stack import RunningStack

pytestmark = pytest.mark.stack
DEVICES = ("law-one", "law-two", "law-three")
# By key: which device it is about, and its cool-down in seconds.
KEYS: dict[str, tuple[str | None, float]] = {"law/0": (None, 0), "law/1": (DEVICES[0], 150), "law/2": (DEVICES[1], 150)}
# Seconds from the beginning of an example, which is over before the first that lies ahead.
TIMES = st.sampled_from([-3000, -2900, -2000, -1000, 100, 200])
PEOPLE = st.sampled_from(["lan", "minh"])
NOTES = st.sampled_from([None, "đã gọi", "xem lại"])
SOME_DEVICES = st.lists(st.sampled_from(DEVICES), max_size=3)
ENDS = st.sampled_from([None, -60, 600, 86_400, 31 * 86_400])
PICK = st.integers(0, 5)
candidates = st.builds(
    lambda key, severity, at, members: Candidate(key, severity, at, KEYS[key][1], KEYS[key][0], tuple(members)),
    *(st.sampled_from(sorted(KEYS)), st.sampled_from(sorted(RANK)), TIMES, SOME_DEVICES),
)
THERE_ARE = precondition(lambda self: self.model.alarms)


class Law(RuleBasedStateMachine):
    """Calls of the engine, of staff and of time, some of them twice."""

    stack: RunningStack

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.world: World = self.open.enter_context(undone(self.stack, DEVICES))
        self.model = Record()

    def teardown(self) -> None:
        self.open.close()

    def pick(self, number: int) -> int:
        known = sorted(self.model.alarms)
        return known[number % len(known)]

    def call(self, statement: str, *values: object) -> Any:
        """The first value of the answer; None when the law refuses."""
        try:
            rows = self.world.ask(statement, *values)
        except Unlawful:
            return None
        return rows[0][0] if rows else None

    def twice(self, again: bool, statement: str, *values: object) -> Any:
        """The answer to a call; the same call come again changes nothing."""
        answer = self.call(statement, *values)
        if again:
            before = self.everything()
            assert not self.call(statement, *values)
            assert self.everything() == before
        return answer

    def everything(self) -> object:
        return [self.world.rows(list(self.model.alarms)), [self.world.history(n) for n in self.model.alarms]]

    # -- the engine

    @rule(some=st.lists(candidates, min_size=1, max_size=3), again=st.booleans())
    def raise_some(self, some: list[Candidate], again: bool) -> None:
        alarms = [
            {
                **{"key": c.key, "severity": c.severity, "at": c.at, "cool_down_s": c.cool_down_s},
                **({"device": c.device} if c.device else {}),
                **({"members": c.members} if c.members else {}),
            }
            for c in some
        ]
        expected = self.model.raise_all(some, self.world.now())
        answer = self.world.raise_alarms(*alarms)
        assert {key: happened for key, (_, happened) in answer.items()} == expected
        for key, (number, happened) in answer.items():
            if happened == "raised":
                self.model.adopt(key, number)
            else:
                known = self.model.newest(key)
                assert known
                assert known[0] == number
        if again:
            before = self.everything()
            assert {happened for _, happened in self.world.raise_alarms(*alarms).values()} == {"ignored"}
            assert self.everything() == before

    @rule(cleared=st.lists(st.tuples(st.sampled_from(sorted(KEYS)), TIMES), max_size=3), again=st.booleans())
    def clear_some(self, cleared: list[tuple[str, float]], again: bool) -> None:
        keys, times = [key for key, _ in cleared], [at for _, at in cleared]
        expected = self.model.clear_all(keys, times)
        values = (keys, [self.world.time(at) for at in times])
        statement = "select id from ops.clear_alarms(%s::text[], %s::timestamptz[])"
        assert {number for (number,) in self.world.ask(statement, *values)} == expected
        if again:
            assert self.world.ask(statement, *values) == []

    @THERE_ARE
    @rule(pick=PICK, devices=SOME_DEVICES, at=TIMES, again=st.booleans())
    def join(self, pick: int, devices: list[str], at: float, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.join(number, devices, at)
        values = (number, self.world.numbers(devices), self.world.time(at))
        assert self.twice(again, "select ops.join_alarm(%s, %s::integer[], %s)", *values) == expected

    @THERE_ARE
    @rule(pick=PICK, devices=SOME_DEVICES, at=TIMES, again=st.booleans())
    def leave(self, pick: int, devices: list[str], at: float, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.leave(number, devices, at)
        values = (number, self.world.numbers(devices), self.world.time(at))
        assert self.twice(again, "select ops.leave_alarm(%s, %s::integer[], %s)", *values) == expected

    @THERE_ARE
    @rule(
        pick=PICK,
        pieces=st.sets(st.tuples(st.sampled_from(["camera", "smoke"]), TIMES), max_size=2),
        again=st.booleans(),
    )
    def add_evidence(self, pick: int, pieces: set[tuple[str, float]], again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.add_evidence(number, pieces)
        told = [{"kind": kind, "at": self.world.time(at).isoformat(), "score": 0.5} for kind, at in pieces]
        given = Jsonb(told)
        assert self.twice(again, "select ops.add_evidence(%s, %s)", number, given) == expected

    # -- staff

    @THERE_ARE
    @rule(pick=PICK, by=PEOPLE, note=NOTES, again=st.booleans())
    def acknowledge(self, pick: int, by: str, note: str | None, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.acknowledge(number, by, note)
        assert self.twice(again, "select ops.acknowledge_alarm(%s, %s, %s)", number, by, note) is expected

    @THERE_ARE
    @rule(pick=PICK, end=ENDS, by=PEOPLE, note=NOTES, again=st.booleans())
    def shelve(self, pick: int, end: float | None, by: str, note: str | None, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.shelve(number, end, by, note, self.world.now())
        until = None if end is None else self.world.time(end)
        assert self.twice(again, "select ops.shelve_alarm(%s, %s, %s, %s)", number, until, by, note) is expected

    @THERE_ARE
    @rule(pick=PICK, by=PEOPLE, again=st.booleans())
    def unshelve(self, pick: int, by: str, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.unshelve(number, by, self.world.now())
        assert self.twice(again, "select ops.unshelve_alarm(%s, %s)", number, by) is expected

    @THERE_ARE
    @rule(pick=PICK, by=PEOPLE, note=NOTES, again=st.booleans())
    def clear(self, pick: int, by: str, note: str | None, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.clear(number, by, note, self.world.now())
        assert self.twice(again, "select ops.clear_alarm(%s, %s, %s)", number, by, note) is expected

    @THERE_ARE
    @rule(pick=PICK, by=PEOPLE, note=NOTES, again=st.booleans())
    def comment(self, pick: int, by: str, note: str | None, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.comment(number, by, note)
        assert self.twice(again, "select ops.comment_alarm(%s, %s, %s)", number, by, note) is expected

    @THERE_ARE
    @rule(pick=PICK, verdict=st.sampled_from(["true", "false", "drill", "maybe"]), by=PEOPLE, again=st.booleans())
    def judge(self, pick: int, verdict: str, by: str, again: bool) -> None:
        number = self.pick(pick)
        expected = self.model.judge(number, verdict, by, None)
        assert self.twice(again, "select ops.judge_alarm(%s, %s, %s)", number, verdict, by) is expected

    # -- maintenance and time

    @rule(
        device=st.sampled_from([None, *DEVICES[:2]]),
        since=st.sampled_from([None, 500]),
        until=st.sampled_from([-60, 700, 900]),
        by=PEOPLE,
        again=st.booleans(),
    )
    def begin_maintenance(self, device: str | None, since: float | None, until: float, by: str, again: bool) -> None:
        statement = "select ops.begin_maintenance(%s, %s, %s, %s, %s, 'thay pin')"
        start = None if since is None else self.world.time(since)
        values = ("213" if device is None else None, device, start, self.world.time(until), by)
        now = self.world.now()
        number = self.call(statement, *values)
        if until < 0:
            assert number is None
            return
        if number not in self.model.windows:
            self.model.windows[number] = Window(device, now if since is None else since, until, by)
            self.model.apply_maintenance(now, by)
        if again:
            before = self.everything()
            assert self.call(statement, *values) == number
            assert self.everything() == before

    @precondition(lambda self: self.model.windows)
    @rule(pick=PICK, by=PEOPLE, again=st.booleans())
    def end_maintenance(self, pick: int, by: str, again: bool) -> None:
        known = sorted(self.model.windows)
        number = known[pick % len(known)]
        expected = self.model.end_maintenance(number, by, self.world.now())
        assert self.twice(again, "select ops.end_maintenance(%s, %s)", number, by) is expected

    @rule(at=st.sampled_from([None, 450, 800, 100_000]), again=st.booleans())
    def remind(self, at: float | None, again: bool) -> None:
        at = self.world.now() if at is None else at
        self.model.remind(at)
        self.twice(again, "select alarm from ops.remind_alarms(%s)", self.world.time(at))

    # -- the law

    @invariant()
    def record_is_as_the_model_has_it(self) -> None:
        rows = {row[0]: row for row in self.world.rows(list(self.model.alarms))}
        name = {number: device for device, number in self.world.number.items()}
        assert sorted(rows) == sorted(self.model.alarms)
        for number, alarm in self.model.alarms.items():
            _, key, severity, device, raised, last, occurrences, by, cleared, *rest = rows[number]
            cleared_by, shelved, maintenance, verdict, note, members, members_now = rest
            assert (key, severity, name.get(device)) == (alarm.key, alarm.severity, alarm.device)
            assert (occurrences, by, cleared_by) == (alarm.occurrences, alarm.acknowledged_by, alarm.cleared_by)
            assert (verdict, note) == (alarm.verdict, alarm.note)
            assert (members, members_now) == (len(alarm.members), alarm.members_now)
            assert self.about(raised, last, cleared, shelved, maintenance) == pytest.approx(
                self.plain(alarm.raised, alarm.last, alarm.cleared, alarm.shelved_until, alarm.maintenance_until),
                abs=40,
            )

    def about(self, *times: datetime | None) -> list[float]:
        return self.plain(*(None if time is None else self.world.seconds(time) for time in times))

    @staticmethod
    def plain(*times: float | None) -> list[float]:
        return [-1e9 if time is None else time for time in times]

    @invariant()
    def history_explains_the_state(self) -> None:
        news = {number for (number,) in self.world.ask("select history from ops.alarm_news")}
        rows = {row[0]: row for row in self.world.rows(list(self.model.alarms))}
        for number, alarm in self.model.alarms.items():
            history = self.world.history(number)
            assert [(row["what"], row["by"]) for row in history] == alarm.history
            assert {row["id"] for row in history if row["what"] in TOLD} == news & {row["id"] for row in history}
            state, row = explained(history), rows[number]
            assert (state["severity"], state["verdict"]) == (row[2], row[12])
            assert (state["by"], state["cleared"], state["cleared_by"]) == (row[7], row[8], row[9])
            assert (state["note"], state["devices"]) == (row[13], row[15])
            for said, kept in ((state["shelved"], row[10]), (state["maintenance"], row[11])):
                assert (said and datetime.fromisoformat(said)) == kept

    @invariant()
    def one_of_a_key_is_active(self) -> None:
        active = [alarm.key for _, alarm in self.model.active()]
        assert len(active) == len(set(active))
        views = self.world.ask(
            "select state, acknowledged, by, cleared from city.alarm where id = any(%s)", list(self.model.alarms)
        )
        assert all((state == "cleared") == (cleared is not None) for state, _, _, cleared in views)
        assert all(acknowledged and by for state, acknowledged, by, _ in views if state == "acknowledged")


def run(stack: RunningStack, examples: int, steps: int) -> None:
    law = type("Law", (Law,), {"stack": stack})
    health = [HealthCheck.too_slow, HealthCheck.data_too_large]
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=health)
    run_state_machine_as_test(law, settings=chosen)


def test_no_sequence_of_calls_breaks_the_record(stack: RunningStack) -> None:
    run(stack, 20, 25)


@pytest.mark.full
def test_no_long_sequence_of_calls_breaks_the_record(stack: RunningStack) -> None:
    run(stack, 150, 50)
