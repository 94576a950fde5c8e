"""What the steps of the struct codec share: the frame as it is being read, and the place in the YAML being compiled."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from devices.codecs.struct_formula import BadFormula, Evaluate, formula
from devices.rejected import Reason, Rejected

MAX_SHOWN = 64


class BadSpec(ValueError):
    """A layout that cannot be understood; the message starts with the place in the YAML."""


class Refused(Exception):
    """A frame that cannot be read as the layout says; caught where a frame's reading begins."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.detail)
        self.rejected = rejected


class Scan:
    """A frame while it is read: `at` is the next byte, `end` where the part being read ends; `names` the values so far
    (those that start with _ are not given out); `documents` what stands for itself (records, refused rests)."""

    __slots__ = ("at", "documents", "end", "frame", "names")

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.at = 0
        self.end = len(frame)
        self.names: dict[str, Any] = {}
        self.documents: list[object] = []


Step = Callable[[Scan], None]


class Place(NamedTuple):
    """Where in the YAML a step stands: `where` as text, `order` of bytes, `known` names before it, `written` the names
    that the steps here give, `repeated` whether the step can run more than once for one document."""

    where: str
    order: str
    known: set[str]
    written: set[str]
    repeated: bool = False

    def below(self, key: object) -> "Place":
        """The place of a key or of an element."""
        return self._replace(where=f"{self.where}[{key}]" if isinstance(key, int) else f"{self.where}.{key}")

    def bad(self, problem: object) -> BadSpec:
        """The error that names this place."""
        return BadSpec(f"{self.where}: {problem}")

    def checked(self, entry: object, allowed: Iterable[str]) -> dict[str, Any]:
        """The entry as a mapping with no keys but those allowed. Raises BadSpec."""
        if not isinstance(entry, dict):
            raise self.bad(f"{str(entry)[:60]!r} is no mapping; expected keys such as {', '.join(sorted(allowed))}")
        unknown = sorted(str(key) for key in entry if key not in allowed)
        if unknown:
            raise self.bad(f"unknown key {unknown[0]}; expected one of {', '.join(sorted(allowed))}")
        return entry

    def formula(self, text: object, *more: str) -> Evaluate:
        """A formula over the names known here. Raises BadSpec."""
        try:
            return formula(text, self.known.union(more))
        except BadFormula as error:
            raise self.bad(error) from None

    def name(self, entry: object) -> str:
        """A name for a value, which is known from here on. Raises BadSpec."""
        if not isinstance(entry, str) or not entry.isidentifier() or not entry.isascii():
            raise self.bad(f"name {entry!r}; expected letters, digits and _, no digit in front")
        self.known.add(entry)
        self.written.add(entry)
        return entry


def refused(scan: Scan, at: int, field: str | None, problem: str, reason: Reason = Reason.MALFORMED) -> Refused:
    """A refusal that says at which byte of which frame."""
    return Refused(rejection(scan.frame, at, field, problem, reason))


def rejection(frame: bytes, at: int, field: str | None, problem: str, reason: Reason = Reason.MALFORMED) -> Rejected:
    """Why a frame cannot be read from byte `at` (from 0) on."""
    text = frame[:MAX_SHOWN].hex() + ("…" if len(frame) > MAX_SHOWN else "")
    return Rejected("codec", reason, field, text, f"byte {at} of {len(frame)}: {problem}")


def cut_off(scan: Scan, field: str | None, size: int) -> Refused:
    """A value that goes beyond the end."""
    left = scan.end - scan.at
    problem = (
        f"{field or 'a value'} takes {size} byte{'s' * (size != 1)} and {max(left, 0)} are left; "
        "the frame was cut off, or this is another model, firmware or port than the profile's"
    )
    return refused(scan, scan.at, field, problem)


def put(names: dict[str, Any], name: str, value: object) -> None:
    """Keep a value; under temperature_2, temperature_3 … when the name is taken."""
    if name in names:
        number = 2
        while f"{name}_{number}" in names:
            number += 1
        name = f"{name}_{number}"
    names[name] = value
