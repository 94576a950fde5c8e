"""Objects from one process to another, with the arrays in them read from the pipe straight to where they will stay.

Pickle protocol 5 (PEP 574): what `Connection.send` would copy four times on the way, arrays of tens of megabytes, is
copied by the kernel alone here.
"""

import os
import pickle
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

MOST_PARTS = 256
"""Buffers in one system call; POSIX warrants no more than 16 of them, Linux takes 1,024."""


def send(line: Connection, said: object) -> None:
    """Pass on an object whose arrays are contiguous. Raises OSError when nobody is there."""
    apart: list[pickle.PickleBuffer] = []
    letter = pickle.dumps(said, protocol=5, buffer_callback=apart.append)
    buffers = [part.raw() for part in apart]
    line.send_bytes(pickle.dumps(([len(buffer) for buffer in buffers], letter)))
    _through(line.fileno(), buffers, os.writev)


def receive(line: Connection) -> Any:
    """The next object, once it is whole; its arrays may be written to. Raises EOFError and OSError as `recv` does."""
    sizes, letter = pickle.loads(line.recv_bytes())  # noqa: S301 - from our own process, as `recv` takes it
    buffers = [np.empty(size, dtype=np.uint8).data for size in sizes]
    _through(line.fileno(), buffers, os.readv)
    return pickle.loads(letter, buffers=buffers)  # noqa: S301


def _through(descriptor: int, buffers: Sequence[memoryview], call: Any) -> None:
    """All bytes of the buffers, however many of them each call takes."""
    left = [buffer for buffer in buffers if len(buffer)]
    at = 0
    while at < len(left):
        done = call(descriptor, left[at : at + MOST_PARTS])
        if not done:
            raise EOFError
        while done and done >= len(left[at]):
            done -= len(left[at])
            at += 1
        if done:
            left[at] = left[at][done:]
