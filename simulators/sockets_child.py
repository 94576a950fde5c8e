"""A process of devices that have connections of their own: `simulators.sockets` starts it and speaks to it.

It ends when its time is over, when it is told to, or when whoever started it is gone, however that came about.
"""

import resource
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

from psutil import Process

from simulators.sockets_count import Counts, Times
from simulators.sockets_part import Order, Part, Told, memory_of


def main(arguments: Sequence[str]) -> None:
    """`python -m simulators.sockets_child FD`, FD being a connection on which an Order comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Connection(int(arguments[0])) as line:
        try:
            before = memory_of(Process())
            rehearse(line.recv(), before, line)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # nobody is there any more who wants to know
        except (OSError, MemoryError) as error:
            line.send(Told(Counts(), Times(), trouble=str(error) or "no memory left"))


def rehearse(order: Order, before: int, line: Connection) -> None:
    """From the first connection to the last."""
    part = Part(order, before)
    try:
        part.run(line)
    finally:
        part.close()


if __name__ == "__main__":
    main(sys.argv[1:])
