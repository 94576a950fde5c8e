"""A message of a foreign system → who speaks and what it says: one opener per format, in a table."""

from collections.abc import Callable

from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.envelopes.plain import open_plain
from devices.envelopes.senml import open_senml
from devices.route import Route

__all__ = ["ENVELOPES", "Notice", "Opened", "Opener", "Packet", "opener_of"]

ENVELOPES: dict[str, Callable[[Route], Opener]] = {
    "plain": open_plain,
    "senml": open_senml,
}


def opener_of(route: Route) -> Opener:
    """An opener for the route's messages, with a memory of its own where the format needs one. Raises KeyError."""
    return ENVELOPES[route.envelope](route)
