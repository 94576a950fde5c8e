"""The boards in a real Grafana, wherever one is at hand: GRAFANA_URL with GRAFANA_TOKEN, or a `grafana` on the PATH."""

import json
import os
import re
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from dashboards.alert_rules import rules
from dashboards.macros import expand, scoped, substitute
from dashboards.preview.asking import choice, flat, least_ms, points, time_range
from dashboards.preview.database import Database
from dashboards.preview.repeat import repeated
from dothi.grafana import default_places, find_binary, start_if_present
from tests.dashboard_questions import boards
from tests.stack import RunningStack


class Server(NamedTuple):
    """A Grafana that has our boards: address and the header that lets us in."""

    url: str
    authorization: str

    def ask(self, path: str, body: Any = None) -> Any:
        """The answer of a GET, or of a POST with a body."""
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 - http of the test's own server
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)


@pytest.fixture(scope="module")
def grafana(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The Grafana of the environment with our boards applied, else the host's own with our files."""
    url, token = os.environ.get("GRAFANA_URL"), os.environ.get("GRAFANA_TOKEN")
    if url and token:
        stack.dothi("dashboards", "apply", "--url", url, "--token", token)
        yield Server(url.rstrip("/"), f"Bearer {token}")
        return
    if find_binary(default_places()) is None:
        pytest.skip("no Grafana is here: neither GRAFANA_URL and GRAFANA_TOKEN nor a program grafana")
    started = start_if_present(stack.document, Path(tmp_path_factory.mktemp("grafana")))
    assert started is not None
    try:
        secret = b64encode(f"{started.user}:{started.password}".encode()).decode()
        parts = urlsplit(started.url)
        yield Server(f"{parts.scheme}://{parts.netloc}", f"Basic {secret}")
    finally:
        started.stop()


@pytest.mark.stack
def test_every_board_is_there(grafana: Server) -> None:
    for uid, board in boards().items():
        found = grafana.ask(f"/api/dashboards/uid/{uid}")["dashboard"]
        assert [panel["title"] for panel in found["panels"]] == [panel["title"] for panel in board["panels"]]


@pytest.mark.stack
def test_every_rule_is_there(grafana: Server) -> None:
    found = {rule["uid"] for rule in grafana.ask("/api/v1/provisioning/alert-rules")}
    assert {rule.uid for rule in rules()} <= found


@pytest.mark.stack
@pytest.mark.parametrize("uid", sorted(boards()))
def test_no_panel_has_an_error_and_macros_mean_what_we_think(stack: RunningStack, grafana: Server, uid: str) -> None:
    board = boards()[uid]
    time = time_range(board, datetime.now(UTC).replace(microsecond=0))
    chosen: dict[str, Any] = {}
    shown: dict[str, tuple[str, ...]] = {}
    with closing(Database(stack.document["reader"])) as database:
        for variable in board["templating"]["list"]:
            name = variable["name"]
            chosen[name], shown[name] = choice(variable, database.ask, time, chosen, {})
    ends = {"from": str(int(time.start.timestamp() * 1000)), "to": str(int(time.end.timestamp() * 1000))}
    for panel, own in repeated(flat(board["panels"]), chosen, shown):
        interval, values = time.interval_ms(points(panel), least_ms(panel)), dict(chosen)
        values |= {name: (value,) for name, (value, _) in own.items()}
        for target in (one for one in panel.get("targets", []) if "rawSql" in one):
            sql = substitute(target["rawSql"], scoped(time, values), interval)
            query = target | {"rawSql": sql, "intervalMs": interval, "maxDataPoints": points(panel)}
            answer = grafana.ask("/api/ds/query", {"queries": [query], **ends})["results"][target["refId"]]
            assert not answer.get("error"), f"{panel['title']}: {answer['error']}"
            ran = answer["frames"][0]["schema"]["meta"]["executedQueryString"] if answer["frames"] else ""
            assert not ran or spaced(ran) == spaced(expand(target["rawSql"], time, interval, values)), panel["title"]


def spaced(sql: str) -> str:
    """A text with every run of white space as one space."""
    return re.sub(r"\s+", " ", sql).strip()
