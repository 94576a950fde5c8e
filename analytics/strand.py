"""Rounds in a thread of their own, beside those of the caller: what fails there ends both."""

import contextlib
import threading
from collections.abc import Callable

import psycopg

LOOK_S = 0.1
LEAVE_S = 2.0

Work = Callable[[threading.Event, Callable[[], None], Callable[[psycopg.Connection], None]], None]
"""What is to be done until an event is set. It calls the second when it is ready, and the third with the connection
whose statements may be cancelled."""


class Strand:
    """`work` in a thread while the context lasts; it has ended when that does."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._stop, self._ready = threading.Event(), threading.Event()
        self._connection: psycopg.Connection | None = None
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="strand", daemon=True)

    def __enter__(self) -> "Strand":
        self._thread.start()
        return self

    def __exit__(self, *_failed: object) -> None:
        """Its followers begin anew with the next strand, so this one must not touch them any more."""
        self._stop.set()
        self._thread.join(LOOK_S)
        while self._thread.is_alive():
            with contextlib.suppress(psycopg.Error):
                if self._connection and not self._connection.closed:
                    self._connection.cancel_safe(timeout=LEAVE_S)
            self._thread.join(LOOK_S)

    def wait(self, stop: threading.Event) -> None:
        """Until it is ready, or the caller is told to stop. Raises what failed."""
        while not self._ready.wait(LOOK_S) and not stop.is_set():
            self.check()

    def check(self) -> None:
        """Raises what failed."""
        if self._failed:
            raise self._failed

    def _run(self) -> None:
        try:
            self._work(self._stop, self._ready.set, self._tell)
        except Exception as error:  # the caller says it
            self._failed = error

    def _tell(self, connection: psycopg.Connection) -> None:
        self._connection = connection
