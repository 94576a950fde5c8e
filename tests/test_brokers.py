"""Sessions against brokers without a stack around them: mosquitto (also with TLS), RabbitMQ, servers that play up."""

import asyncio
import contextlib
import ipaddress
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dothi.errors import Refused
from dothi.stack.outside import check_broker
from dothi.stack.ports import answers, free_port
from ingest.connection import Connection
from ingest.inbox import area_inbox
from ingest.session import Session
from ingest.window import Arrival, Window
from tests.mosquitto import OPEN, mosquitto

TOPIC = "dothi/v1/213/d-1/up"
GREETING = b"\x20\x03\x00\x00\x00"
SUBACK = b"\x90\x05\x00\x01\x00\x01\x01"


@contextlib.asynccontextmanager
async def session(url: str, window: Window) -> AsyncIterator[Session]:
    """An inbox of area 213."""
    one = Session(area_inbox("213", url), window)
    running = asyncio.create_task(one.run())
    try:
        await asyncio.wait_for(one.ready.wait(), 60)
        yield one
    finally:
        one.leave()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def publish(port: int, payloads: list[bytes]) -> None:
    """By an independent client, with all properties that a message may carry."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    properties = Properties(PacketTypes.PUBLISH)
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 3600
    properties.ContentType = "application/json"
    properties.ResponseTopic = "answer/here"
    properties.CorrelationData = b"\0\xff"
    properties.UserProperty = [("tên", "giá trị"), ("tên", "hai")]
    client.connect("127.0.0.1", port)
    client.loop_start()
    for place, payload in enumerate(payloads):
        client.publish(TOPIC, payload, qos=1, properties=properties if place % 2 else None).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


async def take(window: Window, count: int) -> list[Arrival]:
    """Arrivals until so many messages have come."""
    arrivals: list[Arrival] = []
    while sum(len(arrival.messages) for arrival in arrivals) < count:
        arrival = await window.take(60)
        assert arrival is not None, f"only {[list(one.messages) for one in arrivals]} came"
        arrivals.append(arrival)
    return arrivals


async def goes_through(url: str, port: int) -> None:
    """Messages come, in order; those that were not acknowledged come again in the next connection, and no others."""
    payloads = [b"%d" % number for number in range(40)]
    window = Window()
    async with session(url, window):
        await asyncio.to_thread(publish, port, payloads)
        arrivals = await take(window, len(payloads))
        assert [message.payload for one in arrivals for message in one.messages] == payloads
        assert {message.topic for one in arrivals for message in one.messages} == {TOPIC.encode()}
        pids = [message.pid for one in arrivals for message in one.messages]
        arrivals[0].source.acknowledge(pids[:25])
        await asyncio.sleep(0.3)
    window = Window()
    async with session(url, window):
        again = await take(window, 15)
        assert [message.payload for one in again for message in one.messages] == payloads[25:]
        again[0].source.acknowledge([message.pid for one in again for message in one.messages])
        await asyncio.sleep(0.3)
    async with session(url, window):
        assert await window.take(0.5) is None


async def test_mosquitto(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        await goes_through(broker.url, broker.port)


async def test_mosquitto_with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate(tmp_path)
    tls = free_port(set())
    lines = OPEN + f"listener {tls} 127.0.0.1\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\n"
    with mosquitto(tmp_path, lines + OPEN) as broker:
        window = Window()
        waiting = Session(area_inbox("213", f"mqtts://127.0.0.1:{tls}"), window)
        assert "certificate verify failed" in await waiting._one_connection()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        await goes_through(f"mqtts://127.0.0.1:{tls}", broker.port)


def certificate(folder: Path) -> None:
    """One that vouches for itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


async def ends_with(
    play: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], within_s: float = 60
) -> str:
    """Why a session with this server ends."""
    server = await asyncio.start_server(play, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    inbox = area_inbox("213", f"mqtt://127.0.0.1:{port}")
    _, connection = await loop.create_connection(lambda: Connection(inbox, Window()), "127.0.0.1", port)
    try:
        return await asyncio.wait_for(connection.closed, within_s)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (GREETING + SUBACK + b"\xe0\x01\x8b", "the broker ended the connection: server shutting down"),
        (
            GREETING + SUBACK + b"\xe0\x08\x98\x06\x1f\x00\x03why",
            "the broker ended the connection: administrative action",
        ),
        (GREETING + b"\x90\x05\x00\x01\x00\x01\x87", "the broker refused a subscription: not authorised"),
        (b"\x20\x03\x00\x88\x00", "the broker refused the session: server unavailable"),
        (SUBACK, "a packet of type 9 before the CONNACK"),
        (GREETING + GREETING, "a second CONNACK"),
        (GREETING + b"\x34\x08\x00\x01t\x00\x01\x00xy", "a PUBLISH of QoS 2"),
    ],
)
async def test_a_server_that_ends_it_or_breaks_the_rules(said: bytes, why: str) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(said)
        await reader.read()
        writer.close()

    assert await ends_with(play) == why


async def test_a_server_that_falls_silent_is_left_after_one_and_a_half_keep_alives() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"\x20\x06\x00\x00\x03\x13\x00\x01" + SUBACK)  # it wants to hear of us every second
        await reader.read()
        while await reader.read(4096):
            pass
        writer.close()

    assert await ends_with(play) == "nothing heard for 2 s"


def speaks_mqtt_5() -> bool:
    """RabbitMQ does since 3.13; Debian 12 has an older one."""
    said = subprocess.run(["rabbitmqctl", "version"], capture_output=True, text=True, timeout=60, check=True).stdout
    major, minor = said.split(".")[:2]
    return (int(major), int(minor)) >= (3, 13)


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[int]:
    """The MQTT port of a RabbitMQ of one's own."""
    program = shutil.which("rabbitmq-server") or "/usr/lib/rabbitmq/bin/rabbitmq-server"
    if not Path(program).exists():
        pytest.skip("rabbitmq-server is not installed")
    old = not speaks_mqtt_5()
    port, amqp, distribution, mapper = (free_port(set()) for _ in range(4))
    (tmp_path / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
    (tmp_path / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{amqp}\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = true\n"
        "mqtt.default_user = guest\nmqtt.default_pass = guest\n"
        if old
        else f"listeners.tcp.1 = 127.0.0.1:{amqp}\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\n"
        "anonymous_login_user = guest\nanonymous_login_pass = guest\nmqtt.max_session_expiry_interval_seconds = 86400\n"
        "mqtt.prefetch = 1000\n"  # else only ten messages may wait for the COMMIT
    )
    environment = os.environ | {
        "HOME": str(tmp_path),
        "RABBITMQ_NODENAME": f"dothi-{os.getpid()}@localhost",
        "RABBITMQ_BASE": str(tmp_path),
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "data"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "log"),
        "RABBITMQ_CONFIG_FILE": str(tmp_path / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "enabled_plugins"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_PORT": str(mapper),
    }
    with (tmp_path / "rabbit.log").open("wb") as log:
        process = subprocess.Popen(
            ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
            env=environment,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 90
        while not answers(port) and time.monotonic() < until and process.poll() is None:
            time.sleep(0.2)
        assert answers(port), (tmp_path / "rabbit.log").read_text()[-3000:]
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(60)
        subprocess.run(["epmd", "-port", str(mapper), "-kill"], capture_output=True, timeout=30, check=False)


@pytest.mark.full
async def test_rabbitmq(rabbit: int) -> None:
    if not speaks_mqtt_5():
        with pytest.raises(Refused, match="MQTT 5"):
            check_broker(f"mqtt://127.0.0.1:{rabbit}")
        pytest.skip("this RabbitMQ does not speak MQTT 5, and is refused for that")
    await goes_through(f"mqtt://127.0.0.1:{rabbit}", rabbit)
