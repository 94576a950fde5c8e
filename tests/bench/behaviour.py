"""What a city's values cost: CPU seconds per 100,000 messages by family. `python -m tests.bench.behaviour [--json]`

Batches are as a sender asks for them, divided by family as the province of 2030 sends; the mean is that of all.
"""

import json
import sys
import time

import numpy as np

from simulators import draw
from simulators.behaviour import values, voices
from simulators.city import PIECE
from simulators.fleet import native_profile
from simulators.payload import Writer, sample
from simulators.plan import plan

PROVINCE, DENSITY = "bac-giang", 200.0
ROUNDS = 10
START_S = 1_782_000_000.0


def shares() -> dict[str, float]:
    """Which part of the messages each family sends."""
    whole = plan(PROVINCE, DENSITY)
    return {load.family: load.messages_per_s / whole.messages_per_s for load in whole.families}


def cost(family: str, size: int, *, write: bool) -> float:
    """CPU seconds per 100,000 messages of one family, drawn `size` at a time; with `write` also as payload fields."""
    spoken = voices(native_profile(family))
    writer = Writer(spoken)
    keys = draw.stir(np.arange(size, dtype=np.uint64), draw.salt(family))
    lat, lon = (centre + 0.2 * draw.normal(keys, draw.salt(side)) for centre, side in ((21.3, "n"), (106.3, "e")))
    seconds = START_S + 10 * draw.uniform(keys, draw.salt("when"))
    values(spoken, keys, seconds, lat, lon)
    begun = time.process_time()
    for turn in range(ROUNDS):
        columns = values(spoken, keys, seconds + 60.0 * turn, lat, lon)
        if write:
            writer.parts(sample(keys, (seconds * 1000).astype(np.int64)), columns)
    return (time.process_time() - begun) / (ROUNDS * size) * 100_000


def main() -> None:
    """Print the table."""
    rows = []
    for family, share in sorted(shares().items(), key=lambda pair: -pair[1]):
        size = max(round(share * PIECE), 1)
        alone, written = (cost(family, size, write=write) for write in (False, True))
        rows.append({"family": family, "share": share, "batch": size, "values": alone, "with_fields": written})
    total = {key: sum(float(row[key]) * float(row["share"]) for row in rows) for key in ("values", "with_fields")}  # type: ignore[arg-type]
    if "--json" in sys.argv[1:]:
        print(json.dumps({"cpu_s_per_100000": total, "families": rows}))  # noqa: T201
        return
    print(f"{'family':16}{'share %':>9}{'batch':>7}{'values s/100k':>15}{'+ fields s/100k':>18}")  # noqa: T201
    for row in rows:
        print("{family:16}{0:9.2f}{batch:7}{values:15.3f}{with_fields:18.3f}".format(100 * row["share"], **row))  # noqa: T201
    print(f"{'the province of 2030':32}{total['values']:15.3f}{total['with_fields']:18.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
