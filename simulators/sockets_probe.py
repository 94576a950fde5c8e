"""Whether a broker lets a device in, asked once and without a trace: no will, no session, no message."""

import socket
import ssl
import time
from contextlib import closing

from simulators import mqtt
from simulators.publish import BrokerError
from simulators.sockets_wire import Address, failure_name

AGAIN_S, ANSWER_S = 0.25, 5.0


class SocketsError(BrokerError):
    """Devices cannot come in, or a process of theirs has ended; the message says which and why."""


def wait_admitted(address: Address, device: str, token: bytes, ca: str | None, patience_s: float) -> None:
    """Return when `address` lets the device in. Raises SocketsError with the last reason after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while reason := refusal(address, device.encode(), token, ca):
        if time.monotonic() > deadline:
            raise SocketsError(f"broker {address} does not let in {device}: {reason}")
        time.sleep(AGAIN_S)


def refusal(address: Address, device: bytes, token: bytes, ca: str | None) -> str | None:
    """Why the device is not let in; None: it is."""
    try:
        with closing(connected(address, ca)) as line:
            line.sendall(mqtt.knock(device, token))
            said = line.recv(1024)
            packets, _ = mqtt.whole(said)
            if not packets or packets[0][0] >> 4 != mqtt.CONNACK:
                return "it answers with something else than a CONNACK" if said else "ended by the broker"
            code = mqtt.welcome(packets[0][1]).reason
            return mqtt.reason_name(code) if code else None
    except OSError as error:
        return failure_name(error)
    except mqtt.StreamError as error:
        return f"no MQTT: {error}"


def connected(address: Address, ca: str | None) -> socket.socket:
    """A connection that blocks."""
    line = socket.create_connection((address.host, address.port), timeout=ANSWER_S)
    if not address.tls:
        return line
    return ssl.create_default_context(cafile=ca).wrap_socket(line, server_hostname=address.host)
