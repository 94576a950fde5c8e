"""How the roles of the database log in."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from dothi.errors import Refused
from dothi.stack.document import Database
from dothi.stack.passwords import ROLES

READ_ONLY = "-c statement_timeout=30s -c default_transaction_read_only=on"
WAY_OUT = "where another login made the roles, let a superuser grant all five to it with admin option"


def let_roles_log_in(url: str, passwords: dict[str, str]) -> None:
    """Give each role its password, and entry to the stack's database alone; on the stack's own cluster only."""
    with psycopg.connect(url) as connection:
        own = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("revoke connect on database postgres, template1, {} from public").format(own))
        roles = sql.SQL(", ").join(map(sql.Identifier, ROLES))
        connection.execute(sql.SQL("grant connect on database {} to {}").format(own, roles))
        for role in ROLES:
            connection.execute(
                sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(passwords[role]))
            )


def own_database(url: str, passwords: dict[str, str]) -> Database:
    """Addresses on the stack's own cluster, each role with its own password."""
    parts = urlsplit(url)
    server = parts.netloc.rpartition("@")[2]

    def address(role: str) -> str:
        return urlunsplit(parts._replace(netloc=f"{role}:{quote(passwords[role])}@{server}"))

    return Database(
        owner=url,
        writer=address("dothi_writer"),
        analyst=address("dothi_analyst"),
        reader=address("dothi_reader"),
        operator=address("dothi_operator"),
    )


def foreign_database(url: str) -> Database:
    """Addresses on a database of one's own: one login that takes on the role, as its passwords are not ours to set."""
    return Database(
        owner=url,
        writer=as_role(url, "dothi_writer"),
        analyst=as_role(url, "dothi_analyst"),
        reader=as_role(url, "dothi_reader", READ_ONLY),
        operator=as_role(url, "dothi_operator"),
    )


def as_role(url: str, role: str, more: str = "") -> str:
    """The same address, acting as a role from the first statement on.

    >>> as_role("postgresql://u@h/d", "r")
    'postgresql://u@h/d?options=-c%20role%3Dr'
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query["options"] = " ".join(filter(None, (query.get("options"), f"-c role={role}", more)))
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def let_login_take_roles(url: str) -> None:
    """On a database of one's own: make the login a member of the roles it takes on. Raises Refused."""
    with psycopg.connect(url) as connection:
        for role in ROLES:
            try:
                take_role(connection, role)
            except psycopg.errors.InsufficientPrivilege:
                raise Refused(f"database: {connection.info.user} may not act as {role}; {WAY_OUT}") from None


def take_role(connection: psycopg.Connection, role: str) -> None:
    """Let the login act as a role. Who made a role is its member since PostgreSQL 16, yet may not act as it."""
    kind = "set" if connection.info.server_version >= 160_000 else "member"
    if connection.execute("select pg_has_role(current_user, %s, %s)", (role, kind)).fetchone() != (True,):
        connection.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))
