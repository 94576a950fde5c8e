"""An enrolment file → checked rows, or every mistake in it with its line and column."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from devices.envelopes.lorawan import normal_eui

DEVICE_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
REQUIRED = ("device", "profile", "area")
OPTIONAL = ("name", "lat", "lon", "alias")
LONGEST_NAME = 200

Profiles = Mapping[str, str | None]  # profile → the foreign route its messages come by, None for our own topic


class Row(NamedTuple):
    """One device to enrol. `route` and `foreign_id`: what a foreign system calls it, or None."""

    device: str
    profile: str
    area: str
    name: str | None = None
    lat: float | None = None
    lon: float | None = None
    route: str | None = None
    foreign_id: str | None = None


class Mistake(NamedTuple):
    """One thing wrong in the file. `line` counts from 1, the head included."""

    line: int
    column: str
    value: str
    detail: str


class Checked(NamedTuple):
    """All rows of a file, and all mistakes; rows may be enrolled only when there are none."""

    rows: list[Row]
    mistakes: list[Mistake]


def check_file(content: bytes, profiles: Profiles, areas: Collection[str]) -> Checked:
    """Read an enrolment CSV (UTF-8, comma separated, first line names the columns) against what the registry knows."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} is not UTF-8; save the file as UTF-8"
        return Checked([], [Mistake(1, "", "", detail)])
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        return check_rows(reader, profiles, areas)
    except csv.Error as error:
        return Checked([], [Mistake(reader.line_num, "", "", f"not readable as CSV: {error}")])


def check_rows(reader: "csv.DictReader[str]", profiles: Profiles, areas: Collection[str]) -> Checked:
    """Every row and every mistake, in one pass."""
    head = list(check_head(reader.fieldnames or []))
    if head:
        return Checked([], head)
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    first_line: dict[str, int] = {}
    first_alias: dict[str, int] = {}
    for fields in reader:
        line = reader.line_num
        found = list(check_row(line, fields, profiles, areas))
        device = fields["device"] or ""
        if device in first_line:
            found.append(Mistake(line, "device", device, f"stands on line {first_line[device]} already"))
        first_line.setdefault(device, line)
        alias = alias_of(fields)
        if alias in first_alias and not found:
            found.append(Mistake(line, "alias", alias, f"stands on line {first_alias[alias]} already"))
        if alias:
            first_alias.setdefault(alias, line)
        mistakes += found
        if not found:
            rows.append(to_row(fields))
    if not rows and not mistakes:
        mistakes.append(Mistake(1, "", "", "the file has a head and no devices"))
    return Checked(rows, mistakes)


def check_head(columns: Collection[str]) -> Iterator[Mistake]:
    """The first line must name the required columns and nothing unknown."""
    for column in REQUIRED:
        if column not in columns:
            yield Mistake(1, column, ",".join(columns), f"column missing; needed: {', '.join(REQUIRED)}")
    for column in columns:
        if column not in REQUIRED + OPTIONAL:
            yield Mistake(1, column, column, f"unknown column; allowed: {', '.join(REQUIRED + OPTIONAL)}")


def check_row(
    line: int,
    fields: "dict[str | None, str | None]",
    profiles: Profiles,
    areas: Collection[str],
) -> Iterator[Mistake]:
    """Every mistake of one row."""
    if None in fields or any(fields[column] is None for column in REQUIRED):
        yield Mistake(line, "", "", "more or fewer values than the first line names")
        return
    device, profile, area = (fields[column] or "" for column in REQUIRED)
    if not DEVICE_ID.fullmatch(device):
        yield Mistake(line, "device", device, "3 to 63 of a-z, 0-9 and -, not starting with -")
    if profile not in profiles:
        yield Mistake(line, "profile", profile, f"unknown profile; known: {', '.join(sorted(profiles))}")
    if area not in areas:
        yield Mistake(line, "area", area, f"unknown area; the zones of the plan are {', '.join(sorted(areas))}")
    if len(fields.get("name") or "") > LONGEST_NAME or "\0" in (fields.get("name") or ""):
        yield Mistake(line, "name", (fields["name"] or "")[:40], f"at most {LONGEST_NAME} characters, no NUL")
    yield from check_position(line, fields.get("lat") or "", fields.get("lon") or "")
    yield from check_alias(line, fields.get("alias") or "", profile, profiles.get(profile))


def check_position(line: int, lat: str, lon: str) -> Iterator[Mistake]:
    """Both coordinates or neither, in degrees; a swapped pair is told."""
    values = {}
    for column, text, limit in (("lat", lat, 90), ("lon", lon, 180)):
        if not text:
            continue
        value = number(text)
        if value is None:
            yield Mistake(line, column, text, "a number in degrees with a decimal point, such as 21.27")
            return
        if abs(value) > limit:
            swapped = column == "lat" and (number(lon) or 999) <= 90
            hint = "; latitude and longitude look swapped" if swapped else ""
            yield Mistake(line, column, text, f"-{limit} to {limit} degrees{hint}")
            return
        values[column] = value
    if len(values) == 1:
        yield Mistake(line, "lat" if "lon" in values else "lon", "", "latitude and longitude go together")


def alias_of(fields: "dict[str | None, str | None]") -> str:
    """A row's alias in the form in which it is kept; empty when there is none."""
    route, _, said = (fields.get("alias") or "").partition(":")
    return f"{route}:{foreign_name(route, said)}" if route else ""


def foreign_name(kind: str, said: str) -> str | None:
    """A foreign id as messages of this kind of route state it: for LoRaWAN the EUI in one notation; None when it is
    none."""
    if kind == "lorawan":
        return normal_eui(said)
    return said if said and "\0" not in said else None


def check_alias(line: int, alias: str, profile: str, route: str | None) -> Iterator[Mistake]:
    """A foreign name is written route:name, and the route is that of the profile."""
    if not alias:
        return
    said, colon, foreign_id = alias.partition(":")
    if route is None:
        yield Mistake(line, "alias", alias, f"profile {profile} has its own topic and needs no alias")
    elif said != route or not colon or foreign_name(route, foreign_id) is None:
        name = (
            "EUI, 16 hex digits"
            if route == "lorawan"
            else "name, where name is what the foreign system calls the device"
        )
        yield Mistake(line, "alias", alias, f"{route}:{name}")


def number(text: str) -> float | None:
    """A finite decimal number, or None."""
    return float(text) if re.fullmatch(r"[+-]?\d{1,3}(\.\d+)?", text) else None


def to_row(fields: "dict[str | None, str | None]") -> Row:
    """A checked row of the file."""
    route, _, foreign_id = (fields.get("alias") or "").partition(":")
    return Row(
        fields["device"] or "",
        fields["profile"] or "",
        fields["area"] or "",
        fields.get("name") or None,
        number(fields.get("lat") or ""),
        number(fields.get("lon") or ""),
        route or None,
        foreign_name(route, foreign_id) if route else None,
    )
