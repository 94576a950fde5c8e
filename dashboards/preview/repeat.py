"""Panels that are drawn once for each choice of a variable."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

Panel = dict[str, Any]
Own = dict[str, tuple[str, str]]
"""Variable → its single value and the text of it."""

COLUMNS, ROWS_OF = 24, 4  # Grafana's grid, and how many stand side by side where a panel does not say


def repeated(
    panels: list[Panel], values: Mapping[str, object], shown: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[Panel, Own]]:
    """Every panel with the variables that are its own; what lies below a repeated one moves down."""
    moved: list[tuple[int, int]] = []
    for panel in sorted(panels, key=lambda one: (one["gridPos"]["y"], one["gridPos"]["x"])):
        down = sum(by for below, by in moved if panel["gridPos"]["y"] >= below)
        at = panel["gridPos"] | {"y": panel["gridPos"]["y"] + down}
        chosen = values.get(panel.get("repeat") or "")
        if not isinstance(chosen, tuple):
            yield panel | {"gridPos": at}, {}
            continue
        name = panel["repeat"]
        places = list(places_of(panel, at, len(chosen)))
        moved.append((panel["gridPos"]["y"] + at["h"], max(place["y"] for place in places) - at["y"]))
        for number, (value, text, place) in enumerate(zip(chosen, shown[name], places, strict=True)):
            yield panel | {"gridPos": place, "id": f"{panel['id']}-{number}"}, {name: (value, text)}


def places_of(panel: Panel, at: dict[str, int], number: int) -> Iterator[dict[str, int]]:
    """Where the repetitions lie: side by side over the whole width, or below each other."""
    if panel.get("repeatDirection", "h") == "v":
        yield from (at | {"y": at["y"] + n * at["h"]} for n in range(number))
        return
    across = max(1, min(number, int(panel.get("maxPerRow") or ROWS_OF)))
    wide = math.floor(COLUMNS / across)
    for n in range(number):
        yield at | {"x": n % across * wide, "y": at["y"] + n // across * at["h"], "w": wide}
