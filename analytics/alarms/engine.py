"""Signs in, alarms out: matching, folding, outages and fires together, without a database or a clock of its own."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from analytics.alarms.fire import Fires, Piece
from analytics.alarms.folding import Folding, Population
from analytics.alarms.matching import Matching, Sign
from analytics.alarms.record import Record
from analytics.alarms.rules import FromFire, FromSilence, Rule, Rules
from analytics.alarms.silences import Fleet, Known, Silences
from analytics.indices.fire_evidence import KIND, Evidence

R = TypeVar("R", bound=Rule)


class World(NamedTuple):
    """What the engine asks about. `population`: active devices of an area (None: all) and families; `fleet`: active
    devices of an area; `danger`: level of fire danger of an area, 1 to 5, None: not known."""

    population: Population
    fleet: Fleet
    danger: Callable[[int], int | None]


class Engine:
    """All that lasts, by rules."""

    def __init__(self, rules: Rules, world: World) -> None:
        self.rules = rules
        self.folding = Folding(Matching(rules), world.population)
        silence, fire = only(rules, FromSilence), only(rules, FromFire)
        self.silences = Silences(silence, world.fleet) if silence else None
        self.fires = Fires(fire) if fire else None
        self.pieces: dict[int, Piece] = {}
        self._danger = world.danger
        self._burning = False

    def take(self, signs: Iterable[Sign]) -> None:
        """Findings that came or are over, in any order."""
        for sign in signs:
            if sign.detector in KIND:
                self._burning |= self.fires is not None
                self.pieces[sign.finding] = self._piece(sign)
            else:
                self.folding.take(sign)

    def settle(self, record: Record, now: int, known: Known | None) -> None:
        """Tell the record what follows. `known`: which districts we hear; None: it is too early to judge silence."""
        if self.silences and known is not None:
            self.silences.look(self.folding, known, now)
        self.folding.settle(record, now)
        if self.fires and (self._burning or self.fires.lasting):
            self.fires.look(record, list(self.pieces.values()), now)
        self._forget(now)
        self._burning = False

    @property
    def restless(self) -> bool:
        """Whether time alone can change something."""
        silent = self.silences is not None and any(self.folding.silent.values())
        return bool(self.folding.waiting or self.pieces or silent)

    def _piece(self, sign: Sign) -> Piece:
        said = Evidence(sign.device, KIND[sign.detector], sign.since, sign.score, sign.lat, sign.lon)
        danger = self._danger(sign.area)
        return Piece(sign.finding, said, sign.family, sign.area, sign.found, sign.until, danger)

    def _forget(self, now: int) -> None:
        """Evidence that has ended for so long that it counts no more."""
        limit = now - round((self.fires.rule.quiet_s if self.fires else 0.0) * 1e6)
        for finding in [one.finding for one in self.pieces.values() if one.until is not None and one.until < limit]:
            del self.pieces[finding]


def only(rules: Rules, kind: type[R]) -> R | None:
    """The rule of a kind of which there is one at most."""
    return next((rule for rule in rules.rules if isinstance(rule, kind)), None)
