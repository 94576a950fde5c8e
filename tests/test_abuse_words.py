"""Tricks with words and pages: names that would be SQL, HTML, a template or a command to a terminal; odd requests.

Such words go through enrolment, messages, the desk's commands and the variables of dashboards, and stay words. What we
serve by HTTP are the pages of our processes (`/metrics`, `/healthz`, `/readyz`): they take no input beside the path and
know no credentials; of fuzzing an API that is what is left. Dashboards are drawn by Grafana, which is not ours: what is
asked here is that panels show cells as text, and that queries have their variables quoted.
"""

import csv
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import psycopg.sql
import pytest
from typer.testing import CliRunner

from dashboards.lint import OPEN_CELL, annotation_sql, several
from dashboards.lint_sql import PLACE, named, places, variable_faults
from dashboards.macros import Range, Value, expand
from dothi.cli import assemble
from dothi.commands.devices import app
from dothi.errors import Refused
from dothi.output import MOVING
from tests.examples import FULL
from tests.stack import RunningStack

WORDS = [
    "'; drop table registry.device; --", "' or '1'='1", '"', "\\'; --", "$$x$$", "%s%n%(x)s", "a\\nb", "{0.__class__}",
    "${__user.login}", "$province", "[[province]]", "${province:raw}", "{{7*7}}",
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "[/red]", "[bold]x",
    "=1+1", "-1", "🦠", "Ổ cắm “số 1”",
]  # fmt: skip
MACROS = ("$__timeFilter(time)", "$__timeFilter(1); drop table registry.device; --)")
NO_TEXT = ["a\u202eb", "a\x00b", "a\x1b[31mb", "a\u2066b", "a\rb", "a\x9bb"]
"""What no name may hold, and what no terminal may get."""


def run(stack: RunningStack, *arguments: str) -> str:
    """What a command of `dothi devices` prints for people; it must succeed."""
    done = CliRunner().invoke(app, [*arguments, "--dir", str(stack.folder)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def enrol(stack: RunningStack, tmp_path: Path, rows: list[tuple[str, str]]) -> str:
    """Enrol devices by id and name; the report of mistakes."""
    file = tmp_path / "words.csv"
    with file.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(("device", "profile", "area", "name", "owner"))
        writer.writerows((device, "native-air-quality", "215", name, name) for device, name in rows)
    return stack.dothi("devices", "enroll", str(file), check=False).stdout


# --- enrolment and the desk


@pytest.mark.full
def test_names_stay_names(stack: RunningStack, tmp_path: Path) -> None:
    rows = [(f"words-{number:02}", word) for number, word in enumerate(WORDS)]
    enrol(stack, tmp_path, rows)
    assert stack.query("select device, name from city.device where device like 'words-%%' order by device") == rows
    listed = run(stack, "list", "--find", "words-", "--limit", "1000")
    assert all(device in listed for device, _ in rows)
    for device, name in rows:
        found = json.loads(run(stack, "list", f"--find={name}", "--json"))
        assert all(isinstance(one["device"], str) for one in found)
        assert device in run(stack, "show", device)


def test_what_is_no_text_is_no_name(stack: RunningStack, tmp_path: Path) -> None:
    told = enrol(stack, tmp_path, [(f"words-no-{number}", word) for number, word in enumerate(NO_TEXT)])
    for number in range(len(NO_TEXT)):
        assert stack.query("select 1 from city.device where device = %s", f"words-no-{number}") == [], told


def test_what_devices_say_of_themselves_stays_text(stack: RunningStack) -> None:
    device = stack.enroll("words-sender", area="215")
    everything = [*WORDS, *NO_TEXT]
    for number, word in enumerate(everything):
        said = {"seq": number + 1, "metrics": {"pm25": 1, word: word}, word: {word: [word]}}
        stack.publish(f"dothi/v1/215/{device}/up", said, {"seq": 1000 + number, "metrics": {"pm25": word}})
    whole = "select count(*) from city.air_quality where device = %s"
    stack.wait_for(whole, device, until=lambda count: count >= len(everything))
    kept = "select count(*) from city.quarantine where device = %s and reason <> 'unknown_device'"
    stack.wait_for(kept, device, until=lambda count: count >= len(everything))
    stack.wait_for("select 1 from city.latest_air_quality where device = %s", device)
    with psycopg.connect(stack.document["reader"], autocommit=True) as reader:
        for view in ("air_quality", "latest_air_quality", "quarantine"):
            assert reader.execute(f"select * from city.{view} where device = %s".encode(), (device,)).fetchall()
    done = CliRunner().invoke(app, ["doctor", device, "--dir", str(stack.folder)])
    assert "last rejected" in done.stdout
    assert harmless(done.stdout)


def test_what_strangers_call_themselves_moves_no_terminal(stack: RunningStack) -> None:
    for word in [*WORDS, *NO_TEXT]:
        message = {
            "id": f"urn:ngsi-ld:AirQualityObserved:words-{word}",
            "type": "AirQualityObserved",
            "pm25": {"type": "Property", "value": 3},
        }
        stack.publish("ngsi/words", message)
    stack.wait_for(
        "select count(distinct device) from city.quarantine where inbox = 'ngsi' and device like %s",
        "urn:ngsi-ld:AirQualityObserved:words-%",
        until=lambda count: count >= len(WORDS),
    )
    shown = run(stack, "pending", "--limit", "1000")
    assert "words-" in shown
    assert harmless(shown)
    listed = run(stack, "pending", "--limit", "1000", "--csv")
    assert harmless(listed)
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in csv.reader(listed.splitlines()) for cell in row)
    assert all(one["name"] for one in json.loads(run(stack, "pending", "--limit", "1000", "--json")))
    refused = stack.dothi("devices", "accept", "\x1b[31mnobody", check=False)
    assert refused.returncode == 1
    assert harmless(refused.stderr)
    assert harmless(run(stack, "tail", "--for", "0.5"))


def harmless(text: str) -> bool:
    """Whether nothing in it but the ends of lines is a command to a terminal."""
    return not MOVING.search(text.replace("\n", ""))


@pytest.mark.parametrize("word", [*WORDS[:2], "%s%n%(x)s", "${__user.login}", "[/red]", "a\x1b[31mb"])
def test_no_argument_is_sql_or_a_traceback(stack: RunningStack, word: str) -> None:
    here = ["--dir", str(stack.folder)]
    for arguments in (
        *(["show"], ["doctor"], ["accept"], ["retire"], ["credentials", "revoke"]),
        *(["tail", "--for", "0.1", "--device"], ["list", "--find"], ["alias", "remove"]),
    ):
        named = arguments[-1].startswith("--")
        options = [*arguments[:-1], *here, arguments[-1]] if named else [*arguments, *here, "--"]
        done = CliRunner().invoke(app, [*options, word], standalone_mode=False)
        assert isinstance(done.exception, Refused | None), (arguments, done.exception)
    assert stack.query("select count(*) > 0 from registry.device") == [(True,)]


def test_an_argument_that_is_no_text_is_named(stack: RunningStack) -> None:
    done = stack.dothi("devices", "show", "a\udcffb", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not UTF-8" in done.stderr


# --- dashboards


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All dashboards as they are built."""
    folder = tmp_path_factory.mktemp("boards")
    done = CliRunner().invoke(assemble(), ["dashboards", "build", str(folder)], standalone_mode=False)
    assert done.exception is None
    return [json.loads(path.read_text()) for path in sorted((folder / "dashboards").rglob("*.json"))]


def queries(boards: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each query of each dashboard, also those of its variables and marks, with the dashboard."""
    for board in boards:
        for panel in (one for top in board["panels"] for one in (top, *top.get("panels", ()))):
            yield from ((target["rawSql"], board) for target in panel.get("targets", ()) if "rawSql" in target)
        yield from ((one["query"], board) for one in board["templating"]["list"] if one["type"] == "query")
        yield from ((annotation_sql(one), board) for one in board["annotations"]["list"])


def chosen(sql: str, board: dict[str, Any], number: int) -> Iterator[dict[str, Value]]:
    """What the address of a page can make of the variables in a query: several of what allows several; of what allows
    one each word alone (every eighth in the quick run, others for the next query), and several all the same, since
    Grafana takes them."""
    words = (*WORDS, "a\u202eb", "a\x1bb")
    step = 1 if FULL else 8
    allowed = several(board)
    names = {named(place) for place in places(sql, allowed)}
    yield from (dict.fromkeys(names, choice) for choice in (words, words[:1]) if names)
    for word in words[number % step :: step] if not all(allowed[name] for name in names) else ():
        yield {name: words if allowed[name] else word for name in names}


def asked(sql: str, values: dict[str, Value]) -> str:
    """The query as it is meant: at the place of each variable its values as the database's own client quotes them."""

    def literals(place: re.Match[str]) -> str:
        if named(place) not in values:
            return place[0]
        value = values[named(place)]
        texts = (value,) if isinstance(value, str) else value
        return ", ".join(psycopg.sql.Literal(text).as_string() for text in texts)

    return PLACE.sub(literals, sql)


def test_a_variable_is_a_value_whatever_is_chosen(stack: RunningStack, boards: list[dict[str, Any]]) -> None:
    """Also what nobody offers: the choice stands in the address of the page."""
    before = stack.query("select count(*) from registry.device")
    now = datetime.now(UTC)
    span = Range(now - timedelta(hours=1), now)
    with psycopg.connect(stack.document["reader"], autocommit=True, cursor_factory=psycopg.ClientCursor) as reader:
        asking = enumerate(queries(boards))
        seen = [(sql, board, values) for number, (sql, board) in asking for values in chosen(sql, board, number)]
        for sql, board, values in seen:
            meant = rows(reader, expand(asked(sql, values), span, 60_000))
            assert rows(reader, expand(sql, span, 60_000, values)) == meant, (board["uid"], sql, values)
        for sql, board in {sql: board for sql, board, _ in seen}.items():
            # Macros are expanded inside a value, too, and end its quotes: then what holds is what the reader may do.
            with suppress(psycopg.errors.SyntaxError, psycopg.errors.UndefinedFunction):
                reader.execute(expand(sql, span, 60_000, dict.fromkeys(several(board), MACROS)).encode())
    assert seen
    assert stack.query("select count(*) from registry.device") == before


def rows(reader: "psycopg.Connection[Any]", sql: str) -> int | str:
    """How many rows a query has, or why it has none: of a place for one value that got several."""
    try:
        return len(reader.execute(sql.encode()).fetchall())
    except (psycopg.errors.SyntaxError, psycopg.errors.UndefinedFunction) as error:
        return type(error).__name__


def test_every_variable_is_quoted_by_grafana(boards: list[dict[str, Any]]) -> None:
    """One value of a variable that allows several is quoted; of one that does not it goes into the SQL as it is."""
    for sql, board in queries(boards):
        assert list(variable_faults(sql, several(board))) == [], (board["uid"], sql)
        assert ":raw}" not in sql


def test_no_panel_takes_a_cell_for_html(boards: list[dict[str, Any]]) -> None:
    text = json.dumps(boards)
    assert '"mode": "html"' not in text
    assert '"type": "markdown"' not in text
    assert "${__data.fields." in text
    assert OPEN_CELL.findall(text) == []


# --- pages


REQUESTS = [
    b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"DELETE /healthz HTTP/1.1\r\n\r\n",
    b"\x00\xff /metrics HTTP/1.1\r\n\r\n", b"GET\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", b"GET //metrics HTTP/1.1\r\n\r\n",
    b"GET /metrics%00 HTTP/1.1\r\n\r\n", b"GET http://example.org/ HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", b"\r\n" * 50_000,
]  # fmt: skip


@pytest.fixture(scope="module")
def pages(stack: RunningStack) -> dict[str, int]:
    """Port of the pages of each process."""
    document = json.loads((stack.folder / "stack.json").read_text())
    return {name: urlsplit(address).port or 0 for name, address in document["metrics"].items()}


def ask(port: int, request: bytes) -> bytes:
    """All of an answer; nothing when the other side hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        answer = b""
        try:
            connection.sendall(request)
            while got := connection.recv(65_536):
                answer += got
        except OSError:
            pass
        return answer


def test_odd_requests_are_refused_and_the_pages_stay(pages: dict[str, int]) -> None:
    for name, port in pages.items():
        for request in REQUESTS:
            answer = ask(port, request)
            assert answer == b"" or re.match(rb"HTTP/1.1 40[45] ", answer), (name, request[:40], answer[:80])
            assert b"root:" not in answer
        assert ask(port, b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"alive\n")
        head = ask(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert head.endswith(b"\r\n\r\n")


def test_who_asks_slowly_holds_up_nobody_and_is_left(pages: dict[str, int]) -> None:
    waiting = [socket.create_connection(("127.0.0.1", pages["up"]), timeout=60) for _ in range(100)]
    try:
        for one in waiting:
            one.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        assert b"dothi_part_up" in ask(pages["up"], b"GET /metrics HTTP/1.1\r\n\r\n")
        assert all(one.recv(1) == b"" for one in waiting)  # the other side has hung up
    finally:
        for one in waiting:
            one.close()


def test_pages_and_stores_listen_on_loopback_alone(stack: RunningStack, pages: dict[str, int]) -> None:
    parts = [psutil.Process(stack.document["pid"]), *psutil.Process(stack.document["pid"]).children(recursive=True)]
    listening = [one.laddr for part in parts for one in part.net_connections("tcp") if one.status == "LISTEN"]
    assert {*pages.values()} <= {address.port for address in listening}
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}
