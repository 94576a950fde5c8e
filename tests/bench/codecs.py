"""What reading costs: CPU seconds per 100,000 messages by format. `python -m tests.bench.codecs [--json] [NAME…]`

"read" is the whole way of a message as ingest goes it: envelope, codec, mapping, ranges. "codec" is a codec by itself.
A codec in a process of its own is counted with that process. A new format is a line in READ or in CODECS.
"""

import hashlib
import json
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from devices.codecs import CODECS as DOCUMENT_CODECS
from devices.codecs.frames import FRAME_CODECS
from devices.codecs.js import ENGINE, Frame, codec_of, decode_many, with_folder
from devices.codecs.js.worker_process import cpu_seconds
from devices.envelopes import Packet, opener_of
from devices.laws import payload_of
from devices.profile import PROFILES, Profile, profile_from
from devices.reading import Reading
from devices.route import route_of, routes_of

MESSAGES = 20_000
Run = Callable[[int], None]

READ = (
    *("native-air-quality", "decentlab-dl-5tm", "lorawan-indoor", "sparkplug-weather", "sparkplug-machine"),
    *("shelly-gen3", "tasmota-plug", "zigbee-climate", "frigate-event", "onvif-counter", "axis-object-analytics"),
    *("ngsi-air-quality-observed", "circular10-ambient", "homie-room", "opendatacam-line"),
)
"""Profiles, each by the first of its examples that becomes a reading."""

SCRIPT = """
function i16(bytes, at) { var v = bytes[at] << 8 | bytes[at + 1]; return v > 0x7fff ? v - 0x10000 : v; }
function decodeUplink(input) {
  var bytes = input.bytes;
  return { data: { temperature: i16(bytes, 0) / 10, humidity: bytes[2] / 2, battery: bytes[3] / 50 } };
}
"""
STRUCT = {
    "fields": [
        {"name": "temperature", "type": "i16", "scale": 0.1},
        {"name": "humidity", "type": "u8", "scale": 0.5},
        {"name": "battery", "type": "u8", "scale": 0.02},
    ]
}
FRAME = bytes.fromhex("ff9c6fb4")
FIELDS = [
    {"metric": "temperature", "path": "temperature"},
    {"metric": "relative_humidity", "path": "humidity", "unit": "%"},
    {"metric": "battery_voltage", "path": "battery"},
]
UPLINK: dict[str, Any] = {
    "deviceInfo": {"devEui": "70b3d50000000001"},
    "time": "2026-01-01T00:00:00Z",
    "fCnt": 1,
    "fPort": 1,
    "data": b64encode(FRAME).decode(),
}


def ours(codec: object, folder: Path) -> Profile:
    """A profile of the little device above."""
    document = {
        "title": {"vi": "x", "en": "x"},
        "family": "weather",
        "route": "lorawan",
        "interval_s": 60,
        "codec": codec,
        "roots": ["data"],
        "fields": FIELDS,
        "examples": [{"name": "full", "payload": json.dumps(UPLINK)}],
    }
    return profile_from("bench", with_folder(document, folder))


def by_itself(codec: Callable[..., object], *given: object) -> Run:
    """A codec on the same bytes again and again."""

    def run(count: int) -> None:
        for _ in range(count):
            codec(*given)

    return run


def codecs() -> dict[str, Run]:
    """Codecs without envelope and mapping."""
    script = codec_of("bench.js", SCRIPT.encode())
    frames = [Frame(FRAME, 1, 1.7e12)] * 1000
    native = payload_of(PROFILES["native-air-quality"].examples[0])

    def together(count: int) -> None:
        for _ in range(count // len(frames)):
            decode_many(script, frames)

    return {
        "codec native JSON": by_itself(DOCUMENT_CODECS["native"], native),
        "codec struct, 3 fields": by_itself(FRAME_CODECS["struct"](STRUCT), FRAME, 1),
        "codec cayenne-lpp, 2 values": by_itself(
            FRAME_CODECS["builtin"]("cayenne-lpp"), bytes.fromhex("03670110056700ff"), 1
        ),
        "codec js, 3 fields, batches of 1000": together,
        "codec js, 3 fields, one by one": lambda count: (
            [decode_many(script, frames[:1]) for _ in range(count)] and None
        ),
    }


def reads(folder: Path) -> Iterator[tuple[str, Run]]:
    """The whole way: profiles of the catalogue, and the little device by both codecs."""
    for name in READ:
        if name in PROFILES:
            yield f"read {name}", reading(PROFILES[name])
    (folder / "bench.js").write_text(SCRIPT)
    pinned = {"file": "bench.js", "sha256": hashlib.sha256(SCRIPT.encode()).hexdigest()}
    yield "read ChirpStack, struct", reading(ours({"struct": STRUCT}, folder))
    yield "read ChirpStack, js", reading(ours({"js": pinned}, folder))


def reading(profile: Profile) -> Run:
    """One example through opener, codec and mapping, the opener made once as ingest does."""
    example = next(
        one
        for one in profile.examples
        if all(isinstance(result, Reading) for result in profile.read(payload_of(one), one.get("topic", "")))
    )
    payload, topic = payload_of(example), example.get("topic", "")
    if profile.route is None:
        return by_itself(profile.read, payload)
    route = route_of(topic) or routes_of(profile.route)[0]
    opened, topic = opener_of(route), topic or route.topics[0].replace("+", "x").replace("#", "x")

    def run(count: int) -> None:
        for _ in range(count):
            for part in opened(topic, payload):
                if isinstance(part, Packet):
                    profile.map(part.document, part.payload)

    return run


def cost(run: Run, count: int) -> float:
    """CPU seconds per 100,000, the codecs' worker included; the better of two."""
    run(min(count, 1000))
    return min(_cost(run, count) for _ in range(2))


def _cost(run: Run, count: int) -> float:
    worker = ENGINE.pid
    began, spent = time.process_time(), cpu_seconds(worker) if worker else 0.0
    run(count)
    if worker:
        spent = cpu_seconds(worker) - spent
    return (time.process_time() - began + spent) * 100_000 / count


def main(arguments: list[str]) -> None:
    """Measure what is named, or all."""
    wanted = [one for one in arguments if not one.startswith("-")]
    with tempfile.TemporaryDirectory() as folder:
        runs = {**codecs(), **dict(reads(Path(folder)))}
        chosen = {name: run for name, run in runs.items() if not wanted or any(word in name for word in wanted)}
        costs = {name: round(cost(run, MESSAGES), 3) for name, run in chosen.items()}
    if "--json" in arguments:
        sys.stdout.write(json.dumps({"cpu_s_per_100k": costs}) + "\n")
        return
    for name, seconds in costs.items():
        sys.stdout.write(f"{name:<45} {seconds:7.2f} s/100k {100_000 / max(seconds, 1e-3):12,.0f} /s per core\n")


if __name__ == "__main__":
    main(sys.argv[1:])
