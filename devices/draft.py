"""A profile file drafted from one message: what is guessed is marked `# CHECK`, for a person to look at."""

import json
import re
from math import isclose

from devices.envelopes import Packet
from devices.family import Metric
from devices.fields import Field, fields_of
from devices.guess import USUAL, Guess, guess, time_field
from devices.outcome import metrics_of
from devices.raw import as_number
from devices.rejected import Reason, Rejected
from devices.route import Route
from devices.units import UnknownUnit, conversion
from devices.vocabulary import word_of

CHECK = "  # CHECK"


def draft(name: str, route: Route | None, topic: str | None, packet: Packet, now_us: int) -> str | Rejected:
    """The text of a profile for the device that sent the packet, or why nothing can be drafted.

    `route`: on which it came, None where none takes it; `packet`: its payload is the example.
    """
    document = packet.document
    if isinstance(document, Rejected):
        return document
    root, inner = root_of(document)
    if isinstance(inner, Rejected):
        return inner
    found = guess(inner, packet.payload, now_us)
    if isinstance(found, Rejected):
        return found
    fields = {".".join(field.path): field for field in fields_of(inner)}
    codec = "decoded" if root else route.codec if route else "json"
    lines = [
        f"# Drafted from one message of {name}. Look at every line marked CHECK, then: dothi devices check {name}.yaml",
        f"title: {{vi: {quoted(name)}, en: {quoted(name)}}}{CHECK}: what people call it",
        f"family: {found.family.name}{CHECK}: the family that explains most fields; see dothi devices families",
        f"codec: {codec}",
        f"route: {route.kind}" if route else f"route: {name}{CHECK}: no route takes it yet; devices/routes/ needs one",
        f"interval_s: 600{CHECK}: seconds between two messages",
        *(["roots: [data]"] if root else []),
        *kind_of(document),
        "fields:",
        *(row(found, metric, fields[path]) for metric, path in found.fields.items()),
        *time_lines(inner, root, now_us),
        "examples:",
        *example(found, topic, packet.payload),
    ]
    return "\n".join(lines) + "\n"


def kind_of(document: object) -> list[str]:
    """The match by which an entity of a data model is known."""
    kind = document.get("type") if isinstance(document, dict) and "id" in document else None
    return [f"match: {{path: type, value: {quoted(kind)}}}"] if isinstance(kind, str) else []


def root_of(document: object) -> tuple[bool, object]:
    """Whether the fields stand below what a network server decoded, and the object that holds them."""
    if not isinstance(document, dict):
        detail = "expected an object with named fields; a list of values tells nothing of its parts"
        return False, Rejected("profile", Reason.WRONG_SHAPE, None, None, detail)
    if "frame" in document and "decoded" not in document:
        detail = "a frame that nobody decoded: its fields are unknown; have the server decode it, or write a codec"
        return False, Rejected("profile", Reason.WRONG_SHAPE, "frame", None, detail)
    return ("decoded" in document), document.get("decoded", document)


def row(found: Guess, name: str, field: Field) -> str:
    """A row of the field table."""
    metric = found.family.metrics[found.family.index[name]]
    value = found.reading.values[found.family.index[name]]
    parts = [f"metric: {quoted(name)}", f"path: {quoted('.'.join(field.path))}"]
    if metric.states:
        parts += states_of(metric, field.raw, value)
        return f"  - {{{', '.join(parts)}}}{CHECK}: the words of all its states"
    unit = unit_of(metric, field, value)
    parts += [f"unit: {quoted(unit)}"] if unit and unit != metric.unit else []
    doubt = f" ({metric.unit}?)" if unit is None and metric.unit != "1" else ""
    if isinstance(field.raw, str):
        doubt = ": a number as text, which a profile refuses; have the device send numbers"
    return f"  - {{{', '.join(parts)}}}{CHECK}{doubt}"


def states_of(metric: Metric, raw: object, value: float) -> list[str]:
    """The map from the device's word to the state, where they differ."""
    word = json.dumps(raw) if isinstance(raw, bool) else str(raw)
    state = metric.states[int(value)]
    return [] if word == state else [f"map: {{{quoted(word)}: {quoted(state)}}}"]


def unit_of(metric: Metric, field: Field, value: float) -> str | None:
    """The unit in which the raw number means the value; None where it is the metric's own, unsaid."""
    number = as_number(field.raw)
    said = field.unit or word_of(field.name).unit
    for unit in (said, "%" if metric.unit == "1" else None, *USUAL.get(metric.unit, ()), "mg/m3"):
        if unit is None or number is None:
            continue
        try:
            meant = conversion(unit, metric.unit)(number)
        except UnknownUnit:
            continue
        if isclose(meant, value, rel_tol=1e-9, abs_tol=1e-12) and (unit == said or not isclose(number, value)):
            return unit
    return None


def time_lines(inner: object, root: bool, now_us: int) -> list[str]:
    """Where the time stands; a server's own is known to every profile of its route."""
    found = time_field([*fields_of(inner)], now_us)
    if found is None:
        return []
    path, unit = found
    text = f"time: {{path: {quoted('.'.join(path))}, unit: {unit}" + (', zone: "+07:00"}' if unit == "rfc3339" else "}")
    return [text + CHECK + (": the device's own time, rather than the server's" if root else "")]


def example(found: Guess, topic: str | None, payload: bytes) -> list[str]:
    """The message as a full example; the others are for the person who knows the device."""
    text = payload.decode("utf-8", "replace")
    metrics = metrics_of(found.family, found.reading)
    body = ", ".join(f"{quoted(name)}: {stated(value)}" for name, value in metrics.items())
    return [
        "  - name: full",
        *([f"    topic: {quoted(topic)}"] if topic else []),
        f"    payload: {quoted(text)}",
        f"    metrics: {{{body}}}",
        "  # CHECK: add one with only some of the fields, one below zero where it can be, and one that is refused.",
    ]


def stated(value: float | str) -> str:
    """A value as an example states it."""
    return quoted(value) if isinstance(value, str) else f"{value:.12g}"


def quoted(text: str) -> str:
    """The text as YAML has it: plain where that is safe."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text) and text.lower() not in ("true", "false", "null", "none"):
        return text
    return '"' + "".join(map(escaped, text)) + '"'


def escaped(letter: str) -> str:
    """A letter between double quotes."""
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"
