"""Which faults a round meets: a function of the run's seed and the round's number, so that a run can be resumed."""

import random

from tests.chaos.nemesis import FAULTS
from tests.chaos.rounds import Plan

KILLS = (
    *("kill worker",) * 6,
    *("kill database",) * 3,
    *("kill backend",) * 2,
    *("kill supervisor",) * 2,
    "kill all workers",
    "crash after_copy",
    "crash before_commit",
    "crash after_commit_before_puback",
    "crash between_batches",
)
OTHERS = tuple(name for name in FAULTS if name.partition(" ")[0] not in ("kill", "crash", "disk", "clock"))
BROKER_ROUND = (
    "kill broker",
    "kill broker with a backlog",
    "kill worker",
    "kill broker with a backlog",
    "kill database",
    "kill broker",
    "crash after_copy",
)
EVERY_BROKER_ROUND = 5


def chance(*of: int) -> random.Random:
    """The same numbers for the same arguments."""
    return random.Random("/".join(map(str, of)))  # noqa: S311 - repeatable, no secret


def shuffled(deck: tuple[str, ...], seed: int, first: int, count: int) -> list[str]:
    """`count` cards from place `first` of the deck shuffled again and again."""
    cards: list[str] = []
    for lap in range(first // len(deck), (first + count) // len(deck) + 1):
        one = list(deck)
        chance(seed, lap, len(deck)).shuffle(one)
        cards += one
    start = first % len(deck)
    return cards[start : start + count]


def plan_of(run_seed: int, number: int, per_s: float, kills: int = 7, others: int = 2) -> Plan:
    """The plan of round `number`, counted from 0."""
    seed = chance(run_seed, number).randrange(1, 1 << 20)
    if number % EVERY_BROKER_ROUND == EVERY_BROKER_ROUND - 1:
        return Plan(number, seed, BROKER_ROUND, per_s)
    gentle = number - number // EVERY_BROKER_ROUND
    faults = shuffled(KILLS, run_seed, gentle * kills, kills) + shuffled(OTHERS, run_seed, gentle * others, others)
    chance(seed).shuffle(faults)
    return Plan(number, seed, tuple(faults), per_s)


def clock_plan(run_seed: int, number: int, per_s: float) -> Plan:
    """Clocks of worker and broker jump."""
    seed = chance(run_seed, number, 1).randrange(1, 1 << 20)
    faults = [name for name in FAULTS if name.startswith("clock")]
    chance(seed).shuffle(faults)
    return Plan(number, seed, tuple(faults), min(per_s, 2000), clocks=True)


def disk_plan(run_seed: int, number: int, per_s: float) -> Plan:
    """The disk is full, again and again."""
    seed = chance(run_seed, number, 2).randrange(1, 1 << 20)
    return Plan(number, seed, ("disk full", "kill worker", "disk full", "kill database", "disk full"), min(per_s, 2000))
