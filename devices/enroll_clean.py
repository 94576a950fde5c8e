"""Pieces of an enrolment file with nothing wrong or special in them, judged column by column.

Nearly every piece of a large file is one. It comes to the same lines as row by row, in less than half the time.
"""

from collections.abc import Callable, Sequence
from typing import Any
from unicodedata import is_normalized

from devices.enroll import Row, Terms, given_in, judged_in
from devices.enroll_cells import DEVICE_ID, LONGEST, Cells
from devices.enroll_place import place_of
from devices.enroll_read import Piece
from devices.enroll_stage import bits_of, line_of

SPECIAL = {"alias", "eui"}
TEXTS = ("name", "owner", "serial", "firmware")
AS_SAID = ("device", "profile", "name", "lat", "lon", "owner", "serial", "firmware")
Texts = Sequence[str]


def clean_lines(piece: Piece, terms: Terms) -> list[str] | None:
    """Lines of the COPY text format of `enrolling`; None where every row has to be looked at by itself."""
    said = plain_columns(piece)
    if said is None or not set(said["profile"]) <= terms.profiles.keys() or not are_ids(said["device"]):
        return None
    days, tags = taken(said["installed"], "installed", Cells.installed), taken(said["tags"], "tags", Cells.tags)
    states = taken(said["state"], "state", Cells.state)
    if days is None or tags is None or states is None:
        return None
    if any(max(map(len, said[name])) > LONGEST[name] for name in TEXTS):
        return None
    numbers = [number for number, _ in piece.rows]
    places = [place_of(*three, terms.areas) for three in zip(said["area"], said["lat"], said["lon"], strict=True)]
    areas = [place.area for place in places]
    end = f"{bits_of(given_in(piece.columns))}\t\t\n"
    lines = [
        f"{number}\t{device}\t{profile}\t{area}\t{name}\t{lat}\t{lon}\t\t\t{owner}\t{day}\t{serial}\t{firmware}\t"
        f"{tag}\t\t{state}\t{end}"
        for number, area, day, tag, state, device, profile, name, lat, lon, owner, serial, firmware in zip(
            *(numbers, areas, days, tags, states), *map(said.__getitem__, AS_SAID), strict=True
        )
    ]
    for odd, place in enumerate(places):
        if place.mistakes or place.warnings or place.area not in terms.areas:
            (judged,) = judged_in(Piece(piece.columns, [piece.rows[odd]]), terms)
            lines[odd] = line_of(judged)
    return lines


def plain_columns(piece: Piece) -> dict[str, Texts] | None:
    """The cells by column, empty ones for columns that are not there; None unless they can be written as they are."""
    width = len(piece.columns)
    rows = [cells for _, cells in piece.rows if len(cells) == width]
    if not rows or len(rows) < len(piece.rows) or SPECIAL.intersection(piece.columns):
        return None
    together = "".join(map("".join, rows))
    if not together.isprintable() or "\\" in together or "\ufffd" in together or not is_normalized("NFC", together):
        return None
    columns: dict[str, Texts] = dict.fromkeys(Row._fields, [""] * len(rows))
    for name, cells in zip(piece.columns, zip(*rows, strict=True), strict=True):
        columns[name] = [*map(str.strip, cells)]
    return columns


def are_ids(said: Texts) -> bool:
    """Whether each is the id of a device."""
    return all(map(DEVICE_ID.fullmatch, said))


def taken(said: Texts, column: str, read: Callable[[Cells], Any]) -> list[str] | None:
    """What is kept of cells that repeat much; None if one is wrong."""
    kept = {}
    for cell in set(said):
        cells = Cells(0, {column: cell})
        kept[cell] = str(read(cells) or "")
        if cells.mistakes:
            return None
    return [kept[cell] for cell in said]
