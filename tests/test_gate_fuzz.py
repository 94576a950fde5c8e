"""The gate's C code without a broker, under the address and undefined-behaviour sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from devices.gate.table import create
from dothi.stack.broker import access_rules

SOURCE = Path(__file__).with_name("gate_fuzz.c")


def hash_of(token: str) -> bytes:
    """What gate_fuzz.c has instead of SHA-256."""
    return bytes(ord(token[at % len(token)]) ^ at for at in range(32))


@pytest.mark.full
@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc with its sanitizers")
def test_any_names_and_topics_leave_memory_and_model_whole(tmp_path: Path) -> None:
    program = tmp_path / "fuzz"
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-builtin", "-g", "-O1"]
    subprocess.run(["gcc", *sanitizers, "-o", str(program), str(SOURCE)], check=True, capture_output=True, timeout=120)
    tokens = {f"dev-{number}": (hash_of(f"a{number}"), hash_of(f"b{number}")) for number in range(8)}
    table = create(tmp_path / "table", tokens)
    table.set_areas(["213"])
    table.set_limit(1000)
    table.close()
    rules = tmp_path / "rules"
    routes = ("frigate/#", "tele/+/SENSOR")
    rules.write_text(access_rules(["213"], routes))
    done = subprocess.run(
        [program, tmp_path / "table", tmp_path / "copy", rules],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr[-3000:]
