"""A database that is away for a while under load: nothing is lost, and the benchmark of it would notice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.full
def test_nothing_is_lost_while_the_database_is_away(tmp_path: Path) -> None:
    options = ["--minutes", "0.3", "--rate", "4000", "--broker-memory", "48MiB", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "tests.bench.outage", *options, "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = tmp_path.glob("outage-*.json")
    found = json.loads(file.read_text())
    assert found["rows"] == {"rows": found["published"], "strangers": 0, "wrong": 0, "lost": 0, "double": 0}
    assert found["queued"] > 50_000, "the broker held what came meanwhile"
    assert {event["kind"] for event in found["events"]} == {"queue_filling"}, "told before it was full"
