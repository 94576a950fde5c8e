"""Connections as file descriptors: no object for each one unless it speaks TLS. Nothing here blocks."""

import os
import socket
import ssl
from errno import EADDRNOTAVAIL, ECONNREFUSED, EINPROGRESS, EMFILE, ENFILE
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

IP_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
AT_MOST = 4096
FAILURES = {
    EADDRNOTAVAIL: "no port left",
    ECONNREFUSED: "nobody listens",
    EMFILE: "no open file left in the process",
    ENFILE: "no open file left on the machine",
}


class Address(NamedTuple):
    """Where a broker listens. `ip`: what the name stands for, once it was looked up."""

    host: str
    port: int
    tls: bool
    ip: str = ""

    @classmethod
    def of(cls, url: str) -> "Address":
        """That of `mqtt[s]://…@host:port`."""
        parts = urlsplit(url)
        tls = parts.scheme == "mqtts"
        return cls(parts.hostname or "127.0.0.1", parts.port or (8883 if tls else 1883), tls)

    @property
    def is_local(self) -> bool:
        """Whether it is on the loopback interface, where this machine has sixteen million addresses of its own."""
        return self.host.startswith("127.") or self.host == "localhost"

    def found(self) -> "Address":
        """With the name looked up: once, as no name is looked up without waiting. Raises OSError."""
        family = socket.AF_INET if self.is_local else socket.AF_UNSPEC
        answers = socket.getaddrinfo(self.host, self.port, family, socket.SOCK_STREAM)
        return self._replace(ip=str(answers[0][4][0]))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Wire(Protocol):
    """A way to speak through a file descriptor. All raise OSError (ssl.SSLError is one) when the connection is lost."""

    def open(self, address: Address, source: str | None) -> int:
        """A new connection from the address `source`, perhaps not there yet."""

    def shake(self, fd: int) -> bool:
        """Get on with the handshake; whether it is done."""

    def read(self, fd: int) -> bytes | None:
        """What came; empty: the other side has ended, None: nothing yet."""

    def write(self, fd: int, said: bytes) -> int:
        """Send as much as there is room for; how many bytes."""

    def close(self, fd: int) -> None:
        """End at once, without a word: the port is free again and the broker sends the will."""


class Plain:
    """TCP."""

    def open(self, address: Address, source: str | None) -> int:
        """See Wire."""
        return begun(address, source).detach()

    def shake(self, fd: int) -> bool:
        """See Wire."""
        return True

    def read(self, fd: int) -> bytes | None:
        """See Wire."""
        try:
            return os.read(fd, AT_MOST)
        except BlockingIOError:
            return None

    def write(self, fd: int, said: bytes) -> int:
        """See Wire."""
        try:
            return os.write(fd, said)
        except BlockingIOError:
            return 0

    def close(self, fd: int) -> None:
        """See Wire."""
        os.close(fd)


class Tls:
    """TLS over TCP: two objects and the buffers of OpenSSL for each connection."""

    def __init__(self, ca: str | None) -> None:
        """`ca`: file with the certificate of the authority; None: those of the machine."""
        self._context = ssl.create_default_context(cafile=ca)
        self._waiting: dict[int, tuple[socket.socket, str]] = {}
        self._open: dict[int, ssl.SSLSocket] = {}

    def open(self, address: Address, source: str | None) -> int:
        """See Wire."""
        bare = begun(address, source)
        self._waiting[bare.fileno()] = bare, address.host
        return bare.fileno()

    def shake(self, fd: int) -> bool:
        """See Wire."""
        try:
            if waits := self._waiting.get(fd):
                bare, host = waits
                bare.getpeername()  # raises while there is no connection yet
                wrapped = self._context.wrap_socket(bare, server_hostname=host, do_handshake_on_connect=False)
                self._open[fd] = wrapped
                del self._waiting[fd]
            self._open[fd].do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    def read(self, fd: int) -> bytes | None:
        """See Wire."""
        came = bytearray()
        try:
            while part := self._open[fd].recv(AT_MOST):  # what OpenSSL holds already wakes nobody
                came += part
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return bytes(came) or None
        return bytes(came)

    def write(self, fd: int, said: bytes) -> int:
        """See Wire."""
        try:
            return self._open[fd].send(said)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def close(self, fd: int) -> None:
        """See Wire."""
        if waits := self._waiting.pop(fd, None):
            waits[0].close()
        elif stood := self._open.pop(fd, None):
            stood.close()


def begun(address: Address, source: str | None) -> socket.socket:
    """A socket that is about to be connected. Raises OSError."""
    ip = address.ip or address.host
    new = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
    try:
        new.setblocking(False)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        if source:
            # The port is chosen when the destination is known: as many connections as ports to each broker.
            new.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            new.bind((source, 0))
        if (code := new.connect_ex((ip, address.port))) not in (0, EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except OSError:
        new.close()
        raise
    return new


LINGER_NOT = b"\1\0\0\0\0\0\0\0"
"""struct linger: on, 0 s. A closed connection leaves no port in TIME_WAIT."""


def failure_name(error: OSError) -> str:
    """Why a connection did not come about or ended, in words that are few enough to be counted."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'failed'}".lower().replace("_", " ")
    if error.errno in FAILURES:
        return FAILURES[error.errno]
    return (error.strerror or type(error).__name__).lower()
