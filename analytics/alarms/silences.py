"""Silent devices → outages: who fell silent together, of those that no outage explains, and who joins one."""

from collections.abc import Callable
from typing import NamedTuple

from analytics.alarms.folding import Folding
from analytics.alarms.matching import Sign, rank
from analytics.alarms.outage import Outage, There, match_of, outages
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
    """Looks at a district when something has changed in it. `lasting`: by key of their alarm the outages that are one,
    the first of them first."""

    def __init__(self, rule: FromSilence, fleet: Fleet) -> None:
        self.rule = rule
        self._fleet = fleet
        self.lasting: dict[str, list[Outage]] = {}
        self._seen: dict[int, tuple[int, int]] = {}
        self._sizes: dict[str, int] = {}

    def look(self, folding: Folding, known: Known, now: int) -> None:
        """Find outages among what is silent, and let others join those that last."""
        for key in [key for key in self.lasting if key not in folding.matters]:
            del self.lasting[key]
            self._sizes.pop(key, None)
        begun = [
            outage
            for area in sorted(area for area, signs in folding.silent.items() if signs)
            for outage in self._area(folding, area, known, now)
        ]
        for outage in sorted(begun, key=lambda outage: (outage.moment, outage.area)):
            self._begin(folding, outage)
        for area in {outage.area for outage in begun}:
            self._others(folding, area)
        for key in list(self.lasting):
            self._grow(folding, key, now)

    def _area(self, folding: Folding, area: int, known: Known, now: int) -> list[Outage]:
        """New outages of a district."""
        signs = folding.silent[area]
        self._others(folding, area)
        ripe = [s for s in signs.values() if known.judged(s, now) and now - s.found >= self.rule.hold_s * 1e6]
        state = (len(ripe), max((sign.finding for sign in ripe), default=0))
        if len(ripe) < self.rule.place_least or self._seen.get(area) == state:
            return []
        self._seen[area] = state
        return outages(ripe, lambda: self._fleet(area), self.rule, now)

    def _others(self, folding: Folding, area: int) -> None:
        """Those that fall silent later join."""
        for key, parts in self.lasting.items():
            for outage in parts:
                if outage.area == area:
                    self._join(folding, key, outage)

    def _begin(self, folding: Folding, outage: Outage) -> None:
        """A new one, or more of one that lasts: of the same place, or begun at the same time."""
        key = outage.key()
        if key not in self.lasting:
            key = next((one for one, parts in self.lasting.items() if self._one(parts, outage)), key)
        parts = self.lasting[key] = joined(self.lasting.get(key, []), outage)
        match = match_of(parts, self.rule, key)
        matter = folding.move(outage.signs, match)
        if matter is not None:
            matter.match, matter.back = match, self.rule.back

    def _one(self, parts: list[Outage], outage: Outage) -> bool:
        """Whether an outage has the cause of those: it began at the same time as the first, or as one of its district,
        as far as that can be told."""
        near = parts[0].apart_us(outage) <= self.rule.within_s * 1e6
        return near or any(part.area == outage.area and together(part, outage) for part in parts)

    def _grow(self, folding: Folding, key: str, now: int) -> None:
        """An outage of a place that turns out to be that of the district."""
        parts, matter = self.lasting[key], folding.matters.get(key)
        if matter is None or all(part.whole for part in parts) or self._sizes.get(key) == len(matter.members):
            return
        enough = False
        for place, part in enumerate(parts):
            enough |= not part.whole and self._becomes_whole(folding, key, place, now)
        if not enough:
            self._sizes[key] = len(matter.members)  # with so few it cannot become one, however long it lasts

    def _becomes_whole(self, folding: Folding, key: str, place: int, now: int) -> bool:
        """Whether it has, or may have, enough members of its district; that district's it is once they are noticed."""
        parts, matter = self.lasting[key], folding.matters[key]
        part = parts[place]
        late = self._fleet(part.area).silent_s * 1e6 <= now - part.moment
        enough = max(self.rule.least, self.rule.share * late.sum())
        if matter.areas[part.area] < enough:
            return False
        if noticed(folding, key, part, now) >= enough:
            parts[place] = part._replace(whole=True)
            matter.match = match_of(parts, self.rule, key)
            matter.worst = max(matter.worst, self.rule.district_severity, key=rank)
            folding.mark(key)
        return True

    def _join(self, folding: Folding, key: str, outage: Outage) -> None:
        signs = [sign for sign in folding.silent.get(outage.area, {}).values() if outage.has(sign)]
        if signs and key in folding.matters:
            folding.move(signs, folding.matters[key].match)

    def remember(self, key: str, parts: list[Outage]) -> None:
        """Some of one cause that lasted before our start."""
        self.lasting[key] = sorted(parts, key=lambda part: (part.moment, part.area))


def joined(parts: list[Outage], outage: Outage) -> list[Outage]:
    """Outages of one cause and another: that of a whole district stands for those of its places."""
    here = [part for part in parts if part.area == outage.area]
    if any(part.whole or part.key() == outage.key() for part in here):
        return parts
    if outage.whole and here:
        return [outage if part is here[0] else part for part in parts if part is here[0] or part not in here]
    return [*parts, outage]


def noticed(folding: Folding, key: str, outage: Outage, now: int) -> int:
    """Members of a district that anybody cut off with them would have been noticed with by now: the others were heard
    a while before the cut, and their like that were heard last at the cut are not due yet."""
    mine = (sign for of, sign in folding.lasting.values() if of == key and sign.area == outage.area)
    return len({sign.device for sign in mine if sign.silent_s * 1e6 <= now - outage.moment})


def together(one: Outage, other: Outage) -> bool:
    """Whether two of a district began at one moment, as far as that can be told."""
    spans = [sign.interval_s for sign in (*one.signs, *other.signs)]
    return abs(one.moment - other.moment) <= min(spans, default=0.0) * 1e6
