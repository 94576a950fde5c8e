"""A broker that is not ours is refused at the start, in one line that says why."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dothi.errors import Refused
from dothi.stack.outside import check_broker
from tests.mosquitto import mosquitto


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says the same to whoever comes, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        thread.join(60)


def test_a_broker_that_takes_us_is_taken(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        check_broker(broker.url)


def test_a_broker_that_wants_a_password(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path, "allow_anonymous false\n") as broker,
        pytest.raises(Refused, match="refuses the session: not authorised") as refused,
    ):
        check_broker(broker.url.replace("://", "://someone:secret@"))
    assert "secret" not in str(refused.value)


def test_a_broker_without_tls(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, pytest.raises(Refused, match=r"mqtts://127\.0\.0\.1:\d+"):
        check_broker(broker.url.replace("mqtt://", "mqtts://"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\x20\x02\x00\x01", "does not speak MQTT 5"),
        (b"\x20\x03\x00\x88\x00", "server unavailable"),
        (b"\x20\x03\x00\x8a\x00", "banned"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does it speak MQTT 5"),
        (b"", "without a word"),
    ],
)
def test_a_server_that_answers_otherwise(answer: bytes, said: str) -> None:
    with answering(answer) as url, pytest.raises(Refused, match=said) as refused:
        check_broker(url)
    assert "\n" not in str(refused.value)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Refused, match="cannot be reached: Connection refused"):
        check_broker(f"mqtt://127.0.0.1:{port}")
