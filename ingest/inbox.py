"""What a session subscribes to, and where its broker is."""

import ssl
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ingest import mqtt


class Inbox(NamedTuple):
    """What one session subscribes to: an area's devices, or a foreign route."""

    name: str
    url: str
    subscriptions: tuple[mqtt.Subscription, ...]

    @property
    def client_id(self) -> str:
        """Fixed for good: the broker keeps the queue under it."""
        return f"dothi-inbox-{self.name}"

    @property
    def broker(self) -> str:
        """Host and port of the broker that keeps the session."""
        host, port, _ = address(self.url)
        return f"{host}:{port}"


def area_inbox(area: str, url: str) -> Inbox:
    """The inbox of an operating zone: readings, and what devices say of themselves."""
    prefix = f"dothi/v1/{area}/+"
    return Inbox(area, url, (mqtt.Subscription(f"{prefix}/up", False), mqtt.Subscription(f"{prefix}/status", True)))


def route_inbox(route: str, topics: Sequence[str], url: str, retained: Sequence[str] = ()) -> Inbox:
    """The inbox of a foreign route; `retained`: filters of what is wanted from the broker's memory at every connect."""
    subscriptions = [mqtt.Subscription(topic, False) for topic in topics]
    return Inbox(route, url, (*subscriptions, *(mqtt.Subscription(topic, True, always=True) for topic in retained)))


def credentials(url: str) -> tuple[str | None, str | None]:
    """User and password of a broker URL."""
    parts = urlsplit(url)
    return (unquote(parts.username) if parts.username else None, unquote(parts.password) if parts.password else None)


def address(url: str) -> tuple[str, int, ssl.SSLContext | None]:
    """Host, port and TLS of `mqtt://…` or `mqtts://…`."""
    parts = urlsplit(url)
    secure = parts.scheme == "mqtts"
    context = ssl.create_default_context() if secure else None
    return parts.hostname or "127.0.0.1", parts.port or (8883 if secure else 1883), context
