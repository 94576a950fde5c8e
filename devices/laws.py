"""What every profile must keep to; a new file is tested by existing. `dothi devices check` runs it."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from math import isclose, isnan
from typing import Any

import msgspec

from devices.alarm import alarm_problems
from devices.behaviour import misspelt
from devices.profile import Profile
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import ROUTES, routes_of
from devices.table import Table
from devices.time import show

Law = tuple[str, Callable[[Profile], Iterator[str]]]
EXAMPLE_KEYS = {
    "name",
    "payload",
    "hex",
    "frame",
    "port",
    "source",
    "time",
    "metrics",
    "extra",
    "reasons",
    "readings",
    "reason",
    "absent",
    "topic",
}


def payload_of(example: dict[str, Any]) -> bytes:
    """The bytes of an example: its `hex`, its `payload` text in UTF-8, or a ChirpStack v4 uplink of its LoRaWAN `frame`
    (hexadecimal) on its `port`."""
    if "frame" in example:
        uplink = {
            "deviceInfo": {"devEui": "70b3d50000000001"},
            "time": "2026-01-01T00:00:00Z",
            "fCnt": 1,
            "fPort": example.get("port", 1),
            "data": b64encode(bytes.fromhex(example["frame"])).decode(),
        }
        return msgspec.json.encode(uplink)
    return bytes.fromhex(example["hex"]) if "hex" in example else str(example["payload"]).encode()


def stated_metrics(profile: Profile, reading: Reading) -> dict[str, float | str]:
    """The metrics that are there, by name; a state as its word."""
    return {
        metric.name: metric.states[int(value)] if metric.states else value
        for metric, value in zip(profile.family.metrics, reading.values, strict=True)
        if not isnan(value)
    }


def mapped_metrics(profile: Profile) -> set[str]:
    """The metrics that devices of this profile can send."""
    table: Table | None = profile.table
    return {field.metric.name for field in table.fields} if table else set(profile.family.index)


def titles(profile: Profile) -> Iterator[str]:
    """A title in both languages, and an id that fits everywhere."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{2,62}", profile.name):
        yield f"the id {profile.name} is not made of a-z, 0-9 and -"
    for language in ("vi", "en"):
        if not profile.title[language].strip():
            yield f"title.{language} is empty"


def routes(profile: Profile) -> Iterator[str]:
    """A route that exists, reads with the profile's codec, and keeps what is private to itself."""
    if profile.route is None:
        if profile.table is not None:
            yield "a foreign format needs a route"
        return
    found = routes_of(profile.route)
    if not found:
        yield f"unknown route {profile.route}; expected one of {', '.join(sorted({r.kind for r in ROUTES.values()}))}"
    for route in found:
        if route.envelope == "plain" and route.codec != profile.codec:
            yield f"codec {profile.codec} is not that of route {route.name}, {route.codec}"
        if profile.table and profile.table.private and not route.private:
            yield f"has private fields, but route {route.name} is not private"


def behaves(profile: Profile) -> Iterator[str]:
    """The simulator can move each metric that the behaviour names, inside its range."""
    for name, section in profile.behaviour.items():
        place = profile.family.index.get(name)
        if place is None:
            yield f"behaviour names {name}, which {profile.family.name} has not"
            continue
        for problem in misspelt(profile.family.metrics[place], section):
            yield f"behaviour of {name}: {problem}"


def shelf(profile: Profile) -> Iterator[str]:
    """Three examples at least: all metrics, some of them, and one that is refused; a signed metric below zero."""
    stored = [example.get("metrics", {}) for example in profile.examples if "reason" not in example]
    mapped = mapped_metrics(profile)
    if len(profile.examples) < 3:
        yield f"{len(profile.examples)} examples; expected at least 3"
    stated = {name for metrics in stored for name in metrics}
    # A device model may say in several messages what it has to say, or always all of it.
    if not (any(set(metrics) == mapped for metrics in stored) or (profile.route and stated == mapped)):
        yield f"no example states all of {', '.join(sorted(mapped))}"
    if not profile.route and not any(metrics and set(metrics) < mapped for metrics in stored):
        yield "no example states only some of the metrics"
    if not any("reason" in example for example in profile.examples):
        yield "no example is refused"
    yield from never_negative(profile, stored)
    for example in profile.examples:
        unknown = example.keys() - EXAMPLE_KEYS
        if unknown or "name" not in example or not example.keys() & {"payload", "hex", "frame"}:
            yield f"example {example.get('name', '?')}: expected name, payload and some of {sorted(EXAMPLE_KEYS)}"


def never_negative(profile: Profile, stored: list[dict[str, Any]]) -> Iterator[str]:
    """Signed metrics without an example below zero: of our own format every one, of a foreign one any is enough, for
    its examples are those that its vendor gives."""
    mapped = mapped_metrics(profile)
    unsigned = {field.metric.name for field in profile.table.fields if not field.signed} if profile.table else set()
    signed = [m.name for m in profile.family.metrics if m.low < 0 and m.name in mapped - unsigned]
    shown = {name for metrics in stored for name, value in metrics.items() if name in signed and value < 0}
    missing = [name for name in signed if name not in shown]
    if missing and (profile.route is None or not shown):
        yield f"no example below zero, though {', '.join(missing)} can be"


def examples(profile: Profile) -> Iterator[str]:
    """Every example becomes what it states."""
    for example in profile.examples:
        for problem in differences(profile, example):
            yield f"example «{example['name']}»: {problem}"


def differences(profile: Profile, example: dict[str, Any]) -> Iterator[str]:
    """How an example's result differs from what it states."""
    results = profile.read(payload_of(example), example.get("topic", ""))
    wanted = example.get("readings", 1)
    if len(results) != wanted:
        yield f"{len(results)} readings; expected {wanted}"
    first = results[0]
    if "reason" in example:
        found = first.reason.value if isinstance(first, Rejected) else "a reading"
        if found != example["reason"]:
            yield f"{found}; expected {example['reason']}"
        elif isinstance(first, Rejected) and not first.detail:
            yield "refused without a sentence that says why"
    elif isinstance(first, Rejected):
        yield f"refused as {first.reason.value}: {first.detail}"
    else:
        yield from reading_differences(profile, first, example)
    everything = repr(results) + repr([bytes_of(result) for result in results])
    for text in example.get("absent", ()):
        if text in everything:
            yield f"{text!r} must not be kept"


def reading_differences(profile: Profile, reading: Reading, example: dict[str, Any]) -> Iterator[str]:
    """How a reading differs from what its example states: metrics exactly, extra and reasons as far as stated."""
    metrics, stated = stated_metrics(profile, reading), example.get("metrics", {})
    for name in sorted(metrics.keys() | stated.keys()):
        if not same(metrics.get(name), stated.get(name)):
            yield f"{name} is {metrics.get(name)}; expected {stated.get(name)}"
    extra = reading.extra or {}
    if extra.get("reasons", {}) != example.get("reasons", {}):
        yield f"reasons are {extra.get('reasons', {})}; expected {example.get('reasons', {})}"
    for name, value in example.get("extra", {}).items():
        if extra.get(name) != value:
            yield f"extra {name} is {extra.get(name)!r}; expected {value!r}"
    if "time" in example and (reading.time is None or show(reading.time) != example["time"]):
        yield f"time is {None if reading.time is None else show(reading.time)}; expected {example['time']}"


def same(found: object, stated: object) -> bool:
    """Equal, numbers to nine digits."""
    if isinstance(found, float) and isinstance(stated, int | float):
        return isclose(found, stated, rel_tol=1e-9, abs_tol=1e-12)
    return found == stated


def bytes_of(result: Reading | Rejected) -> str:
    """The kept bytes as text, to look for what must not be in them."""
    return result.payload.decode(errors="replace") if isinstance(result, Reading) else ""


def survives(profile: Profile) -> Iterator[str]:
    """Examples cut short or with a byte changed give an answer, and what is kept can be stored."""
    for example in profile.examples:
        payload = payload_of(example)
        cuts = [payload[:length] for length in range(0, len(payload), 7)]
        flips = [payload[:at] + bytes([payload[at] ^ 0x15]) + payload[at + 1 :] for at in range(0, len(payload), 7)]
        for damaged in (*cuts, *flips):
            try:
                for result in profile.read(damaged, example.get("topic", "")):
                    if isinstance(result, Reading):
                        msgspec.json.encode(result.extra)
            except Exception as error:  # the law is that there is none
                yield f"example «{example['name']}» damaged to {damaged[:60]!r}… raises {error!r}"


def alarms(profile: Profile) -> Iterator[str]:
    """Every alarm can be raised and can clear, with hysteresis between the two; colours of the panel can be reached."""
    for alarm in profile.alarms:
        yield from alarm_problems(alarm)
    first = profile.family.metrics[profile.family.index[profile.panel.metrics[0]]]
    for limit in (profile.panel.amber, profile.panel.red):
        if limit is not None and not first.low <= limit <= first.high:
            yield f"panel: {limit:g} is not inside {first.low:g} to {first.high:g} {first.unit} of {first.name}"


LAWS: tuple[Law, ...] = (
    ("id and titles", titles),
    ("route and codec", routes),
    ("behaviour stays legal", behaves),
    ("alarms inside the range, with hysteresis", alarms),
    ("examples: full, partial, refused", shelf),
    ("examples become what they state", examples),
    ("damaged messages are survived", survives),
)


def verdicts(profile: Profile) -> Iterator[tuple[str, list[str]]]:
    """Each law with what breaks it; a file so odd that a law cannot be tried breaks it."""
    for name, law in LAWS:
        try:
            yield name, list(law(profile))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield name, [f"cannot be tried: {type(error).__name__} {error}"]
