"""A cluster that was not a stack's own made one: its superuser, its database's name, who may connect."""

import signal
import subprocess
from pathlib import Path

from psycopg import sql

from dothi.backup.store import Backup
from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.stack.account import Account, starter
from dothi.stack.cluster import DATABASE, ENVIRONMENT, USER
from dothi.stack.parts import SAYS_WHY
from dothi.stack.passwords import write_private

CONNECT = """\
# Written by dothi storage restore.
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""


def adopt(data: Path, backup: Backup, runtime: Runtime, account: Account, password: str) -> None:
    """Recover a copied cluster to the end of its backup, in single-user mode, and give it the stack's superuser.

    Settings of the server it came from (ALTER SYSTEM) are left behind: they fitted another machine.
    Raises Refused with the database's own words.
    """
    for name, content in (("pg_hba.conf", CONNECT), ("pg_ident.conf", ""), ("postgresql.auto.conf", "")):
        write_private(data / name, content)
        account.give(data / name)
    command = [
        *starter(account, [data, runtime.postgres_bin], signal.SIGTERM),
        str(runtime.postgres_bin / "postgres"),
        "--single",
        "-D",
        str(data),
        "-j",  # a statement ends with a semicolon and an empty line
        *(f"--{name}" for name in ("archive_mode=off", "hot_standby=off", "restore_command=false")),
        "template1",
    ]
    text = ";\n\n".join(statements(backup, password)) + ";\n\n"
    done = subprocess.run(command, input=text, env=ENVIRONMENT, cwd=data, capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if SAYS_WHY.search(line) or "ERROR:" in line]
    if done.returncode or errors:
        raise Refused(f"the database of {backup.name} cannot be taken over: {(errors or ['no reason given'])[0]}")


def statements(backup: Backup, password: str) -> list[str]:
    """What makes it a stack's own."""
    user, secret = sql.Identifier(USER), sql.Literal(password)
    texts = [
        f"do $$ begin if to_regrole('{USER}') is null then create role {USER}; end if; end $$",
        sql.SQL("alter role {} superuser login replication password {}").format(user, secret).as_string(),
    ]
    if backup.database != DATABASE:
        old, new = sql.Identifier(backup.database), sql.Identifier(DATABASE)
        texts.append(sql.SQL("alter database {} rename to {}").format(old, new).as_string())
    return texts
