"""Which runtime there is, and which one is taken."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dothi.errors import Refused, WrongUsage

CHOICES = ("private", "system")


@dataclass(frozen=True)
class Versions:
    """Versions of the three programs, as they name themselves."""

    postgresql: str
    timescaledb: str
    mosquitto: str


@dataclass(frozen=True)
class Runtime:
    """The programs of the stack. `postgres_bin` is the folder with postgres, initdb and psql."""

    kind: Literal["private", "system"]
    postgres_bin: Path
    mosquitto: Path
    mosquitto_passwd: Path
    versions: Versions
    tcc: Path | None = None  # of the private runtime; the host's own compiler is looked for when it is needed


def find_runtime(force: str | None = None) -> Runtime:
    """The runtime to use, prepared first when it is the private one and missing.

    `force` is "private" or "system"; None takes the host's own when it is complete.
    Raises WrongUsage for another value, Refused when the runtime cannot be had.
    """
    from dothi.runtime.private import prepare

    return look_for_runtime(force) or prepare()


def look_for_runtime(force: str | None = None) -> Runtime | None:
    """Like find_runtime, but fetches nothing: None means that the private runtime still has to be prepared."""
    from dothi.runtime.host import system_runtime
    from dothi.runtime.private import prepared

    if force not in (None, *CHOICES):
        raise WrongUsage(f"DOTHI_RUNTIME={force!r} is not known; allowed are private and system")
    if force != "private" and (runtime := system_runtime()):
        return runtime
    if force == "system":
        raise Refused(
            "DOTHI_RUNTIME=system, but this machine has no PostgreSQL with TimescaleDB and mosquitto 2; "
            "install them, or leave DOTHI_RUNTIME unset to have them fetched into a private folder"
        )
    return prepared()


def describe(runtime: Runtime) -> str:
    """One line for people."""
    versions = runtime.versions
    return (
        f"{runtime.kind} runtime: PostgreSQL {versions.postgresql}, "
        f"TimescaleDB {versions.timescaledb}, mosquitto {versions.mosquitto}"
    )
