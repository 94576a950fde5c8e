"""What is fuzzed: each target takes any bytes and raises when a law is broken, whatever the bytes were.

Nothing here needs the fuzzer: tests/test_fuzz.py replays the small corpora and all past findings in every run.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from math import isnan
from pathlib import Path
from typing import NamedTuple

import msgspec
from paho.mqtt.client import MQTTMessage

from devices.codecs import CODECS, encode
from devices.enroll import DEVICE_ID
from devices.envelopes import Packet, opener_of
from devices.family import Family
from devices.profile import PROFILES, Profile
from devices.raw import LONGEST_SHOWN, MAX_DEPTH
from devices.reading import Reading
from devices.rejected import MEANING, Rejected
from devices.route import ROUTES, rivals_of
from dothi.stack import queues as broker_queues
from ingest import mqtt
from ingest.batch import Batch, Limits
from ingest.intake import Intake
from ingest.pack import SIGNATURE, TRAILER, pack
from ingest.route import Router
from ingest.window import Arrival
from simulators.device import Device
from tests.enrolment import check_file
from tests.told import AliasChange, Change, tell

FOLDER = Path(__file__).parent
RECEIVED_US = 1_767_225_600_000_000
AREA = "213"


class Target(NamedTuple):
    """`check` raises on a broken law. `structured`: inputs are mutated as JSON documents, too; `largest` in bytes."""

    check: Callable[[bytes], None]
    structured: bool
    largest: int


class Broken(AssertionError):
    """A law does not hold."""


def law(holds: bool, text: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise Broken(text)


# --- MQTT


def mqtt_stream(raw: bytes) -> None:
    """However the stream is cut, the same packets come out, or a ProtocolError both times. First byte: where to cut."""
    if not raw:
        return
    stream, step = raw[1:], raw[0] % 61 + 1
    whole = packets([stream])
    law(whole == packets([stream[at : at + step] for at in range(0, len(stream), step)]), "fragments differ")
    messages, others = whole or ([], [])
    for message in messages:
        law(bool(message.topic), "a message without a topic")
        law(0 <= message.pid <= 0xFFFF, "a packet id of more than two bytes")
    for other in others:
        law(not isinstance(other, mqtt.Suback) or bool(other.reasons), "a SUBACK that answers no filter")
        law(
            not isinstance(other, mqtt.Connack) or (other.keepalive or 0) <= 0xFFFF, "a keep alive of more than 16 bits"
        )


def packets(pieces: list[bytes]) -> tuple[list[mqtt.Publish], list[mqtt.Packet]] | None:
    """All packets of a stream, None when it breaks the protocol."""
    reader = mqtt.Reader(largest=1 << 16)
    messages: list[mqtt.Publish] = []
    others: list[mqtt.Packet] = []
    for piece in pieces:
        try:
            some, rest = reader.feed(piece)
        except mqtt.ProtocolError:
            return None
        messages += some
        others += rest
    return messages, others


# --- payloads


def codecs(raw: bytes) -> None:
    """A document or a rejection that can be shown; a part of a document can be encoded again or is given up quietly."""
    for name, codec in CODECS.items():
        document = codec(raw)
        law(repr(document) == repr(codec(raw)), f"{name} is not a function of its bytes")
        if isinstance(document, Rejected):
            check_rejected(document)
        else:
            law(isinstance(encode(document, raw), bytes), "encode gave no bytes")


def profiles(raw: bytes) -> None:
    """Every profile answers with readings that the database takes, and rejections that can be shown."""
    for profile in PROFILES.values():
        results = profile.read(raw)
        law(bool(results), f"{profile.name} said nothing")
        for result in results:
            check_result(profile, result)


def frames(raw: bytes) -> None:
    """A frame of any bytes on any port, the first byte, through every description of frames. Vendors' scripts apart."""
    document = {"eui": "70b3d57ba000156b", "port": raw[0] if raw else None, "count": 1, "frame": raw[1:]}
    for profile in PROFILES.values():
        if profile.codec in ("struct", "builtin"):
            for result in profile.map(document, raw):
                check_result(profile, result)


def check_result(profile: Profile, result: Reading | Rejected) -> None:
    """What holds for every answer of a profile."""
    if isinstance(result, Rejected):
        check_rejected(result)
        return
    law(result.time is None or -62_135_596_800_000_000 <= result.time <= 253_402_300_799_999_999, "time out of years")
    law(-(2**63) <= result.seq < 2**63, "seq is no bigint")
    law(result.boot is None or 0 <= result.boot < 2**63, "boot is no bigint")
    check_values(profile.family, result.values)
    check_extra(result.extra)


def check_values(family: Family, values: list[float]) -> None:
    """One per metric, absent or within its legal range, at least one there."""
    law(len(values) == len(family.metrics), "not one value per metric")
    law(not all(map(isnan, values)), "a reading without a value")
    for metric, value in zip(family.metrics, values, strict=True):
        low, high = (0.0, len(metric.states) - 1.0) if metric.states else (metric.low, metric.high)
        law(isnan(value) or low <= value <= high, f"{metric.name} = {value} is not legal")


def check_extra(extra: dict[str, object] | None) -> None:
    """A jsonb column takes it: UTF-8, no NUL, no number that is none, nested at most so deep."""
    text = msgspec.json.encode(extra)
    law(b"\\u0000" not in text, "a NUL in extra")
    law(json.loads(text, parse_constant=lambda word: law(False, f"{word} in extra")) == extra, "extra changes in jsonb")
    law(depth(extra) <= MAX_DEPTH + 2, "extra is too deep")


def depth(value: object) -> int:
    """Levels of lists and objects."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def check_rejected(rejected: Rejected) -> None:
    """A reason with a meaning, and texts that a person and a text column can take."""
    law(rejected.reason in MEANING, f"{rejected.reason} has no meaning")
    law(bool(rejected.detail), "no detail")
    for text in (rejected.detail, rejected.value or "", rejected.field or ""):
        law("\0" not in text, "a NUL in a rejection")
        text.encode()
    law(len(rejected.value or "") <= LONGEST_SHOWN, "a long value in a rejection")
    law(len(rejected.detail) <= 4_000, "a long detail in a rejection")


def head_and_payload(raw: bytes) -> tuple[bytes, bytes]:
    """The topic is the first line, the payload the rest."""
    topic, _, payload = raw.partition(b"\n")
    return topic, payload


def routes(raw: bytes) -> None:
    """Every foreign message speaks of at least one thing, whose bytes can be read again."""
    topic, payload = head_and_payload(raw)
    for route in ROUTES.values():
        opened = opener_of(route)(topic.decode(errors="replace"), payload)
        law(bool(opened), f"{route.name} found nothing")
        for part in opened:
            law(part.foreign_id is None or (part.foreign_id != "" and "\0" not in part.foreign_id), "no foreign id")
            part.foreign_id and part.foreign_id.encode()
            law(not isinstance(part, Packet) or isinstance(part.payload, bytes), "no bytes")


# --- the whole way of a message up to the database


class Nowhere:
    """A source of messages that nobody waits for."""

    def __init__(self, inbox: str) -> None:
        self.inbox = inbox

    def acknowledge(self, pids: object) -> None:
        """To nobody."""

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """To nobody."""

    def pause(self) -> None:
        """Nothing flows."""

    def resume(self) -> None:
        """Nothing flows."""


def filled_router() -> Router:
    """One device of every profile, the foreign ones under the names that the corpora use."""
    router = Router(ROUTES)
    for number, profile in enumerate(PROFILES.values(), 1):
        tell(router, Change(number, f"d-{profile.name}"[:60], profile.name, AREA, 213, False))
        if profile.route:
            tell(router, AliasChange(profile.route, f"x{number}", f"d-{profile.name}"[:60]))
            tell(router, AliasChange(profile.route, profile.name, f"d-{profile.name}"[:60]))
    tell(router, AliasChange("lorawan", "70b3d57ba000156b", "d-lorawan-indoor"))
    return router


ROUTER = filled_router()
INTAKE = Intake(ROUTER)


def messages(raw: bytes) -> None:
    """A message of every inbox becomes rows that COPY takes and a ledger that balances. First line: its topic."""
    topic, payload = head_and_payload(raw)
    native = (
        topic if len(topic.split(b"/")) == 5 and topic.startswith(b"dothi/v1/") else b"dothi/v1/213/" + uplink(topic)
    )
    for inbox in (AREA, *(() if topic.startswith(b"dothi/v1/") else ROUTES)):
        batch = Batch(Limits())
        message = mqtt.Publish(native if inbox == AREA else topic, payload, 1, False)
        INTAKE.take(Arrival(Nowhere(inbox), RECEIVED_US, mqtt.Messages.of([message]), len(payload)), batch)
        INTAKE.finish(batch)
        check_batch(batch, inbox)


def uplink(topic: bytes) -> bytes:
    """A device and `up`: the subscription guarantees how many levels a native topic has."""
    return (topic.replace(b"/", b"") or b"d-native-air-quality") + b"/up"


def check_batch(batch: Batch, inbox: str) -> None:
    """What the writer relies on."""
    rows = sum(map(len, batch.columns.values()))
    received = sum(count.received for count in batch.ledger.values())
    law(received == rows + len(batch.quarantine), f"{inbox}: {received} received, {rows} rows")
    spoken = received > 0 or batch.presence or batch.notices
    law(
        bool(spoken) or inbox == AREA or bool(rivals_of(ROUTES[inbox], ROUTES.values())), f"{inbox}: a message vanished"
    )
    for columns in batch.columns.values():
        stream = pack(columns, 1)
        law(stream.startswith(SIGNATURE) and stream.endswith(TRAILER), "not a COPY stream")
    for entry in batch.quarantine:
        law(entry.rejected.reason in MEANING and bool(entry.rejected.detail), "a rejection without a word")
        law(isinstance(entry.origin.payload, bytes), "no payload to keep")
        law(not entry.device or len(entry.device.encode(errors="replace")) < 1 << 16, "a device id without end")


# --- files


KINDS = {name: profile.route for name, profile in PROFILES.items()}


def enrolment(raw: bytes) -> None:
    """Rows that the registry takes, or mistakes that can be shown."""
    rows, mistakes = check_file(raw, KINDS, (AREA, "214"))
    law(bool(rows or mistakes), "nothing found and nothing wrong")
    for mistake in mistakes:
        law(mistake.line >= 0 and bool(mistake.detail), "a mistake without a place or a word")
        mistake.detail.encode()
    for row in rows:
        law(DEVICE_ID.fullmatch(row.device) is not None, "a device id that is none")
        law(row.profile in KINDS and row.area in (AREA, "214"), "an unknown profile or area")
        law(row.lat is None or abs(row.lat) <= 90, "no latitude")
        law(row.lon is None or abs(row.lon) <= 180, "no longitude")
        law((row.lat is None) == (row.lon is None), "half a position")
        law(not any("\0" in text for text in row if isinstance(text, str)), "a NUL, which no text column takes")
        law(row.route is None or row.route == KINDS[row.profile], "an alias of another route")


# --- what the broker and the platform say


def broker_words(raw: bytes) -> None:
    """A `$SYS` payload is a number or none, and whatever it says can be judged."""
    queues = broker_queues.Queues("broker", broker_queues.Limits(1_000, 1 << 30))
    said = {
        name: broker_queues.number(part)
        for name, part in zip(broker_queues.TOPICS.values(), raw.split(b"\n"), strict=False)
    }
    for at in (1.0, 2.0):
        for event in queues.judge({name: value for name, value in said.items() if value is not None}, at):
            law(bool(event.message), "an event without a word")


def acknowledgement(raw: bytes) -> None:
    """An application acknowledgement settles numbers of this boot that were kept, or nothing; a device lives on."""
    device = Device("mqtt://127.0.0.1", AREA, "a-1", boot=2)
    device.kept = dict.fromkeys(range(1, 6), b"")
    heard = MQTTMessage(topic=b"dothi/v1/213/a-1/ack")
    heard.payload = raw
    device._on_message(device._client, None, heard)
    law(device.kept.keys() | device.settled == set(range(1, 6)), "a number is neither kept nor settled")
    law(not device.kept.keys() & device.settled, "a number is kept and settled")


TARGETS: dict[str, Target] = {
    "mqtt": Target(mqtt_stream, structured=False, largest=1_024),
    "codecs": Target(codecs, structured=True, largest=4_096),
    "profiles": Target(profiles, structured=True, largest=2_048),
    "frames": Target(frames, structured=False, largest=256),
    "routes": Target(routes, structured=True, largest=2_048),
    "messages": Target(messages, structured=True, largest=2_048),
    "enrolment": Target(enrolment, structured=False, largest=1_024),
    "broker-words": Target(broker_words, structured=False, largest=8_192),
    "acknowledgement": Target(acknowledgement, structured=True, largest=256),
}


def kept(target: str) -> Iterator[Path]:
    """The small corpus and the past findings of a target."""
    for kind in ("corpus", "findings"):
        folder = FOLDER / kind / target
        with contextlib.suppress(FileNotFoundError):
            yield from sorted(folder.iterdir())
