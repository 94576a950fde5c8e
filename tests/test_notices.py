"""Messages that carry no reading, requests to devices, and topics of two routes: on their way through ingest."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from devices.envelopes import ENVELOPES, Notice, Opened, Packet
from devices.route import ROUTES, Route, route_from
from ingest import mqtt
from ingest.batch import Batch, Heard, Limits
from ingest.intake import Intake
from ingest.metrics import Meters
from ingest.notices import AGAIN_AFTER_S, MOST_A_MINUTE, Herald
from ingest.replay import Kept as KeptRow
from ingest.replay import Replayed, batch_of
from ingest.route import MOST_REQUESTS, Router
from ingest.watch import Events
from ingest.window import Arrival
from tests.told import AliasChange, Change, tell

EUI = "70b3d57ba000156b"
NOW_US = 1_767_225_600_000_000
EVENTS = f"application/7/device/{EUI}/event/"
UPLINK = {
    "time": "2026-01-01T00:00:00Z",
    "deviceInfo": {"devEui": EUI.upper()},
    "fCnt": 4,
    "object": {"temperature": 21.5, "vendor_word": 7},
    "rxInfo": [{"gatewayId": "6a7e111a10000000", "rssi": -35, "snr": 9}],
}
CODEC_ERROR = {"deviceInfo": {"devEui": EUI}, "level": "ERROR", "code": "UPLINK_CODEC", "description": "JS error: x"}
JOIN = {"deviceInfo": {"devEui": EUI}, "devAddr": "00bcb929"}


class Broker:
    """Stands where a connection would, and remembers what it was given."""

    def __init__(self, inbox: str) -> None:
        self.inbox = inbox
        self.published: list[tuple[bytes, bytes]] = []

    def acknowledge(self, pids: object) -> None:
        """Nobody waits."""

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep it."""
        self.published.extend(messages)

    def pause(self) -> None:
        """Nothing flows."""

    def resume(self) -> None:
        """Nothing flows."""


def router_of(routes: dict[str, Route] = ROUTES) -> Router:
    """One room sensor."""
    router = Router(routes)
    tell(router, Change(1, "room-1", "lorawan-indoor", "213", 213, False))
    tell(router, AliasChange("lorawan", EUI, "room-1"))
    return router


def carried(router: Router, inbox: str, *messages: tuple[str, object]) -> tuple[Batch, Broker]:
    """A batch of messages of one inbox."""
    batch, broker = Batch(Limits()), Broker(inbox)
    published = [
        mqtt.Publish(topic.encode(), said if isinstance(said, bytes) else json.dumps(said).encode(), 1, False)
        for topic, said in messages
    ]
    intake = Intake(router)
    intake.take(Arrival(broker, NOW_US, mqtt.Messages.of(published), 100), batch)
    intake.finish(batch)
    return batch, broker


def received(batch: Batch) -> int:
    """Readings in the ledger."""
    return sum(count.received for count in batch.ledger.values())


def test_notices_are_outside_the_ledger_and_counted() -> None:
    batch, _ = carried(
        router_of(), "chirpstack", (EVENTS + "up", UPLINK), (EVENTS + "join", JOIN), (EVENTS + "log", CODEC_ERROR)
    )
    assert received(batch) == len(batch.columns["classroom"]) == 1
    assert batch.notices == {"other": 1, "codec_error": 1}
    assert [one.notice.kind for one in batch.heard] == ["codec_error"]
    assert not batch.presence
    assert batch.unknown == {"lorawan-indoor": 1}, "vendor_word; what the way adds is none of the device"


def test_notices_of_strangers_are_only_counted() -> None:
    stranger = {**CODEC_ERROR, "deviceInfo": {"devEui": "0000000000000001"}}
    batch, _ = carried(router_of(), "chirpstack", (EVENTS + "log", stranger))
    assert batch.notices == {"codec_error": 1}
    assert not batch.heard
    assert not batch.quarantine


class Talkative:
    """An opener that says what it is told, and asks for something each time."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []

    def __call__(self, topic: str, payload: bytes) -> Opened:
        self.requests.append((f"asked/{topic}", payload))
        kind: Any = payload.decode() if payload in (b"online", b"offline") else "other"
        return [Notice(EUI, kind, f"it is {kind}"), Packet(EUI, {"data": {"temperature": 1}, "time": None}, payload)]


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> Router:
    monkeypatch.setitem(ENVELOPES, "talkative", lambda _: Talkative())
    described = {"title": {}, "topics": ["talk/#"], "envelope": "talkative", "kind": "lorawan"}
    return router_of({**ROUTES, "talk": route_from("talk", described)})


def test_what_an_opener_asks_for_is_published_once(talkative: Router) -> None:
    _, broker = carried(talkative, "talk", ("talk/a", b"1"), ("talk/b", b"2"))
    assert broker.published == [(b"asked/talk/a", b"1"), (b"asked/talk/b", b"2")]
    _, broker = carried(talkative, "talk", ("talk/c", b"3"))
    assert broker.published == [(b"asked/talk/c", b"3")]
    _, broker = carried(talkative, "chirpstack", (EVENTS + "up", UPLINK))
    assert not broker.published


def test_requests_are_bounded(talkative: Router) -> None:
    _, broker = carried(talkative, "talk", *((f"talk/{n}", b"1") for n in range(3 * MOST_REQUESTS)))
    assert len(broker.published) == MOST_REQUESTS


def test_a_device_that_comes_or_goes_is_present_or_not(talkative: Router) -> None:
    batch, _ = carried(talkative, "talk", ("talk/a", b"online"), ("talk/a", b"offline"))
    assert batch.presence == {1: (False, NOW_US)}
    assert [one.notice.kind for one in batch.heard] == ["online", "offline"]


def test_a_message_of_two_inboxes_is_read_once() -> None:
    router = router_of()
    topic = "lorawan/status/x"
    first, _ = carried(router, "lorawan", (topic, UPLINK))
    second, _ = carried(router, "shelly", (topic, UPLINK))
    assert (received(first), received(second)) == (1, 0)
    assert not second.quarantine
    assert [len(batch.arrivals) for batch in (first, second)] == [1, 1], "both are acknowledged"


def test_what_turns_out_to_be_a_notice_leaves_quarantine_and_ledger() -> None:
    payload = json.dumps(JOIN).encode()
    row = KeptRow(7, NOW_US, "chirpstack", f"{EVENTS}join".encode(), payload, len(payload))
    tally = Replayed()
    batch = batch_of([row], router_of(), Limits(), tally)
    assert (tally.replayed, tally.refused) == (1, 0)
    assert batch.replayed == [(7, NOW_US)]
    (count,) = batch.ledger.values()
    assert (count.received, count.quarantined, count.stored) == (-1, -1, 0)


def heard(device: int, kind: Any, at_us: int) -> Heard:
    """A notice of a device."""
    router = Router(ROUTES)
    tell(router, Change(device, f"room-{device}", "lorawan-indoor", "213", 213, False))
    tell(router, AliasChange("lorawan", EUI, f"room-{device}"))
    known = router._device_of(ROUTES["lorawan"], EUI)
    assert known is not None
    return Heard(known, Notice(EUI, kind, "so it is"), "lorawan", at_us)


def told(*notices: Heard) -> list[tuple[str, str | None]]:
    """Kind and device of the events that came of notices."""
    events = Events()
    herald = Herald(Meters(), events)
    for one in notices:
        batch = Batch(Limits())
        batch.heard.append(one)
        herald.hear(batch)
    return [(event.kind, event.device) for event in events.waiting]


def test_events_tell_changes_only() -> None:
    hour = round(AGAIN_AFTER_S * 1e6)
    sequence = [
        heard(1, "offline", NOW_US),
        heard(1, "offline", NOW_US + 1),
        heard(1, "codec_error", NOW_US + 2),
        heard(1, "codec_error", NOW_US + 3),
        heard(1, "online", NOW_US + 4),
        heard(2, "online", NOW_US + 5),
        heard(1, "codec_error", NOW_US + hour + 6),
    ]
    one, two = "room-1", "room-2"
    assert told(*sequence) == [
        *(("device_offline", one), ("codec_error", one), ("device_online", one), ("device_online", two)),
        ("codec_error", one),
    ]


def test_a_bridge_that_goes_with_all_its_devices_is_told_within_bounds() -> None:
    minute = 60_000_000
    crowd = [heard(n, "offline", NOW_US) for n in range(1, MOST_A_MINUTE + 50)]
    assert len(told(*crowd)) == MOST_A_MINUTE
    assert len(told(*crowd, heard(9_999, "offline", NOW_US + minute))) == MOST_A_MINUTE + 1


def test_notices_and_unknown_fields_are_metrics() -> None:
    from tests.test_metrics import figures

    meters = Meters()
    herald = Herald(meters, Events())
    batch, _ = carried(router_of(), "chirpstack", (EVENTS + "up", UPLINK), (EVENTS + "join", JOIN))
    herald.hear(batch)
    text = figures(meters=meters).text().decode()
    assert 'dothi_notices_total{kind="other",worker="3"} 1.0' in text
    assert 'dothi_unknown_fields_total{profile="lorawan-indoor",worker="3"} 1.0' in text
