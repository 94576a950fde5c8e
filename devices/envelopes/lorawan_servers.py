"""The openers of LoRaWAN network servers: one for each, and one that knows them by their words."""

from collections.abc import Callable

from devices.codecs import CODECS, encode
from devices.envelopes import lorawan
from devices.envelopes.lorawan import Aside, Json, Server
from devices.envelopes.lorawan_chirpstack import CHIRPSTACK
from devices.envelopes.lorawan_loriot import LORIOT
from devices.envelopes.lorawan_thingpark import THINGPARK
from devices.envelopes.lorawan_ttn import TTN
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.raw import shown
from devices.rejected import Reason, Rejected
from devices.route import Route

MOST_MESSAGES = 1_000
"""Of one list; servers that collect send a few."""
_BY_NAME = {
    **{"The Things Stack v3": TTN, "ChirpStack v4": CHIRPSTACK, "ChirpStack v3": CHIRPSTACK},
    **{"LORIOT": LORIOT, "ThingPark": THINGPARK},
}
ANY = "a LoRaWAN network server"
NOBODY = Server(ANY, lambda _, message: None, lambda _, message: lorawan.stranger(ANY, message))


def open_server(server: Server) -> Callable[[Route], Opener]:
    """The maker of openers for the messages of one server."""

    def opener(_: Route) -> Opener:
        return lambda topic, payload: opened(lambda _: server, topic, payload)

    return opener


def open_any(_: Route) -> Opener:
    """The opener for messages of any server: gateways with a server of their own publish where they are told."""
    return lambda topic, payload: opened(by_its_words, topic, payload)


def by_its_words(message: Json) -> Server:
    """The server that speaks like this."""
    return _BY_NAME.get(lorawan.server_of(message) or "", NOBODY)


def opened(server_of: Callable[[Json], Server], topic: str, payload: bytes) -> Opened:
    """What a payload holds, a message or a list of them; at least one entry, whatever the bytes."""
    document = CODECS["json"](payload)
    if isinstance(document, Rejected):
        eui = lorawan.normal_eui(server_of({}).eui(topic, {}))
        return [Packet(eui, undecoded(document, payload), payload)]
    messages = document if isinstance(document, list) else [document]
    if not 0 < len(messages) <= MOST_MESSAGES:
        detail = f"a list of {len(messages)} messages; expected 1 to {MOST_MESSAGES}"
        return [Packet(None, lorawan.wrong_shape(None, str(len(messages)), detail), payload)]
    alone = len(messages) == 1
    return [_part(server_of, topic, one, payload if alone else encode(one, payload)) for one in messages]


def _part(server_of: Callable[[Json], Server], topic: str, message: object, raw: bytes) -> Packet | Notice:
    if not isinstance(message, dict):
        detail = "expected a message of a LoRaWAN network server, a JSON object"
        return Packet(None, lorawan.wrong_shape(None, shown(message), detail), raw)
    server = server_of(message)
    said = server.eui(topic, message)
    eui, found = lorawan.normal_eui(said), server.read(topic, message)
    if isinstance(found, Aside):
        return Notice(eui, found.kind, found.detail)
    if isinstance(found, Rejected):
        return Packet(eui, found, raw)
    return Packet(None, lorawan.no_eui(said), raw) if eui is None else Packet(eui, {"eui": eui, **found.document}, raw)


def undecoded(rejected: Rejected, payload: bytes) -> Rejected:
    """What is wrong with bytes that are no JSON; protobuf, which ChirpStack can send instead, is told."""
    if payload[:2] in (b"\x0a\x24", b"\x08\x01") or (payload[:1] in (b"\x0a", b"\x08", b"\x12") and _binary(payload)):
        detail = (
            "this looks like Protocol Buffers; have the server send JSON (ChirpStack v4: json = true in "
            '[integration.mqtt]; ChirpStack v3: marshaler = "json" in [application_server.integration])'
        )
        return Rejected("envelope", Reason.MALFORMED, None, f"0x{payload[:4].hex()}", detail)
    return rejected._replace(layer="envelope")


def _binary(payload: bytes) -> bool:
    return any(byte < 9 or 13 < byte < 32 for byte in payload[:64])
