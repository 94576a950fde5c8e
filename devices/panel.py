"""What a profile says about how its readings are best shown: a hint, for dashboards to follow or not."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from devices.family import Family

Form = Literal["trend", "number", "states", "map", "table"]
PANEL_KEYS = frozenset(("form", "metrics", "amber", "red"))


@dataclass(frozen=True, slots=True)
class Panel:
    """`form`: lines over time, big numbers, bands of states, markers where the devices stand, or rows; `metrics`: what
    to show, the most telling first; `amber` and `red`: from where the first of them has colour, in its unit. With red
    below amber, low values are the bad ones."""

    form: Form
    metrics: tuple[str, ...]
    amber: float | None = None
    red: float | None = None


def default_panel(family: Family) -> Panel:
    """The headline over time; the first metric where a family has none."""
    return Panel("trend" if family.headline else "states", (family.headline or family.metrics[0].name,))


def panel_from(family: Family, entry: dict[str, Any]) -> Panel:
    """The panel that a profile asks for. Raises KeyError, TypeError, ValueError on a faulty entry."""
    unknown = sorted(entry.keys() - PANEL_KEYS)
    if unknown:
        raise ValueError(f"panel: unknown key {unknown[0]}; expected {', '.join(sorted(PANEL_KEYS))}")
    form, metrics = entry["form"], entry["metrics"]
    if form not in get_args(Form):
        raise ValueError(f"panel: form is {form}; expected {', '.join(get_args(Form))}")
    if not isinstance(metrics, list) or not metrics or not all(name in family.index for name in metrics):
        raise ValueError(f"panel: metrics is {metrics}; expected a list of {', '.join(family.index)}")
    amber, red = entry.get("amber"), entry.get("red")
    numbers = [n for n in (amber, red) if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(numbers) not in (0, 2) or (numbers and amber == red) or (not numbers and (amber, red) != (None, None)):
        raise ValueError(f"panel: amber is {amber} and red {red}; expected two different numbers, or neither")
    if numbers and family.metrics[family.index[metrics[0]]].kind == "state":
        raise ValueError(f"panel: amber and red are for numbers; {metrics[0]} is a state")
    return Panel(form, tuple(metrics), *map(float, numbers))
