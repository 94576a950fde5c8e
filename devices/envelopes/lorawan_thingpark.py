"""ThingPark (Wireless, Enterprise, ThingPark X IoT Flow): the JSON reports of its tunnel interface.

Source: Actility's documentation, "Uplink Message", "Notification Message" and the tunnel interface from LRC to
application server. Numbers may come as texts; the frequency is in MHz.
"""

from devices.envelopes import lorawan
from devices.envelopes.lorawan import Aside, Json, Server, Uplink, inner
from devices.rejected import Rejected

NAME = "ThingPark"
_UPLINK = "DevEUI_uplink"
# The radio, the account, and what only the network itself can use.
_TAKEN = frozenset(
    (
        *("Time", "DevEUI", "FPort", "FCntUp", "FCntDn", "payload_hex", "payload", "mic_hex", "Lrcid", "LrrRSSI"),
        *("LrrSNR", "LrrESP", "SpFact", "SubBand", "Channel", "Lrrid", "LrrLAT", "LrrLON", "Lrrs", "DevLrrCnt"),
        *("CustomerID", "CustomerData", "BaseStationData", "ModelCfg", "DriverCfg", "DevAddr", "TxPower", "NbTrans"),
        *("Frequency", "DynamicClass", "MType", "ADRbit", "AckRequested", "InstantPER", "MeanPER", "LostUplinksAS"),
        *("PayloadEncryption", "rawMacCommands", "downlinkUrl"),
    )
)
_ASIDES = {
    "DevEUI_location": "a position that the server worked out",
    "DevEUI_downlink_Sent": "downlink sent",
    "DevEUI_downlink_Rejected": "downlink rejected",
    "DevEUI_notification": "notification of the network",
    "DevEUI_multicast_summary": "multicast summary",
    "DevEUI_downlink": "downlink",
}


def _report(message: Json) -> tuple[str | None, Json]:
    """The name of the report and what is in it; a bare report counts as an uplink."""
    for key, inside in message.items():
        if isinstance(key, str) and key.startswith("DevEUI_") and isinstance(inside, dict):
            return key, inside
    return (_UPLINK, message) if "DevEUI" in message and "payload_hex" in message else (None, {})


def _eui(_: str, message: Json) -> object:
    return _report(message)[1].get("DevEUI")


def _read(_: str, message: Json) -> Uplink | Aside | Rejected:
    kind, report = _report(message)
    if kind is None:
        return lorawan.stranger(NAME, message)
    if kind != _UPLINK:
        said = _ASIDES.get(kind, f"report {lorawan.text(kind)}")
        return Aside("other", f"{said} {lorawan.text(report.get('Type')) or ''}".strip())
    return _uplink(report)


def _uplink(report: Json) -> Uplink | Aside | Rejected:
    if lorawan.whole(report.get("PayloadEncryption")):
        return lorawan.encrypted("PayloadEncryption", "give ThingPark the AppSKey: payload decryption must be on")
    server = lorawan.without(report, _TAKEN)
    if not lorawan.whole(report.get("Late")):
        server.pop("Late", None)
    megahertz = lorawan.number(report.get("Frequency"))
    return lorawan.document(
        port=lorawan.whole(report.get("FPort"), 255),
        count=lorawan.whole(report.get("FCntUp")),
        time=report.get("Time"),
        frame=lorawan.from_hex(report.get("payload_hex"), "payload_hex"),
        decoded=report.get("payload"),
        model=_model(report),
        name=inner(report, "CustomerData").get("name"),
        # The report names the gateway that heard the device best; `Lrrs` lists the others.
        heard=lorawan.radio(
            report.get("LrrRSSI"),
            report.get("LrrSNR"),
            None if megahertz is None else megahertz * 1e6,
            report.get("SpFact"),
            report.get("Lrrid"),
        ),
        server=server,
    )


def _model(report: Json) -> str | None:
    """What the driver is called: maker and model."""
    driver = inner(report, "DriverCfg", "mod")
    maker, model = lorawan.text(driver.get("pId")), lorawan.text(driver.get("mId"))
    return f"{maker}/{model}" if maker and model else None


THINGPARK = Server(NAME, _eui, _read)
