"""A message of a foreign system → who speaks and what it says: one opener per format, in a table."""

from collections.abc import Callable

from devices.envelopes.circular10 import open_circular10
from devices.envelopes.ngsi import open_ngsi
from devices.envelopes.opendatacam import open_opendatacam
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.envelopes.plain import open_plain
from devices.envelopes.shelly import open_shelly
from devices.envelopes.tasmota import open_tasmota
from devices.envelopes.zigbee import open_zigbee
from devices.route import Route

__all__ = ["ENVELOPES", "Notice", "Opened", "Opener", "Packet", "opener_of"]

ENVELOPES: dict[str, Callable[[Route], Opener]] = {
    "plain": open_plain,
    "ngsi": open_ngsi,
    "circular10": open_circular10,
    "tasmota": open_tasmota,
    "zigbee": open_zigbee,
    "shelly": open_shelly,
    "opendatacam": open_opendatacam,
}


def opener_of(route: Route) -> Opener:
    """An opener for the route's messages, with a memory of its own where the format needs one. Raises KeyError."""
    return ENVELOPES[route.envelope](route)
