"""Work in pieces that does not keep the stream waiting: on a second connection, by a thread of its own.

The first connection follows the stream and decides; what is large (closing a bucket of millions of devices, reading
again what was taken before a restart) is cut into pieces, each a transaction, and done here. `Here` does the same on
the first connection, a piece at a time.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from analytics.precedence import step_back_with, step_of

Piece = Callable[[psycopg.Connection], None]

# Whoever works beside an analyst holds this: what a predecessor has under way ends before its successor begins.
ALONE = 0x62657369646573  # "besides"
# A border that is moved by a transaction that waits for its flush comes after all these in the log.
SESSION = (
    "set synchronous_commit = off; set idle_in_transaction_session_timeout = '60s'; "
    "set timescaledb.enable_chunk_append = off; set enable_hashjoin = off; set enable_mergejoin = off"
)
LOOK_S = 0.1
LEAVE_S = 2.0
GIVE_WAY_S = 0.05


class Job:
    """Pieces to be done in order. `rank`: of several jobs the lowest is worked on; `ready`: whether a piece may be done
    now. `done` is set when there are no more."""

    def __init__(self, pieces: Iterator[Piece], rank: int = 0, ready: Callable[[], bool] = lambda: True) -> None:
        self.pieces = pieces
        self.rank = rank
        self.ready = ready
        self.done = threading.Event()

    def step(self, connection: psycopg.Connection) -> None:
        """One piece in a transaction; one that gives way to others (by a lock_timeout of its own) is done again."""
        piece = next(self.pieces, None)
        if piece is None:
            self.done.set()
        while piece:
            try:
                with connection.transaction():
                    piece(connection)
                piece = None
            except psycopg.errors.LockNotAvailable:
                time.sleep(GIVE_WAY_S)


class Here:
    """Jobs done by the caller."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def give(self, job: Job) -> Job:
        """Add a job."""
        self._jobs.append(job)
        return job

    def step(self, connection: psycopg.Connection) -> bool:
        """One piece; False when there was none."""
        job = next_of(self._jobs)
        if job:
            job.step(connection)
        return job is not None

    def close(self) -> None:
        """Forget the jobs."""
        self._jobs.clear()


class Beside:
    """Jobs done by a thread on a connection of its own. What fails there is raised by the next `step`."""

    cpu_s = 0.0  # of the thread

    def __init__(self, like: psycopg.Connection, number: int = 0) -> None:
        """Connects, with the first job, as `like` does. `number`: tells apart those of one process."""
        self._where: dict[str, Any] = {**like.info.get_parameters(), "password": like.info.password}
        self._alone = ALONE + number
        self._step = step_of(like)
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self.failed: Exception | None = None
        self._connection: psycopg.Connection | None = None
        self._thread: threading.Thread | None = None

    def give(self, job: Job) -> Job:
        """Add a job."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="beside", daemon=True)
            self._thread.start()
        return job

    def step(self, _connection: psycopg.Connection) -> bool:
        """There is nothing for the caller to do. Raises what failed."""
        if self.failed:
            raise self.failed
        return False

    def wait(self, job: Job, connection: psycopg.Connection) -> None:
        """Until a job is done. Raises what failed."""
        while not job.done.wait(LOOK_S):
            self.step(connection)

    def close(self) -> None:
        """Begin nothing more and end what is under way."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread and self._thread.is_alive():
            with contextlib.suppress(psycopg.Error):
                if self._connection:
                    self._connection.cancel_safe(timeout=LEAVE_S)
            self._thread.join(LEAVE_S)

    def _run(self) -> None:
        try:
            with psycopg.connect(**self._where | {"autocommit": True}) as connection:
                connection.prepare_threshold = None
                self._connection = connection
                step_back_with(connection, max(0, self._step - step_of(connection)))
                connection.execute(SESSION)
                connection.execute("select pg_advisory_lock(%s)", (self._alone,))
                while job := self._next():
                    job.step(connection)
                    self.cpu_s = time.thread_time()
        except Exception as error:  # it belongs to whoever gave the job
            self.failed = None if self._closed else error

    def _next(self) -> Job | None:
        with self._changed:
            while not self._closed:
                if job := next_of(self._jobs):
                    return job
                self._changed.wait(LOOK_S if self._jobs else None)
        return None


def next_of(jobs: list[Job]) -> Job | None:
    """Whose piece comes next; jobs that are done are dropped."""
    jobs[:] = [job for job in jobs if not job.done.is_set()]
    return min((job for job in jobs if job.ready()), key=lambda job: job.rank, default=None)
