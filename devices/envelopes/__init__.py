"""A message of a foreign system → who speaks and what it says: one opener per format, in a table."""

from collections.abc import Callable

from devices.envelopes.axis import open_axis
from devices.envelopes.circular10 import open_circular10
from devices.envelopes.frigate import open_frigate
from devices.envelopes.homie import open_homie
from devices.envelopes.lorawan_chirpstack import CHIRPSTACK
from devices.envelopes.lorawan_loriot import LORIOT
from devices.envelopes.lorawan_servers import open_any, open_server
from devices.envelopes.lorawan_thingpark import THINGPARK
from devices.envelopes.lorawan_ttn import TTN
from devices.envelopes.ngsi import open_ngsi
from devices.envelopes.onvif import open_onvif
from devices.envelopes.opendatacam import open_opendatacam
from devices.envelopes.packet import Notice, Opened, Opener, Packet, noticed
from devices.envelopes.plain import open_plain
from devices.envelopes.senml import open_senml
from devices.envelopes.shelly import open_shelly
from devices.envelopes.shelly1 import open_shelly1
from devices.envelopes.sparkplug import open_sparkplug
from devices.envelopes.tasmota import open_tasmota
from devices.envelopes.zigbee import open_zigbee
from devices.route import Route

__all__ = ["ENVELOPES", "Notice", "Opened", "Opener", "Packet", "noticed", "opener_of"]

ENVELOPES: dict[str, Callable[[Route], Opener]] = {
    "axis": open_axis,
    "frigate": open_frigate,
    "homie": open_homie,
    "onvif": open_onvif,
    "plain": open_plain,
    "lorawan": open_any,
    "ttn": open_server(TTN),
    "chirpstack": open_server(CHIRPSTACK),
    "loriot": open_server(LORIOT),
    "thingpark": open_server(THINGPARK),
    "sparkplug": open_sparkplug,
    "ngsi": open_ngsi,
    "circular10": open_circular10,
    "tasmota": open_tasmota,
    "zigbee": open_zigbee,
    "shelly": open_shelly,
    "shelly1": open_shelly1,
    "opendatacam": open_opendatacam,
    "senml": open_senml,
}


def opener_of(route: Route) -> Opener:
    """An opener for the route's messages, with a memory of its own where the format needs one. Raises KeyError."""
    return ENVELOPES[route.envelope](route)
