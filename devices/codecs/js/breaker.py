"""How long a codec that costs too much is put aside, so that one device model does not hold up all the others."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

STRIKES = 5
FORGIVEN_EVERY_S = 20.0
ASIDE_S = 60.0
LONGEST_ASIDE_S = 900.0
REMEMBERED = 1024


@dataclass(slots=True)
class Record:
    """What a codec version has on its conscience: strikes, when the last fell, until when it is put aside, how often
    it has been."""

    strikes: float = 0.0
    struck: float = 0.0
    until: float = 0.0
    times: int = 0


class Breaker:
    """Codec versions by their SHA-256. A strike is a message that ran out of time or memory or took the worker along;
    one is forgiven every FORGIVEN_EVERY_S; STRIKES of them put the codec aside, after that each next one does, for
    twice as long as the last time, until all are forgiven. `clock`: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, Record] = OrderedDict()

    def strike(self, codec: str) -> None:
        """Count one against the codec."""
        now = self._clock()
        record = self._records.setdefault(codec, Record())
        self._records.move_to_end(codec)
        if len(self._records) > REMEMBERED:
            self._records.popitem(last=False)
        left = max(0.0, record.strikes - (now - record.struck) / FORGIVEN_EVERY_S)
        record.times = record.times if left else 0
        record.strikes, record.struck = min(left + 1, STRIKES), now
        if record.strikes > STRIKES - 0.5:
            record.until = now + min(ASIDE_S * 2**record.times, LONGEST_ASIDE_S)
            record.times += 1
            # Forgiveness starts when it is tried again.
            record.struck = record.until

    def aside_s(self, codec: str) -> float:
        """Seconds for which the codec is still put aside; 0 when it is not."""
        record = self._records.get(codec)
        return max(0.0, record.until - self._clock()) if record else 0.0
