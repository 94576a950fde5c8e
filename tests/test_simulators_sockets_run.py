"""`dothi simulate run --sockets`: tokens are issued, devices come, nothing is missing; or a line says why not."""

import json
import subprocess
import sys

import pytest

from tests.command import dothi_process
from tests.stack import RunningStack

AREAS = ["--area", "215", "--area", "216", "--area", "220"]
SMALL = ["--people", "300", "--density", "50", *AREAS, "--for", "3", "--rate", "60"]


@pytest.mark.full
def test_what_devices_with_their_own_tokens_say_is_stored(stack: RunningStack) -> None:
    done = stack.dothi_process("simulate", "run", "--sockets", *SMALL, "--json")
    said = json.loads(done.stdout)
    assert "150 of 150 devices connected, from 1 processes" in done.stderr
    assert (said["devices"], said["connected"], said["turned_away"], said["disconnects"]) == (150, 150, {}, {})
    assert said["sent"] == said["acknowledged"] > 100
    account = said["conservation"]
    assert (account["acknowledged"], account["missing"], account["settled"]) == (said["sent"], 0, True)
    kept = stack.query("select count(*) from city.credential where device ~ '^[a-z]+-(215|216|220)-[0-9]{6}$'")
    assert kept[0][0] >= 150


@pytest.mark.full
def test_a_summary_in_words_over_tls_from_two_processes(stack: RunningStack) -> None:
    done = stack.dothi_process("simulate", "run", "--sockets", "--tls", "--processes", "2", *SMALL, "--no-account")
    assert "150 of 150 devices connected, from 2 processes" in done.stderr
    cells = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
    rows = {row[1]: row[2] for row in cells if len(row) == 4}
    assert rows["sent"] == rows["acknowledged"]
    assert rows["connected"] == "150"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tls"], "--tls without --sockets: allowed: with --sockets"),
        (["--processes", "2"], "--processes without --sockets: allowed: with --sockets"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(arguments: list[str], told: str) -> None:
    done = dothi_process("simulate", "run", *SMALL, *arguments, "--dir", "/nowhere/at/all", check=False)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.full
def test_too_few_open_files_are_told_before_anything_is_enrolled(stack: RunningStack) -> None:
    before = stack.query("select count(*) from registry.device")
    run = f"{sys.executable} -m dothi simulate run --dir {stack.folder} --sockets --people 9000 --density 100 --for 1"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -n 100; {run}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "250 processes needed because each may have 100 open files; raise `ulimit -n`" in done.stderr
    assert stack.query("select count(*) from registry.device") == before


def test_a_broker_that_is_not_there_is_named() -> None:
    done = dothi_process("simulate", "run", "--sockets", *SMALL, "--dir", "/nowhere/at/all", check=False)
    assert done.returncode == 1
    assert "no stack runs in /nowhere/at/all" in done.stderr
