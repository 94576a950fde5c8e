"""The colours that dashboards name, as Grafana's dark theme shows them."""

from collections.abc import Sequence
from zlib import crc32

TEXT, FAINT, PANEL, PAGE = "#CCCCDC", "#8E8E99", "#181B1F", "#111217"
_SHADES = ("super-light-", "light-", "", "semi-dark-", "dark-")
_HUES = {
    "red": ("#FFA6B0", "#FF7383", "#F2495C", "#E02F44", "#C4162A"),
    "orange": ("#FFCB7D", "#FFB357", "#FF9830", "#FF780A", "#FA6400"),
    "yellow": ("#FFF899", "#FFEE52", "#FADE2A", "#F2CC0C", "#E0B400"),
    "green": ("#C8F2C2", "#96D98D", "#73BF69", "#56A64B", "#37872D"),
    "blue": ("#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#1F60C4"),
    "purple": ("#DEB6F2", "#CA95E5", "#B877D9", "#A352CC", "#8F3BB8"),
}
NAMED = {shade + hue: colour for hue, row in _HUES.items() for shade, colour in zip(_SHADES, row, strict=True)} | {
    "text": TEXT,
    "transparent": "transparent",
    "white": "#FFFFFF",
    "black": "#000000",
    "gray": "#8E8E8E",
    "grey": "#8E8E8E",
}
SERIES = (
    "#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#A0866B", "#37872D", "#E0B400",
    "#70DBED", "#C15C17", "#D683CE", "#B7DBAB", "#F4D598", "#65C5DB", "#F9BA8F", "#EA6460", "#806EB7", "#CCCCDC",
)  # fmt: skip


def colour(name: str | None) -> str:
    """A colour as a browser reads it; what has no name here is taken as it is."""
    return NAMED.get(name or "text", name or TEXT)


def of_series(place: int) -> str:
    """The colour of a series by its place."""
    return SERIES[place % len(SERIES)]


def of_names(names: Sequence[str]) -> list[str]:
    """A colour for each name that depends on the name, so that a district keeps its colour on every panel; the next
    free one where two names meet."""
    taken: dict[int, str] = {}
    for name in names:
        place = crc32(name.encode()) % len(SERIES)
        while taken.get(place, name) != name and len(taken) < len(SERIES):
            place = (place + 1) % len(SERIES)
        taken[place] = name
    places = {name: place for place, name in taken.items()}
    return [of_series(places.get(name, at)) for at, name in enumerate(names)]
