"""Server processes of what is shown step back behind those of ingest and of alarms, where they are on this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from analytics.precedence import MOST, SHOWN, served_here, step_back_with, step_of
from tests.stack import RunningStack

SESSIONS = "select pid from pg_stat_activity where application_name = 'dothi analyst'"


@contextmanager
def relayed(connection: psycopg.Connection) -> Iterator[str]:
    """The address of a relay to the server of a connection: as far as that knows, somebody else's port asks."""
    to = connection.info.host, connection.info.port
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def pass_on(one: socket.socket, other: socket.socket) -> None:
            while some := one.recv(65536):
                other.sendall(some)
            other.shutdown(socket.SHUT_WR)

        def relay() -> None:
            near, _ = listening.accept()
            far = socket.create_connection(to)
            answers = threading.Thread(target=pass_on, args=(far, near))
            answers.start()
            pass_on(near, far)
            answers.join()
            far.close()
            near.close()

        thread = threading.Thread(target=relay)
        thread.start()
        told = {**connection.info.get_parameters(), "password": connection.info.password}
        yield make_conninfo(**told | {"host": "127.0.0.1", "hostaddr": None, "port": listening.getsockname()[1]})
        thread.join()


def test_only_the_process_of_the_connection_steps_back(stack: RunningStack) -> None:
    url = stack.document["database"]
    with psycopg.connect(url) as one, psycopg.connect(url) as other:
        before = step_of(one)
        step_back_with(one, 3)
        assert step_of(one) == min(before + 3, MOST)
        assert step_of(other) == before


def test_a_process_that_may_be_another_is_left_alone(stack: RunningStack) -> None:
    with (
        psycopg.connect(stack.document["database"]) as straight,
        relayed(straight) as url,
        psycopg.connect(url) as connection,
    ):
        assert served_here(straight)
        assert not served_here(connection)
        step_back_with(connection, 3)
        assert step_of(connection) == 0


def test_what_is_shown_steps_back_and_what_rings_does_not(stack: RunningStack) -> None:
    with psycopg.connect(stack.document["database"]) as connection:
        own = step_of(connection)
    found = {nice_of(pid) - own for (pid,) in stack.query(SESSIONS)}
    assert found == {0, min(SHOWN, MOST - own)}


def nice_of(pid: int) -> int:
    """As the kernel has it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])
