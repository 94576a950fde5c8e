"""The law of alarms as one would say it: what each call makes of the record. Times are seconds from a beginning."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

RANK = {"info": 0, "warning": 1, "minor": 2, "major": 3, "critical": 4}
TOLD = {
    *("raised", "grown", "reopened", "reminded", "acknowledged", "shelved", "unshelved", "maintenance"),
    *("maintenance_over", "judged", "cleared", "spread", "receded"),
}
REPEAT_S = 300
LONGEST_SHELVED_S = 30 * 86400
REFUSED = "DA001"


class Candidate(NamedTuple):
    """What the engine would have an alarm raised for."""

    key: str
    severity: str
    at: float
    cool_down_s: float
    device: str | None
    members: tuple[str, ...]


@dataclass
class Alarm:
    """One alarm of the record."""

    key: str
    severity: str
    device: str | None
    raised: float
    last: float
    called: float
    occurrences: int = 1
    acknowledged_by: str | None = None
    cleared: float | None = None
    cleared_by: str | None = None
    shelved_until: float | None = None
    maintenance_until: float | None = None
    verdict: str | None = None
    note: str | None = None
    members: dict[str, list[float | None]] = field(default_factory=dict)  # device: since, until
    pieces: set[tuple[str, float]] = field(default_factory=set)
    history: list[tuple[str, str | None]] = field(default_factory=list)  # what, by

    @property
    def active(self) -> bool:
        return self.cleared is None

    def write(self, what: str, by: str | None = None) -> None:
        self.history.append((what, by))

    def join(self, devices: Iterable[str], at: float) -> int:
        joined = 0
        for device in set(devices):
            stay = self.members.get(device)
            if stay is None:
                self.members[device] = [at, None]
                joined += 1
            elif stay[1] is not None and stay[1] < at:
                stay[1] = None
                joined += 1
        return joined

    @property
    def members_now(self) -> int:
        return sum(until is None for _, until in self.members.values())


@dataclass
class Window:
    """A maintenance of a device, or of the area in which all devices of the test are."""

    device: str | None
    since: float
    until: float
    by: str
    over: bool = False
    ended_by: str | None = None


class Record:
    """All alarms, by number, as the law has them. `now` is the clock of the database where it matters."""

    def __init__(self) -> None:
        self.alarms: dict[int, Alarm] = {}
        self.windows: dict[int, Window] = {}

    def newest(self, key: str) -> tuple[int, Alarm] | None:
        return max(((number, one) for number, one in self.alarms.items() if one.key == key), default=None)

    def active(self) -> Iterator[tuple[int, Alarm]]:
        return ((number, one) for number, one in self.alarms.items() if one.active)

    # -- the engine

    def raise_all(self, candidates: list[Candidate], now: float) -> dict[str, str]:
        """What happens to each key; numbers of new alarms are taken from `numbers` by `adopt`."""
        return {key: self.raise_one(key, [c for c in candidates if c.key == key], now) for key in keys_of(candidates)}

    def raise_one(self, key: str, same: list[Candidate], now: float) -> str:
        worst = max(same, key=lambda c: (RANK[c.severity], c.at))
        known = self.newest(key)
        last = max(c.at for c in same)
        members = {device for c in same for device in c.members}
        if known is None:
            return self.begin(worst, {c.at for c in same}, last, members, None, now)
        alarm = known[1]
        end = alarm.last if alarm.cleared is None else alarm.cleared
        times = {c.at for c in same if c.at > end}
        worse = RANK[worst.severity] > RANK[alarm.severity]
        if alarm.cleared is not None:
            if last <= alarm.cleared:
                return "ignored"
            if last >= alarm.cleared + worst.cool_down_s:
                kept = alarm.shelved_until if (alarm.shelved_until or 0) > now else None
                return self.begin(worst, times, last, members, kept, now)
            happened = "reopened"
        elif worse:
            happened = "grown"
        else:
            happened = "repeated" if times else "ignored"
        if happened in ("grown", "reopened"):
            if worse or alarm.cleared_by:
                alarm.acknowledged_by = None
            alarm.severity = worst.severity if worse else alarm.severity
            alarm.cleared = alarm.cleared_by = None
            alarm.called = now
            alarm.write(happened)
        alarm.occurrences += len(times)
        alarm.last = max(alarm.last, last)
        if alarm.join(members, last):
            alarm.write("joined")
        return happened

    def begin(
        self, worst: Candidate, times: set[float], last: float, members: set[str], shelved: float | None, now: float
    ) -> str:
        alarm = Alarm(worst.key, worst.severity, worst.device, min(times), last, now, len(times), shelved_until=shelved)
        alarm.maintenance_until = self.wanted(alarm, now)
        alarm.join(members, last)
        alarm.write("raised")
        self.alarms[-1 - len(self.alarms)] = alarm  # until the database says its number
        return "raised"

    def adopt(self, key: str, number: int) -> None:
        """The alarm of a key that was just raised has this number."""
        (unnamed,) = (n for n, one in self.alarms.items() if n < 0 and one.key == key)
        self.alarms[number] = self.alarms.pop(unnamed)

    def clear_all(self, keys: list[str], times: list[float]) -> set[int]:
        cleared = set()
        for key in set(keys):
            at = max(t for k, t in zip(keys, times, strict=True) if k == key)
            known = self.newest(key)
            if known and known[1].active and at >= known[1].last:
                known[1].cleared = at
                known[1].write("cleared")
                cleared.add(known[0])
        return cleared

    def join(self, number: int, devices: list[str], at: float) -> int:
        alarm = self.alarms[number]
        joined = alarm.join(devices, at) if alarm.active else 0
        if joined:
            alarm.write("joined")
        return joined

    def leave(self, number: int, devices: list[str], at: float) -> int:
        alarm = self.alarms[number]
        gone = [
            stay
            for device in set(devices)
            if alarm.active and (stay := alarm.members.get(device)) and stay[1] is None and (stay[0] or 0) <= at
        ]
        for stay in gone:
            stay[1] = at
        if gone:
            alarm.write("left")
        return len(gone)

    def add_evidence(self, number: int, pieces: set[tuple[str, float]]) -> int:
        alarm = self.alarms[number]
        new = pieces - alarm.pieces
        alarm.pieces |= new
        if new:
            alarm.write("evidence")
        return len(new)

    # -- staff; None: refused

    def acknowledge(self, number: int, by: str, note: str | None) -> bool | None:
        alarm = self.alarms[number]
        if alarm.active and alarm.acknowledged_by == by:
            return False
        if not alarm.active or alarm.acknowledged_by:
            return None
        alarm.acknowledged_by = by
        return self.say(alarm, "acknowledged", by, note)

    def shelve(self, number: int, until: float | None, by: str, reason: str | None, now: float) -> bool | None:
        alarm = self.alarms[number]
        if not reason or not alarm.active or until is None or not now < until <= now + LONGEST_SHELVED_S:
            return None
        if alarm.shelved_until == until:
            return False
        alarm.shelved_until = until
        return self.say(alarm, "shelved", by, reason)

    def unshelve(self, number: int, by: str, now: float) -> bool | None:
        alarm = self.alarms[number]
        if alarm.shelved_until is None and alarm.history[-1] == ("unshelved", by):
            return False
        if alarm.shelved_until is None or alarm.shelved_until <= now:
            return None
        alarm.shelved_until = None
        alarm.called = now if alarm.active else alarm.called
        return self.say(alarm, "unshelved", by, None)

    def clear(self, number: int, by: str, note: str | None, at: float) -> bool | None:
        alarm = self.alarms[number]
        if alarm.cleared_by == by:
            return False
        if not alarm.active:
            return None
        alarm.cleared, alarm.cleared_by = max(at, alarm.last), by
        return self.say(alarm, "cleared", by, note)

    def comment(self, number: int, by: str, note: str | None) -> bool | None:
        alarm = self.alarms[number]
        if not note:
            return None
        if alarm.history[-1] == ("commented", by) and alarm.note == note:
            return False
        return self.say(alarm, "commented", by, note)

    def judge(self, number: int, verdict: str, by: str, note: str | None) -> bool | None:
        alarm = self.alarms[number]
        if verdict not in ("true", "false", "drill"):
            return None
        if alarm.verdict == verdict:
            return False
        alarm.verdict = verdict
        return self.say(alarm, "judged", by, note)

    def say(self, alarm: Alarm, what: str, by: str, note: str | None) -> bool:
        alarm.note = alarm.note if note is None else note
        alarm.write(what, by)
        return True

    # -- maintenance and time

    def wanted(self, alarm: Alarm, at: float) -> float | None:
        ends = [
            window.until
            for window in self.windows.values()
            if not window.over
            and window.since <= at < window.until
            and alarm.device
            and window.device in (None, alarm.device)
        ]
        return max(ends, default=None)

    def apply_maintenance(self, at: float, by: str) -> None:
        for _, alarm in self.active():
            wanted = self.wanted(alarm, at)
            if wanted != alarm.maintenance_until:
                alarm.maintenance_until = wanted
                alarm.called = alarm.called if wanted else at
                alarm.write("maintenance" if wanted else "maintenance_over", by)

    def end_maintenance(self, number: int, by: str, now: float) -> bool | None:
        window = self.windows[number]
        if window.ended_by == by:
            return False
        if window.over or window.until <= now:
            return None
        window.over, window.ended_by = True, by
        self.apply_maintenance(now, by)
        return True

    def remind(self, at: float) -> None:
        for window in self.windows.values():
            window.over |= window.until <= at
        self.apply_maintenance(at, "expiry")
        for _, alarm in self.active():
            if alarm.shelved_until is not None and alarm.shelved_until <= at:
                alarm.shelved_until, alarm.called = None, at
                alarm.write("unshelved", "expiry")
        for _, alarm in self.active():
            quiet = alarm.acknowledged_by or alarm.shelved_until is not None or alarm.maintenance_until is not None
            if alarm.severity == "critical" and not quiet and alarm.called + REPEAT_S <= at:
                alarm.called = at
                alarm.write("reminded")


def keys_of(candidates: list[Candidate]) -> list[str]:
    """Each key once."""
    return list(dict.fromkeys(c.key for c in candidates))
