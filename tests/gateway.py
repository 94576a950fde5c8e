"""A gateway as the outside world has it: our own reader and simulator have no part in it."""

import time
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties

WAIT_S = 60


class Gateway:
    """One connection of paho-mqtt; remembers what the broker has acknowledged."""

    def __init__(self, url: str, client_id: str) -> None:
        parts = urlsplit(url)
        self.acknowledged: set[int] = set()
        self._sent = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        self._client.username_pw_set(parts.username, parts.password)
        self._client.max_inflight_messages_set(2000)
        self._client.on_publish = self._on_publish
        self._client.connect(parts.hostname or "", parts.port or 1883)
        self._client.loop_start()

    def _on_publish(
        self, _client: object, _userdata: object, mid: int, _reason: object, _properties: Properties
    ) -> None:
        self.acknowledged.add(mid)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> int:
        """Hand one message over; its number shows up in `acknowledged` when the broker has it."""
        self._sent += 1
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    def settle(self) -> None:
        """Wait until everything handed over is acknowledged."""
        deadline = time.monotonic() + WAIT_S
        while len(self.acknowledged) < self._sent:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self._sent - len(self.acknowledged)} messages without PUBACK after {WAIT_S} s")
            time.sleep(0.005)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
