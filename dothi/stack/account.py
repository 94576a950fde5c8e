"""As whom the parts run, and that none of them outlives `dothi up`.

PostgreSQL refuses to run as root, so root starts its parts as an unprivileged user, through util-linux's setpriv.
"""

import os
import pwd
import signal
from dataclasses import dataclass
from pathlib import Path

from dothi.errors import Refused

UNPRIVILEGED = "nobody"
# The lesser one first: reading and entering any folder is enough, as all that a part writes belongs to it. Containers
# often withhold it and leave the greater one.
CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}


@dataclass(frozen=True)
class Account:
    """A user to run parts as; `switch` says whether it is another than our own."""

    uid: int
    gid: int
    switch: bool

    def give(self, path: Path) -> None:
        """Make the account the owner of a file or folder."""
        if self.switch:
            os.chown(path, self.uid, self.gid)


def account_for(folder: Path) -> Account:
    """Ourselves, or for root the owner of what the stack left in `folder`, or else the unprivileged user."""
    if os.geteuid() != 0:
        return ourselves()
    data = folder / "database"
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, switch=True)
    try:
        nobody = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise Refused(f"the database cannot run as root and there is no user {UNPRIVILEGED}; run as a user") from None
    return Account(nobody.pw_uid, nobody.pw_gid, switch=True)


def ourselves() -> Account:
    """The user who runs this."""
    return Account(os.geteuid(), os.getegid(), switch=False)


def starter(account: Account, folders: list[Path], last_signal: signal.Signals) -> list[str]:
    """The beginning of a part's command line: change the user if needed, and send `last_signal` when we die.

    Raises Refused when the account could not reach one of `folders`.
    """
    command = ["setpriv", "--pdeathsig", last_signal.name.removeprefix("SIG")]
    if account.switch:
        command += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
        closed = next((found for folder in folders if (found := closed_folder(folder, account))), None)
        if closed:
            capability = offered_capability(closed)
            command += [
                "--securebits=+no_setuid_fixup",  # without it access(2), by which PostgreSQL finds itself, ignores them
                f"--inh-caps=-all,+{capability}",
                f"--ambient-caps=-all,+{capability}",
                f"--bounding-set=-all,+{capability}",
            ]
    return [*command, "--"]


def closed_folder(folder: Path, account: Account) -> Path | None:
    """The first folder on the way down that the account cannot enter."""
    way = [*reversed(folder.resolve().parents), folder.resolve()]
    return next((step for step in way if not may_enter(step, account)), None)


def may_enter(folder: Path, account: Account) -> bool:
    """What the permission bits say about entering a folder."""
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def offered_capability(closed: Path) -> str:
    """The capability to give to the unprivileged user so that it can enter `closed`; refused when root has none."""
    held = held_capabilities()
    found = next((name for name, bit in CAPABILITIES.items() if held >> bit & 1), None)
    if not found:
        raise Refused(
            f"the database cannot run as root, and the user {UNPRIVILEGED} cannot enter {closed}; "
            f"choose another --dir, or: chmod o+x {closed}"
        )
    return found


def held_capabilities() -> int:
    """Capabilities that we hold and may hand on, a bit each."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sets = {
        name: int(value, 16) for name, _, value in (line.partition(":") for line in lines) if name.startswith("Cap")
    }
    return sets["CapPrm"] & sets["CapBnd"]
