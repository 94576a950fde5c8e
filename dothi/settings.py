"""Every setting that comes from the environment, and where a running stack is found. Read here alone."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dothi.errors import Refused, WrongUsage

if TYPE_CHECKING:
    from datetime import timedelta

    from analytics.delivery.routes import Routes

DEFAULT_FOLDER = Path(".dothi")


def runtime() -> str | None:
    """DOTHI_RUNTIME: where broker and database come from; None lets dothi choose."""
    value = os.environ.get("DOTHI_RUNTIME") or None
    if value not in (None, "private", "system"):
        raise WrongUsage(f"DOTHI_RUNTIME={value!r} is not known; allowed are private and system")
    return value


def database_url() -> str | None:
    """DOTHI_DATABASE_URL: a database of one's own instead of the embedded one."""
    return checked("DOTHI_DATABASE_URL", ("postgresql://", "postgres://"))


def broker_url() -> str | None:
    """DOTHI_BROKER_URL: a broker of one's own instead of the embedded one."""
    return checked("DOTHI_BROKER_URL", ("mqtt://", "mqtts://"))


def checked(name: str, beginnings: tuple[str, ...]) -> str | None:
    """An address from the environment; WrongUsage, without its password, when it is no such address."""
    value = os.environ.get(name) or None
    if value is not None and not value.startswith(beginnings):
        shown = value.rpartition("@")[2]
        raise WrongUsage(f"{name}={shown!r} is not an address of the form {beginnings[0]}user:password@host:port")
    return value


def grafana_token() -> str | None:
    """DOTHI_GRAFANA_TOKEN: the token of a service account of Grafana, so that it need not stand on a command line."""
    return os.environ.get("DOTHI_GRAFANA_TOKEN") or None


def cache() -> Path:
    """Where what can be fetched again is kept: the user's cache folder, XDG_CACHE_HOME or ~/.cache."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if chosen.startswith("/") else Path.home() / ".cache") / "dothi"


class Stack(NamedTuple):
    """A running stack: addresses with credentials, and the whole document that `dothi up` wrote."""

    folder: Path | None
    broker: str | None
    database: str
    reader: str
    document: dict[str, Any]


def stack_at(folder: Path | None = None) -> Stack:
    """The stack that runs in `folder`; without one, that of the two environment variables, else that in `.dothi`.

    Raises Refused when none runs there.
    """
    database = database_url()
    if folder is None and database:
        given: dict[str, Any] = {"broker": broker_url(), "database": database, "reader": database}
        return Stack(None, broker_url(), database, database, given)
    place = folder or DEFAULT_FOLDER
    document = read_document(place)
    return Stack(place, document["broker"], document["database"], document["reader"], document)


def read_document(folder: Path) -> dict[str, Any]:
    """DIR/stack.json of a stack that lives, or Refused with what to do."""
    advice = f"start one with: dothi up --dir {folder}"
    path = folder / "stack.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        written = path.stat().st_mtime
    except FileNotFoundError:
        raise Refused(f"no stack runs in {folder}; {advice}") from None
    except PermissionError:
        raise Refused(f"{path} belongs to another user; run as the user who started the stack") from None
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read ({error}); {advice}") from None
    if not lives(document.get("pid"), written):
        raise Refused(f"the stack in {folder} is not running any more; {advice}")
    return document


def lives(pid: object, written: float) -> bool:
    """Whether the process that wrote a file at `written` (seconds since 1970) still runs: its number may be reused."""
    begun = began(pid) if isinstance(pid, int) else None
    return begun is not None and begun <= written + 1


def began(pid: int) -> float | None:
    """When a process began, seconds since 1970; None: there is none. Stacks run on Linux; importing psutil, which reads
    the same two files, takes as long as all that a short command asks of the database."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (ProcessLookupError, FileNotFoundError):
        return None
    booted = Path("/proc/stat").read_bytes().partition(b"\nbtime ")[2].split()[0]
    return int(booted) + ticks / os.sysconf("SC_CLK_TCK")


LATE_LIMIT = "DOTHI_LATE_LIMIT"


def late_limits() -> dict[str, int]:
    """DOTHI_LATE_LIMIT: how old a reading may be, `7d` or `7d,meter=60d`.

    Microseconds by family, the default under "".
    """
    from devices.family import FAMILIES

    limits = {"": 7 * 86_400_000_000}
    for part in filter(None, os.environ.get(LATE_LIMIT, "").split(",")):
        family, _, text = part.strip().rpartition("=")
        unit = {"d": 86_400_000_000, "h": 3_600_000_000}.get(text[-1:])
        if unit is None or not text[:-1].isdigit() or text[:-1].strip("0") == "" or family not in {"", *FAMILIES}:
            allowed = f"days or hours such as 7d or 12h, with a family as in meter=60d ({', '.join(FAMILIES)})"
            raise WrongUsage(f"{LATE_LIMIT}: {part!r} is not a late limit; allowed: {allowed}")
        limits[family] = int(text[:-1]) * unit
    return limits


RETENTION = "DOTHI_RETENTION"
RETENTION_UNITS = {"h": 1 / 24, "d": 1, "y": 365}


def retention() -> "dict[str, timedelta]":
    """DOTHI_RETENTION: how long things are kept, `30d` or `30d,meter=90d,1h=2y,meter_1d=20y,quarantine=60d`.

    By name: a family, a rollup of all (`1m`, `1h`, `1d`) or of one family, quarantine, ledger, event, batch; readings
    of all other families under "". What is not named is kept as long as usual.
    """
    from datetime import timedelta

    from devices.family import FAMILIES
    from ingest.retention import KEPT, ROLLUPS

    names = {*KEPT, *FAMILIES, *(f"{family}_{bucket}" for family in FAMILIES for bucket in ROLLUPS)}
    kept = dict(KEPT)
    for part in filter(None, os.environ.get(RETENTION, "").split(",")):
        name, _, text = part.strip().rpartition("=")
        days = RETENTION_UNITS.get(text[-1:])
        if days is None or not text[:-1].isdecimal() or not 0 < int(text[:-1]) * days <= 36_500 or name not in names:
            others = ", ".join(name for name in [*KEPT, *FAMILIES] if name)
            raise WrongUsage(
                f"{RETENTION}: {part!r} is not a retention; allowed: 12h, 30d or 2y, up to 100y, alone for readings or "
                f"with a name as in meter=90d or meter_1h=2y ({others})"
            )
        kept[name] = timedelta(days=int(text[:-1]) * days)
    return kept


LAKE = "DOTHI_LAKE"


def lake() -> Path | None:
    """DOTHI_LAKE: the folder of the history lake; None: there is none, and retention forgets."""
    value = os.environ.get(LAKE) or None
    if value is not None and not Path(value).is_absolute():
        raise WrongUsage(f"{LAKE}={value!r} is not a whole path; allowed: a folder such as /srv/lake")
    return Path(value) if value else None


CRASH_AT = "DOTHI_CRASH_AT"


def crash_at() -> str | None:
    """DOTHI_CRASH_AT: the point at which an ingest worker kills itself, for the fault harness; None: nowhere."""
    return os.environ.get(CRASH_AT) or None


ALARM_ROUTES = "DOTHI_ALARM_ROUTES"


def routes_file() -> Path | None:
    """DOTHI_ALARM_ROUTES: the file of routes; None: there is none."""
    value = os.environ.get(ALARM_ROUTES)
    return Path(value) if value else None


def alarm_routes(given: Path | None = None) -> "Routes":
    """DOTHI_ALARM_ROUTES, or a file given: who is told of which alarms; without one MQTT alone. Raises WrongUsage."""
    from analytics.delivery.letter import kinds, limits
    from analytics.delivery.routes import NOBODY
    from analytics.delivery.routes_file import RoutesRefused, read_routes
    from devices.area import ZONES

    file = given or routes_file()
    if file is None:
        return NOBODY
    known = {*kinds(), *limits(), *rule_kinds()}
    try:
        return read_routes(file, [zone.code for zone in ZONES], known, os.environ.get)
    except RoutesRefused as error:
        raise WrongUsage(str(error) if given else f"{ALARM_ROUTES}: {error}") from None


def rule_kinds() -> set[str]:
    """Kinds of alarms that the rules in use name. Whether the rules are sound is asked where they are used: reading all
    that they may name costs a second."""
    import yaml

    from analytics.alarms.rules import SHIPPED
    from devices.documents import parse_yaml

    try:
        document = parse_yaml((alarm_rules() or SHIPPED).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return set()
    entries = document.get("rules") if isinstance(document, dict) else None
    said = [entry.get("kind") for entry in entries or () if isinstance(entry, dict)]
    return {kind for kind in said if isinstance(kind, str)}


TABLES = "DOTHI_TABLES"


def tables() -> Path | None:
    """DOTHI_TABLES: a folder of legal tables that replace or add to those that come along; None: those alone."""
    value = os.environ.get(TABLES) or None
    if value is not None and not Path(value).is_dir():
        raise WrongUsage(f"{TABLES}={value!r} is no folder; allowed: a folder of YAML files such as /etc/dothi/tables")
    return Path(value) if value else None


RULES = "DOTHI_ALARM_RULES"


def alarm_rules() -> Path | None:
    """DOTHI_ALARM_RULES: a file of rules of alarms that takes the place of the one that comes along; None: that one."""
    value = os.environ.get(RULES) or None
    if value is not None and not Path(value).is_file():
        raise WrongUsage(f"{RULES}={value!r} is no file; allowed: a file of rules such as /etc/dothi/rules.yaml")
    return Path(value) if value else None


def use_rules() -> None:
    """Let DOTHI_ALARM_RULES take effect in this process."""
    from analytics.alarms.limits import use
    from analytics.alarms.rules import RulesRefused

    try:
        use(alarm_rules())
    except RulesRefused as error:
        raise WrongUsage(f"{RULES}: {error}") from None


def use_tables() -> None:
    """Let DOTHI_TABLES take effect in this process."""
    from analytics.tables import TableRefused, use

    try:
        use(tables())
    except TableRefused as error:
        raise WrongUsage(f"{TABLES}: {error}") from None
