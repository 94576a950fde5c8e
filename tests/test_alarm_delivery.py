"""The messenger on a real database: told at least once, once to whom answered, and nobody in another's way."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from analytics.delivery import outbox
from analytics.delivery.letter import kinds
from analytics.delivery.messenger import Messenger, run
from analytics.delivery.meters import Meters
from analytics.delivery.outbox import Pace
from analytics.delivery.routes import NOBODY, Routes
from analytics.delivery.routes_file import routes_from
from devices.area import ZONES
from tests.receivers import CLOSE, HANG, OK, RUBBISH, HttpReceiver, Letters, http_receiver, mail_server, status
from tests.stack import RunningStack

SECRET = "0123456789abcdef"
QUICK = Pace(first_s=0.05, most_s=0.2, tries=3, give_up_s=3600)
WAIT_S = 60.0


@pytest.fixture(scope="module")
def url(stack: RunningStack) -> Iterator[str]:
    with stack.database() as url:
        yield url


@pytest.fixture
def record(url: str) -> Iterator["Record"]:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("truncate ops.alarm, ops.alarm_news, ops.delivery, ops.maintenance")
        yield Record(admin, url)


class Record:
    """The record of alarms, and what receivers were told, as the owner sees them."""

    def __init__(self, admin: "psycopg.Connection[Any]", url: str) -> None:
        self.admin = admin
        self.analyst = f"{url}?options=-c%20role%3Ddothi_analyst"

    def raised(self, key: str, severity: str = "major", kind: str = "leak", **more: Any) -> int:
        """An alarm is raised; its id."""
        alarm = {"key": key, "kind": kind, "severity": severity, "at": datetime.now(UTC).isoformat(), "message": key}
        return int(self.one("select id from ops.raise_alarms(%s)", json.dumps([alarm | more])))

    def device(self, name: str, area: int) -> int:
        """One in this district; its id."""
        columns = "insert into registry.device (device, profile, area)"
        return int(self.one(f"{columns} select %s, min(id), %s from registry.profile returning id", name, area))

    def cleared(self, *keys: str) -> None:
        """What they were about is over."""
        at = [datetime.now(UTC) + timedelta(seconds=1)] * len(keys)
        self.admin.execute("select * from ops.clear_alarms(%s, %s)", (list(keys), at))

    def one(self, query: str, *parameters: object) -> Any:
        """The first column of the first row."""
        row = self.admin.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def states(self, receiver: str) -> Counter[str]:
        """Deliveries of a receiver by state."""
        found = self.admin.execute("select state from ops.delivery where receiver = %s", (receiver,))
        return Counter(row[0] for row in found)

    def until(self, pleased: Callable[[], object], seconds: float = WAIT_S) -> None:
        """Wait until it pleases."""
        deadline = time.monotonic() + seconds
        while not pleased():
            assert time.monotonic() < deadline, self.admin.execute("table ops.delivery").fetchall()
            time.sleep(0.02)


class Running:
    """A messenger in a thread of its own."""

    def __init__(
        self, record: Record, routes: Routes, pace: Pace = QUICK, brokers: dict[str, str] | None = None
    ) -> None:
        self.meters = Meters()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._told = Messenger(record.analyst, brokers or {}, routes, self.meters, self._stop, self._ready.set, QUICK)
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(run(self._told),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        self._loop.close()


def document(receivers: dict[str, HttpReceiver | int], routes: Any = None, limit_s: float = 3.0) -> dict[str, Any]:
    """A file of routes: HTTP receivers by name, mail servers by their ports."""
    made: dict[str, Any] = {}
    for name, one in receivers.items():
        if isinstance(one, int):
            server = {"server": f"127.0.0.1:{one}", "from": "dothi@example.vn", "to": ["duty@example.vn"]}
            made[name] = {"kind": "email", "security": "none", "time_limit_s": 2.0, **server}
        else:
            made[name] = {"kind": "webhook", "url": one.url, "secret_env": "X", "time_limit_s": limit_s}
    return {"receivers": made, "routes": routes or [{"to": list(receivers)}]}


def routes_to(*args: Any, **kwargs: Any) -> Routes:
    codes = [zone.code for zone in ZONES]
    return routes_from("r.yaml", document(*args, **kwargs), codes, kinds(), {"X": SECRET}.get)


def steps(receiver: HttpReceiver) -> list[tuple[int, str]]:
    """What was taken, by alarm and step, in the order of the answers."""
    return [(got.document["alarm"]["id"], got.document["what"]) for got in receiver.taken()]


def test_the_life_of_an_alarm_is_told(record: Record) -> None:
    letters = Letters()
    with (
        http_receiver() as desk,
        mail_server(letters) as port,
        Running(record, routes_to({"desk": desk, "duty": port})),
    ):
        alarm = record.raised("a", area=213)
        record.raised("a", "critical", area=213)
        record.admin.execute("select ops.acknowledge_alarm(%s, 'Lan', 'đi ngay')", (alarm,))
        record.cleared("a")
        record.until(lambda: record.states("desk")["answered"] == record.states("duty")["answered"] == 3)
    assert steps(desk) == [(alarm, "raised"), (alarm, "grown"), (alarm, "cleared")]
    told = desk.got[0].document
    assert told["alarm"]["area"] == "213"
    assert told["severity"] == "major", "as it was then"
    assert told["at"].endswith("Z")
    assert told["text"]["language"] == "vi"
    assert len(letters.got) == 3
    assert len({got.key for got in desk.got}) == 3


def test_acknowledging_is_told_where_a_route_asks_for_it(record: Record) -> None:
    route = {"to": ["desk"], "what": ["raised", "acknowledged"]}
    with http_receiver() as desk, Running(record, routes_to({"desk": desk}, [route])):
        alarm = record.raised("a")
        record.admin.execute("select ops.acknowledge_alarm(%s, 'Lan', 'đi ngay')", (alarm,))
        record.cleared("a")
        record.until(lambda: record.states("desk")["answered"] == 2)
    assert steps(desk) == [(alarm, "raised"), (alarm, "acknowledged")]
    assert desk.got[1].document["by"] == "Lan"
    assert "đi ngay" in desk.got[1].document["text"]["body"]


def test_the_end_is_told_to_those_who_heard_of_the_beginning_and_to_nobody_else(record: Record) -> None:
    routes = [{"to": ["desk"], "severities": ["critical"]}, {"to": ["other"], "severities": ["minor"]}]
    with (
        http_receiver() as desk,
        http_receiver() as other,
        Running(record, routes_to({"desk": desk, "other": other}, routes)),
    ):
        minor = record.raised("a", "minor")
        record.until(lambda: record.states("other")["answered"] == 1)
        record.raised("a", "critical")
        record.raised("b", "major")
        record.cleared("a", "b")
        record.until(lambda: record.states("desk")["answered"] == record.states("other")["answered"] == 2)
    assert steps(desk) == [(minor, "grown"), (minor, "cleared")]
    assert steps(other) == [(minor, "raised"), (minor, "cleared")]


def test_a_district_hears_of_an_alarm_that_spreads_to_it(record: Record) -> None:
    """Its area is the whole province then; whose devices are in it is told, and nobody else."""
    places = ("213", "215", "217", "000")
    routes = [{"to": [f"desk-{place}"], "areas": [place]} for place in places]
    with contextlib.ExitStack() as stack:
        desks = {place: stack.enter_context(http_receiver()) for place in places}
        stack.enter_context(
            Running(record, routes_to({f"desk-{place}": desk for place, desk in desks.items()}, routes))
        )
        here, there = record.device("here", 213), record.device("there", 215)
        alarm = record.raised("power_cut:213", area=213, members=[here])
        record.until(lambda: record.states("desk-213")["answered"] == 1)
        record.admin.execute("select ops.join_alarm(%s, %s, now())", (alarm, [there]))
        record.admin.execute("select ops.spread_alarm(%s, null, 'nhiều huyện', 'several', now())", (alarm,))
        record.cleared("power_cut:213")
        for place, many in (("213", 3), ("215", 2), ("000", 2)):
            record.until(lambda place=place, many=many: record.states(f"desk-{place}")["answered"] == many)  # type: ignore[misc]
    assert steps(desks["213"]) == [(alarm, "raised"), (alarm, "spread"), (alarm, "cleared")]
    assert steps(desks["215"]) == steps(desks["000"]) == [(alarm, "spread"), (alarm, "cleared")]
    assert not desks["217"].got


def test_a_district_hears_that_an_alarm_of_several_has_left_it_and_is_back(record: Record) -> None:
    """Others do not, and all hear of the end."""
    wanted = {"213": ["213"], "215": ["215"], "217": ["217"], "centre": ["000"], "both": ["213", "215"]}
    routes = [{"to": [name], "areas": areas} for name, areas in wanted.items()] + [{"to": ["all"]}]
    with contextlib.ExitStack() as stack:
        desks = {name: stack.enter_context(http_receiver()) for name in (*wanted, "all")}
        stack.enter_context(Running(record, routes_to(desks, routes, 5.0)))
        here, there = (record.device(f"receding-{area}", area) for area in (213, 215))
        record.raised("power_cut:213", members=[here, there])
        alarm = record.one("select max(id) from ops.alarm")
        record.admin.execute("select ops.leave_alarm(%s, %s, now() + interval '1 s')", (alarm, [there]))
        assert record.one("select ops.leave_alarm(%s, %s, now() + interval '2 s')", alarm, [there]) == 0
        record.admin.execute("select ops.join_alarm(%s, %s, now() + interval '3 s')", (alarm, [there]))
        record.admin.execute("select ops.leave_alarm(%s, %s, now() + interval '4 s')", (alarm, [there]))
        record.admin.execute("select ops.leave_alarm(%s, %s, now() + interval '5 s')", (alarm, [here]))
        record.admin.execute("select * from ops.clear_alarms(%s, array[now() + interval '6 s'])", (["power_cut:213"],))
        told = {name: ["raised", "cleared"] for name in ("213", "centre", "217")}
        told |= {"215": ["raised", "receded", "spread", "receded", "cleared"], "217": []}
        told |= {name: ["raised", "spread", "cleared"] for name in ("both", "all")}
        for name, whats in told.items():
            record.until(lambda name=name, whats=whats: record.states(name)["answered"] == len(whats))  # type: ignore[misc]
    assert {name: [what for _, what in steps(desk)] for name, desk in desks.items()} == told
    (over,) = [got.document["text"] for got in desks["215"].got if got.document["what"] == "receded"][:1]
    assert record.one("select name_vi from registry.area where code = '215'") in over["subject"]
    assert "dothi alarms ack" not in over["body"]


def test_nobody_is_called_to_what_is_under_maintenance_until_that_is_over(record: Record) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    number = record.one("select ops.begin_maintenance('213', null, null, %s, 'Lan', 'thay trạm')", until)
    with http_receiver() as desk, Running(record, routes_to({"desk": desk})) as messenger:
        alarm = record.raised("a", area=213)
        record.until(lambda: messenger.meters.news >= 1)
        assert record.states("desk") == Counter()
        record.admin.execute("select ops.end_maintenance(%s, 'Lan')", (number,))
        record.until(lambda: record.states("desk")["answered"] == 1)
    assert steps(desk) == [(alarm, "maintenance_over")]


def test_an_alarm_that_nobody_takes_is_told_again(record: Record) -> None:
    with http_receiver() as desk:
        with Running(record, routes_to({"desk": desk})):
            alarm = record.raised("a", "critical")
            record.until(lambda: record.states("desk")["answered"] == 1)
        record.admin.execute("update ops.alarm set called = called - interval '6 min'")
        with Running(record, routes_to({"desk": desk})):
            record.until(lambda: record.states("desk")["answered"] == 2)
    assert steps(desk) == [(alarm, "raised"), (alarm, "reminded")]


def test_a_receiver_that_is_down_for_an_hour_hears_of_all_in_order_and_once(record: Record) -> None:
    with http_receiver() as desk:
        desk.shut()
        with Running(record, routes_to({"desk": desk})) as messenger:
            alarms = [record.raised(f"a{n}") for n in range(6)]
            record.cleared("a0")
            record.until(lambda: messenger.meters.failed["desk"] >= 3)
            # An hour passes: for the database everything has waited that much longer.
            hour = "begun = begun - interval '59 min', created = created - interval '59 min'"
            record.admin.execute(f"update ops.delivery set {hour}")
            assert record.states("desk") == Counter(waiting=7)
            attempts = record.one("select count(*) from ops.delivery where attempts > 0")
            assert attempts <= 4, "while it is away it is asked with one message, not with all"
            desk.open()
            record.until(lambda: record.states("desk") == Counter(answered=7))
    assert sorted(steps(desk)) == sorted([(alarm, "raised") for alarm in alarms] + [(alarms[0], "cleared")])
    assert steps(desk).index((alarms[0], "raised")) < steps(desk).index((alarms[0], "cleared"))
    assert max(Counter(got.key for got in desk.taken()).values()) == 1


BAD = {"hang": HANG, "500": status(500), "rubbish": RUBBISH, "close": CLOSE, "302": status(302)}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_a_receiver_that_misbehaves_slows_nobody(record: Record, answer: bytes) -> None:
    with (
        http_receiver(answer) as bad,
        http_receiver() as good,
        Running(record, routes_to({"bad": bad, "good": good})),
    ):
        for n in range(20):
            record.raised(f"a{n}")
        record.until(lambda: record.states("good") == Counter(answered=20))
        assert record.states("bad") == Counter(waiting=20)
        bad.answer_with(OK)
        record.until(lambda: record.states("bad") == Counter(answered=20))
    assert max(Counter(got.key for got in good.got).values()) == 1
    assert max(Counter(got.key for got in bad.taken()).values()) == 1


def test_one_message_that_is_refused_holds_up_no_other_alarm(record: Record) -> None:
    letters = Letters(lambda nth: "554 it looks like spam" if nth == 0 else None)
    with mail_server(letters) as port, Running(record, routes_to({"duty": port})):
        first = record.raised("a")
        record.until(lambda: letters.tries == 1)
        record.cleared("a")
        record.raised("b")
        record.until(lambda: record.states("duty")["answered"] == 3)
    subjects = [got.content.decode() for got in letters.got if isinstance(got.content, bytes)]
    assert len(subjects) == 3
    assert record.one("select attempts from ops.delivery where alarm = %s and what = 'raised'", first) == 2


def test_what_is_refused_again_and_again_is_given_up_and_said(record: Record) -> None:
    with http_receiver(status(422)) as desk, Running(record, routes_to({"desk": desk})) as messenger:
        record.raised("a")
        record.until(lambda: record.states("desk")["given_up"] == 1)
        assert len(desk.got) == QUICK.tries
        assert messenger.meters.given_up["desk"] == 1
        assert record.one("select said from city.alarm_delivery") == "answered 422"
        desk.answer_with(OK)
        assert record.one("select ops.retry_deliveries('desk')") == 1
        record.until(lambda: record.states("desk")["answered"] == 1)
    assert len({got.key for got in desk.got}) == 1, "the same key in every try"


def test_a_receiver_that_is_gone_is_not_asked_again_for_the_same(record: Record) -> None:
    with http_receiver(status(410)) as desk, Running(record, routes_to({"desk": desk})):
        record.raised("a")
        record.until(lambda: record.states("desk")["given_up"] == 1)
    assert len(desk.got) == 1


def test_what_is_too_old_is_given_up_whoever_it_was_for(record: Record) -> None:
    with http_receiver(status(500)) as desk:
        with Running(record, routes_to({"desk": desk})) as messenger:
            record.raised("a")
            record.until(lambda: messenger.meters.failed["desk"])
            record.admin.execute("update ops.delivery set begun = begun - interval '2 h'")
            record.until(lambda: record.states("desk") == Counter(given_up=1))
        record.admin.execute(
            "insert into ops.delivery (receiver, history, alarm, what, route, language, begun) "
            "values ('unknown', 1, 1, 'raised', '1', 'vi', now() - interval '2 h')"
        )
        with Running(record, NOBODY):
            record.until(lambda: record.states("unknown") == Counter(given_up=1))


def test_old_deliveries_are_forgotten_unless_the_alarm_goes_on(record: Record) -> None:
    record.raised("a")
    on, over = record.one("select id from ops.alarm"), -1
    for alarm in (on, over):
        record.admin.execute(
            "insert into ops.delivery (receiver, history, alarm, what, route, language, state, settled) "
            "values ('desk', %s, %s, 'raised', '1', 'vi', 'answered', now() - interval '31 days')",
            (alarm, alarm),
        )
    with Running(record, NOBODY):
        record.until(lambda: record.one("select count(*) from ops.delivery") == 1)
    assert record.one("select alarm from ops.delivery") == on


def test_a_second_messenger_stands_by_and_takes_over(record: Record) -> None:
    with http_receiver() as desk:
        routes = routes_to({"desk": desk})
        with Running(record, routes) as first, Running(record, routes) as second:
            record.raised("a")
            record.until(lambda: record.states("desk")["answered"] == 1)
            assert (first.meters.standing_by, second.meters.standing_by) == (False, True)
            assert second.meters.trouble() is None
        with Running(record, routes_to({"desk": desk})):
            record.raised("b")
            record.until(lambda: record.states("desk")["answered"] == 2)
    assert len(desk.got) == 2


def test_news_without_routes_leave_no_trace_and_do_not_pile_up(record: Record) -> None:
    for n in range(3):
        record.raised(f"a{n}")
    with Running(record, NOBODY):
        record.until(lambda: record.one("select count(*) from ops.alarm_news") == 0)
    assert record.one("select count(*) from ops.delivery") == 0


def test_a_storm_is_taken_in_portions(record: Record) -> None:
    many = 3 * outbox.PORTION + 7
    now = datetime.now(UTC).isoformat()
    alarms = [{"key": f"s{n}", "kind": "leak", "severity": "minor", "at": now, "message": "x"} for n in range(many)]
    record.admin.execute("select count(*) from ops.raise_alarms(%s)", (json.dumps(alarms),))
    with http_receiver() as desk, Running(record, routes_to({"desk": desk})) as messenger:
        record.until(lambda: messenger.meters.news == many)
        assert record.one("select count(*) from ops.delivery") == many
        record.until(lambda: len(desk.got) >= 50)
    keys = Counter(got.key for got in desk.taken())
    assert max(keys.values()) == 1
    answered = record.states("desk")["answered"]
    assert answered == len(keys), "what was under way when it was told to stop was told to its end"


def test_a_database_that_goes_away_costs_nothing(record: Record) -> None:
    with http_receiver(delay_s=0.3) as desk, Running(record, routes_to({"desk": desk}, limit_s=2.0)):
        for n in range(4):
            record.raised(f"a{n}")
        record.until(lambda: desk.got)
        for _ in range(5):
            record.admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name like 'dothi messenger%' and datname = current_database()"
            )
            time.sleep(0.1)
        record.raised("b")
        record.until(lambda: record.states("desk") == Counter(answered=5))
    assert max(Counter(got.key for got in desk.taken()).values()) == 1, "an answer is remembered until it is written"


@contextlib.contextmanager
def process(folder: Path, record: Record, routes: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    """The messenger as `dothi up` starts it."""
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run/messenger.ready").unlink(missing_ok=True)
    told = {"broker": None, "database": "", "reader": "", "pid": os.getpid(), "analyst": record.analyst, "metrics": {}}
    (folder / "stack.json").write_text(json.dumps(told | {"ingest": {"brokers": []}}))
    (folder / "routes.yaml").write_text(json.dumps(routes))
    environment = os.environ | {"DOTHI_ALARM_ROUTES": str(folder / "routes.yaml"), "X": SECRET}
    command = [sys.executable, "-m", "dothi", "analytics", "deliver", "--dir", str(folder)]
    started = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        record.until((folder / "run/messenger.ready").exists)
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
        _, said = started.communicate(timeout=WAIT_S)
        assert SECRET.encode() not in said


def test_killed_while_it_tells_nothing_is_lost_and_no_answer_forgotten(record: Record, tmp_path: Path) -> None:
    many = 40
    with http_receiver(delay_s=0.01) as desk:
        routes = document({"desk": desk}, limit_s=5.0)
        kills, alarms = 0, []
        for round_of in range(2):
            with process(tmp_path, record, routes) as running:
                alarms += [record.raised(f"k{round_of}-{n}") for n in range(many // 2)]
                before = len(desk.got)
                record.until(lambda before=before: len(desk.got) >= before + 5)  # type: ignore[misc]
                running.send_signal(signal.SIGKILL)
                running.wait()
                kills += 1
        with process(tmp_path, record, routes):
            record.until(lambda: record.states("desk") == Counter(answered=many))
        keys = Counter(got.key for got in desk.got)
    assert sorted({got.document["alarm"]["id"] for got in desk.got}) == sorted(alarms), "at least once"
    # What was on its way at a kill may come again, under the same key: four at once, whose answers nobody heard.
    assert sum(keys.values()) - many <= kills * 4
    assert len(keys) == many


def test_the_process_stops_when_it_is_told_to(record: Record, tmp_path: Path) -> None:
    with (
        http_receiver(delay_s=0.5) as desk,
        process(tmp_path, record, document({"desk": desk}, limit_s=5.0)) as running,
    ):
        record.raised("a")
        record.until(lambda: desk.got)
        running.terminate()
        assert running.wait(WAIT_S) == 0
        assert record.states("desk") == Counter(answered=1), "what was under way is told to its end"


def test_other_routes_hold_when_the_file_changes_and_a_faulty_one_does_not(record: Record, tmp_path: Path) -> None:
    raised: list[int] = []

    def told_to() -> set[str]:
        """Who is told of an alarm that is raised now."""
        time.sleep(0.1)
        raised.append(record.raised(f"alarm {len(raised)}"))
        record.until(lambda: record.one("select exists (select from ops.delivery where alarm = %s)", raised[-1]))
        found = record.admin.execute("select receiver from ops.delivery where alarm = %s", (raised[-1],))
        return {row[0] for row in found}

    file = tmp_path / "routes.yaml"
    with http_receiver() as desk, http_receiver() as other, process(tmp_path, record, document({"desk": desk})):
        assert told_to() == {"desk"}
        file.write_text("receivers: [")
        time.sleep(2.5)
        assert told_to() == {"desk"}, "a file that cannot be used changes nothing"
        for receivers in ({"desk": desk, "other": other}, {"other": other}, {"desk": desk}):
            file.write_text(json.dumps(document(dict(receivers))))
            record.until(lambda receivers=receivers: told_to() == set(receivers))  # type: ignore[misc]
        record.until(lambda: record.one("select bool_and(state = 'answered') from ops.delivery"))
        got = [*desk.got, *other.got]
    assert {one.document["alarm"]["id"] for one in got} == set(raised), "none is lost"
    assert max(Counter(one.key for one in got).values()) == 1, "nobody hears anything twice"
