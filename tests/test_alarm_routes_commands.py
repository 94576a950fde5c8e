"""What staff type about routes and deliveries: checked before anything starts, answers in one line, no secret shown."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import command
from tests.receivers import Letters, http_receiver, mail_server, status
from tests.stack import RunningStack

SECRET = "0123456789abcdef-desk"


def dothi(*arguments: str, **environment: str) -> command.Done:
    """A command with variables of the environment."""
    done = command.dothi(*arguments, check=False, DESK_SECRET=SECRET, **environment)
    assert SECRET not in done.stdout + done.stderr
    return done


def routes_file(folder: Path, url: str, mail: int = 25, **route: Any) -> Path:
    """A file with a webhook, a mailbox and a route."""
    desk = {"kind": "webhook", "url": url, "secret_env": "DESK_SECRET", "time_limit_s": 20}
    duty = {"kind": "email", "server": f"127.0.0.1:{mail}", "from": "dothi@example.vn", "to": ["duty@example.vn"]}
    duty |= {"security": "none", "language": "en"}
    document = {"receivers": {"desk": desk, "duty": duty}, "routes": [{"name": "all", "to": ["desk"]} | route]}
    file = folder / "routes.yaml"
    file.write_text(json.dumps(document))
    return file


def test_a_file_is_shown_as_it_would_be_used(tmp_path: Path) -> None:
    file = routes_file(tmp_path, "https://desk.example.vn/t/token", kinds=["forest_fire", "pm25-high"], areas=["213"])
    done = dothi("alarms", "routes", "check", str(file), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["receivers"] == {"desk": "https://desk.example.vn", "duty": "duty@example.vn by 127.0.0.1:25"}
    assert document["without_route"] == ["duty"]
    assert document["routes"][0]["kinds"] == ["forest_fire", "pm25-high"]
    assert dothi("alarms", "routes", "list", DOTHI_ALARM_ROUTES=str(file)).returncode == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"to": ["nobody"]}, "routes.all.to has nobody; there are desk, duty"),
        ({"kinds": ["flod"]}, "routes.all.kinds has flod; there are air_quality, anomaly,"),
        ({"areas": ["9"]}, "routes.all.areas has 9; there are 000, 058,"),
        ({"severities": ["bad"]}, "is 'bad'"),
    ],
)
def test_a_bad_file_is_refused_by_whatever_reads_it(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = routes_file(tmp_path, "https://desk.example.vn/", **change)
    done = dothi("alarms", "routes", "check", str(file))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    done = dothi("up", "--dir", str(tmp_path / "stack"), DOTHI_ALARM_ROUTES=str(file))
    assert done.returncode == 2
    assert done.stderr.startswith("dothi: DOTHI_ALARM_ROUTES: routes.yaml: ")
    assert not (tmp_path / "stack").exists(), "before anything is started"


def test_a_test_message_is_sent_and_its_answer_printed(tmp_path: Path) -> None:
    letters = Letters()
    with http_receiver() as desk, mail_server(letters) as port:
        file = str(routes_file(tmp_path, desk.url, port))
        done = dothi("alarms", "routes", "test", "desk", "--file", file)
        assert (done.returncode, done.stdout, done.stderr) == (0, "desk: answered 200\n", "")
        assert dothi("alarms", "routes", "test", "duty", DOTHI_ALARM_ROUTES=file).returncode == 0
        desk.answer_with(status(401))
        done = dothi("alarms", "routes", "test", "desk", "--file", file)
        assert (done.returncode, done.stderr) == (1, "dothi: desk: answered 401\n")
    assert desk.got[0].document["what"] == "test"
    assert len(letters.got) == 1
    done = dothi("alarms", "routes", "test", "desk", "--file", file)
    assert (done.returncode, done.stderr) == (1, "dothi: desk: no answer: Connection refused\n")
    done = dothi("alarms", "routes", "test", "who", "--file", file)
    assert (done.returncode, done.stderr) == (2, "dothi: receiver who: unknown; allowed: desk, duty\n")
    assert "allowed: none, no file given" in dothi("alarms", "routes", "test", "desk").stderr


def test_deliveries_are_listed_and_tried_again(stack: RunningStack) -> None:
    at = datetime.now(UTC)
    stack.query(
        "insert into ops.delivery (receiver, history, alarm, what, route, language, state, settled, said, attempts) "
        "values ('gone-desk', -1, -1, 'raised', 'all', 'vi', 'given_up', %s, 'answered 422', 8), "
        "('gone-desk', -2, -1, 'cleared', 'all', 'vi', 'answered', %s, 'answered 200', 1) returning id",
        at,
        at,
    )
    try:
        document = json.loads(stack.dothi("alarms", "deliveries", "--receiver", "gone-desk", "--json").stdout)
        assert [(one["what"], one["state"], one["said"]) for one in document["deliveries"]] == [
            ("raised", "given_up", "answered 422")
        ]
        (summed,) = (one for one in document["receivers"] if one["receiver"] == "gone-desk")
        assert (summed["waiting"], summed["given_up"], summed["answered"]) == (0, 1, 1)
        assert "422" in stack.dothi("alarms", "deliveries").stdout
        settled = stack.dothi("alarms", "deliveries", "--state", "answered", "--receiver", "gone-desk", "--json")
        assert len(json.loads(settled.stdout)["deliveries"]) == 1
        done = stack.dothi("alarms", "deliveries", "retry", "--receiver", "gone-desk", "--json")
        assert json.loads(done.stdout) == {"again": 1}
        assert stack.query("select state from ops.delivery where history = -1") == [("waiting",)]
        bad = stack.dothi("alarms", "deliveries", "--state", "lost", check=False)
        assert (bad.returncode, bad.stderr) == (2, "dothi: --state lost: allowed: waiting, given_up, answered\n")
    finally:
        stack.run("delete from ops.delivery where receiver = 'gone-desk'")


def test_the_record_is_scored_against_a_truth(stack: RunningStack, tmp_path: Path) -> None:
    """An alarm of the stack's record against a happening that a truth file tells of."""
    now = datetime.now(UTC)
    device = stack.enroll("score", area="216")
    begin, end = (now - timedelta(seconds=30)).isoformat(), (now + timedelta(seconds=60)).isoformat()
    event = {"id": "s/1", "kind": "stuck", "cause": "s/1", "start": begin, "end": end, "where": {"areas": ["216"]}}
    event |= {"devices": {"count": 1, "ids": [device]}, "parameters": {}}
    event |= {"alarms": [{"kind": "stuck", "severity": "minor", "one_per": "device"}]}
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"version": 1, "run": {"start": begin, "end": end, "seed": 1}, "events": [event]}))

    def scored() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(stack.dothi("simulate", "score", "--truth", str(truth), "--json").stdout)
        return found

    assert scored()["matters_told"] == 0
    (number,) = stack.query("select id from registry.device where device = %s", device)[0]
    alarm = {"key": "score", "kind": "stuck", "severity": "minor", "at": now.isoformat(), "message": "Đứng yên"}
    stack.query("select id from ops.raise_alarms(%s::jsonb)", json.dumps([alarm | {"members": [number]}]))
    found = scored()
    assert (found["matters"], found["matters_told"], found["recall"]) == (1, 1, 1.0)
    assert found["kinds"][0]["detect_median_s"] == pytest.approx(30.0, abs=1.0)
    assert "stuck" in stack.dothi("simulate", "score", "--truth", str(truth)).stdout
    stack.query("select * from ops.clear_alarms(array['score'], array[now() + interval '1 s'])")
