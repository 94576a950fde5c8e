"""Commands as users meet them: exit codes, one line on a mistake, JSON for scripts, an example in every help."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dothi.cli import assemble
from dothi.given import Argument, Option
from tests.command import dothi, dothi_process
from tests.stack import RunningStack


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command, as its words."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return [path]
    return [found for name, one in inner.items() for found in commands(one, (*path, name))]


ROOT = typer.main.get_command(assemble())
COMMANDS = commands(ROOT)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(words: tuple[str, ...]) -> None:
    command: Any = ROOT
    for word in words:
        command = command.commands[word]
    assert f"Example: dothi {' '.join(words)}" in (command.help or "")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["bogus"], 2, "No such command"),
        (["up", "--workers", "x"], 2, "--workers"),
        (["up", "--workers", "0"], 2, "1 to"),
        (["up", "--for", "-1"], 2, "--for"),
        (["up", "--people", "1000", "--density", "0"], 2, "--density"),
        (["up", "--ready-file", "/nowhere/at/all/f"], 2, "/nowhere/at/all"),
        (["status", "--dir", "/nowhere"], 1, "dothi up --dir /nowhere"),
        (["migrate", "--dir", "/nowhere"], 1, "dothi up --dir /nowhere"),
        (["ingest", "run", "--dir", "/nowhere"], 1, "dothi up"),
        (["devices", "try", "x.json", "--profile", "nonesuch", "--dir", "/nowhere"], 1, "no stack"),
        (["devices", "decode", "/nowhere.json", "--profile", "native-weather"], 2, "/nowhere.json"),
        (["simulate", "plan", "--province", "atlantis"], 2, "bac-giang"),
        (["simulate", "plan", "--density", "10000"], 2, "10000"),
        (["dashboards", "build", "/dev/null/x"], 1, "/dev/null"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(arguments: list[str], exit_code: int, said: str) -> None:
    refused = dothi(*arguments, check=False)
    assert said in refused.stderr
    assert refused.returncode == exit_code
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DOTHI_DATABASE_URL", "mysql://u:secret@h/d", "postgresql://"),
        ("DOTHI_BROKER_URL", "http://u:secret@h", "mqtt://"),
        ("DOTHI_RUNTIME", "docker", "private and system"),
        ("DOTHI_LATE_LIMIT", "7 fortnights", "7d"),
        ("DOTHI_LATE_LIMIT", "nonesuch=3d", "air_quality"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    refused = dothi_process("up", "--dir", str(tmp_path / "stack"), check=False)
    assert refused.returncode == 2
    assert name in refused.stderr
    assert said in refused.stderr
    assert "secret" not in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "stack").exists()


def test_a_database_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTHI_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/none")
    for command in (["migrate"], ["status"], ["devices", "list"]):
        refused = dothi(*command, check=False)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "127.0.0.1" in refused.stderr
        assert "secret" not in refused.stderr


def test_status_counts_what_the_ledger_counts(stack: RunningStack) -> None:
    device = stack.enroll("status-aq")
    topic = f"dothi/v1/213/{device}/up"
    before = json.loads(stack.dothi("status", "--json").stdout)
    good = {"time": time.time_ns() // 1_000_000, "seq": 1, "metrics": {"pm25": 1, "pm10": -1}}
    received = stack.received()
    stack.publish(topic, good, good, b"nonsense")
    stack.wait_settled(received + 3)
    after = json.loads(stack.dothi("status", "--json").stdout)
    grown = {name: after[name] - before[name] for name in ("received", "stored", "duplicate", "quarantined", "partial")}
    assert grown == {"received": 3, "stored": 1, "duplicate": 1, "quarantined": 1, "partial": 2}
    assert {"in_flight", "rate_per_s", "lag_s", "devices", "alarms", "processes"} <= after.keys()
    assert after["workers"] == 1
    assert after["queue"]["messages"] <= after["queue"]["limit"]
    assert 0 <= after["queue"]["share"] < 0.5
    assert "quarantined" in stack.dothi("status").stdout


def test_try_shows_the_stored_row_or_the_reason(stack: RunningStack, tmp_path: Path) -> None:
    message = tmp_path / "message.json"
    message.write_text('{"metrics": {"temperature": 21.5}}')
    stored = json.loads(stack.dothi("devices", "try", str(message), "--profile", "native-weather", "--json").stdout)
    assert (stored["stored"], stored["temperature"], stored["device"]) == (True, 21.5, "try-native-weather")
    message.write_text('{"metrics": {"temperature": 215}}')
    refused = stack.dothi("devices", "try", str(message), "--profile", "native-weather", "--json", check=False)
    assert refused.returncode == 1
    verdict = json.loads(refused.stdout)
    assert (verdict["stored"], verdict["reason"], verdict["field"]) == (False, "out_of_range", "temperature")
    assert "out_of_range" in refused.stderr


def test_try_takes_a_foreign_message(stack: RunningStack, tmp_path: Path) -> None:
    message = tmp_path / "message.json"
    message.write_text(json.dumps({"id": 0, "apower": 12.5, "voltage": 229.0}))
    stored = json.loads(stack.dothi("devices", "try", str(message), "--profile", "shelly-gen3", "--json").stdout)
    assert (stored["stored"], stored["active_power"], stored["voltage"]) == (True, 12.5, 229.0)


def test_migrate_on_a_running_stack_has_nothing_to_do(stack: RunningStack) -> None:
    assert json.loads(stack.dothi("migrate", "--json").stdout) == {"done": []}


def test_output_into_a_closed_pipe_ends_quietly() -> None:
    import subprocess

    command = f"{sys.executable} -m dothi devices families | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    assert "fault" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("alarms", "show"), "Missing argument 'ALARM'; expected: Number of the alarm; as in: dothi alarms show 12"),
        (
            ("alarms", "judge", "1"),
            "'VERDICT'; expected: One of true, false, drill; as in: dothi alarms judge 12",
        ),
        (("alarms", "comment", "1"), "'TEXT'; expected: What others should know; as in: dothi alarms comment 12"),
    ],
    ids=" ".join,
)
def test_what_is_missing_is_named_with_what_it_is_and_an_example(words: tuple[str, ...], said: str) -> None:
    done = dothi(*words, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


BRINGS = """
import sys
sys.argv = ["dothi", *sys.argv[1:]]
from dothi.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
HEAVY = {
    *("pydantic", "numpy", "msgspec", "structlog", "yaml", "psutil", "dashboards", "ingest", "rich.console"),
    *("psycopg", "asyncio"),
}


def brought(*arguments: str) -> set[str]:
    """The modules that a command brought along, and the packages that they are of."""
    command = [sys.executable, "-c", BRINGS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    names = done.stderr.splitlines()[-1].split()
    return {*names, *(name.partition(".")[0] for name in names)}


@pytest.mark.parametrize("more", [(), ("--json",), ("--cleared", "--age", "12h", "--most", "5")], ids=" ".join)
def test_a_short_command_brings_no_library_along_that_it_does_not_need(stack: RunningStack, more: tuple[str]) -> None:
    """Half of the time of a short command was imports."""
    modules = brought("alarms", "list", *more, "--dir", str(stack.folder))
    assert "psycopg2" in modules
    assert modules.isdisjoint(HEAVY - {"msgspec"} if "--json" in more else HEAVY)


@pytest.mark.parametrize("module", ["typer", "dothi.commands.simulate"])
def test_ctrl_c_while_python_imports_ends_it_without_a_word(module: str) -> None:
    code = f"""
import os, signal, sys
from dothi.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
class Hasty:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Hasty())
sys.argv = ["dothi", "simulate", "plan", "--people", "10"]
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_garbage_is_collected_once_a_command_runs() -> None:
    """Its collection is put off while modules come."""
    code = "import gc, dothi.command, dothi.__main__\ngc.disable()\n"
    code += "dothi.command.made('list', 'alarms_list:list_')\nprint(gc.isenabled(), gc.get_freeze_count() > 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "alarms"], ids=" ".join)
def test_every_option_of_the_desk_converts_by_itself_what_is_plain(words: tuple[str, ...]) -> None:
    """What typer makes is taken over by its public classes; were they others, all would work, at half the speed."""
    command: Any = ROOT
    for word in words:
        command = command.commands[word]
    assert {type(one) for one in command.get_params(typer.Context(command))} <= {Option, Argument}
