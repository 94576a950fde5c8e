"""Crash points: parsed strictly, deadly where asked, nothing elsewhere."""

import signal
import subprocess
import sys

import pytest

from ingest.points import Crash, parse
from tests.stack import RunningStack


@pytest.mark.parametrize(
    ("text", "crash"),
    [
        ("before_commit", Crash("before_commit")),
        ("after_copy:0.25", Crash("after_copy", 0.25)),
        ("between_batches:every-7", Crash("between_batches", 1.0, 7)),
    ],
)
def test_points_are_read(text: str, crash: Crash) -> None:
    assert parse(text) == crash


@pytest.mark.parametrize("text", ["nowhere", "after_copy:0", "after_copy:2", "after_copy:every-0", "after_copy:x"])
def test_a_wrong_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


def test_the_setting_is_named(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTHI_CRASH_AT", "nowhere:3")
    refused = stack.dothi("ingest", "run", check=False)
    assert refused.returncode == 2
    assert "DOTHI_CRASH_AT='nowhere:3'" in refused.stderr


def test_it_dies_the_time_it_was_told_to() -> None:
    program = (
        "from ingest.points import *; crash_at(parse('after_copy:every-3'))\n"
        "for n in range(5): reached('before_commit'); reached('after_copy'); print(n, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["0", "1"]
