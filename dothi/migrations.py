"""Numbered SQL migrations of every room, in order, then what is made from files: family tables, zones, profiles.

Why not a library: see docs/decisions/0003-migrations.md.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import NamedTuple

import psycopg
import structlog
from psycopg import sql

from analytics.bulletins.plan import sync_sectors
from analytics.cells import sync_headlines
from analytics.detectors.words import sync_words
from analytics.reconcile import reconcile_views
from analytics.rollup.reconcile import reconcile_rollups
from devices.catalogue import sync_catalogue
from devices.relations import FamilyRefused
from dothi.errors import Refused
from dothi.stack.roles import WAY_OUT, take_role
from dothi.unchanged import as_left, leave
from ingest.reconcile import reconcile_families

ROOMS = ("devices", "ingest", "analytics")
OLDEST_POSTGRESQL = 15
LOCK = 0x646F746869  # "dothi": one migration at a time in one database
# What PostgreSQL keeps of a view is large: lz4 packs it in half the time, where the server has it.
COMPRESSION = """
select set_config(name, 'lz4', false) from pg_settings
where name = 'default_toast_compression' and 'lz4' = any(enumvals)
"""

log = structlog.get_logger("dothi.migrations")


class Migration(NamedTuple):
    """One SQL file. Its number orders it among all rooms; its digest says whether it was changed after it ran."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Digest of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def known_migrations() -> list[Migration]:
    """Every migration of the code, in the order in which they run."""
    found = [
        Migration(f"{room}/{file.name}", file.read_text())
        for room in ROOMS
        for file in files(room).joinpath("migrations").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.name.partition("/")[2])


def migrate(url: str) -> list[str]:
    """Bring the database at `url` to the shape of this code; safe to run twice. Returns what was done, a line each.

    Raises Refused when the database cannot be reached, lacks TimescaleDB, or is newer than the code.
    """
    with connected(url) as connection:
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
        require_timescaledb(connection)
        prepare_roles(connection)
        done = list(apply_pending(connection))
        connection.execute("set role dothi_admin")
        if done or not as_left(connection):
            connection.execute(COMPRESSION)
            done += reconcile_families(connection)
            done += reconcile_views(connection)
            done += reconcile_rollups(connection)
            with connection.transaction():
                sync_catalogue(connection)
            leave(connection)
        sync_headlines(connection)
        sync_words(connection)
        sync_sectors(connection)
        # Too small for autovacuum to look at, and every view joins them.
        connection.execute("analyze registry.area, registry.profile")
        return done


@contextmanager
def connected(url: str, name: str = "dothi migrate") -> Iterator[psycopg.Connection]:
    """Connect in autocommit mode under a name, or say plainly and without the password why not; what a family file asks
    in vain is told as plainly."""
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10, application_name=name)
    except psycopg.OperationalError as error:
        raise Refused(f"database {without_password(url)} cannot be reached: {one_line(error)}") from None
    with connection:
        try:
            yield connection
        except FamilyRefused as refusal:
            raise Refused(f"database: {refusal}") from None


def without_password(url: str) -> str:
    """The address as it may be shown: host, port and database only."""
    return url.rpartition("@")[2].partition("?")[0]


def one_line(error: Exception) -> str:
    """The first line of a library's message; the rest is advice for programmers."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def require_timescaledb(connection: psycopg.Connection) -> None:
    """Create the extension where it is missing; refuse a PostgreSQL that is too old or has none to offer."""
    version = connection.info.server_version // 10000
    if version < OLDEST_POSTGRESQL:
        raise Refused(f"database: PostgreSQL {version} is too old, {OLDEST_POSTGRESQL} or newer is needed")
    try:
        connection.execute("create extension if not exists timescaledb")
    except psycopg.Error as error:
        raise Refused(
            f"database: the extension timescaledb cannot be created: {one_line(error)}; "
            "install TimescaleDB on the server, or let a superuser run 'create extension timescaledb'"
        ) from None


def prepare_roles(connection: psycopg.Connection) -> None:
    """Make the roles, and close what PostgreSQL opens to everyone, as far as this login may. Raises Refused."""
    try:
        with connection.transaction():
            connection.execute(files("dothi").joinpath("roles.sql").read_bytes())
            prepare_admin(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            f"database: {connection.info.user} may not prepare the roles of dothi: {one_line(error)}; "
            f"give it createrole and ownership of the database; {WAY_OUT}"
        ) from None
    superuser = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    if superuser == (True,):
        with connection.transaction():
            connection.execute(files("dothi").joinpath("superuser.sql").read_bytes())
    else:
        log.warning(
            "not a superuser: dothi_reader keeps what PostgreSQL gives everyone (advisory locks, large objects, "
            "temporary files without limit)",
            user=connection.info.user,
        )


def prepare_admin(connection: psycopg.Connection) -> None:
    """Let dothi_admin own what migrations make, whoever runs them."""
    database = connection.info.dbname
    for privilege in ("create", "temporary"):
        held = f"{privilege} with grant option"
        row = connection.execute("select has_database_privilege('dothi_admin', %s, %s)", (database, held)).fetchone()
        if row != (True,):
            grant = sql.SQL("grant " + privilege + " on database {} to dothi_admin with grant option")
            connection.execute(grant.format(sql.Identifier(database)))
    if connection.execute("select has_schema_privilege('dothi_admin', 'public', 'usage')").fetchone() != (True,):
        connection.execute("grant usage on schema public to dothi_admin")
    take_role(connection, "dothi_admin")


def apply_pending(connection: psycopg.Connection) -> Iterator[str]:
    """Run what the database has not seen, each in a transaction of its own that also records it."""
    known = known_migrations()
    applied = applied_migrations(connection)
    refuse_newer(applied, known)
    for migration in known:
        if migration.name not in applied:
            run(connection, migration)
            yield f"applied {migration.name}"


def applied_migrations(connection: psycopg.Connection) -> dict[str, str]:
    """Names and digests of what ran here before."""
    connection.execute(
        "create table if not exists public.dothi_migration "
        "(name text primary key, sha256 text not null, applied timestamptz not null default now())"
    )
    return dict(connection.execute("select name, sha256 from public.dothi_migration").fetchall())


def refuse_newer(applied: dict[str, str], known: list[Migration]) -> None:
    """A database that has seen what this code does not know, or other texts under the same names, is left alone."""
    digests = {migration.name: migration.sha256 for migration in known}
    for name, digest in sorted(applied.items()):
        if name not in digests:
            raise Refused(f"database is newer than this code: it has migration {name}; use a newer dothi")
        if digest != digests[name]:
            raise Refused(f"migration {name} was changed after it ran here; restore its text and add a new migration")


def run(connection: psycopg.Connection, migration: Migration) -> None:
    """Apply one migration as dothi_admin and record it, or change nothing."""
    text = migration.text.replace(":database", sql.Identifier(connection.info.dbname).as_string(connection))
    try:
        with connection.transaction():
            connection.execute("set local role dothi_admin")
            connection.execute(text.encode())
            connection.execute("reset role")
            connection.execute(
                "insert into public.dothi_migration (name, sha256) values (%s, %s)",
                (migration.name, migration.sha256),
            )
    except psycopg.Error as error:
        raise Refused(f"migration {migration.name} failed, nothing of it was kept: {one_line(error)}") from None
