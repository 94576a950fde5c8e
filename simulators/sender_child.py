"""The process that sends: `simulators.drive` starts it, writes for it, and hears from it what became of the messages.

A process of its own, because a thread that writes messages would hold up one that sends them. It ends when its time is
over, when it is told to, or when whoever started it is gone, however that came about.
"""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue

from simulators.letters import receive, send
from simulators.line import Batch
from simulators.publish import BrokerError
from simulators.sender import Order, Sender, Told

STOP, OVER = "stop", "over"


class Correspondence:
    """Batches in and news out, each on a thread of its own, so that sending never waits for a pipe."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._batches, self._news = SimpleQueue[Batch](), SimpleQueue[Told | None]()
        self._stopped, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._hear, daemon=True).start()
        self._speaking = threading.Thread(target=self._speak, daemon=True)
        self._speaking.start()

    def take(self) -> Batch | None:
        """The next batch, if there is one."""
        try:
            return self._batches.get_nowait()
        except Empty:
            return None

    @property
    def is_over(self) -> bool:
        """Whether no batch will come any more."""
        return self._over.is_set() and self._batches.empty()

    @property
    def is_stopped(self) -> bool:
        """Whether sending is to end now."""
        return self._stopped.is_set()

    def tell(self, told: Told) -> None:
        """Pass on what has become of messages."""
        self._news.put(told)

    def close(self) -> None:
        """Wait until all is told."""
        self._news.put(None)
        self._speaking.join()

    def _hear(self) -> None:
        try:
            while (said := receive(self._line)) not in (STOP, OVER):
                self._batches.put(said)
            if said == STOP:
                self._stopped.set()
        except (EOFError, OSError):
            self._stopped.set()
        self._over.set()

    def _speak(self) -> None:
        try:
            while told := self._news.get():
                send(self._line, told)
        except OSError:
            self._stopped.set()


def main(arguments: Sequence[str]) -> None:
    """`python -m simulators.sender_child FD`, FD being a connection on which an Order comes, then batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what happens to connections is told by the counts
    with Connection(int(arguments[0])) as line:
        try:
            order: Order = receive(line)
        except EOFError:
            return
        letters = Correspondence(line)
        sender = Sender(order, letters)
        try:
            asyncio.run(sender.run())
        except BrokerError as error:
            letters.tell(Told(sender.tally, refused=str(error)))
        except Exception as error:
            letters.tell(Told(sender.tally, refused=f"the sender failed: {error!r}"))
        letters.close()


if __name__ == "__main__":
    main(sys.argv[1:])
