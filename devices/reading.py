"""One row on its way: when, which number, the values of a family's metrics, and whatever else the message said."""

from hashlib import blake2b
from typing import NamedTuple


class Reading(NamedTuple):
    """One reading of one device.

    `time`: microseconds since 1970 UTC, always within the years 1 to 9999, None when the message gave none;
    `seq`: as sent (0 or more), else `hash_seq` of the payload (negative); `boot`: as sent;
    `values`: one per metric of the family in its order, NaN = absent, a state as its place in `Metric.states`;
    `extra`: all else, fit for a jsonb column: unknown fields under their own names, refused values under `rejected`
    and why under `reasons`; `payload`: the bytes that this reading came from, without private fields;
    `ago`: without a time, microseconds before receipt at which it was measured (a device that knows only that).
    """

    time: int | None
    seq: int
    boot: int | None
    values: list[float]
    extra: dict[str, object] | None
    payload: bytes
    ago: int = 0

    @property
    def partial(self) -> bool:
        """Whether a value was refused while others were kept."""
        return self.extra is not None and "rejected" in self.extra


def hash_seq(payload: bytes) -> int:
    """A negative number, the same for the same bytes: stands in for a sequence number that was not sent."""
    return int.from_bytes(blake2b(payload, digest_size=8).digest(), "big") | -0x8000_0000_0000_0000
