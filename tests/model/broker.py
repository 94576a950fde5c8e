"""A broker in memory: persistent sessions, and a judge of what the receiver sends.

It redelivers on reconnect alone (MQTT 5.0, section 4.4), in order, under the packet ids of before; ids are reused as
soon as they are free. It raises Violation when an acknowledgement is not what the protocol or the promise allows.
"""

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest import mqtt

IN_FLIGHT = 4
HIGHEST_PID = 65_535


class Violation(AssertionError):
    """A law of the path is broken."""


class Message(NamedTuple):
    """One published message."""

    number: int
    topic: bytes
    payload: bytes
    qos: int = 1


@dataclass
class Kept:
    """What the broker keeps of one client: `in_flight` by packet id, in the order of sending."""

    queue: deque[Message] = field(default_factory=deque)
    in_flight: dict[int, Message] = field(default_factory=dict)
    next_pid: int = 1


@dataclass
class Line:
    """The broker's end of a connection. `sent`: packet ids sent on it and not yet acknowledged, in order."""

    write: Callable[[bytes], None]
    close: Callable[[], None]
    client: str = ""
    rest: bytes = b""
    sent: deque[int] = field(default_factory=deque)
    largest_in_flight: int = IN_FLIGHT


class Broker:
    """Sessions by client id. `committed` says whether a message's fate is in the database."""

    def __init__(self, committed: Callable[[Message], bool], lowest_pids: bool) -> None:
        """`lowest_pids`: give out the lowest free packet id, which reuses ids at once; else count on, and around."""
        self.sessions: dict[str, Kept] = {}
        self.lines: dict[str, Line] = {}
        self.gone: set[int] = set()  # numbers of messages that the broker itself lost
        self._saved: dict[str, Kept] = {}
        self._published: list[Message] = []
        self._committed = committed
        self._lowest_pids = lowest_pids
        self._first_pid = HIGHEST_PID - 3

    # --- publishers

    def publish(self, client: str, message: Message) -> None:
        """Into the queue of the session; without a session, or at QoS 0 without a connection, it is nobody's."""
        self._published.append(message)
        if client not in self.sessions or (message.qos == 0 and client not in self.lines):
            self.gone.add(message.number)
            return
        if message.qos == 0:
            self.lines[client].write(publish_packet(message, 0, False))
            self.gone.add(message.number)  # delivered at most once: nobody answers for it
            return
        self.sessions[client].queue.append(message)
        self._send(client)

    def holds(self) -> set[int]:
        """Numbers of the messages that are still here."""
        kept = self.sessions.values()
        return {m.number for one in kept for m in (*one.queue, *one.in_flight.values())}

    # --- the receiver's connections

    def received(self, line: Line, stream: bytes) -> None:
        """Bytes from a connection."""
        stream = line.rest + stream
        while len(stream) >= 2:
            length, body = mqtt.read_length(stream, 1)
            if body == 0 or len(stream) < body + length:
                break
            self._packet(line, stream[0] >> 4, stream[body : body + length])
            stream = stream[body + length :]
        line.rest = stream

    def _packet(self, line: Line, kind: int, body: bytes) -> None:
        match kind:
            case 1:
                self._connect(line, body)
            case 4:
                self._acknowledged(line, int.from_bytes(body[:2], "big"))
            case 8:
                line.write(b"\x90\x05" + body[:2] + b"\x00\x01\x01")
            case 12:
                line.write(b"\xd0\x00")
            case 14:
                self.dropped(line)

    def _connect(self, line: Line, body: bytes) -> None:
        at = 10
        length, at = mqtt.read_length(body, at)
        at += length
        line.client = body[at + 2 : at + 2 + int.from_bytes(body[at : at + 2], "big")].decode()
        old = self.lines.get(line.client)
        if old is not None:
            old.write(b"\xe0\x01\x8e")  # taken over
            old.close()
        self.lines[line.client] = line
        present = line.client in self.sessions
        self.sessions.setdefault(line.client, Kept(next_pid=self._first_pid))
        line.write(bytes((0x20, 3, present, 0, 0)))
        self._resend(line.client)

    def _resend(self, client: str) -> None:
        """What was in flight comes again first, in its order; then the queue."""
        line, kept = self.lines[client], self.sessions[client]
        for pid, message in kept.in_flight.items():
            line.write(publish_packet(message, pid, True))
            line.sent.append(pid)
        self._send(client)

    def _send(self, client: str) -> None:
        line, kept = self.lines.get(client), self.sessions[client]
        if line is None:
            return
        while kept.queue and len(kept.in_flight) < line.largest_in_flight:
            message, pid = kept.queue.popleft(), self._free_pid(kept)
            kept.in_flight[pid] = message
            line.sent.append(pid)
            line.write(publish_packet(message, pid, False))

    def _free_pid(self, kept: Kept) -> int:
        if self._lowest_pids:
            return next(pid for pid in range(1, HIGHEST_PID + 1) if pid not in kept.in_flight)
        pid = kept.next_pid
        while pid in kept.in_flight:
            pid = pid % HIGHEST_PID + 1
        kept.next_pid = pid % HIGHEST_PID + 1
        return pid

    def _acknowledged(self, line: Line, pid: int) -> None:
        if self.lines.get(line.client) is not line:
            return  # from a connection that is no more
        kept = self.sessions[line.client]
        if not line.sent or pid not in line.sent:
            raise Violation(f"packet id {pid} is acknowledged that this connection has not sent, or twice")
        if line.sent[0] != pid:
            raise Violation(f"packet id {pid} is acknowledged before {line.sent[0]}, which was sent earlier")
        message = kept.in_flight[pid]
        if not self._committed(message):
            raise Violation(f"message {message.number} is acknowledged and not committed")
        line.sent.popleft()
        del kept.in_flight[pid]
        self._send(line.client)

    def dropped(self, line: Line) -> None:
        """The connection is over, as the broker sees it."""
        if self.lines.get(line.client) is line:
            del self.lines[line.client]
        line.close()

    # --- faults

    def save(self) -> None:
        """To disk, as mosquitto does now and then."""
        self._saved = copy.deepcopy(self.sessions)

    def crash(self) -> None:
        """kill -9: back to what was saved. What it had acknowledged since is lost, and said to be so."""
        for line in list(self.lines.values()):
            self.dropped(line)
        before = self.holds()
        self.sessions = copy.deepcopy(self._saved)
        for kept in self.sessions.values():
            kept.next_pid = self._first_pid  # mosquitto counts from the start again
        self.gone |= before - self.holds()


def publish_packet(message: Message, pid: int, again: bool) -> bytes:
    """PUBLISH as a broker writes it."""
    head = 0x30 | (0x02 if pid else 0) | (0x08 if again else 0)
    return mqtt.packet(
        head, mqtt.text(message.topic) + (pid.to_bytes(2, "big") if pid else b"") + b"\0" + message.payload
    )
