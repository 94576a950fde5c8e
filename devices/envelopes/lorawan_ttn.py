"""The Things Stack v3 (The Things Network, The Things Industries, own installations): its MQTT and webhook JSON.

Source: The Things Stack documentation, "Data Formats" and "MQTT Server"; api.swagger.json, ApplicationUp. Fields that
are zero, false or empty are left out, so a missing `f_port` or `f_cnt` is 0.
"""

from devices.envelopes import lorawan
from devices.envelopes.lorawan import Aside, Json, Server, Uplink, inner, listed
from devices.rejected import Rejected

NAME = "The Things Stack v3"
# Of the uplink: what the document holds already, and what only the network itself can use.
_TAKEN = frozenset(
    (
        *("f_port", "f_cnt", "frm_payload", "decoded_payload", "received_at", "rx_metadata", "settings"),
        *(
            "session_key_id",
            "consumed_airtime",
            "version_ids",
            "network_ids",
            "attributes",
            "app_s_key",
            "last_a_f_cnt_down",
        ),
    )
)
_ASIDES = {
    "join_accept": "joined the network",
    "uplink_normalized": "the same uplink once more, normalized; its readings come with the uplink itself",
    "location_solved": "a position that the server worked out",
    "service_data": "data of an application package",
    "downlink_queued": "downlink queued",
    "downlink_sent": "downlink sent",
    "downlink_ack": "downlink acknowledged",
    "downlink_nack": "downlink not acknowledged",
    "downlink_failed": "downlink failed",
    "downlink_queue_invalidated": "downlink queue invalidated",
}
_DOWN = "down/"


def _unwrapped(message: Json) -> Json:
    """The message itself; the console's event stream and the storage integration put it one level deeper."""
    for key in ("data", "result"):
        wrapped = message.get(key)
        if "end_device_ids" not in message and isinstance(wrapped, dict) and "end_device_ids" in wrapped:
            return wrapped
    return message


def _eui(topic: str, message: Json) -> object:
    """`dev_eui`; a device id of the usual form `eui-…` serves, too, as does the one in the topic."""
    ids = inner(_unwrapped(message), "end_device_ids")
    names = (ids.get("dev_eui"), ids.get("device_id"), *topic.split("/")[3:4])
    return next((name for name in names if lorawan.normal_eui(name)), ids.get("dev_eui"))


def _read(topic: str, message: Json) -> Uplink | Aside | Rejected:
    message = _unwrapped(message)
    uplink = message.get("uplink_message")
    if isinstance(uplink, dict):
        return _uplink(message, uplink)
    aside = next((said for key, said in _ASIDES.items() if key in message), None)
    if aside:
        return Aside("other", aside)
    if "end_device_ids" not in message:
        return lorawan.stranger(NAME, message)
    if _DOWN in topic:
        return Aside("other", "downlink")
    detail = "uplink_message is missing; expected an uplink as The Things Stack publishes it on …/up"
    return lorawan.wrong_shape("uplink_message", None, detail)


def _uplink(message: Json, uplink: Json) -> Uplink | Aside | Rejected:
    if uplink.get("app_s_key"):
        return lorawan.encrypted("app_s_key", "let The Things Stack decrypt it: skip payload encryption must be off")
    server = lorawan.without(uplink, _TAKEN)
    if message.get("simulated") is True:
        server["simulated"] = True
    settings = inner(uplink, "settings")
    return lorawan.document(
        port=lorawan.whole(uplink.get("f_port", 0), 255),
        count=lorawan.whole(uplink.get("f_cnt", 0)),
        # The gateway's clock (settings.time) may be anything; the server's own are kept right.
        time=uplink.get("received_at") or message.get("received_at") or settings.get("time"),
        frame=lorawan.from_base64(uplink.get("frm_payload"), "frm_payload"),
        decoded=uplink.get("decoded_payload"),
        model=_model(inner(uplink, "version_ids")),
        name=inner(message, "end_device_ids").get("device_id"),
        tags=uplink.get("attributes"),
        heard=_heard(uplink, settings),
        server=server,
    )


def _model(version: Json) -> str | None:
    brand, model = lorawan.text(version.get("brand_id")), lorawan.text(version.get("model_id"))
    return f"{brand}/{model}" if brand and model else None


def _heard(uplink: Json, settings: Json) -> Json:
    best = lorawan.strongest(listed(uplink, "rx_metadata"), "rssi")
    gateway = inner(best, "gateway_ids")
    return lorawan.radio(
        best.get("rssi"),
        best.get("snr"),
        settings.get("frequency"),
        inner(settings, "data_rate", "lora").get("spreading_factor"),
        gateway.get("eui") or gateway.get("gateway_id"),
    )


TTN = Server(NAME, _eui, _read)
