"""What garbage takes from good messages at full rate, against its share of the platform's CPU.

    python -m tests.bench.garbage_rate                          four turns, about five minutes; bench/garbage_rate.json
    python -m tests.bench.garbage_rate --share 0.2 --runs 2

By turns as many messages as go through one broker and one worker: all of them good, then a part of them no JSON, each
from another device, so that every payload is kept with its reason: what costs most. Good messages lose one minus good
ones a second with garbage by those without. Garbage's share of CPU (broker, worker, database; not whoever sends) is
what is left of the run with garbage when its good messages cost what they cost in the run without.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from dothi.output import print_table
from tests.bench.ingest import run

PARTS = ("worker", "database", "broker")


class Turn(NamedTuple):
    """Messages a second and CPU s per 100,000 of them by part, without garbage and with it; `share` of garbage."""

    share: float
    plain_per_s: float
    mixed_per_s: float
    plain: dict[str, float]
    mixed: dict[str, float]

    @property
    def lost(self) -> float:
        """What good messages lose of their rate, 0 to 1."""
        return 1 - self.mixed_per_s * (1 - self.share) / self.plain_per_s

    @property
    def of_cpu(self) -> float:
        """Garbage's share of the CPU."""
        return 1 - (1 - self.share) * sum(self.plain.values()) / sum(self.mixed.values())

    def times(self, part: str) -> float:
        """What a bad message costs a part, against a good one."""
        return (self.mixed[part] / self.plain[part] - 1 + self.share) / self.share


def turn(asked: argparse.Namespace, number: int) -> Turn:
    """Both, on a database of its own each; every other turn begins with garbage."""
    order = (0.0, asked.share) if number % 2 else (asked.share, 0.0)
    found = {share: run(of_ingest(asked, share))["platform"] for share in order}
    plain, mixed = found[0.0], found[asked.share]
    costs = plain["cpu_s_per_100k"], mixed["cpu_s_per_100k"]
    return Turn(asked.share, plain["messages_per_s"], mixed["messages_per_s"], *costs)


def of_ingest(asked: argparse.Namespace, share: float) -> argparse.Namespace:
    """As `tests.bench.ingest --no-bare` would be asked."""
    return argparse.Namespace(
        messages=asked.messages,
        devices=asked.devices,
        rate=0.0,
        brokers=1,
        areas=1,
        shape="json",
        garbage=share,
        bare=False,
        plain_broker=False,
    )


RATES = ("turn", "good/s without", "good/s with", "good lose", "CPU share")
COSTS = ("turn", *PARTS)


def say(name: str, one: Turn) -> None:
    """A turn, or the median of all: rates and shares, and CPU s per 100,000 good ones, per 100,000 bad ones."""
    rates = f"{one.plain_per_s:,.0f}", f"{one.mixed_per_s * (1 - one.share):,.0f}"
    print_table(RATES, [[name, *rates, f"{one.lost:.1%}", f"{one.of_cpu:.1%}"]])
    costs = [f"{one.plain[part]:.2f}, {one.times(part) * one.plain[part]:.2f}" for part in PARTS]
    print_table(COSTS, [[name, *costs]])


def middle(turns: list[Turn]) -> Turn:
    """Each figure's median."""

    def costs(some: list[dict[str, float]]) -> dict[str, float]:
        return {part: median(one[part] for one in some) for part in PARTS}

    return Turn(
        turns[0].share,
        median(one.plain_per_s for one in turns),
        median(one.mixed_per_s for one in turns),
        costs([one.plain for one in turns]),
        costs([one.mixed for one in turns]),
    )


def document(turns: list[Turn], load: Any) -> str:
    """As JSON."""
    some = [{**one._asdict(), "lost": one.lost, "of_cpu": one.of_cpu} for one in (*turns, middle(turns))]
    return json.dumps({"load": load, "turns": some[:-1], "median": some[-1]}, indent=1) + "\n"


def main() -> None:
    """Measure, print, and end with 1 where good messages lose more than garbage's share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.5, help="of messages that are no JSON, above 0, below 1")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of each run")
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("bench/garbage_rate.json"))
    asked = parser.parse_args()
    if not 0 < asked.share < 1:
        parser.error(f"--share {asked.share}: expected more than 0 and less than 1, for instance 0.5")
    turns, load = [], os.getloadavg()
    for number in range(1, asked.runs + 1):
        turns.append(turn(asked, number))
        say(str(number), turns[-1])
    whole = middle(turns)
    say("median", whole)
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(document(turns, load))
    sys.exit(0 if whole.lost <= whole.of_cpu else 1)


if __name__ == "__main__":
    main()
