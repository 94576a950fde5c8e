"""The host's own Grafana: found, started on loopback, stopped. A stand-in takes its place, as there may be none."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dothi.errors import Refused
from dothi.grafana import GrafanaProcess, find_binary, reader_database, source_kind, start_if_present

# Stands in for a Grafana: says its version, answers the health check, and writes down how it was started.
STAND_IN = """#!/usr/bin/env python3
import http.server, json, os, sys
if sys.argv[1:] == ["-v"]:
    print("grafana version Version 9.5.21 (commit: 0)")
    sys.exit()
if os.environ["GF_PATHS_DATA"].endswith("broken/state"):
    print("cannot open the database")
    sys.exit(3)
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
with open(os.path.join(os.environ["GF_PATHS_DATA"], "started.json"), "w") as file:
    json.dump({"argv": sys.argv[1:], "env": {k: v for k, v in os.environ.items() if k.startswith("GF_")}}, file)
at = (os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"]))
http.server.HTTPServer(at, Health).serve_forever()
"""
DOCUMENT = {"reader": "postgresql://dothi_reader:secret@127.0.0.1:5433/dothi"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a program called grafana-server."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "grafana-server"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return folder


def test_no_grafana_no_process(tmp_path: Path) -> None:
    assert find_binary([tmp_path, tmp_path / "none"]) is None
    assert start_if_present(DOCUMENT, tmp_path / "grafana", places=[tmp_path]) is None
    assert not (tmp_path / "grafana").exists()


def started(folder: Path, place: Path) -> tuple[GrafanaProcess, dict[str, Any]]:
    process = start_if_present(DOCUMENT, folder, places=[place])
    assert process is not None
    return process, json.loads((folder / "state" / "started.json").read_text())


def test_grafana_of_the_host_is_started_on_loopback_and_stopped(tmp_path: Path, place: Path) -> None:
    folder = tmp_path / "grafana"
    process, seen = started(folder, place)
    try:
        port = int(seen["env"]["GF_SERVER_HTTP_PORT"])
        assert process.url == f"http://127.0.0.1:{port}/d/dothi-wall"
        assert seen["env"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
        assert seen["env"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
        assert seen["env"]["GF_SECURITY_ADMIN_PASSWORD"] == process.password
        assert len(process.password) >= 16
        assert seen["argv"][0] == "--homepath"
        assert (folder / "dashboards" / "dothi-wall.json").is_file()
        assert '"type": "postgres"' in (folder / "provisioning/datasources/dothi.yaml").read_text()
    finally:
        process.stop()
        process.stop()
    assert not listens(port)
    again, _ = started(folder, place)
    again.stop()
    assert again.password == process.password  # Grafana keeps the first one


def test_grafana_ends_with_the_program_that_started_it(tmp_path: Path, place: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from dothi.grafana import start_if_present; "
        f"folder, place = Path({str(tmp_path / 'grafana')!r}), Path({str(place)!r}); "
        f"started = start_if_present({DOCUMENT!r}, folder, places=[place]); "
        "print(started.url, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    port = urlsplit(done.stdout.splitlines()[-1]).port
    assert done.returncode == -signal.SIGKILL
    assert port
    deadline = time.monotonic() + 60
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not listens(port)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_grafana_that_does_not_come_up_is_one_line(tmp_path: Path, place: Path) -> None:
    with pytest.raises(Refused, match=r"exit code 3.*cannot open the database"):
        start_if_present(DOCUMENT, tmp_path / "broken", places=[place])


def test_the_kind_of_the_data_source_follows_the_version(place: Path) -> None:
    assert source_kind(place / "grafana-server") == "postgres"
    (place / "grafana-server").write_text(STAND_IN.replace("9.5.21", "12.4.1"))
    assert source_kind(place / "grafana-server") == "grafana-postgresql-datasource"


def test_a_reader_that_grafana_cannot_reach_is_refused() -> None:
    with pytest.raises(Refused, match="no TCP host"):
        reader_database("postgresql:///city?host=/run/postgresql")
    assert reader_database("postgresql://r@db.example:5432/c").sslmode == "require"
