"""What a broker's `$SYS` topics say of the queues it holds for ingest: filling, dropping, begun anew. Pure."""

from typing import NamedTuple

from ingest.watch import Event, possible_loss

TOPICS = {
    "$SYS/broker/store/messages/count": "messages",
    "$SYS/broker/heap/current": "bytes",
    "$SYS/broker/publish/messages/dropped": "dropped",
    "$SYS/broker/uptime": "uptime_s",
}
LEVELS = (0.5, 0.8)
FORGOTTEN = 0.1
"""So far below a level the queue must fall before reaching it is news again."""
AUTOSAVE_S = 60


class Limits(NamedTuple):
    """What one broker may hold: messages of an inbox, bytes of memory; 0: not known."""

    messages: int
    memory: int


class Queues:
    """One broker. `judge` is called with what it says of itself, every few seconds."""

    def __init__(self, broker: str, limits: Limits) -> None:
        self.broker = broker
        self.limits = limits
        self.now: dict[str, int] = {}
        self.at: float | None = None  # seconds since 1970
        self._level = 0.0

    @property
    def share(self) -> float:
        """How full it is, 0 to 1: by messages or by memory, whichever is more."""
        shares = [
            self.now.get(name, 0) / limit
            for name, limit in (("messages", self.limits.messages), ("bytes", self.limits.memory))
            if limit
        ]
        return max(shares, default=0.0)

    def judge(self, said: dict[str, int], at: float) -> list[Event]:
        """Take in what the broker says at a time (seconds since 1970); what an operator must know of it."""
        before, since = self.now, self.at if self.at is not None else at
        self.now, self.at = {**before, **said}, at
        return [*self._restarted(before, since), *self._dropped(before, since), *self._filling(before, since)]

    def _restarted(self, before: dict[str, int], since: float) -> list[Event]:
        assert self.at is not None
        up = self.now.get("uptime_s", 0)
        if up >= before.get("uptime_s", 0):
            return []
        began = max(since, self.at - up)
        message = (
            f"{self.broker} began anew: messages that it acknowledged after its last save ({AUTOSAVE_S} s apart) and "
            "had not yet delivered may be lost"
        )
        return [possible_loss("broker_restarted", since - AUTOSAVE_S, began, message, broker=self.broker)]

    def _dropped(self, before: dict[str, int], since: float) -> list[Event]:
        assert self.at is not None
        now, then = self.now.get("dropped", 0), before.get("dropped", 0)
        count = now - then if now >= then else now
        if not count:
            return []
        message = f"{self.broker} dropped {count:,} messages that it had acknowledged: the queue of a session was full"
        return [possible_loss("messages_dropped", since, self.at, message, broker=self.broker, dropped=count)]

    def _filling(self, before: dict[str, int], since: float) -> list[Event]:
        assert self.at is not None
        share = self.share
        if share < self._level - FORGOTTEN:
            self._level = max((level for level in LEVELS if level <= share), default=0.0)
        reached = max((level for level in LEVELS if level <= share), default=0.0)
        if reached <= self._level:
            return []
        self._level = reached
        gained = self.now.get("messages", 0) - before.get("messages", 0)
        minutes = None
        if gained > 0 and self.at > since and self.limits.messages:
            left = self.limits.messages - self.now.get("messages", 0)
            minutes = round(max(0, left) / gained * (self.at - since) / 60, 1)
        detail = {**self.now, "limit": self.limits.messages, "share": round(share, 3), "minutes_left": minutes}
        message = f"the queue of {self.broker} is {share:.0%} full" + (
            f", at this rate full in {minutes:g} min" if minutes is not None else ""
        )
        severity = "major" if reached == LEVELS[-1] else "warning"
        return [Event(self.at, "queue_filling", severity, None, message, {"broker": self.broker, **detail})]


def number(payload: bytes) -> int | None:
    """The number that a `$SYS` payload begins with: `12 seconds` → 12."""
    first = payload.split(b" ", 1)[0]
    return int(first) if first.isdigit() and len(first) < 20 else None
