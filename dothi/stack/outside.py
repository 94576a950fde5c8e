"""A broker that is not ours: asked at the start whether it would take our sessions, before anything waits for it."""

import os
import socket
import ssl
from urllib.parse import urlsplit

from dothi.errors import Refused
from ingest import mqtt
from ingest.connection import said
from ingest.inbox import address, credentials

PATIENCE_S = 10.0


def check_broker(url: str) -> None:
    """Open a session that ends with its connection. Raises Refused."""
    host, port, context = address(url)
    where = f"DOTHI_BROKER_URL={urlsplit(url).scheme}://{host}:{port}"
    try:
        answer = greeting(url, context)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or error
        raise Refused(f"{where}: no TLS with this broker: {reason}") from None
    except mqtt.ProtocolError as error:
        raise Refused(f"{where}: {error}") from None
    except OSError as error:
        raise Refused(f"{where} cannot be reached: {error.strerror or error}") from None
    if answer.reason:
        raise Refused(f"{where} refuses the session: {said(answer.reason)}")


def greeting(url: str, context: ssl.SSLContext | None) -> mqtt.Connack:
    """The broker's answer to CONNECT. Raises OSError, ProtocolError."""
    host, port, _ = address(url)
    reader = mqtt.Reader()
    with socket.create_connection((host, port), PATIENCE_S) as plain:
        connection = context.wrap_socket(plain, server_hostname=host) if context else plain
        with connection:
            connection.sendall(mqtt.connect(f"dothi-check-{os.getpid()}", *credentials(url), 30, 10, expiry_s=0))
            while True:
                chunk = connection.recv(4096)
                if not chunk:
                    raise mqtt.ProtocolError("it closes the connection without a word; does it speak MQTT 5?")
                for packet in reader.feed(chunk)[1]:
                    if isinstance(packet, mqtt.Connack):
                        return packet
