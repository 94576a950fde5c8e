"""What one device model sends and how it becomes readings: one YAML file each under `profiles/`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devices.alarm import Alarm, alarms_from
from devices.codecs import CODECS, encode
from devices.codecs.frames import FRAME_CODECS, FrameCodec, server_decoded, unpacked
from devices.documents import Shelf
from devices.envelopes import Packet, opener_of
from devices.family import FAMILIES, Family
from devices.identity import OFFLINE_AFTER, name_in, offline_after_in, title_in
from devices.mapping import fits, redacted, table_reader
from devices.native import MAX_SEQ, native_reader
from devices.panel import Panel, default_panel, panel_from
from devices.raw import shown
from devices.reading import Reading, hash_seq
from devices.rejected import Reason, Rejected
from devices.route import Route, matches, routes_of
from devices.table import Table, table_from

MAX_ELEMENTS = 10_000
"""Of one list: so that half a megabyte of commas does not become a quarter of a million rejections."""

Reader = Callable[[object, bytes], Reading | Rejected]
KEYS = frozenset(
    (
        *("title", "family", "codec", "route", "interval_s", "behaviour", "examples", "source"),
        *("roots", "match", "fields", "time", "seq", "drop", "private", "acknowledge", "units"),
        *("vendor", "model", "offline_after", "alarms", "panel"),
    )
)


class BadProfile(ValueError):
    """A profile file that cannot be understood; the message says what is wrong in it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A device model.

    `codec`: a name of `CODECS`, or the kind of frame codec; `route`: the kind of foreign route its messages come on,
    None for our own topic; `interval_s`: seconds between two readings; `behaviour`: how the simulator moves each
    metric; `examples`: as in the file; `table`: the field table of a foreign format, None for our own message;
    `acknowledge`: whether its devices are told on `…/ack` what is settled; `source`: where its format is described;
    `vendor`, `model`: who makes it and what stands on it, None for formats that many makers speak; `offline_after`:
    intervals missed until a device counts as silent; `alarms`: raised unless an operator decides otherwise; `panel`:
    how its readings are best shown.
    """

    name: str
    family: Family
    title: dict[str, str]
    codec: str
    route: str | None
    interval_s: float
    behaviour: dict[str, dict[str, Any]]
    examples: tuple[dict[str, Any], ...]
    table: Table | None
    panel: Panel
    _read_one: Reader = field(repr=False, compare=False)
    _decode: Callable[[bytes], object] = field(repr=False, compare=False)
    acknowledge: bool = False
    source: str | None = None
    vendor: str | None = None
    model: str | None = None
    offline_after: float = OFFLINE_AFTER
    alarms: tuple[Alarm, ...] = ()
    _frame: Callable[[object], object] | None = field(default=None, repr=False, compare=False)

    def decode(self, payload: bytes) -> object:
        """The document in the device's own words, or Rejected."""
        return self._decode(payload)

    def words(self, document: object) -> object:
        """What the field table reads of a packet's document: the contents of its frame, where it carries one."""
        return document if self._frame is None or isinstance(document, Rejected) else self._frame(document)

    def map(self, document: object, payload: bytes) -> list[Reading | Rejected]:
        """One entry for a document, one per element for a list; never empty."""
        if isinstance(document, Rejected):
            return [document]
        if self._frame is not None:
            return self._map_frame(self._frame(document), payload)
        if isinstance(document, list):
            return self._map_list(document, payload)
        return [self._read_one(document, payload)]

    def _map_frame(self, unpacked_documents: object, payload: bytes) -> list[Reading | Rejected]:
        """What a frame held; several measurements of one frame get a number each, for they share its bytes."""
        if isinstance(unpacked_documents, Rejected):
            return [unpacked_documents]
        if not isinstance(unpacked_documents, list):
            return [self._read_one(unpacked_documents, payload)]
        results = []
        for place, document in enumerate(unpacked_documents, 1):
            result = document if isinstance(document, Rejected) else self._read_one(document, payload)
            if isinstance(result, Reading):
                own = hash_seq(b"%d/" % place + payload) if result.seq < 0 else result.seq + (place - 1 << 32)
                result = result._replace(seq=min(own, MAX_SEQ))
            results.append(placed(result, place, len(unpacked_documents), payload))
        return results or [empty_list()]

    def _map_list(self, documents: list[object], payload: bytes) -> list[Reading | Rejected]:
        if not documents:
            return [empty_list()]
        if len(documents) > MAX_ELEMENTS:
            detail = f"{len(documents)} elements; expected at most {MAX_ELEMENTS}; send smaller lists, more often"
            return [Rejected("profile", Reason.TOO_LARGE, None, str(len(documents)), detail)]
        results = []
        for place, document in enumerate(documents, 1):
            element = encode(document, payload)
            results.append(placed(self._read_one(document, element), place, len(documents), element))
        return results

    def read(self, payload: bytes, topic: str = "") -> list[Reading | Rejected]:
        """The readings of a message, or why there are none; at least one entry, and never an exception.

        `topic` tells which of the routes of a foreign profile it came on; without it, the first of them. A message
        that only carries a notice is refused as one.
        """
        route = self._route_of(topic) if self.route else None
        if route is None:
            document = self._decode(payload)
            if type(document) is dict:
                return [self._read_one(document, payload)]
            return self.map(document, payload)
        opened = opener_of(route)(topic or route.topics[0], payload)
        packets = [part for part in opened if isinstance(part, Packet)]
        if not packets:
            return [no_reading(opened[0].detail)]  # type: ignore[union-attr]  # none is a packet
        return [result for packet in packets for result in self.map(packet.document, packet.payload)]

    def _route_of(self, topic: str) -> Route | None:
        """The route of the profile's kind that takes the topic; else its first."""
        routes = routes_of(self.route) if self.route else []
        return next(
            (r for r in routes if any(matches(pattern, topic) for pattern in r.topics)), next(iter(routes), None)
        )

    def redact(self, document: object, payload: bytes) -> bytes:
        """The bytes that may be kept of a message: without private fields; nothing when they cannot be told apart."""
        if self.table is None or not self.table.private:
            return payload
        if isinstance(document, Rejected):
            return b""
        try:
            return encode(redacted(self.table, document), payload)
        except RecursionError:
            return b""


def empty_list() -> Rejected:
    """A list without elements."""
    detail = "an empty list; expected at least one message in it"
    return Rejected("profile", Reason.WRONG_SHAPE, None, "[]", detail)


def no_reading(notice: str) -> Rejected:
    """A message that by design carries no reading, where one was asked for."""
    return Rejected("envelope", Reason.WRONG_SHAPE, None, None, f"carries no reading: {notice}")


def placed(result: Reading | Rejected, place: int, count: int, element: bytes) -> Reading | Rejected:
    """A rejection that says which element of the list it speaks of, and carries its bytes."""
    if isinstance(result, Rejected):
        detail = f"element {place} of {count}: {result.detail}" if count > 1 else result.detail
        return result._replace(detail=detail, element=element)
    return result


def profile_from(name: str, document: Any) -> Profile:
    """The profile that a file describes. Raises BadProfile."""
    try:
        return _profile_from(name, document)
    except BadProfile:
        raise
    except KeyError as error:
        raise BadProfile(f"profile {name}: {error.args[0]} is missing or unknown") from error
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise BadProfile(f"profile {name}: {error}") from error


def _profile_from(name: str, document: dict[str, Any]) -> Profile:
    unknown = sorted(document.keys() - KEYS)
    if unknown:
        raise BadProfile(f"profile {name}: unknown key {unknown[0]}; expected {', '.join(sorted(KEYS))}")
    if document["family"] not in FAMILIES:
        raise BadProfile(f"profile {name}: unknown family {document['family']}; expected {', '.join(FAMILIES)}")
    family = FAMILIES[document["family"]]
    codec, frame = codec_from(name, document.get("codec", "native"))
    table = table_from(family, document) if "fields" in document else None
    if (codec == "native") != (table is None):
        raise BadProfile(f"profile {name}: codec native goes without fields, every other codec with them")
    interval_s = float(document["interval_s"])
    if not interval_s > 0:
        raise BadProfile(f"profile {name}: interval_s is {interval_s:g}; expected seconds above 0")
    acknowledge = document.get("acknowledge", False)
    if not isinstance(acknowledge, bool) or (acknowledge and codec != "native"):
        raise BadProfile(f"profile {name}: acknowledge is {acknowledge}; expected true (codec native only) or false")
    return Profile(
        name=name,
        family=family,
        title=title_in(document),
        codec=codec,
        route=document.get("route"),
        interval_s=interval_s,
        behaviour=behaviour_in(document),
        examples=tuple(document["examples"]),
        table=table,
        _read_one=native_reader(family) if table is None else table_reader(table),
        _decode=CODECS.get(codec, CODECS["json"]),
        acknowledge=acknowledge,
        source=name_in(document, "source"),
        vendor=name_in(document, "vendor"),
        model=name_in(document, "model"),
        offline_after=offline_after_in(document),
        alarms=alarms_from(family, document.get("alarms", [])),
        panel=panel_from(family, document["panel"]) if "panel" in document else default_panel(family),
        _frame=frame,
    )


def behaviour_in(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The sections by metric; what is in them the laws judge. Raises ValueError."""
    behaviour = document.get("behaviour", {})
    if not isinstance(behaviour, dict):
        raise ValueError(f"behaviour is {behaviour!r}; expected metrics with a section each")
    return behaviour


def codec_from(name: str, entry: object) -> tuple[str, Callable[[object], object] | None]:
    """The codec's name, and how it unpacks a packet with a frame: None where the payload is the document."""
    if entry == "decoded":
        return "decoded", lambda document: server_decoded(document) if isinstance(document, dict) else document
    if isinstance(entry, str) and entry in CODECS:
        return entry, None
    if isinstance(entry, dict) and len(entry) == 1 and (kind := next(iter(entry))) in FRAME_CODECS:
        codec: FrameCodec = FRAME_CODECS[kind](entry[kind])
        return kind, lambda document: unpacked(codec, document)
    names = ", ".join([*CODECS, "decoded", *(f"{{{kind}: …}}" for kind in FRAME_CODECS)])
    raise BadProfile(f"profile {name}: unknown codec {entry}; expected {names}")


def fitting(route: Route, document: object) -> Profile | Rejected:
    """The profile of a route that a message is for, by the kind that the message says it is of."""
    candidates = [profile for profile in PROFILES.values() if profile.route == route.kind and profile.table]
    for profile in candidates:
        if profile.table and fits(profile.table, document):
            return profile
    kinds = ", ".join(sorted({str(p.table.match_value) for p in candidates if p.table and p.table.match_value}))
    said = document.get("type") if isinstance(document, dict) else None
    value = None if said is None else shown(said)
    detail = f"no profile of route {route.name} takes a message of type {value}; expected {kinds or 'none'}"
    return Rejected("profile", Reason.WRONG_SHAPE, "type", value, detail)


PROFILES: Mapping[str, Profile] = Shelf("profiles", profile_from)
