"""What ingest refuses → events: devices whose messages are refused again and again, and names that others speak under.

Ingest counts what it refuses by day and claimed id (ops.quarantine_quota), for its quota; once a minute that is looked
at. It costs nothing per message, and the memory of a number per id: of those enrolled, and of a hundred others a day.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import psycopg
from psycopg.types.json import Jsonb

LEAST = 20
WINDOW_S = 600.0
"""So many refused messages of one id within so many seconds are much. Judgement: a device sends one a minute at most of
what it ought to, so half of these are beside its own."""
MOST_OWN = 10
"""Ids that are told of one by one in a look; when there are more, it is one matter that is wrong with all of them."""
LATEST = 20

TOTALS = """
select claimed, total, stranger or claimed = '' from ops.quarantine_quota
where day = (to_timestamp(%s) at time zone 'Asia/Ho_Chi_Minh')::date
"""
WHY = "select reason from ops.quarantine where device = %s order by received desc limit %s"
TELL = """
insert into ops.event (time, kind, severity, device, message, detail) values (to_timestamp(%s), %s, 'minor', %s, %s, %s)
"""

OF_ANOTHER = ("wrong_area", "conflict")
"""Reasons that say that two speak under one name: a message from where the device is not, or another under the number
that its own had."""
SAID = {
    "garbage": (
        "{n} messages of {device} were refused within {minutes} min, mostly {reason}",
        "{n} bản tin của {device} bị từ chối trong {minutes} phút, phần lớn do {reason}",
    ),
    "spoof": (
        "{n} messages under the name of {device} were refused within {minutes} min, mostly {reason}; it was moved, or "
        "another sends under its name",
        "{n} bản tin mang tên {device} bị từ chối trong {minutes} phút, phần lớn do {reason}; thiết bị đã chuyển chỗ "
        "hoặc có nguồn khác mạo danh",
    ),
    "many": (
        "{n} messages of {devices} devices were refused within {minutes} min, most of {device}",
        "{n} bản tin của {devices} thiết bị bị từ chối trong {minutes} phút, nhiều nhất là {device}",
    ),
    "strangers": (
        "{n} messages under ids that nobody enrolled within {minutes} min",
        "{n} bản tin mang mã chưa ai đăng ký trong {minutes} phút",
    ),
}


class Much(NamedTuple):
    """An id of which so many messages were refused within so many seconds."""

    claimed: str
    refused: int
    seconds: float
    stranger: bool


class Refusals:
    """Looks from time to time; the first look only learns where the counts stand."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, int]] = {}  # id → when, and its count then
        self._looked: float | None = None

    def look(self, connection: psycopg.Connection, now_s: float) -> None:
        """Write an event for each that is much. `now_s`: seconds since 1970."""
        much = self.counted(connection.execute(TOTALS, (now_s,)).fetchall(), now_s)
        own = [one for one in much if not one.stranger]
        if len(own) > MOST_OWN:
            write(connection, now_s, "many", own)
        else:
            for one in own:
                reason = reason_of(connection, one.claimed)
                write(connection, now_s, "spoof" if reason in OF_ANOTHER else "garbage", [one], one.claimed, reason)
        if strangers := [one for one in much if one.stranger]:
            write(connection, now_s, "strangers", strangers)

    def counted(self, totals: Iterable[tuple[str, int, bool]], now_s: float) -> list[Much]:
        """Ids with much since they were last told of, or within the window; the most first. Pure but for its memory."""
        before, self._since = self._since, {}
        first, start = self._looked is None, now_s if self._looked is None else self._looked
        self._looked = now_s
        much = []
        for claimed, total, stranger in totals:
            since, known = before.get(claimed, (start, total if first else 0))
            if total < known:  # another day has begun
                since, known = start, 0
            is_much = total - known >= LEAST
            if is_much:
                much.append(Much(claimed, total - known, max(now_s - since, 60.0), stranger))
            self._since[claimed] = (now_s, total) if is_much or now_s - since >= WINDOW_S else (since, known)
        return sorted(much, key=lambda one: (-one.refused, one.claimed))


def reason_of(connection: psycopg.Connection, device: str) -> str:
    """What is wrong with most of its latest."""
    reasons = Counter(reason for (reason,) in connection.execute(WHY, (device, LATEST)))
    return min(reasons, key=lambda name: (-reasons[name], name), default="unknown")


def write(
    connection: psycopg.Connection,
    now_s: float,
    what: str,
    some: list[Much],
    device: str | None = None,
    reason: str | None = None,
) -> None:
    """An event in both languages; `what` is a key of SAID, `device`: whose it is, None: of many."""
    refused, minutes = sum(one.refused for one in some), round(max(one.seconds for one in some) / 60)
    given = {"n": refused, "devices": len(some), "minutes": minutes, "device": some[0].claimed, "reason": reason}
    english, vietnamese = (said.format(**given) for said in SAID[what])
    detail = {"message_vi": vietnamese, "refused": refused, "devices": len(some), "reason": reason}
    kind = "garbage" if what == "many" else what
    connection.execute(TELL, (now_s, kind, device, english, Jsonb(detail)))
