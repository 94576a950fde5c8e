"""An enrolment file judged in memory: by the rules of devices.enroll, with its own look for what stands in it twice.

The registry looks for that in SQL; a law holds the two against each other.
"""

import io
from collections.abc import Collection, Iterator
from typing import NamedTuple

from devices.enroll import Mistake, Profiles, Row, Terms, judged_rows


class Checked(NamedTuple):
    """All rows of a file, and all mistakes; rows may be enrolled only when there are none."""

    rows: list[Row]
    mistakes: list[Mistake]


def check_file(content: bytes, profiles: Profiles, areas: Collection[str]) -> Checked:
    """All rows and mistakes of a file that fits into memory; what stands in it twice is a mistake."""
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    first: dict[str, int] = {}
    for line, device, row, found, _ in judged_rows(io.BytesIO(content), Terms(profiles, areas)):
        said = [
            (column, value)
            for column, value in unique_in(device, row)
            if first.setdefault(f"{column} {value}", line) != line
        ]
        # For LoRaWAN the alias is the EUI: it is not said twice.
        said = [one for one in said if one[0] != "eui" or not any(column == "alias" for column, _ in said)]
        again = [Mistake(line, column, value, again_on(first[f"{column} {value}"])) for column, value in said]
        mistakes += found + again
        if row and not again:
            rows.append(row)
    return Checked(rows, mistakes)


def unique_in(device: str, row: Row | None) -> Iterator[tuple[str, str]]:
    """Columns and values of a row that no second row may have."""
    if device:
        yield "device", device
    if row and row.foreign_id:
        for name in (row.foreign_id, *row.further):
            yield "alias", f"{row.route}:{name}"
    if row and row.eui:
        yield "eui", row.eui


def again_on(line: int) -> str:
    """What is said of something that must not stand in the file twice."""
    return f"stands on line {line} already"
