"""Applying to a Grafana: what is made, what is left alone, what is said when it cannot; against a strict stand-in."""

import copy
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from dashboards.alert_rules import as_file, as_interface, rules
from dashboards.apply import Wanted, carry_out, plan
from dashboards.contacts import ContactsRefused, contacts_from, merged, points, receivers, route
from dashboards.differences import differences, essence
from dashboards.grafana_gateway import Gateway
from dashboards.lint_sql import sql_faults
from dashboards.tree import PLACEHOLDERS, SourceKind, dashboards, tree
from devices.documents import parse_yaml
from dothi.commands.dashboards import app
from dothi.errors import Refused
from dothi.grafana import database_of
from tests.grafana_server import ADMIN, EDITOR, VIEWER, Contract, serving

CONTACTS = """
default: [ioc@example.vn, https://hooks.example.vn/alarms]
severity: {critical: [duty@example.vn]}
area: {"213": [tp@example.vn]}
"""
SOME = ("dothi-wall.json", "dothi-wall-en.json", "dothi-rivers.json")


@cache
def some(kind: SourceKind, outlines: object = None) -> dict[str, str]:
    """A few boards: drawing and comparing all of them takes a second each time."""
    return {name: text for name, text in dashboards(kind).items() if name in SOME}


@pytest.fixture(autouse=True)
def _few_boards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "every_board" not in request.fixturenames:
        monkeypatch.setattr("dashboards.apply.dashboards", some)


@pytest.fixture
def every_board() -> set[str]:
    """The uids of all boards, for a test that applies them all."""
    return {name.removesuffix(".json") for name in dashboards("postgres")}


BOARDS = {name.removesuffix(".json") for name in SOME}


@pytest.fixture
def grafana() -> Iterator[tuple[Contract, str]]:
    """A Grafana with somebody else's things, and a data source as files would have made it."""
    contract = Contract()
    contract.folders["theirs"] = {"uid": "theirs", "title": "Theirs"}
    like = {"uid": "dothi-like", "title": "x", "tags": ["dothi"], "version": 1}
    contract.boards["dothi-like"] = {"dashboard": like, "folder": "theirs"}
    contract.rules["dothi-theirs"] = {"uid": "dothi-theirs", "title": "theirs", "folderUID": "theirs"}
    contract.policies["routes"] = [{"receiver": "grafana-default-email", "object_matchers": [["team", "=", "net"]]}]
    contract.datasources["dothi-timescaledb"] = {"uid": "dothi-timescaledb", "name": "dothi"}
    with serving(contract) as url:
        yield contract, url


def call(url: str, *arguments: str, token: str = ADMIN) -> Result:
    return CliRunner().invoke(app, ["apply", "--url", url, "--token", token, *arguments])


def applied(url: str, *arguments: str) -> dict[str, Any]:
    done = call(url, "--json", *arguments)
    assert done.exception is None, done.exception
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def refused(url: str, *arguments: str, token: str = ADMIN) -> str:
    done = call(url, *arguments, token=token)
    assert isinstance(done.exception, Refused), done.exception
    assert token not in done.output + str(done.exception)
    return str(done.exception)


def test_everything_is_made_and_the_second_time_nothing(
    grafana: tuple[Contract, str], every_board: set[str], tmp_path: Path
) -> None:
    contract, url = grafana
    told = tmp_path / "contacts.yaml"
    told.write_text(CONTACTS)
    first = applied(url, "--contacts", str(told))
    assert {one["uid"] for one in first["changes"] if one["kind"] == "dashboard"} == every_board
    assert contract.boards.keys() == every_board | {"dothi-like"}
    assert {one["folder"] for uid, one in contract.boards.items() if uid in every_board} == {"dothi"}
    assert contract.rules.keys() == {rule.uid for rule in rules()} | {"dothi-theirs"}
    assert [one["receiver"] for one in contract.policies["routes"]] == ["dothi", "grafana-default-email"]
    before = len(contract.written)
    second = applied(url, "--contacts", str(told))
    assert second["changed"] == 0
    assert len(contract.written) == before
    assert call(url, "--check", "--contacts", str(told)).exit_code == 0


def test_a_dry_run_says_what_and_changes_nothing(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    said = call(url, "--dry-run")
    assert "create dashboard dothi-wall\n" in said.output
    assert "create rule dothi-stale-feed\n" in said.output
    assert contract.written == []


def test_what_was_changed_by_hand_is_named_and_mended(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    applied(url)
    by_hand = copy.deepcopy(contract.boards["dothi-wall"])
    by_hand["dashboard"]["panels"][0]["title"] = "Hand-made"
    by_hand["dashboard"]["panels"][1]["fieldConfig"]["defaults"]["unit"] = "short"
    by_hand["dashboard"]["panels"].append({"id": 99, "type": "text", "title": "Zettel"})
    contract.boards["dothi-wall"] = by_hand
    contract.rules["dothi-stale-feed"]["for"] = "1h0m0s"
    contract.folders["dothi"]["title"] = "Renamed"
    line = refused(url, "--check")
    assert line.startswith("3 differ from what is built: folder dothi, dashboard dothi-wall, rule dothi-stale-feed")
    said = call(url, "--check").output
    assert "panels[id 1].title: Hand-made → " in said
    assert "panels[id 99]: «Zettel» → nothing" in said
    assert "for: 1h → 3m" in said
    assert applied(url)["changed"] == 3
    assert call(url, "--check").exit_code == 0


def test_only_our_own_is_taken_away(grafana: tuple[Contract, str], tmp_path: Path) -> None:
    contract, url = grafana
    told = tmp_path / "contacts.yaml"
    told.write_text(CONTACTS)
    applied(url, "--contacts", str(told))
    old = contract.boards["dothi-wall"]["dashboard"]
    contract.boards["dothi-gone"] = {"dashboard": old | {"uid": "dothi-gone"}, "folder": "dothi"}
    contract.boards["by-hand"] = {"dashboard": old | {"uid": "by-hand"}, "folder": "dothi"}
    contract.rules["dothi-gone"] = contract.rules["dothi-stale-feed"] | {"uid": "dothi-gone", "title": "gone"}
    contract.rules["by-hand"] = contract.rules["dothi-stale-feed"] | {"uid": "by-hand", "title": "by hand"}
    told.write_text("default: [ioc@example.vn]\n")
    changes = applied(url, "--contacts", str(told))["changes"]
    removed = {(one["kind"], one["uid"]) for one in changes if one["action"] == "remove"}
    hooks = {("contact", uid) for uid in ("dothi-severity-critical-mail", "dothi-area-213-mail", "dothi-hook1")}
    assert removed == {("dashboard", "dothi-gone"), ("rule", "dothi-gone")} | hooks
    assert {"dothi-like", "by-hand"} <= contract.boards.keys()
    assert {"dothi-theirs", "by-hand"} <= contract.rules.keys()
    assert "default" in contract.contacts


def test_half_failed_it_can_be_repeated(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    contract.break_after = 2
    line = refused(url)
    assert "database is locked" in line
    assert "2 changes are made, call it again for the rest" in line
    contract.break_after = None
    applied(url)
    assert contract.boards.keys() >= BOARDS
    assert call(url, "--check").exit_code == 0


@pytest.mark.parametrize(
    ("version", "kind"), [("9.5.21", "postgres"), ("10.4.2", "postgres"), ("11.0.0", "grafana-postgresql-datasource")]
)
def test_the_kind_of_the_data_source_follows_the_version(
    grafana: tuple[Contract, str], version: str, kind: str
) -> None:
    contract, url = grafana
    contract.version = version
    applied(url)
    assert contract.boards["dothi-wall"]["dashboard"]["panels"][0]["datasource"]["type"] == kind
    assert contract.rules["dothi-stale-feed"]["data"][0]["model"]["datasource"]["type"] == kind


def test_below_a_path(tmp_path: Path) -> None:
    contract = Contract()
    contract.datasources["dothi-timescaledb"] = {"uid": "dothi-timescaledb"}
    with serving(contract, "/grafana") as url:
        applied(url)
    assert contract.boards.keys() == BOARDS


@pytest.mark.parametrize(
    ("token", "said"), [("wrong", "does not know the token"), (VIEWER, "may not make the folder"), (EDITOR, "")]
)
def test_tokens(grafana: tuple[Contract, str], token: str, said: str) -> None:
    _, url = grafana
    if said:
        assert said in refused(url, token=token)
    else:
        assert call(url, token=token).exit_code == 0


def test_a_token_from_the_environment(grafana: tuple[Contract, str], monkeypatch: pytest.MonkeyPatch) -> None:
    _, url = grafana
    monkeypatch.setenv("DOTHI_GRAFANA_TOKEN", ADMIN)
    assert CliRunner().invoke(app, ["apply", "--url", url]).exit_code == 0
    monkeypatch.delenv("DOTHI_GRAFANA_TOKEN")
    assert "DOTHI_GRAFANA_TOKEN" in str(CliRunner().invoke(app, ["apply", "--url", url]).exception)


def test_too_old(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    contract.version = "8.5.27"
    assert "is Grafana 8.5.27: too old, 9 or newer is needed" in refused(url)


def test_no_data_source_and_no_stack(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    contract.datasources.clear()
    assert "has no data source dothi-timescaledb" in refused(url)


def test_the_data_source_is_made_mended_and_keeps_its_password(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    contract.datasources.clear()
    wanted = Wanted(database_of("postgresql://reader:p%24a@127.0.0.1:5433/city"))

    def bring() -> list[str]:
        with closing(Gateway(url, ADMIN)) as gateway:
            return [one.kind for one in carry_out(plan(gateway, wanted, gateway.version()))]

    assert bring()[:2] == ["folder", "source"]
    made = contract.datasources["dothi-timescaledb"]
    assert (made["url"], made["user"], made["database"]) == ("127.0.0.1:5433", "reader", "city")
    assert contract.secrets["dothi-timescaledb"] == {"password": "p$a"}
    assert bring() == []
    made["jsonData"]["timescaledb"] = False
    assert bring() == ["source"]
    contract.datasources["dothi-timescaledb"]["secureJsonFields"] = {}
    assert bring() == ["source"]
    assert bring() == []


def test_build_with_contacts_and_its_own_lint(tmp_path: Path) -> None:
    told = tmp_path / "contacts.yaml"
    told.write_text(CONTACTS)
    done = CliRunner().invoke(app, ["build", str(tmp_path / "out"), "--contacts", str(told), "--check"])
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "out/provisioning/alerting/dothi-contacts.yaml").is_file()
    told.write_text("default: [nobody]")
    done = CliRunner().invoke(app, ["build", str(tmp_path / "out"), "--contacts", str(told)])
    assert "default: nobody is neither an e-mail address nor http(s)" in str(done.exception)


def test_what_files_made_is_not_touched(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    applied(url)
    contract.provisioned.add("dothi-wall")
    contract.boards["dothi-wall"]["dashboard"]["title"] = "other"
    assert "build the files instead" in refused(url)


def test_too_slow(grafana: tuple[Contract, str]) -> None:
    contract, url = grafana
    contract.slow_s = 1.5
    assert "did not answer within 1 s" in refused(url, "--timeout-s", "1")


def test_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "cannot be reached: Connection refused" in refused(f"http://127.0.0.1:{port}")


def test_something_else_answers() -> None:
    """A server that is no Grafana."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<ok>")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert "is no Grafana" in refused(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "grafana:3000", "--token", "x"], "--url: grafana:3000"),
        (["--url", "http://x", "--token", "x", "--contacts", "/none.yaml"], "cannot be read"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["apply", *arguments])
    assert isinstance(done.exception, Refused)
    assert done.exception.exit_code == 2
    assert said in str(done.exception)


# --- alert rules and contacts ---


def test_rules_in_both_shapes() -> None:
    as_files = as_file("postgres", "Thư mục")["groups"][0]
    through = as_interface("postgres", "dothi")
    assert [rule["uid"] for rule in as_files["rules"]] == [rule["uid"] for rule in through]
    for rule, one in zip(rules(), through, strict=True):
        assert list(sql_faults(rule.sql)) == []
        assert "$" not in json.dumps(one), "Grafana would take it for its environment"
        assert len(one["title"]) <= 190
        assert one["noDataState"] in ("OK", "NoData")
        assert rule.title["vi"] != rule.title["en"]
        assert rule.about["vi"] != rule.about["en"]


def test_contacts_are_in_files_only_when_given() -> None:
    assert not [name for name in tree("postgres", PLACEHOLDERS, Path("/x")) if "contacts" in name]  # type: ignore[arg-type]
    contacts = contacts_from(parse_yaml(CONTACTS))
    files = tree("postgres", PLACEHOLDERS, Path("/x"), contacts)  # type: ignore[arg-type]
    document = json.loads(files["provisioning/alerting/dothi-contacts.yaml"])
    assert {one["name"] for one in document["contactPoints"]} == set(receivers(contacts))
    assert sum(len(one["receivers"]) for one in document["contactPoints"]) == 4


def test_routes_by_severity_and_area() -> None:
    ours = route(contacts_from(parse_yaml(CONTACTS)))
    assert [one["receiver"] for one in ours["routes"]] == ["dothi", "dothi-severity-critical", "dothi-area-213"]
    assert all(one["continue"] for one in ours["routes"])
    names = {one["name"] for one in points(contacts_from(parse_yaml(CONTACTS)))}
    assert names == {one["receiver"] for one in ours["routes"]}


@pytest.mark.parametrize(
    "text",
    [
        "default: []", "severity: {critical: [a@b.vn]}", "default: [nobody]", "default: [a@b.vn]\nsector: {}",
        "default: [a@b.vn]\nseverity: {grave: [a@b.vn]}", 'default: [a@b.vn]\narea: {"999": [a@b.vn]}', "[1]",
        "default: [ftp://x]", "default: [a@b.vn]\narea: [213]",
    ],
)  # fmt: skip
def test_contacts_that_cannot_be_used(text: str) -> None:
    with pytest.raises(ContactsRefused):
        contacts_from(parse_yaml(text))


trees: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {"receiver": st.sampled_from(["a", "b"])}, optional={"routes": st.lists(trees, max_size=2)}
    )
)


@given(trees)
def test_the_policies_of_others_stay_as_they_are(theirs: dict[str, Any]) -> None:
    ours = route(contacts_from(parse_yaml(CONTACTS)))
    once = merged(theirs, ours)
    assert merged(once, ours) == once
    assert merged(once, None)["routes"] == theirs.get("routes", [])


# --- differences ---

leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
documents: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        leaves | st.lists(documents, max_size=2) | st.dictionaries(st.sampled_from(["id", "a"]), documents, max_size=2)
    )
)


@given(documents, documents)
def test_documents_differ_exactly_where_lines_are(one: Any, other: Any) -> None:
    first, second = essence(one), essence(other)
    texts = [json.dumps(side, sort_keys=True) for side in (first, second)]
    assert bool(list(differences(first, second))) == (texts[0] != texts[1])


@pytest.mark.parametrize(
    ("text", "same"), [("3m0s", "3m"), ("1h0m0s", "1h"), ("90m", "1h30m"), ("90s", "1m30s"), ("0s", "0s"), ("5M", "5M")]
)
def test_durations_have_one_spelling(text: str, same: str) -> None:
    assert essence(text) == same
