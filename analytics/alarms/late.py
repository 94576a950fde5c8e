"""Findings from readings that come hours late: what was over long ago does not ring, what lasts does.

A device that was cut off delivers what it held, in order: for some seconds or minutes what detectors find in it is of
hours ago. By the device's own newest reading it can be told: a finding that was over long before that is history. While
a device still catches up nobody knows yet, so its findings wait. A device whose clock is wrong looks the same at first,
but does not catch up: its findings ring after a minute.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from analytics.alarms.matching import Sign
from analytics.newest_rows import newest_table
from devices.family import FAMILIES

OLD_US = 15 * 60_000_000
WAIT_US = 60_000_000
MOST = 50_000
"""Findings that wait at a time; more are judged as they are."""
NEWEST = sql.SQL("select device, (extract(epoch from time) * 1000000)::bigint from {} where device = any({})")

Newest = Callable[[Sequence[Sign]], dict[int, int]]
"""The time of the newest reading of the devices of signs, µs since 1970, by device; of those that are not there nothing
newer than the finding is known."""


@dataclass
class Waiting:
    """A finding that waits since `at`; its device was `age` behind then. Both µs."""

    sign: Sign
    at: int
    age: int


class Late:
    """Findings that wait. What waits is not remembered over a restart: what lasts by then is judged as it is."""

    def __init__(self) -> None:
        self.waiting: dict[int, Waiting] = {}

    def sift(self, signs: Iterable[Sign], now: int, newest: Newest) -> list[Sign]:
        """Those that are to be judged now, in their order."""
        fresh, old = [], []
        for sign in signs:
            if sign.finding in self.waiting:
                self.waiting[sign.finding].sign = sign._replace(began=True)
            elif sign.began and sign.late > OLD_US and len(self.waiting) < MOST:
                old.append(sign)
            else:
                fresh.append(sign)
        heard = newest(old) if old else {}
        for sign in old:
            at = heard.get(sign.device, sign.found)
            if over_before(sign, at):
                continue
            if now - at <= OLD_US:
                fresh.append(sign)
            else:
                self.waiting[sign.finding] = Waiting(sign, now, now - at)
        return fresh

    def ripe(self, now: int, newest: Newest) -> list[Sign]:
        """Those that have waited for long enough, or whose devices have caught up."""
        if not self.waiting:
            return []
        heard, found = newest([one.sign for one in self.waiting.values()]), []
        for finding, one in list(self.waiting.items()):
            at = heard.get(one.sign.device, one.sign.found)
            caught_up, waited = one.age - (now - at), now - one.at
            over = over_before(one.sign, at)
            if over or now - at <= OLD_US or (waited >= WAIT_US and caught_up < waited):
                del self.waiting[finding]
                found += [] if over else [one.sign]
        return found


def over_before(sign: Sign, newest: int) -> bool:
    """Whether it was over long before its device's newest reading."""
    return sign.until is not None and newest - sign.until > OLD_US


def newest_of(connection: psycopg.Connection, signs: Sequence[Sign]) -> dict[int, int]:
    """As `Newest` says."""
    found: dict[int, int] = {}
    for family in {sign.family for sign in signs} & FAMILIES.keys():
        devices = sorted({sign.device for sign in signs if sign.family == family})
        found |= dict(connection.execute(NEWEST.format(newest_table(FAMILIES[family], True), devices)).fetchall())
    return found
