"""The metrics of a Sparkplug message → documents by time: names and types filled in from the birth, templates
flattened, what only serves the protocol left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from devices.codecs.sparkplug import Message
from devices.codecs.sparkplug_json import rendered
from devices.codecs.sparkplug_values import WrongValue, properties_of, quietly, value_in
from devices.envelopes.sparkplug_nodes import Speaker
from devices.raw import clean

CONTROL = ("Node Control/", "Device Control/")
BD_SEQ = "bdSeq"
RESERVED = frozenset(("timestamp", "properties", "quality", "undecodable"))
UNIT_NAMES = frozenset(("engunit", "engunits", "engineeringunit", "engineeringunits", "unit", "units", "uom"))
BAD_QUALITY = frozenset((0, 500))
"""Sparkplug 3.0, 6.4.13: 0 is bad, 500 stale, 192 good."""
LONGEST_NAME = 1024


@dataclass(slots=True)
class Harvest:
    """What a message says. `groups`: by time (ms since 1970, None = none stated) each metric with its type;
    `units`: by metric; `quality`: values that the sender itself calls bad; `wrong`: why a value cannot be read;
    `unknown`: aliases that no birth has explained, and what came under them; `silent`: metrics not meant to be stored.
    """

    groups: dict[int | None, dict[str, tuple[Any, int | None]]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    unknown: list[tuple[int | None, Any]] = field(default_factory=list)
    silent: int = 0


def harvest(message: Message, speaker: Speaker | None) -> Harvest:
    """The values of a message, whatever it was born as (None = no birth is known)."""
    found = Harvest()
    sent = message.get("timestamp")
    for metric in message.get("metrics", ()):
        name, datatype, unit = identity(metric, speaker)
        if name is None:
            found.unknown.append((metric.get("alias"), quietly(metric, datatype)))
        elif name == BD_SEQ or name.startswith(CONTROL) or metric.get("is_transient"):
            found.silent += 1
        else:
            take(found, name, datatype, unit, metric, metric.get("timestamp") or sent, speaker)
    return found


def identity(metric: Message, speaker: Speaker | None) -> tuple[str | None, int | None, str | None]:
    """Name, type and unit of a metric: its own, and from the birth what it does not say."""
    said, alias = metric.get("name"), metric.get("alias")
    known = None
    if speaker is not None:
        known = speaker.by_name.get(said) if said else speaker.by_alias.get(alias) if alias is not None else None
    name = said or (known.name if known else None)
    unit = unit_of(properties(metric)) or (known.unit if known else None)
    datatype = metric.get("datatype") or (known.datatype if known else None)
    return (clean(name)[:LONGEST_NAME] if name else None), datatype, unit


def take(
    found: Harvest,
    name: str,
    datatype: int | None,
    unit: str | None,
    metric: Message,
    time: int | None,
    speaker: Speaker | None,
) -> None:
    """One metric: its value goes to the group of its time, a template's members each on their own."""
    template = template_of(metric)
    if template is not None:
        for path, member in members(template, name):
            _, kind, own = identity({**member, "name": path}, speaker)
            take(found, path, kind, own, member, member.get("timestamp") or time, speaker)
        return
    try:
        value = metric["value"] if "value" in metric else value_in(metric, datatype)
    except WrongValue as error:
        found.wrong[name] = clean(str(error))[:200]
        return
    quality = properties(metric).get("Quality")
    if type(quality) is int and quality in BAD_QUALITY:
        found.quality[name] = {"quality": quality, "value": value}
        value = None
    if unit:
        found.units[name] = unit
    found.groups.setdefault(time, {})[name] = (value, datatype)


def template_of(metric: Message) -> Message | None:
    """The template that a metric holds, if it does."""
    plain = metric.get("value")
    template = plain.get("template") if isinstance(plain, dict) else metric.get("template_value")
    return template if isinstance(template, dict) else None


def members(template: Message, prefix: str) -> Iterator[tuple[str, Message]]:
    """The members of an instance as `name/member`, parameters too; a definition has types but no values."""
    if template.get("is_definition"):
        return
    for member in (*template.get("metrics", ()), *parameters(template)):
        if member.get("name"):
            yield f"{prefix}/{clean(member['name'])}"[:LONGEST_NAME], member


def parameters(template: Message) -> Iterator[Message]:
    """Parameters in the shape of metrics; their type has another name there."""
    for parameter in template.get("parameters", ()):
        yield {**parameter, "datatype": parameter.get("type")}


def properties(metric: Message) -> dict[str, Any]:
    """The properties of a metric as names and values."""
    if "plain_properties" in metric:
        return metric["plain_properties"]  # type: ignore[no-any-return]  # a dict by sparkplug_json
    return properties_of(metric["properties"]) if "properties" in metric else {}


def unit_of(said: dict[str, Any]) -> str | None:
    """The engineering unit among properties; senders have several names for it."""
    for name, value in said.items():
        folded = "".join(letter for letter in name.lower() if letter.isalnum())
        if folded in UNIT_NAMES and isinstance(value, str) and value.strip():
            return clean(value.strip())[:40]
    return None


def documents(found: Harvest) -> Iterator[tuple[dict[str, Any], bytes]]:
    """One document per time: each metric under its name, `timestamp` in ms, units under `properties.<name>.engUnit`;
    and the same as JSON, from which it can be read again without a birth."""
    asides = {key: value for key, value in (("quality", found.quality), ("undecodable", found.wrong)) if value}
    for time, values in found.groups.items():
        document: dict[str, Any] = {} if time is None else {"timestamp": time}
        units: dict[str, Any] = {}
        for name, (value, _) in values.items():
            put(document, f"metric/{name}" if name in RESERVED else name, value)
            if name in found.units:
                put(units, name, {"engUnit": found.units[name]})
        said = {name: {"engUnit": found.units[name]} for name in values if name in found.units}
        yield {**document, **({"properties": units} if units else {}), **asides}, rendered(time, values, said)
        asides = {}


def put(document: dict[str, Any], name: str, value: Any) -> None:
    """Set a value; a name with dots (Channel1.Device1.Tag) becomes objects within objects, as paths address them."""
    *outer, last = name.split(".")
    place = document
    for key in outer:
        inner = place.setdefault(key, {}) if key and len(outer) < 16 else None
        if not isinstance(inner, dict):
            document[name] = value
            return
        place = inner
    if last and not isinstance(place.get(last), dict):
        place[last] = value
    else:
        document[name] = value


def born(message: Message) -> Speaker:
    """What a birth defines: every metric, the members of templates among them."""
    speaker = Speaker()
    for metric in message.get("metrics", ()):
        name = metric.get("name")
        if name:
            define(speaker, clean(name)[:LONGEST_NAME], metric)
    return speaker


def define(speaker: Speaker, name: str, metric: Message) -> None:
    """One metric of a birth, and the members below it."""
    speaker.define(name, metric.get("alias"), metric.get("datatype"), unit_of(properties(metric)))
    template = template_of(metric)
    if template is not None:
        for path, member in members(template, name):
            define(speaker, path, member)


def bd_seq_of(message: Message) -> int | None:
    """The number that ties a death to its birth."""
    for metric in message.get("metrics", ()):
        if metric.get("name") == BD_SEQ:
            value = metric["value"] if "value" in metric else quietly(metric, metric.get("datatype"))
            return value if type(value) is int else None
    return None
