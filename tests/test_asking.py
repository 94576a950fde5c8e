"""The desk asks the database with psycopg2, and with psycopg where nobody can be reached: both say the same."""

import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from subprocess import PIPE, Popen, run
from typing import Any

import psycopg
import psycopg2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics import alarm_desk
from analytics.alarm_desk import SEVERITIES, STATES, Ask, Unlawful, Wanted
from dothi.asking import asked, asking, connected, reached
from dothi.cli import explained
from dothi.settings import stack_at
from tests.stack import RunningStack


@contextmanager
def both(stack: RunningStack, role: str = "reader") -> Iterator[Sequence[Ask]]:
    """The two ways to ask."""
    url = stack_at(stack.folder).document[role]
    with closing(reached(url)) as ours, connected(url) as theirs:
        yield asked(ours), asked(theirs)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TIMES = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001  hypothesis gives the zone
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=7)), timezone(timedelta(hours=-9, minutes=-30))]),
)
KINDS = """
select %s::text as word, %s::bigint as number, %s::timestamptz as time, array_to_json(%s::text[]) as words,
       %s::float8 as half, %s::jsonb as document, %s = any(%s) as among, null::text as nothing
"""


@pytest.mark.stack
def test_values_go_and_come_as_with_psycopg(stack: RunningStack) -> None:
    with both(stack) as ways:

        @settings(max_examples=100, deadline=None)
        @given(WORDS, st.integers(-(2**63), 2**63 - 1), TIMES, st.lists(WORDS, max_size=4), st.floats())
        @example("", -(2**63), datetime(2026, 1, 1, tzinfo=UTC), [], 0.0)
        def law(text: str, number: int, time: datetime, words: list[str], half: float) -> None:
            values = (text, number, time, words, str(half), '{"tên": ["Bến Đò", 1.5, null]}', text, words)
            ours, theirs = (repr(aligned(ask(KINDS, values))) for ask in ways)
            assert ours == theirs

        law()


def aligned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose times have one zone."""
    return [{n: v.astimezone(UTC) if isinstance(v, datetime) else v for n, v in row.items()} for row in rows]


@pytest.mark.stack
def test_the_desk_reads_the_same_both_ways(stack: RunningStack) -> None:
    now = datetime.now(UTC)
    said = [
        {"key": f"asking/{n}", "kind": f"asking-{n % 3}", "severity": severity, "at": now.isoformat(), "value": n / 4}
        | {"message": f"mực nước cao '{n}' \\ \"ở\" trạm", "message_en": "high", "rule": "level"}
        for n, severity in enumerate(SEVERITIES * 3)
    ]
    raised = dict(stack.query("select key, id from ops.raise_alarms(%s)", json.dumps(said)))
    wanted = [
        *(Wanted(), Wanted(cleared=True), Wanted(states=("cleared",)), Wanted(states=STATES[:2], area="215")),
        *(Wanted(severities=SEVERITIES[:2]), Wanted(severities=("info",)), Wanted(kinds=("asking-1", "asking-2"))),
        *(Wanted(devices=("a", 'b"\\,{}')), Wanted(devices=()), Wanted(kinds=("Bến 'Đò' %s",), cleared=True)),
        *(Wanted(since=now - timedelta(hours=1), until=now + timedelta(hours=1)), Wanted(until=now, cleared=True)),
    ]
    with both(stack) as (ours, theirs):
        for one in wanted:
            assert alarm_desk.list_alarms(ours, one, 40) == alarm_desk.list_alarms(theirs, one, 40), one
            assert alarm_desk.count_alarms(ours, one) == alarm_desk.count_alarms(theirs, one), one
            assert alarm_desk.numbers(ours, one) == alarm_desk.numbers(theirs, one), one
        number = raised["asking/0"]
        assert alarm_desk.one_alarm(ours, number, 5) == alarm_desk.one_alarm(theirs, number, 5)
        assert alarm_desk.one_alarm(ours, 10**12, 5) is alarm_desk.one_alarm(theirs, 10**12, 5) is None
        assert len(alarm_desk.list_alarms(ours, Wanted(kinds=("asking-0",)), 40)) == 5
        for since in (None, now - timedelta(hours=1)):
            asks = [alarm_desk.history(ask, None, since, 30) for ask in (ours, theirs)]
            assert asks[0] == asks[1]
        assert alarm_desk.maintenances(ours, True) == alarm_desk.maintenances(theirs, True)


@pytest.mark.stack
def test_a_stack_is_asked_without_psycopg(stack: RunningStack) -> None:
    program = (
        "import sys; from dothi.cli import main\n"
        "try: main()\n"
        "except SystemExit: sys.stderr.write(repr('psycopg' in sys.modules))\n"
    )
    for words in (["list"], ["list", "--area", "luc ngan", "--json"], ["history"], ["show", "999999999"]):
        command = [sys.executable, "-c", program, "alarms", *words, "--dir", str(stack.folder)]
        assert run(command, capture_output=True, text=True, check=True).stderr.endswith("False"), words


@pytest.mark.stack
def test_what_the_law_refuses_is_told_both_ways_and_the_next_is_done(stack: RunningStack) -> None:
    said = []
    with both(stack, "operator") as ways:
        for ask in ways:
            with pytest.raises(Unlawful) as unlawful:
                alarm_desk.act(ask, "acknowledge_alarm", 999_999_999, "lan", None)
            said.append(str(unlawful.value))
            assert ask("select 1 as one") == [{"one": 1}]
    assert said[0] == said[1]
    assert said[0].startswith("alarm 999999999: there is none")


@pytest.mark.stack
def test_mistakes_are_told_in_the_same_words(stack: RunningStack) -> None:
    wrong = stack_at(stack.folder).document["reader"].replace("dothi_reader:", "dothi_reader:no")
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"postgresql://u:p@127.0.0.1:{server.getsockname()[1]}/d"
    for url in (wrong, nobody, "postgresql://u:p@127.0.0.1:1/d?sslmod=x"):
        assert told(url, asking) == told(url, connected)
    for statement in ("select 1 from city.nothing", "select 1 from ops.alarm", "select 1/0"):
        with both(stack) as ways:
            said = [explained_by(ask, statement) for ask in ways]
        assert said[0] == said[1]


def told(url: str, way: Callable[[str], AbstractContextManager[object]]) -> str:
    """What a command says about a database that cannot be reached."""
    with pytest.raises(psycopg.Error) as error, way(url):
        pass
    return explained(error.value)


def explained_by(ask: Ask, statement: str) -> str:
    """What a command says about a statement that fails."""
    with pytest.raises((psycopg.Error, psycopg2.Error)) as error:
        ask(statement)
    return explained(error.value)


@pytest.mark.stack
def test_a_statement_ends_at_once_when_somebody_stops_it(stack: RunningStack) -> None:
    program = (
        "import sys; from dothi.asking import asking\n"
        "with asking(sys.argv[1]) as ask:\n"
        "    print(ask('select pg_backend_pid() as pid')[0]['pid'], flush=True)\n"
        "    ask('select pg_sleep(29)')\n"
    )
    command = [sys.executable, "-c", program, stack_at(stack.folder).document["reader"]]
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True) as asks:
        assert asks.stdout is not None
        pid = int(asks.stdout.readline())
        running = "select 1 from pg_stat_activity where pid = %s and state = 'active' and query like '%%pg_sleep%%'"
        while not stack.query(running, pid):
            pass
        asks.send_signal(signal.SIGINT)
        _, said = asks.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    while stack.query(running, pid):
        pass
