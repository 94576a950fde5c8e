"""What a city's values cost: CPU seconds per 100,000 messages by family. `python -m tests.bench.behaviour [--json]`

Batches are as a sender asks for them: the messages of one second or so of the province, divided by family. The mean is
that of the mix of 2030: each family weighs as often as its devices send.
"""

import json
import sys
import time

import numpy as np

from simulators import draw
from simulators.behaviour import values, voices
from simulators.fleet import native_families, native_profile
from simulators.mix import MIX
from simulators.payload import Writer, sample

BATCH = 16_000
"""Messages of all families together."""
ROUNDS = 10
START_S = 1_782_000_000.0


def shares() -> dict[str, float]:
    """Which part of the messages each family sends."""
    rate = {name: MIX[name] / native_profile(name).interval_s for name in native_families()}
    return {name: one / sum(rate.values()) for name, one in rate.items()}


def cost(family: str, size: int, *, write: bool) -> float:
    """CPU seconds per 100,000 messages of one family, drawn `size` at a time; with `write` as payloads too."""
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
            writer.write(sample(keys, (seconds * 1000).astype(np.int64)), columns)
    return (time.process_time() - begun) / (ROUNDS * size) * 100_000


def main() -> None:
    """Print the table."""
    rows = []
    for family, share in sorted(shares().items(), key=lambda pair: -pair[1]):
        size = max(round(share * BATCH), 1)
        alone, written = (cost(family, size, write=write) for write in (False, True))
        rows.append({"family": family, "share": share, "batch": size, "values": alone, "with_payload": written})
    total = {key: sum(float(row[key]) * float(row["share"]) for row in rows) for key in ("values", "with_payload")}  # type: ignore[arg-type]
    if "--json" in sys.argv[1:]:
        print(json.dumps({"cpu_s_per_100000": total, "families": rows}))  # noqa: T201
        return
    print(f"{'family':16}{'share %':>9}{'batch':>7}{'values s/100k':>15}{'+ payload s/100k':>18}")  # noqa: T201
    for row in rows:
        print("{family:16}{0:9.2f}{batch:7}{values:15.3f}{with_payload:18.3f}".format(100 * row["share"], **row))  # noqa: T201
    print(f"{'the mix of 2030':32}{total['values']:15.3f}{total['with_payload']:18.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
