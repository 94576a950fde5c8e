"""The database that is backed up: what it is, and whether this runtime and this login can back it up."""

from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dothi.errors import Refused
from dothi.runtime import Runtime


class Source(NamedTuple):
    """Facts about a running database. `size`: bytes of all databases of its cluster."""

    now: datetime
    name: str
    system: str
    postgresql: str
    timescaledb: str
    size: int
    migrations: dict[str, str]


def look(connection: psycopg.Connection, runtime: Runtime) -> Source:
    """Facts about the database. Raises Refused when it cannot be backed up, with the reason."""
    where = f"database {connection.info.host}:{connection.info.port}/{connection.info.dbname}"
    require_same_major(connection.info.server_version // 10000, runtime, where)
    require_replication(connection, where)
    if connection.execute("select 1 from pg_tablespace where spcname not in ('pg_default', 'pg_global')").fetchone():
        raise Refused(f"{where} has tablespaces, which dothi cannot restore; use pg_basebackup with a mapping of yours")
    row = connection.execute(
        "select clock_timestamp(), current_database()::text, "
        "(select system_identifier::text from pg_control_system()), "
        "split_part(current_setting('server_version'), ' ', 1), "
        "(select extversion from pg_extension where extname = 'timescaledb'), "
        "(select sum(pg_database_size(oid))::bigint from pg_database "
        "where has_database_privilege(oid, 'connect') or pg_has_role('pg_read_all_stats', 'usage')), "
        "to_regclass('public.dothi_migration') is not null"
    ).fetchone()
    assert row is not None  # a select without a table has one row
    *facts, migrated = row
    if not migrated:
        raise Refused(f"{where} is no database of dothi: it was never migrated; run: dothi migrate")
    applied = connection.execute("select name, sha256 from public.dothi_migration order by name").fetchall()
    return Source._make([*facts, dict(applied)])


def require_same_major(server: int, runtime: Runtime, where: str) -> None:
    """pg_basebackup and pg_verifybackup must be of the server's major version."""
    if server != int(runtime.versions.postgresql.split(".")[0]):
        raise Refused(
            f"{where} is PostgreSQL {server}, the {runtime.kind} runtime has the programs of "
            f"{runtime.versions.postgresql}; set DOTHI_RUNTIME to one of the same major version"
        )


def require_replication(connection: psycopg.Connection, where: str) -> None:
    """A base backup is read over a replication connection."""
    row = connection.execute(
        "select session_user, rolreplication or rolsuper from pg_roles where rolname = session_user"
    ).fetchone()
    if row is None or not row[1]:
        user = row[0] if row else "?"
        raise Refused(f"{where}: the role {user} may not replicate; let a superuser run: alter role {user} replication")


def without_secret(url: str) -> tuple[str, dict[str, str]]:
    """The address for a command line, which everyone can see, and the password for the environment."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if name != "options"}
    password = parts.pop("password", None)
    return make_conninfo(**parts), {} if password is None else {"PGPASSWORD": password}
