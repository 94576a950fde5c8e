"""Many signs → few alarms: signs of one key are members of one alarm, from the first to the last of them.

What is remembered is which findings last, and what the record was told. The first is read back from the findings after
a restart, the second from the record, so nothing else is kept.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from analytics.alarms.matching import SILENT, Match, Matching, Sign, rank
from analytics.alarms.record import Answer, Call, Record
from analytics.alarms.rules import FromSilence, Severity

Population = Callable[[int | None, frozenset[str]], int]
"""How many devices are active in an area (None: everywhere) of these families."""


@dataclass
class Matter:
    """What is one alarm, or may become one. `told`: members that the record knows, None: it is not raised; `settled`:
    staff closed it, so only what comes anew counts; `back`: share of the members of each area that are well again at
    its end; `areas`: findings that last by area, `peaks`: the most of each; `said`: what the record has of it.
    """

    match: Match
    first: int  # found, of the first sign since it was last empty
    members: Counter[int] = field(default_factory=Counter)  # device → findings that last
    families: set[str] = field(default_factory=set)
    told: set[int] | None = None
    alarm: int = 0
    severity: Severity = "info"
    worst: Severity = "info"  # of the signs
    last: int = 0  # newest time that the record was told
    newest: int = 0  # of the signs
    ended: int = 0
    value: float | None = None
    settled: bool = False
    areas: Counter[int] = field(default_factory=Counter)
    peaks: Counter[int] = field(default_factory=Counter)
    back: float = 1.0
    said: tuple[int | None, str] | None = None

    @property
    def raised(self) -> bool:
        """Whether the record has it as active."""
        return self.told is not None


class Folding:
    """All that lasts. `population`: see above."""

    def __init__(self, matching: Matching, population: Population) -> None:
        self.matching = matching
        self.matters: dict[str, Matter] = {}
        self.lasting: dict[int, tuple[str, Sign]] = {}  # finding → key, sign
        self.silent: dict[int, dict[int, Sign]] = {}  # area → finding → sign, of no outage
        self._population = population
        self._changed: dict[str, None] = {}  # keys, in order
        self._waiting: dict[str, None] = {}

    @property
    def held(self) -> int:
        """Findings that are remembered."""
        return len(self.lasting)

    @property
    def waiting(self) -> bool:
        """Whether something has still to last."""
        return bool(self._waiting or self._changed)

    def take(self, sign: Sign) -> None:
        """A finding came or is over."""
        if sign.until is not None:
            if sign.finding in self.lasting:
                self.drop(sign.finding, sign.until)
            elif sign.began:
                self._passing(sign)
            return
        if sign.finding in self.lasting:
            self.drop(sign.finding, sign.found, moved=True)
        match = self.matching.of(sign)
        if match is not None:
            self.add(sign, match)

    def _passing(self, sign: Sign) -> None:
        """One that was over before we saw it: an alarm all the same, unless it had to last."""
        match = self.matching.of(sign)
        if match is None or match.rule.hold_s > 0 or sign.until is None:
            return
        self.add(sign, match)
        self._changed.pop(match.key, None)
        self._changed[match.key] = None
        self.matters[match.key].settled = False
        self.drop(sign.finding, sign.until, keep=True)

    def add(self, sign: Sign, match: Match) -> Matter:
        """A sign becomes part of a matter."""
        matter = self.matters.get(match.key)
        if matter is None:
            matter = self.matters[match.key] = Matter(match, sign.found, worst=match.severity)
        elif not matter.members:
            matter.first = min(matter.first, sign.found) if matter.raised else sign.found
            matter.worst = matter.worst if matter.raised else match.severity
        if rank(match.severity) > rank(matter.worst):
            matter.worst, matter.match = match.severity, match
        new = sign.device not in matter.members
        matter.members[sign.device] += 1
        matter.families.add(sign.family)
        matter.newest, matter.value = max(matter.newest, sign.found), number(sign.value)
        matter.areas[sign.area] += 1
        matter.peaks[sign.area] = max(matter.peaks[sign.area], matter.areas[sign.area])
        matter.settled &= not new
        self.lasting[sign.finding] = (match.key, sign)
        if sign.detector == SILENT and not isinstance(match.rule, FromSilence):
            self.silent.setdefault(sign.area, {})[sign.finding] = sign
        self._changed[match.key] = None
        return matter

    def drop(self, finding: int, at: int, moved: bool = False, keep: bool = False) -> None:
        """A finding is over, or `moved` elsewhere. `keep`: its device, until the record was told of it."""
        key, sign = self.lasting.pop(finding)
        self.silent.get(sign.area, {}).pop(finding, None)
        matter = self.matters[key]
        matter.members[sign.device] -= 1
        matter.areas[sign.area] -= 1
        if matter.members[sign.device] <= 0 and not keep:
            del matter.members[sign.device]
        matter.ended = max(matter.ended, at)
        self._changed[key] = None

    def move(self, signs: Iterable[Sign], match: Match) -> Matter | None:
        """Signs become part of another matter."""
        matter = None
        for sign in signs:
            if sign.finding in self.lasting:
                self.drop(sign.finding, sign.found, moved=True)
            matter = self.add(sign, match)
        return matter

    def settle(self, record: Record, now: int) -> None:
        """Tell the record what has changed, or has lasted for long enough by `now`, µs since 1970 UTC."""
        keys = [key for key in self._changed | self._waiting if key in self.matters]
        self._changed.clear()
        calls = {key: call for key in keys if (call := self._call(key, now))}
        for answer in record.call(list(calls.values())):
            self._answered(answer, calls[answer.key], now)
            self._spread(record, answer, calls[answer.key])
        over = []
        for key in keys:
            matter = self.matters[key]
            self._leave(record, matter)
            if self._over(matter):
                over.append((key, max(matter.ended, matter.last)))
                matter.told, matter.settled = None, False
                self._scatter(matter)
            if not matter.members and not matter.raised:
                del self.matters[key]
                self._waiting.pop(key, None)
        record.clear(over)

    def _call(self, key: str, now: int) -> Call | None:
        """What the record is to be told; None: nothing."""
        matter = self.matters[key]
        match, severity = matter.match, self._severity(matter)
        if matter.settled or not matter.members:
            self._waiting.pop(key, None)
            return None
        if not matter.raised and now - matter.first < match.rule.hold_s * 1e6:
            self._waiting[key] = None
            return None
        self._waiting.pop(key, None)
        come = sorted(matter.members.keys() - (matter.told or set()))
        if matter.told is not None and not come and rank(severity) <= rank(matter.severity):
            return None
        at = max(matter.newest, matter.last)
        where = (match.device, match.area, match.family, at, matter.value)
        said = (match.title.vi, match.title.en)
        return Call(key, match.kind, severity, match.rule.name, *where, *said, match.rule.cool_down_s, come)

    def _severity(self, matter: Matter) -> Severity:
        many = matter.match.many
        if many is None or len(matter.members) < many.least or rank(many.severity) <= rank(matter.worst):
            return matter.worst
        there = self._population(matter.match.area, frozenset(matter.families)) if many.share else 0
        return many.severity if len(matter.members) >= many.share * there else matter.worst

    def _answered(self, answer: Answer, call: Call, now: int) -> None:
        matter = self.matters[call.key]
        if answer.happened == "ignored" and not matter.raised:
            # It is older than the end of the one before, by the clock of some device: it is said again as of now.
            matter.last = max(matter.last, now)
            self._changed[call.key] = None
            return
        matter.alarm, matter.last = answer.id, max(matter.last, call.at)
        matter.told = (matter.told or set()) | set(call.members)
        matter.severity = call.severity if rank(call.severity) > rank(matter.severity) else matter.severity
        for device in [device for device, findings in matter.members.items() if findings <= 0]:
            del matter.members[device]

    def _spread(self, record: Record, answer: Answer, call: Call) -> None:
        """The record keeps the area and the words that an alarm was raised with: it is told when they are others."""
        matter, said = self.matters[call.key], (call.area, call.message)
        if not matter.raised or not isinstance(matter.match.rule, FromSilence):
            return
        if answer.happened != "raised" and matter.said != said:
            record.spread(answer.id, call)
        matter.said = said

    def _leave(self, record: Record, matter: Matter) -> None:
        if matter.told is None:
            return
        gone = sorted(matter.told - matter.members.keys())
        if gone:
            record.leave(matter.alarm, gone, max(matter.ended, matter.last))
            matter.told -= set(gone)

    def _over(self, matter: Matter) -> bool:
        left = 1.0 - matter.back
        return matter.raised and (
            not matter.members
            or (left > 0.0 and all(matter.areas[area] <= left * peak for area, peak in matter.peaks.items()))
        )

    def _scatter(self, matter: Matter) -> None:
        """Those that are still away when the others are back are silent for a reason of their own."""
        for finding in [finding for finding, (key, _) in self.lasting.items() if key == matter.match.key]:
            sign = self.lasting[finding][1]
            match = self.matching.of(sign)
            if match is not None and match.key != matter.match.key:
                self.drop(finding, sign.found, moved=True)
                self.add(sign, match)
            elif match is None:
                self.drop(finding, sign.found)

    def mark(self, key: str) -> None:
        """Look at a matter again at the next settling."""
        self._changed[key] = None

    def closed_by_hand(self, alarms: Iterable[int]) -> None:
        """Staff cleared these: what lasts of them is settled, what comes anew is not."""
        gone = set(alarms)
        for matter in self.matters.values():
            if matter.raised and matter.alarm in gone:
                matter.told, matter.settled = None, True


def number(value: float) -> float | None:
    """As the record knows it."""
    return None if value != value else value
