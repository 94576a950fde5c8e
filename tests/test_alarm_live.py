"""From a reading over the broker to an alarm of the record, with the analyst killed in between."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dothi.errors import WrongUsage
from dothi.settings import RULES, use_rules
from tests.stack import RunningStack, running_stack

RUNG = """
select count(*) filter (where what = 'raised'), count(*) filter (where what = 'cleared'), count(distinct h.alarm)
from city.alarm_history h join city.alarm a on a.id = h.alarm where a.kind = 'status-state' and a.area = '058'
"""


def say(stack: RunningStack, device: str, seq: int, status: str) -> None:
    """A bin says how it is."""
    reading = {"time": int(time.time() * 1000), "seq": seq, "metrics": {"status": status}}
    stack.publish(f"dothi/v1/058/{device}/up", reading)


def test_a_reading_over_the_broker_rings_and_is_over(stack: RunningStack) -> None:
    device = stack.enroll("ringing", "native-fill-level", "058")
    say(stack, device, 1, "burning")
    stack.wait_for(f"select raised from ({RUNG}) x(raised, cleared, alarms)", until=(1).__eq__)
    rows = stack.query(
        "select severity, members_now, message from city.alarm where kind = 'status-state' and area = '058'"
    )
    assert rows[0][:2] == ("critical", 1)
    assert "–" in rows[0][2], "the district is named"
    say(stack, device, 2, "ok")
    stack.wait_for(f"select cleared from ({RUNG}) x(raised, cleared, alarms)", until=(1).__eq__)


def test_rules_are_rehearsed_on_what_is_stored(stack: RunningStack, tmp_path: Path) -> None:
    device = stack.enroll("rehearsed", "native-soil", "058")
    begin = int(time.time() * 1000) - 3_600_000
    readings = [
        {"time": begin + n * 60_000, "seq": n, "metrics": {"soil_temperature": 20 + 20 * (n % 20 > 9)}}
        for n in range(1, 41)
    ]
    stack.publish(f"dothi/v1/058/{device}/up", *readings)
    stack.wait_for("select count(*) from city.soil where device = %s", device, until=(40).__eq__)
    rule = {"name": "hot", "from": "limit", "kind": "hot", "family": "soil", "metric": "soil_temperature", "when": ">"}
    rule |= {"raise": 35, "clear": 30, "title": {"vi": "Nóng", "en": "Hot"}, "fold": "device", "cool_down_s": 0}
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"rules": [rule]}))
    done = stack.dothi_process("alarms", "check", str(file), "--since", "2h", "--area", "058", "--json")
    score = json.loads(done.stdout)["scores"][0]
    assert (score["rule"], score["rang"], score["devices"], score["severities"]) == ("hot", 2, 1, {"minor": 2})
    assert score["lasted_s"] == pytest.approx(600.0)
    file.write_text(yaml.safe_dump({"rules": [rule | {"metric": "smell"}]}))
    done = stack.dothi_process("alarms", "check", str(file), check=False)
    assert done.returncode == 2
    assert "rule hot: alarm on smell: soil has no such metric; expected" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_file_of_rules_that_is_wrong_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [{name: x, from: finding, kind: k, detectors: [nose], title: {vi: a, en: b}}]")
    monkeypatch.setenv(RULES, str(file))
    with pytest.raises(WrongUsage, match=f"^{RULES}: rule x: detectors is nose; expected one of anomaly"):
        use_rules()
    monkeypatch.setenv(RULES, "/nowhere/rules.yaml")
    with pytest.raises(WrongUsage, match="is no file"):
        use_rules()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """A stack of its own: what is killed here must not disturb other tests."""
    with running_stack(tmp_path_factory.mktemp("ringing"), prepared=prepared) as running:
        yield running


def kill_analyst(stack: RunningStack) -> None:
    """At once, and without a word; one that is not back yet is dead already."""
    document = json.loads((Path(stack.folder) / "stack.json").read_text())
    if document["processes"]["analyst"]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(document["processes"]["analyst"], signal.SIGKILL)


@pytest.mark.full
def test_a_killed_analyst_rings_once(own_stack: RunningStack) -> None:
    device = own_stack.enroll("ringing", "native-fill-level", "058")
    for turn in range(3):
        say(own_stack, device, 2 * turn + 1, "burning")
        time.sleep(0.4 * turn)
        kill_analyst(own_stack)
        own_stack.wait_for(
            "select count(*) from city.alarm where kind = 'status-state' and state <> 'cleared'", until=(1).__eq__
        )
        kill_analyst(own_stack)
        say(own_stack, device, 2 * turn + 2, "ok")
        time.sleep(0.4 * turn)
        kill_analyst(own_stack)
        own_stack.wait_for(
            "select count(*) from city.alarm where kind = 'status-state' and state <> 'cleared'", until=(0).__eq__
        )
    what = own_stack.query(
        "select what, count(*) from city.alarm_history where what in ('raised', 'reopened', 'cleared') "
        "group by 1 order by 1"
    )
    assert what == [("cleared", 3), ("raised", 1), ("reopened", 2)]
    assert own_stack.query("select kind, occurrences from city.alarm where severity <> 'info'") == [("status-state", 3)]
