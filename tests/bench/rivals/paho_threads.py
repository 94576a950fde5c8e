"""Publishes at QoS 1 over some connections: port, connections, messages/s, seconds, bytes of payload. Prints JSON."""

import json
import resource
import sys
import time

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

acknowledged = 0


def on_publish(*_: object) -> None:
    """One PUBACK; four threads count, and a few that get lost do not matter."""
    global acknowledged
    acknowledged += 1


def cpu_s() -> float:
    """User and system seconds so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Publish what is due every 5 ms, at most 2,000 unanswered a connection."""
    port, lines, rate, seconds, size = (float(word) for word in sys.argv[1:])
    clients = [Client(CallbackAPIVersion.VERSION2, f"rival-{number}", protocol=MQTTv5) for number in range(int(lines))]
    for client in clients:
        client.max_inflight_messages_set(0)
        client.on_publish = on_publish
        client.connect("127.0.0.1", int(port))
        client.loop_start()
    payload, sent, begun, used = b"x" * int(size), 0, time.monotonic(), cpu_s()
    while (now := time.monotonic() - begun) < seconds:
        due = min(int(now * rate), acknowledged + 2000 * len(clients))
        for number in range(sent, due):
            clients[number % len(clients)].publish(f"dothi/v1/213/me-213-{number % 400_000}/up", payload, qos=1)
        sent = max(sent, due)
        time.sleep(0.005)
    print(  # noqa: T201
        json.dumps(
            {
                "sent": sent,
                "acknowledged": acknowledged,
                "rate_per_s": round(acknowledged / seconds, 1),
                "cpu_s": cpu_s() - used,
                "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
    )


if __name__ == "__main__":
    main()
