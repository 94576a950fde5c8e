"""Gateways: a few MQTT 5 connections that carry the messages of many devices, QoS 1, to one or several brokers.

Offering never blocks: a message waits in its connection's line until the in-flight window has room. One that could not
be sent within `PATIENCE_S` of becoming due is given up and counted, so a slow platform never slows the city.
A PUBACK that says "no matching subscribers" means that nobody will ever read the message: it is counted apart.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from zlib import crc32

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulators.city import Message
from simulators.messages import Kind

PATIENCE_S = 30.0
"""A message that waited longer than this to be sent is given up."""
OVERDUE_S = 1.0
"""A message sent later than this after it became due counts as overdue."""
WINDOW = 2000
"""Messages of one connection that may wait for their PUBACK at the same time."""
NO_SUBSCRIBER = 0x10
FAILURE = 0x80

Record = Callable[[Message], None]


class BrokerError(Exception):
    """A broker refuses or does not answer; the message says which and why."""


class Broker(NamedTuple):
    """A broker's URL (`mqtt[s]://user:password@host:port`) and the areas it serves; none named: all that are left."""

    url: str
    areas: tuple[str, ...] = ()


@dataclass
class Tally:
    """Messages by what became of them.

    sent = acknowledged + refused + unheard + those in flight. `unsent`: given up, never sent. `overdue`: sent late.
    `late`, `duplicated`, `faulty`: how many of those sent were so on purpose.
    """

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unheard: int = 0
    overdue: int = 0
    unsent: int = 0
    late: int = 0
    duplicated: int = 0
    faulty: int = 0
    reconnects: int = 0

    def count(self, message: Message, now: float) -> None:
        """Take a message as sent at `now` (s since 1970)."""
        self.sent += 1
        self.overdue += now - message.due > OVERDUE_S
        self.late += message.kind is Kind.LATE
        self.duplicated += message.again
        self.faulty += message.kind.faulty

    @property
    def in_flight(self) -> int:
        """Messages sent whose PUBACK is still to come."""
        return self.sent - self.acknowledged - self.refused - self.unheard

    def document(self) -> dict[str, int]:
        """As plain numbers."""
        return asdict(self)


class Connection:
    """One gateway connection and the line of messages that wait for it.

    Only the caller's thread touches `_waiting` and `_pending`; the network's thread merely notes what has arrived.
    """

    def __init__(self, url: str, client_id: str, tally: Tally, window: int) -> None:
        parts = urlsplit(url)
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self.where = f"{parts.hostname}:{port}"
        self.refusal: str | None = None
        self._address, self._tally, self._window = (parts.hostname or "127.0.0.1", port), tally, window
        self._waiting: deque[Message] = deque()
        self._pending: dict[int, Message] = {}
        self._arrived: deque[tuple[int, int]] = deque()
        self._was_up = False
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
        if parts.scheme == "mqtts":
            self._client.tls_set()
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        self._client.max_inflight_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._spread_reconnects()

    def start(self) -> None:
        """Begin to connect, and to reconnect for as long as it takes."""
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye and wait for the network's thread; what still waits counts as unsent."""
        self._tally.unsent += len(self._waiting)
        self._waiting.clear()
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_up(self) -> bool:
        """Whether the broker has accepted this connection."""
        return self._client.is_connected()

    def offer(self, message: Message) -> None:
        """Put a message in line."""
        self._waiting.append(message)

    def push(self, now: float) -> None:
        """Send what the window has room for, in order; give up what has waited too long."""
        while self._waiting:
            if now - self._waiting[0].due > PATIENCE_S:
                self._waiting.popleft()
                self._tally.unsent += 1
            elif len(self._pending) < self._window and self.is_up:
                self._send(self._waiting.popleft(), now)
            else:
                return

    def settle(self, record: Record | None) -> None:
        """Take note of the PUBACKs that have arrived; `record` is given every message that the broker took."""
        while self._arrived:
            mid, code = self._arrived.popleft()
            message = self._pending.pop(mid, None)
            if message is None:
                continue
            if code >= FAILURE:
                self._tally.refused += 1
            elif code == NO_SUBSCRIBER:
                self._tally.unheard += 1
            else:
                self._tally.acknowledged += 1
                if record:
                    record(message)

    def _send(self, message: Message, now: float) -> None:
        # Without a connection the client keeps the message, as all unacknowledged, and sends it after the next CONNACK.
        sent = self._client.publish(message.topic, message.payload, qos=1)
        if sent.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            self._pending[sent.mid] = message
            self._tally.count(message, now)
        else:
            self._tally.unsent += 1

    def _spread_reconnects(self) -> None:
        self._client.reconnect_delay_set(1, random.randint(3, 8))  # noqa: S311 - spreads reconnects, guards nothing

    def _on_connect(
        self, _client: Client, _userdata: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        self.refusal = str(code) if code.is_failure else None
        if self.refusal:
            return
        self._tally.reconnects += self._was_up
        self._was_up = True
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
        self._spread_reconnects()

    def _on_publish(self, _client: Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        self._arrived.append((mid, code.value))


class Publisher:
    """All gateway connections to all brokers. A device keeps to one connection, so its messages stay in order."""

    def __init__(
        self,
        brokers: Sequence[Broker],
        *,
        name: str,
        per_broker: int = 2,
        window: int = WINDOW,
        record: Record | None = None,
        tally: Tally | None = None,
    ) -> None:
        """`name`: begins the client ids. `record`: called, in `turn`, with every message acknowledged by PUBACK."""
        self.tally = tally or Tally()
        self._record = record
        self._connections: list[Connection] = []
        self._by_area: dict[str, list[Connection]] = {}
        self._otherwise: list[Connection] = []
        for place, broker in enumerate(brokers):
            names = [f"{name}-{place}-{number}" for number in range(per_broker)]
            gateways = [Connection(broker.url, client_id, self.tally, window) for client_id in names]
            self._connections += gateways
            self._by_area |= dict.fromkeys(broker.areas, gateways)
            if not broker.areas or not self._otherwise:
                self._otherwise = gateways

    def start(self, patience_s: float = 15.0) -> None:
        """Connect all. Raises BrokerError when a broker refuses, or does not answer within `patience_s`."""
        for connection in self._connections:
            connection.start()
        deadline = time.monotonic() + patience_s
        while not self.is_up:
            down = next(connection for connection in self._connections if not connection.is_up)
            refused = next((c for c in self._connections if c.refusal), None)
            if refused or time.monotonic() > deadline:
                self.stop()
                raise BrokerError(
                    f"broker {refused.where} refuses the connection: {refused.refusal}"
                    if refused
                    else f"broker {down.where} does not answer within {patience_s:.0f} s"
                )
            time.sleep(0.02)

    @property
    def is_up(self) -> bool:
        """Whether all connections stand."""
        return all(connection.is_up for connection in self._connections)

    def offer(self, message: Message) -> None:
        """Put a message in the line of its broker; never blocks."""
        gateways = self._by_area.get(message.area, self._otherwise)
        gateways[crc32(message.device.encode()) % len(gateways)].offer(message)

    def turn(self, now: float) -> None:
        """Note what was acknowledged and send what there is room for. `now`: s since 1970."""
        for connection in self._connections:
            connection.settle(self._record)
            connection.push(now)

    def drain(self, patience_s: float = 5.0) -> None:
        """Wait until all that was sent is acknowledged, at most `patience_s`."""
        deadline = time.monotonic() + patience_s
        while self.tally.in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
            for connection in self._connections:
                connection.settle(self._record)

    def stop(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.stop()
