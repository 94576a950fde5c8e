"""A message of a foreign system → who speaks and what it says: one opener per format, in a table."""

from collections.abc import Callable

from devices.envelopes.lorawan_chirpstack import CHIRPSTACK
from devices.envelopes.lorawan_loriot import LORIOT
from devices.envelopes.lorawan_servers import open_any, open_server
from devices.envelopes.lorawan_thingpark import THINGPARK
from devices.envelopes.lorawan_ttn import TTN
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.envelopes.plain import open_plain
from devices.route import Route

__all__ = ["ENVELOPES", "Notice", "Opened", "Opener", "Packet", "opener_of"]

ENVELOPES: dict[str, Callable[[Route], Opener]] = {
    "plain": open_plain,
    "lorawan": open_any,
    "ttn": open_server(TTN),
    "chirpstack": open_server(CHIRPSTACK),
    "loriot": open_server(LORIOT),
    "thingpark": open_server(THINGPARK),
}


def opener_of(route: Route) -> Opener:
    """An opener for the route's messages, with a memory of its own where the format needs one. Raises KeyError."""
    return ENVELOPES[route.envelope](route)
