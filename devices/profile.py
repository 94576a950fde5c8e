"""What one device model sends and how it becomes readings: one YAML file each under `profiles/`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from devices.codecs import CODECS, encode
from devices.documents import read_yaml
from devices.family import FAMILIES, Family
from devices.mapping import Table, fits, redacted, table_from, table_reader
from devices.native import native_reader
from devices.raw import shown
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES, Route, foreign_entities

MAX_ELEMENTS = 10_000
"""Of one list: so that half a megabyte of commas does not become a quarter of a million rejections."""

Reader = Callable[[object, bytes], Reading | Rejected]
KEYS = frozenset(
    (
        *("title", "family", "codec", "route", "interval_s", "behaviour", "examples", "source"),
        *("roots", "match", "fields", "time", "seq", "drop", "private", "acknowledge"),
    )
)


class BadProfile(ValueError):
    """A profile file that cannot be understood; the message says what is wrong in it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A device model. `codec`: a name of `CODECS`; `route`: the foreign route its messages come on, None for our own
    topic; `interval_s`: seconds between two readings; `behaviour`: how the simulator moves each metric; `examples`: as
    in the file; `table`: the field table of a foreign format, None for our own message; `acknowledge`: whether its
    devices are told on `…/ack` what is settled."""

    name: str
    family: Family
    title: dict[str, str]
    codec: str
    route: str | None
    interval_s: float
    behaviour: dict[str, dict[str, Any]]
    examples: tuple[dict[str, Any], ...]
    table: Table | None
    _read_one: Reader = field(repr=False, compare=False)
    _decode: Callable[[bytes], object] = field(repr=False, compare=False)
    acknowledge: bool = False

    def decode(self, payload: bytes) -> object:
        """The document in the device's own words, or Rejected."""
        return self._decode(payload)

    def map(self, document: object, payload: bytes) -> list[Reading | Rejected]:
        """One entry for a document, one per element for a list; never empty."""
        if isinstance(document, list):
            return self._map_list(document, payload)
        return [self._read_one(document, payload)]

    def _map_list(self, documents: list[object], payload: bytes) -> list[Reading | Rejected]:
        if not documents:
            detail = "an empty list; expected at least one message in it"
            return [Rejected("profile", Reason.WRONG_SHAPE, None, "[]", detail)]
        if len(documents) > MAX_ELEMENTS:
            detail = f"{len(documents)} elements; expected at most {MAX_ELEMENTS}; send smaller lists, more often"
            return [Rejected("profile", Reason.TOO_LARGE, None, str(len(documents)), detail)]
        results = []
        for place, document in enumerate(documents, 1):
            element = encode(document, payload)
            results.append(placed(self._read_one(document, element), place, len(documents), element))
        return results

    def read(self, payload: bytes) -> list[Reading | Rejected]:
        """The readings of a message, or why there are none; at least one entry, and never an exception."""
        document = self._decode(payload)
        if type(document) is dict and self.route is None:
            return [self._read_one(document, payload)]
        if isinstance(document, Rejected):
            return [document]
        route = ROUTES.get(self.route or "")
        if route is None:
            return self.map(document, payload)
        parts = foreign_entities(route, "", document, payload)
        return [result for _, part, raw in parts for result in self.map(part, raw)]

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
    codec = document.get("codec", "native")
    if codec not in CODECS:
        raise BadProfile(f"profile {name}: unknown codec {codec}; expected {', '.join(CODECS)}")
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
        title={"vi": document["title"]["vi"], "en": document["title"]["en"]},
        codec=codec,
        route=document.get("route"),
        interval_s=interval_s,
        behaviour=document.get("behaviour", {}),
        examples=tuple(document["examples"]),
        table=table,
        _read_one=native_reader(family) if table is None else table_reader(table),
        _decode=CODECS[codec],
        acknowledge=acknowledge,
    )


def fitting(route: Route, document: object) -> Profile | Rejected:
    """The profile of a route that a message is for, by the kind that the message says it is of."""
    candidates = [profile for profile in PROFILES.values() if profile.route == route.name and profile.table]
    for profile in candidates:
        if profile.table and fits(profile.table, document):
            return profile
    kinds = ", ".join(sorted({str(p.table.match_value) for p in candidates if p.table and p.table.match_value}))
    said = document.get("type") if isinstance(document, dict) else None
    value = None if said is None else shown(said)
    detail = f"no profile of route {route.name} takes a message of type {value}; expected {kinds or 'none'}"
    return Rejected("profile", Reason.WRONG_SHAPE, "type", value, detail)


PROFILES: dict[str, Profile] = {name: profile_from(name, document) for name, document in read_yaml("profiles").items()}
