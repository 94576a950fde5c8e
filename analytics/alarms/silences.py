"""Silent devices → outages: who fell silent together, of those that no outage explains, and who joins one."""

from collections.abc import Callable
from typing import NamedTuple

from analytics.alarms.folding import Folding
from analytics.alarms.matching import Sign, rank
from analytics.alarms.outage import Outage, There, outages
from analytics.alarms.rules import FromSilence

Fleet = Callable[[int], There]


class Known(NamedTuple):
    """Districts that we hear, and since when (µs since 1970): what was not heard before that is our own fault."""

    listening: dict[int, int]
    away: frozenset[int]

    def judged(self, sign: Sign, now: int) -> bool:
        """Whether it has been silent for too long since we listen."""
        since = self.listening.get(sign.area, 0)
        return sign.area not in self.away and (since <= sign.since or now - since >= sign.found - sign.since)


class Silences:
    """Looks at a district when something has changed in it."""

    def __init__(self, rule: FromSilence, fleet: Fleet) -> None:
        self.rule = rule
        self._fleet = fleet
        self.lasting: dict[str, Outage] = {}
        self._seen: dict[int, tuple[int, int]] = {}
        self._sizes: dict[str, int] = {}

    def look(self, folding: Folding, known: Known, now: int) -> None:
        """Find outages among what is silent, and let others join those that last."""
        for key in [key for key in self.lasting if key not in folding.matters]:
            del self.lasting[key]
            self._sizes.pop(key, None)
        for area in [area for area, signs in folding.silent.items() if signs]:
            self._area(folding, area, known, now)
        for key in list(self.lasting):
            self._grow(folding, key, now)

    def _area(self, folding: Folding, area: int, known: Known, now: int) -> None:
        signs = folding.silent[area]
        self._others(folding, area)
        ripe = [s for s in signs.values() if known.judged(s, now) and now - s.found >= self.rule.hold_s * 1e6]
        state = (len(ripe), max((sign.finding for sign in ripe), default=0))
        if len(ripe) < self.rule.least or self._seen.get(area) == state:
            return
        self._seen[area] = state
        for outage in outages(ripe, lambda: self._fleet(area), self.rule, now):
            self._begin(folding, outage)
        self._others(folding, area)

    def _others(self, folding: Folding, area: int) -> None:
        """Those that fall silent later join."""
        for key, outage in self.lasting.items():
            if outage.area == area:
                self._join(folding, key, outage)

    def _begin(self, folding: Folding, outage: Outage) -> None:
        """A new one, or more of one that lasts: of the same place, or begun at the same time in this district."""
        match, key = outage.match(self.rule), outage.key()
        same = [one for one, before in self.lasting.items() if before.area == outage.area and together(before, outage)]
        if same or key in self.lasting:
            key = same[0] if same else key
            grown = outage.whole and not self.lasting[key].whole
            match = match._replace(key=key) if grown else folding.matters[key].match
            self.lasting[key] = outage if grown else self.lasting[key]
        matter = folding.move(outage.signs, match)
        if matter is not None:
            matter.back = self.rule.back
            self.lasting.setdefault(key, outage)

    def _grow(self, folding: Folding, key: str, now: int) -> None:
        """An outage of a place that turns out to be that of the district."""
        outage, matter = self.lasting[key], folding.matters.get(key)
        if outage.whole or matter is None or self._sizes.get(key) == len(matter.members):
            return
        self._sizes[key] = len(matter.members)
        late = self._fleet(outage.area).silent_s * 1e6 <= now - outage.moment
        if len(matter.members) >= self.rule.share * late.sum():
            self.lasting[key] = outage._replace(whole=True)
            matter.match = self.lasting[key].match(self.rule)._replace(key=key)
            matter.worst = max(matter.worst, self.rule.district_severity, key=rank)
            folding.mark(key)

    def _join(self, folding: Folding, key: str, outage: Outage) -> None:
        signs = [sign for sign in folding.silent.get(outage.area, {}).values() if outage.has(sign)]
        if signs and key in folding.matters:
            folding.move(signs, folding.matters[key].match)

    def remember(self, key: str, outage: Outage) -> None:
        """One that lasted before our start."""
        self.lasting[key] = outage


def together(one: Outage, other: Outage) -> bool:
    """Whether two of a district began at one moment, as far as that can be told."""
    spans = [sign.interval_s for sign in (*one.signs, *other.signs)]
    return abs(one.moment - other.moment) <= min(spans, default=0.0) * 1e6
