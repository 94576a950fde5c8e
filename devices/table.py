"""The field table of a profile: where each metric stands in a foreign document, in which unit, in whose words."""

from dataclasses import dataclass
from typing import Any

from devices.family import Family, Metric
from devices.paths import Path, path
from devices.units import SAME, Conversion, conversion

NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Field:
    """Where a metric stands in the document. `units`: where the document names units by the path of the value;
    `states`: the device's words → ours, `*` for every other word, None for a word that says nothing of this metric;
    `signed`: whether the device can send a value below zero."""

    metric: Metric
    place: int
    paths: tuple[Path, ...]
    unit: str
    convert: Conversion
    unit_paths: tuple[Path, ...]
    units: Path | None
    states: dict[str, str | None]
    between: tuple[Path, Path] | None
    signed: bool


@dataclass(frozen=True, slots=True)
class Table:
    """How a profile reads a foreign document.

    `roots`: where the fields' paths may start, the first that is there; `ago_paths`: how long before its time, or
    before receipt where it has none, a document was measured; `uplink`: the document is of a LoRaWAN server, whose
    time and frame counter count where the profile names no other.
    """

    family: Family
    fields: tuple[Field, ...]
    roots: tuple[Path, ...]
    match_path: Path | None
    match_value: str | None
    time_paths: tuple[Path, ...]
    time_unit: str
    time_zone: str | None
    ago_paths: tuple[Path, ...]
    ago_unit: Conversion
    seq_paths: tuple[Path, ...]
    dropped: frozenset[Path]
    private_paths: frozenset[Path]
    private_keys: frozenset[str]
    uplink: bool = False
    notice: Path | None = None

    @property
    def private(self) -> bool:
        """Whether some fields must never be stored."""
        return bool(self.private_paths or self.private_keys)


def paths_of(entry: str | list[str]) -> tuple[Path, ...]:
    """One path or a list of candidates."""
    return tuple(path(text) for text in ([entry] if isinstance(entry, str) else entry))


def field_from(family: Family, entry: dict[str, Any], units: Path | None = None) -> Field:
    """A row of the field table. Raises KeyError, ValueError (UnknownUnit) on a faulty one."""
    unknown = entry.keys() - {"metric", "path", "unit", "unit_path", "map", "between", "signed"}
    if unknown:
        raise ValueError(f"unknown key {min(unknown)} in the field of {entry['metric']}")
    place = family.index[entry["metric"]]
    metric = family.metrics[place]
    unit = str(entry.get("unit", metric.unit))
    between = entry.get("between")
    return Field(
        metric=metric,
        place=place,
        paths=paths_of(entry.get("path", [])),
        unit=unit,
        convert=SAME if metric.states else conversion(unit, metric.unit),
        unit_paths=paths_of(entry.get("unit_path", [])),
        units=units,
        states=entry.get("map", {}),
        between=(path(between[0]), path(between[1])) if between else None,
        signed=bool(entry.get("signed", metric.low < 0)),
    )


def table_from(family: Family, document: dict[str, Any]) -> Table:
    """The field table of a profile file. Raises KeyError, TypeError, ValueError on a faulty one."""
    time, match = document.get("time", {}), document.get("match", {})
    private = document.get("private", [])
    units = path(document["units"]) if "units" in document else None
    return Table(
        family=family,
        fields=tuple(field_from(family, entry, units) for entry in document["fields"]),
        roots=paths_of(document.get("roots", ["."])),
        match_path=path(match["path"]) if match else None,
        match_value=match.get("value"),
        time_paths=paths_of(time.get("path", [])),
        time_unit=time.get("unit", "rfc3339"),
        time_zone=time.get("zone"),
        ago_paths=paths_of(time.get("ago", [])),
        ago_unit=conversion(time.get("ago_unit", "s"), "s"),
        seq_paths=paths_of(document.get("seq", {}).get("path", [])),
        dropped=frozenset(paths_of(document.get("drop", []))),
        private_paths=frozenset(path(text) for text in private if "." in text),
        private_keys=frozenset(text for text in private if "." not in text),
        uplink=document.get("route") == "lorawan",
        notice=notice_path(document),
    )


def notice_path(document: dict[str, Any]) -> Path | None:
    """Where a codec of ours says that by design there is no reading; other systems' words never count as that."""
    if document.get("route") == "lorawan":
        return ("data", NOTICE)
    return (NOTICE,) if document.get("codec") == "cayenne-lpp" else None
