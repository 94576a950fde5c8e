"""Starts the host's own Grafana, if there is one, on what `dashboards` built; never installs or downloads one."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import structlog
from psycopg.conninfo import conninfo_to_dict

from dashboards.tree import Database, SourceKind, tree, verbatim, write
from dothi.errors import Refused
from dothi.stack.passwords import write_private
from dothi.stack.ports import free_port

log = structlog.get_logger()

PACKAGED = Path("/usr/share/grafana")
ADMIN = "admin"
LOOPBACK = "127.0.0.1"
READY_S = 60.0
STOP_S = 10.0
FIRST_WITH_NEW_KIND = 11  # the plugin is called `postgres` in the versions before


@dataclass(frozen=True, slots=True)
class GrafanaProcess:
    """A Grafana that this program started and must stop. `url` opens the wall."""

    url: str
    user: str
    password: str
    process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.process.pid

    def stop(self) -> None:
        """End the server, gently first; safe to call twice."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_if_present(
    stack_document: dict[str, Any], folder: Path, places: Iterable[Path] | None = None, ready_s: float = READY_S
) -> GrafanaProcess | None:
    """Start the host's Grafana on a free loopback port with the dashboards of a running stack; None when there is none.

    `stack_document` is the ready-file document: its `reader` is the database that the panels ask. `folder` keeps the
    provisioning tree, Grafana's own database and its log. Waits up to `ready_s` seconds until it answers.
    Raises Refused when a Grafana is there but does not come up.
    """
    binary = find_binary(default_places() if places is None else places)
    if binary is None:
        return None
    database = reader_database(stack_document["reader"])
    folder.mkdir(parents=True, exist_ok=True)
    files = tree(source_kind(binary), database, PurePosixPath(folder.resolve()))
    write(folder, files, secret=True)
    password = admin_password(folder / "admin-password")
    port = free_port(set())
    process = spawn(binary, folder.resolve(), port, password)
    started = GrafanaProcess(f"http://{LOOPBACK}:{port}/d/dothi-wall", ADMIN, password, process)
    try:
        wait_until_ready(process, port, folder / "log" / "server.log", ready_s)
    except BaseException:
        started.stop()
        raise
    log.info("grafana started", url=started.url, pid=started.pid)
    return started


def default_places() -> list[Path]:
    """Where a Grafana may lie: first the packaged binary, as PATH may hold a wrapper of it with its own settings."""
    return [PACKAGED / "bin", *(Path(place) for place in os.get_exec_path() if place)]


def find_binary(places: Iterable[Path]) -> Path | None:
    """The first `grafana` or `grafana-server` that can be run."""
    names = (place / name for place in places for name in ("grafana", "grafana-server"))
    return next((path for path in names if path.is_file() and os.access(path, os.X_OK)), None)


def source_kind(binary: Path) -> SourceKind:
    """The id of the PostgreSQL plugin in this version."""
    answer = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=20, check=False)
    version = re.search(r"[Vv]ersion (\d+)", answer.stdout)
    old = version is not None and int(version[1]) < FIRST_WITH_NEW_KIND
    return "postgres" if old else "grafana-postgresql-datasource"


def reader_database(url: str) -> Database:
    """What the data source's file says, from the reader's URL. Raises Refused when the URL names no TCP host."""
    found = database_of(url)
    return replace(found, name=verbatim(found.name), user=verbatim(found.user), password=verbatim(found.password))


def database_of(url: str) -> Database:
    """What the data source connects to, from the reader's URL. Raises Refused when the URL names no TCP host."""
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    host = parts.get("host", "")
    if not host or host.startswith("/"):
        raise Refused("reader: Grafana needs a host and a port to connect to, the stack's reader URL has no TCP host")
    near = host in {LOOPBACK, "localhost", "::1"}
    bracketed = f"[{host}]" if ":" in host else host
    return Database(
        address=f"{bracketed}:{parts.get('port', '5432')}",
        name=parts.get("dbname", parts.get("user", "")),
        user=parts.get("user", ""),
        password=parts.get("password", ""),
        sslmode=parts.get("sslmode", "disable" if near else "require"),
    )


def admin_password(path: Path) -> str:
    """The administrator's password, made once: Grafana keeps the first one it was started with."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(15))
    return path.read_text("utf-8")


def settings(folder: Path, port: int, password: str) -> dict[str, str]:
    """Grafana's own environment: loopback only, nobody without a login, nothing sent anywhere."""
    return {
        "GF_SERVER_HTTP_ADDR": LOOPBACK,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
        "GF_PATHS_DATA": str(folder / "state"),
        "GF_PATHS_LOGS": str(folder / "log"),
        "GF_PATHS_PLUGINS": str(folder / "plugins"),
        "GF_SECURITY_ADMIN_USER": ADMIN,
        "GF_SECURITY_ADMIN_PASSWORD": password,
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_DASHBOARDS_MIN_REFRESH_INTERVAL": "10s",
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(folder / "dashboards" / "dothi-wall.json"),
    }


def spawn(binary: Path, folder: Path, port: int, password: str) -> "subprocess.Popen[bytes]":
    """Start the server so that it ends with this program, however that ends."""
    for name in ("state", "log", "plugins"):
        (folder / name).mkdir(exist_ok=True)
    beside = binary.resolve().parent.parent
    home = beside if (beside / "conf" / "defaults.ini").is_file() else PACKAGED
    server = [str(binary), *(["server"] if binary.name == "grafana" else []), "--homepath", str(home)]
    leash = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GF_")}
    with (folder / "log" / "server.log").open("wb") as output:
        return subprocess.Popen(
            leash + server,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=kept | settings(folder, port, password),
            start_new_session=True,  # Ctrl-C goes to the program that started it, which then stops it
        )


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, output: Path, ready_s: float) -> None:
    """Return when the server answers; raise Refused when it ended or stays silent."""
    deadline = time.monotonic() + ready_s
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise Refused(f"grafana: the server ended at once ({reason}); its last words: {last_line(output)}")
        if answers(port):
            return
        time.sleep(0.2)
    raise Refused(f"grafana: no answer on {LOOPBACK}:{port} within {ready_s:g} s; its log is {output}")


def answers(port: int) -> bool:
    """Whether the server says that it is healthy."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def last_line(path: Path) -> str:
    """The last line of a log, or a dash when there is none."""
    lines = path.read_text("utf-8", errors="replace").split("\n") if path.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "–")
