"""What ingest refuses → events: devices whose messages are refused again and again, and names that others speak under.

Ingest counts what it refuses by day and claimed id (ops.quarantine_quota), for its quota; once a minute that is looked
at. It costs nothing per message, and the memory of a number per id: of those enrolled, and of a hundred others a day.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import psycopg

from analytics.alarms.telling import tell

LEAST = 20
WINDOW_S = 600.0
"""So many refused messages of one id within so many seconds are much. Judgement: a device sends one a minute at most of
what it ought to, so half of these are beside its own."""
FEW = 2
"""So many that say a time to come are enough: a clock that is too far ahead is so in each message."""
MOST_OWN = 10
"""Ids that are told of one by one in a look; when there are more, it is one matter that is wrong with all of them."""
LATEST = 20

TOTALS = """
select claimed, total, stranger or claimed = '' from ops.quarantine_quota
where day = (to_timestamp(%s) at time zone 'Asia/Ho_Chi_Minh')::date
"""
WHY = "select reason from ops.quarantine where device = %s order by received desc limit %s"

CLOCK = "in_future"
REASONS = """
select q.device from unnest(%s::text[]) i cross join lateral (
    select x.device, x.reason from ops.quarantine x where x.device = i order by x.received desc limit 1
) q where q.reason = %s order by q.device
"""
MOST_CLOCKS = 100
"""Ids whose latest reason is asked for in a look."""

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
    "clock": (
        "the clock of {device} is ahead: {n} messages within {minutes} min say a time to come and were refused",
        "đồng hồ của {device} chạy nhanh: {n} bản tin trong {minutes} phút ghi thời điểm tương lai và bị từ chối",
    ),
    "clocks": (
        "the clocks of {devices} devices are ahead: {n} messages within {minutes} min, most of {device}",
        "đồng hồ của {devices} thiết bị chạy nhanh: {n} bản tin trong {minutes} phút, nhiều nhất là {device}",
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
    """An id of which so many messages were refused within so many seconds, `total` in this day."""

    claimed: str
    total: int
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
        some = self.counted(connection.execute(TOTALS, (now_s,)).fetchall(), now_s)
        ahead = clocks(connection, [one for one in some if not one.stranger][:MOST_CLOCKS])
        wrong = [one for one in some if one.claimed in ahead]
        for one in wrong:
            self._since[one.claimed] = (now_s, one.total)
        each_or_all(connection, now_s, wrong, lambda _: ("clock", CLOCK), "clocks")
        much = [one for one in some if one.refused >= LEAST and one.claimed not in ahead]
        own = [one for one in much if not one.stranger]
        each_or_all(connection, now_s, own, partial(matter_of, connection), "many")
        if strangers := [one for one in much if one.stranger]:
            write(connection, now_s, "strangers", strangers)

    def counted(self, totals: Iterable[tuple[str, int, bool]], now_s: float) -> list[Much]:
        """Ids with a few at least since they were last told of, or within the window; the most first. Pure but for its
        memory."""
        before, self._since = self._since, {}
        first, start = self._looked is None, now_s if self._looked is None else self._looked
        self._looked = now_s
        much = []
        for claimed, total, stranger in totals:
            since, known = before.get(claimed, (start, total if first else 0))
            if total < known:  # another day has begun
                since, known = start, 0
            ends = total - known >= LEAST or now_s - since >= WINDOW_S
            if total - known >= FEW:
                much.append(Much(claimed, total, total - known, max(now_s - since, 60.0), stranger))
            self._since[claimed] = (now_s, total) if ends else (since, known)
        return sorted(much, key=lambda one: (-one.refused, one.claimed))


def clocks(connection: psycopg.Connection, some: list[Much]) -> set[str]:
    """Those of which the latest that was refused said a time to come."""
    names = [one.claimed for one in some]
    return {device for (device,) in connection.execute(REASONS, (names, CLOCK))} if names else set()


def matter_of(connection: psycopg.Connection, device: str) -> tuple[str, str]:
    """What is wrong with most of its latest: a key of SAID, and the reason."""
    reasons = Counter(reason for (reason,) in connection.execute(WHY, (device, LATEST)))
    reason = min(reasons, key=lambda name: (-reasons[name], name), default="unknown")
    return "spoof" if reason in OF_ANOTHER else "garbage", reason


def each_or_all(
    connection: psycopg.Connection,
    now_s: float,
    some: list[Much],
    matter: Callable[[str], tuple[str, str]],
    together: str,
) -> None:
    """An event for each of a few, as `matter` says by its id; one for all where there are many."""
    if len(some) > MOST_OWN:
        write(connection, now_s, together, some)
        return
    for one in some:
        what, reason = matter(one.claimed)
        write(connection, now_s, what, [one], one.claimed, reason)


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
    kind = {"many": "garbage", "clocks": "clock"}.get(what, what)
    detail = {"refused": refused, "devices": len(some), "reason": reason}
    tell(connection, now_s, (kind, "minor", device), SAID[what], given, detail)
