"""Which inboxes this worker hosts, as the assignment says now: takes up what is new, hands over what is not its own.

An inbox is handed over, not fought for: its host holds a lock file, lets go of it when everything read is settled, and
the next host waits for it. A host that died has let go at once; one that hangs is waited for HANDOVER_S at most.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from ingest.inbox import Inbox
from ingest.session import Happening, Session
from ingest.window import Window

log = structlog.get_logger("ingest.host")

LOOK_S = 0.5
DRAIN_S = 5.0
HANDOVER_S = DRAIN_S + 2.0


class Hosted:
    """One inbox at this worker: first its lock, then its session, until it is given up."""

    def __init__(self, session: Session, window: Window, lock: Path | None) -> None:
        self.session = session
        self._window = window
        self._lock = lock
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        with contextlib.ExitStack() as held:
            if self._lock:
                await self._acquire(held, self._lock)
            await self.session.run()

    async def _acquire(self, held: contextlib.ExitStack, path: Path) -> None:
        """Wait until the host before us has let go, but not for ever."""
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        held.callback(os.close, number)
        until = time.monotonic() + HANDOVER_S
        while not locked(number):
            if time.monotonic() > until:
                log.warning("the host before us does not let go, taking over", inbox=self.session.inbox.name)
                return
            await asyncio.sleep(0.02)

    async def give_up(self) -> None:
        """Read no more; settle and acknowledge what was read, as far as DRAIN_S allows; leave. The rest comes again."""
        self.session.stop()
        mark, until = self._window.taken, time.monotonic() + DRAIN_S
        while self._window.settled < mark and time.monotonic() < until:  # noqa: ASYNC110 - keeps the hot path free
            await asyncio.sleep(0.01)
        self.session.leave()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


def locked(number: int) -> bool:
    """Try to lock a file for this process; the lock goes with the file's last descriptor, however the process ends."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Host:
    """The inboxes of one worker."""

    def __init__(self, window: Window, locks: Path | None, tell: Callable[[Happening], None]) -> None:
        """`locks`: the folder of lock files that all workers of a stack share; `tell` hears what befalls sessions."""
        self._hosted: dict[Inbox, Hosted] = {}
        self._window = window
        self._locks = locks
        self._tell = tell
        self._leaving: set[asyncio.Task[None]] = set()
        self._connects_before = 0
        self._left = False

    @property
    def sessions(self) -> list[Session]:
        """Sessions of the inboxes that are ours now."""
        return [hosted.session for hosted in self._hosted.values()]

    @property
    def connects(self) -> int:
        """How often a session was taken up since the start."""
        return self._connects_before + sum(session.connects for session in self.sessions)

    def assign(self, inboxes: Sequence[Inbox]) -> None:
        """Host exactly these from now on; nothing any more once we have left."""
        if self._left:
            return
        wanted = set(inboxes)
        for inbox in [known for known in self._hosted if known not in wanted]:
            log.info("inbox handed over", inbox=inbox.name)
            hosted = self._hosted.pop(inbox)
            self._connects_before += hosted.session.connects
            task = asyncio.create_task(hosted.give_up())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        for inbox in inboxes:
            if inbox not in self._hosted:
                lock = self._locks / f"inbox-{inbox.name}.lock" if self._locks else None
                self._hosted[inbox] = Hosted(Session(inbox, self._window, self._tell), self._window, lock)

    async def follow(self, assignment: Callable[[], Sequence[Inbox] | None]) -> None:
        """Look at the assignment until cancelled; None: nothing has changed."""
        while True:
            await asyncio.sleep(LOOK_S)
            inboxes = assignment()
            if inboxes is not None:
                self.assign(inboxes)

    async def all_ready(self) -> None:
        """Return when every inbox of ours is connected."""
        while any(not session.ready.is_set() for session in self.sessions):  # noqa: ASYNC110 - the set of them changes
            await asyncio.sleep(0.02)

    async def leave(self) -> None:
        """Give all of them up, together."""
        self.assign(())
        self._left = True
        await asyncio.gather(*self._leaving)
