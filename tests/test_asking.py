"""The desk asks the database by itself where all is usual, and with psycopg where not: both ways say the same."""

import json
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from subprocess import run
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import alarm_desk
from analytics.alarm_desk import SEVERITIES, STATES, Ask, Unlawful, Wanted
from dothi.asking import Asking, asked, connected
from dothi.errors import Refused
from dothi.scram import Proof, Unproved
from dothi.wire import Refusal, Unusual, numbered, written
from dothi.wire_connection import Address, Connection, usual
from tests.stack import RunningStack

# RFC 7677, section 3.
NONCE = "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
OUTCOME = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_a_login_is_that_of_the_rfc() -> None:
    proof = Proof("pencil", NONCE, "user")
    assert proof.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert proof.final(CHALLENGE) == FINAL
    proof.check(OUTCOME)


@pytest.mark.parametrize("said", [OUTCOME[:-2] + b"A=", b"v=", b"", b"e=other-error", b"\xff"])
def test_a_server_that_does_not_know_the_password_is_found_out(said: bytes) -> None:
    proof = Proof("pencil", NONCE, "user")
    with pytest.raises(Unproved):
        proof.check(OUTCOME)
    proof.final(CHALLENGE)
    with pytest.raises(Unproved):
        proof.check(said)


@pytest.mark.parametrize(
    "said",
    [CHALLENGE.replace(b"r=rO", b"r=Or"), b"", b"\xff\xff", CHALLENGE[:60], CHALLENGE.replace(b"4096", b"0"), b"r,s,i"],
)
def test_a_challenge_that_is_none_is_found_out(said: bytes) -> None:
    with pytest.raises(Unproved):
        Proof("pencil", NONCE).final(said)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://u:p@h/d", Address("h", 5432, "u", "p", "d", "")),
        ("postgres://u%40x:p%2Fq%25@127.0.0.1:99/d%20e", Address("127.0.0.1", 99, "u@x", "p/q%", "d e", "")),
        ("postgresql://u:p@[::1]:7/d?options=-c%20role%3Dr", Address("::1", 7, "u", "p", "d", "-c role=r")),
    ],
)
def test_what_is_usual_is_read_as_libpq_reads_it(url: str, address: Address) -> None:
    assert usual(url, {"HOME": "/"}) == address
    said = psycopg.conninfo.conninfo_to_dict(url)
    assert address.options == said.get("options", "")
    assert (address.host, str(address.port)) == (said["host"], said.get("port", "5432"))
    assert (address.user, address.password, address.database) == (said["user"], said["password"], said["dbname"])


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://h/d", "postgresql://u@h/d", "postgresql://u:p@/d", "postgresql://u:p@h", "postgresql://u:p@h/"),
        *(
            "postgresql://u:p@a,b/d",
            "postgresql://u:p@%2Ftmp/d",
            "postgresql://u:p@h:x/d",
            "postgresql://u:p@h:99999/d",
        ),
        *("postgresql://u:p@h/d?sslmode=require", "postgresql://u:p@h/d?options=a&sslmode=require"),
        *("postgresql://u:%C3%A9@h/d", "postgresql://u:é@h/d", "postgresql://u:p@h/d#x", "postgresql://u:p@[h/d", ""),
    ],
)
def test_what_is_not_usual_is_left_to_psycopg(url: str) -> None:
    assert usual(url, {}) is None


def test_variables_of_libpq_are_left_to_it() -> None:
    assert usual("postgresql://u:p@h/d", {"PGSSLMODE": "require"}) is None


def test_a_statement_has_a_place_for_each_value() -> None:
    for statement, values in (("select %s", 0), ("select 1", 1), ("select 5 %% 2, %s", 1), ("select '%'", 0)):
        with pytest.raises(Unusual):
            numbered(statement, values)
    with pytest.raises(Unusual):
        written(object())


# --- on a server


@pytest.fixture
def address(stack: RunningStack) -> Address:
    found = usual(stack.document["reader"], {})
    assert found is not None
    return found


@contextmanager
def both(stack: RunningStack, role: str = "reader") -> Iterator[Sequence[Ask]]:
    """The two ways to ask."""
    found = usual(stack.document[role], {})
    assert found is not None
    with closing(Connection(found, "test")) as ours, connected(stack.document[role]) as theirs:
        yield ours, asked(theirs)


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
def test_a_usual_stack_is_asked_without_psycopg(stack: RunningStack) -> None:
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
    with both(stack, "operator") as (ours, theirs), Asking(stack.document["operator"], acts=True) as ask:
        with pytest.raises(Refusal) as refused:
            alarm_desk.act(ours, "acknowledge_alarm", 999_999_999, "lan", None)
        assert refused.value.state == alarm_desk.UNLAWFUL
        for way in (theirs, ask):
            with pytest.raises(Unlawful) as unlawful:
                alarm_desk.act(way, "acknowledge_alarm", 999_999_999, "lan", None)
            assert str(unlawful.value) == str(refused.value)
            assert way("select 1 as one") == [{"one": 1}]
        assert ours("select 1 as one") == [{"one": 1}]


@pytest.mark.stack
def test_a_mistake_is_psycopgs(stack: RunningStack, address: Address) -> None:
    with Asking(stack.document["reader"]) as ask:
        with pytest.raises(psycopg.errors.UndefinedTable):
            ask("select 1 from city.nothing")
        with pytest.raises(psycopg.DataError, match="NUL"):
            ask("select %s::text", ("a\0b",))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask("select 1 from ops.alarm")
    wrong = stack.document["reader"].replace(address.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"), Asking(wrong):
        pass


@pytest.mark.stack
def test_types_that_are_not_known_are_psycopgs(stack: RunningStack) -> None:
    with Asking(stack.document["reader"]) as ask:
        assert ask("select '{a,b}'::text[] as words") == [{"words": ["a", "b"]}]


@pytest.mark.stack
@pytest.mark.parametrize("acts", [False, True])
def test_a_connection_that_ends_is_made_anew_only_to_read(stack: RunningStack, acts: bool) -> None:
    with Asking(stack.document["operator"], acts) as ask:
        (row,) = ask("select pg_backend_pid() as pid")
        stack.query("select pg_terminate_backend(%s, 10000)", row["pid"])
        if acts:
            with pytest.raises(Refused, match="whether it was done is not known"):
                ask("select 1 as one")
        else:
            assert ask("select 1 as one") == [{"one": 1}]


@pytest.mark.parametrize(
    "said", [b"", b"S", b"N", b"NR\0\0\0\x08\0\0\0\0Z", b"NR\0\0\0\x08\0\0\0\x03", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
def test_what_is_no_such_server_is_left_to_psycopg(said: bytes) -> None:
    with listening(said) as port:
        with pytest.raises((Unusual, OSError)):
            Connection(Address("127.0.0.1", port, "u", "p", "d", ""), "test")
        with pytest.raises(psycopg.OperationalError), Asking(f"postgresql://u:p@127.0.0.1:{port}/d"):
            pass


@contextmanager
def listening(said: bytes) -> Iterator[int]:
    """A port where whoever comes hears this, and then no more."""
    with ExitStack() as ends, socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    caller.recv(100)
                    caller.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        ends.callback(thread.join)
        ends.callback(server.shutdown, socket.SHUT_RDWR)
        yield server.getsockname()[1]


def test_nobody_there_is_psycopgs_to_say() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(psycopg.OperationalError, match="refused"), Asking(f"postgresql://u:p@127.0.0.1:{port}/d"):
        pass
