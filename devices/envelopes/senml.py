"""Packs of SenML (RFC 8428): the names in them say which device measured, else the topic does."""

from devices.codecs import encode, refuse_size
from devices.codecs.senml import decode_senml
from devices.envelopes.packet import Opened, Opener, Packet
from devices.envelopes.plain import foreign_name
from devices.raw import clean
from devices.rejected import Rejected
from devices.route import Route

MAX_PAYLOAD = 524288  # bytes


def open_senml(route: Route) -> Opener:
    """The opener of packs: a packet for each device and time."""

    def open_pack(topic: str, payload: bytes) -> Opened:
        sized = 0 < len(payload) <= MAX_PAYLOAD
        found = decode_senml(payload) if sized else refuse_size(payload)
        if isinstance(found, Rejected):
            return [Packet(foreign_name(route, topic, None), found, payload)]
        return [
            Packet(
                clean(one["device"]) if one["device"] else foreign_name(route, topic, None),
                one,
                payload if len(found) == 1 else encode(one, payload),
            )
            for one in found
        ]

    return open_pack
