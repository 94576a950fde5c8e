"""A reference device that buffers: it keeps every reading until the platform says that it is settled.

This is what a device does that wants more than the broker's word: a PUBACK ends nothing here, only `…/ack` does. What
is not settled is sent again, in order, after every connection and every `resend_s`, so the loss of the broker with all
it held costs nothing. A real device keeps `kept`, `boot` and the next number in memory that survives a loss of power.
"""

import json
import threading
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode


class Device:
    """One device over one connection. Call `measure` from one thread; the network has its own."""

    def __init__(self, url: str, area: str, name: str, boot: int, resend_s: float = 2.0, most: int = 100_000) -> None:
        """`url` with the credentials to use; `boot`: greater after every restart that may begin `seq` anew; `most`:
        readings that are kept, after that `measure` refuses."""
        self.kept: dict[int, bytes] = {}
        self.settled: set[int] = set()
        self.sent = 0
        self._boot, self._seq, self._most, self._resend_s = boot, 0, most, resend_s
        self._topic = f"dothi/v1/{area}/{name}"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 1883)
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        self._client.reconnect_delay_set(1, 2)
        self._client.max_inflight_messages_set(1_000)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._resender = threading.Thread(target=self._resend_until_stopped, daemon=True)

    def start(self) -> None:
        """Connect, and again after every loss."""
        self._client.connect_async(*self._address, keepalive=10)
        self._client.loop_start()
        self._resender.start()

    def stop(self) -> None:
        """Leave; what is not settled stays in `kept`."""
        self._stopping.set()
        self._resender.join()
        self._client.disconnect()
        self._client.loop_stop()

    def measure(self, metrics: dict[str, float], time_ms: int | None = None) -> int | None:
        """Keep a reading and send it; its number, or None when there is no room to keep it."""
        with self._lock:
            if len(self.kept) >= self._most:
                return None
            self._seq += 1
            when = time.time_ns() // 1_000_000 if time_ms is None else time_ms
            document = {"time": when, "seq": self._seq, "boot": self._boot, "metrics": metrics}
            self.kept[self._seq] = json.dumps(document).encode()
            self._send(self._seq)
            return self._seq

    def _send(self, seq: int) -> None:
        if self._client.is_connected():
            self._client.publish(f"{self._topic}/up", self.kept[seq], qos=1)
            self.sent += 1

    def _on_connect(self, client: Client, _userdata: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        if not code.is_failure:
            client.subscribe(f"{self._topic}/ack", qos=0)
            self._resend()

    def _resend_until_stopped(self) -> None:
        while not self._stopping.wait(self._resend_s):
            self._resend()

    def _resend(self) -> None:
        """Send all that is kept, oldest first, unless the connection still works on what it was given."""
        with self._lock:
            if not self._client.want_write():
                for seq in sorted(self.kept):
                    self._send(seq)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        """Forget what is settled: the numbers from `first` up to `seq`, of this boot."""
        settled = settled_range(bytes(message.payload), self._boot)
        with self._lock:
            for seq in [seq for seq in self.kept if seq in settled]:
                del self.kept[seq]
                self.settled.add(seq)


def settled_range(payload: bytes, boot: int) -> range:
    """The numbers that an acknowledgement settles; none when it is of another boot, or no acknowledgement at all."""
    try:
        said = json.loads(payload)
        of, first, last = said["boot"], said.get("first", 0), said["seq"]
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return range(0)
    if of != boot or type(first) is not int or type(last) is not int:
        return range(0)
    return range(first, last + 1)
