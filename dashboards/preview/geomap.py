"""Markers on a map without tiles: the places of the answer in web Mercator, as SVG."""

import json
import math
from base64 import b64decode
from html import escape
from typing import Any

from dashboards.preview.blocks import absent
from dashboards.preview.frame import Field, Frame
from dashboards.preview.palette import colour
from dashboards.preview.style import Style, style_of, title_of

WIDE = 1000.0
Point = tuple[float, float]


def mercator(lat: float, lon: float) -> Point:
    """Web Mercator as a share of the world: (0, 0) is north west."""
    sine = math.sin(math.radians(max(-85.0, min(85.0, lat))))
    return (lon + 180) / 360, 0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi)


def place_of(frame: Frame, location: dict[str, Any]) -> list[Point | None]:
    """Where each row lies; None without both coordinates."""
    lat = frame.named(location.get("latitude") or "lat") or frame.named("latitude")
    lon = frame.named(location.get("longitude") or "lon") or frame.named("longitude")
    if lat is None or lon is None:
        return [None] * frame.rows
    pairs = zip(lat.values, lon.values, strict=True)
    return [mercator(one, other) if one is not None and other is not None else None for one, other in pairs]


class View:
    """From the world to the picture: what is seen fits the data, or lies around the centre that the panel names."""

    def __init__(self, panel: dict[str, Any], points: list[Point]) -> None:
        at = panel["gridPos"]
        self.pixel = WIDE / (at["w"] * 78)  # of a wall of 1,920, in units of the picture
        self.high = (at["h"] * 38 - 42) * self.pixel
        view = panel.get("options", {}).get("view", {})
        if view.get("id") == "coords" and view.get("lat") is not None:
            self.middle = mercator(view["lat"], view["lon"])
            self.scale = 256 * 2 ** float(view.get("zoom", 8)) * self.pixel
            return
        xs, ys = [x for x, _ in points], [y for _, y in points]
        self.middle = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
        wide, high = max(max(xs) - min(xs), 1e-5), max(max(ys) - min(ys), 1e-5)
        self.scale = min(
            0.9 * WIDE / wide, 0.88 * self.high / high, 256 * 2 ** float(view.get("zoom") or 12) * self.pixel
        )

    def __call__(self, point: Point) -> Point:
        x, y = (point[n] - self.middle[n] for n in (0, 1))
        return WIDE / 2 + x * self.scale, self.high / 2 + y * self.scale


def geomap(panel: dict[str, Any], frames: list[Frame]) -> str:
    """All layers of markers, the last one on top."""
    layers = [
        layer for layer in panel.get("options", {}).get("layers", []) if layer.get("type") in ("markers", "heatmap")
    ]
    laid = [
        (layer, frame, place_of(frame, layer.get("location", {})))
        for layer in layers
        for frame in asked(panel, layer, frames)
    ]
    points = [point for *_, places in laid for point in places if point]
    if not points:
        return absent(panel)
    view = View(panel, points)
    drawn = "".join(borders(layer, view) for layer in panel["options"]["layers"] if layer.get("type") == "geojson")
    drawn += "".join(markers(panel, layer, frame, places, view) for layer, frame, places in laid)
    return f'<svg class="map" viewBox="0 0 {WIDE:g} {view.high:.0f}" preserveAspectRatio="xMidYMid meet">{drawn}</svg>'


def borders(layer: dict[str, Any], view: View) -> str:
    """The lines of a GeoJSON layer whose document stands in its address."""
    form, _, text = layer["config"]["src"].partition(",")
    if not form.startswith("data:"):
        return ""
    style = layer["config"]["style"]
    look = (
        f'fill="none" stroke="{colour(style["color"]["fixed"])}" stroke-width="{style["lineWidth"] * view.pixel:.2f}"'
    )
    lines = [line for one in json.loads(b64decode(text))["features"] for line in one["geometry"]["coordinates"]]
    paths = (" ".join("{:.1f},{:.1f}".format(*view(mercator(lat, lon))) for lon, lat in line) for line in lines)
    return "".join(f'<polyline points="{path}" {look}/>' for path in paths)


def asked(panel: dict[str, Any], layer: dict[str, Any], frames: list[Frame]) -> list[Frame]:
    """The frames that a layer draws: those of its own query where it names one."""
    refs = [target.get("refId") for target in panel.get("targets", [])]
    own = (layer.get("filterData") or {}).get("options")
    return [frame for ref, frame in zip(refs, frames, strict=False) if own in (None, ref)] if own else frames


def markers(panel: dict[str, Any], layer: dict[str, Any], frame: Frame, places: list[Point | None], view: View) -> str:
    """One layer."""
    style = layer.get("config", {}).get("style", {})
    tint, text = field_of(frame, style, "color"), field_of(frame, style, "text")
    sizes = radii(field_of(frame, style, "size"), style.get("size", {}), frame.rows)
    look = style_of(panel, tint) if tint else None
    fixed = colour(style.get("color", {}).get("fixed", "dark-green"))
    made: list[str] = []
    for row, point in enumerate(places):
        if point is None:
            continue
        x, y = view(point)
        fill = look.show(tint.values[row]).colour if look and tint else fixed
        said = escape(tip(panel, frame, row))
        made.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{sizes[row] * view.pixel:.1f}" fill="{fill}" '
            f'fill-opacity="{style.get("opacity", 0.4)}" stroke="{fill}"><title>{said}</title></circle>'
        )
        if text and text.values[row] is not None:
            made.append(label(str(text.values[row]), x, y, style.get("textConfig", {}), view.pixel))
    return "".join(made)


def field_of(frame: Frame, style: dict[str, Any], what: str) -> Field | None:
    """The column that decides colour, size or text."""
    return frame.named(style.get(what, {}).get("field") or "")


def radii(field: Field | None, size: dict[str, Any], rows: int) -> list[float]:
    """The radius of each marker, in pixels."""
    fixed = float(size.get("fixed", 5))
    if field is None:
        return [fixed] * rows
    least, most = float(size.get("min", 2)), float(size.get("max", 15))
    numbers = [float(value) for value in field.values if isinstance(value, int | float)]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    span = (high - low) or 1.0
    return [least + (most - least) * (float(value or 0) - low) / span for value in field.values]


def label(text: str, x: float, y: float, config: dict[str, Any], pixel: float) -> str:
    """Lines of text beside a marker."""
    size = pixel * float(config.get("fontSize", 12))
    left, top = x + pixel * float(config.get("offsetX", 0)), y + pixel * float(config.get("offsetY", 0))
    anchor = {"left": "start", "right": "end"}.get(config.get("textAlign", "center"), "middle")
    lines = text.split("\n")
    hangs = config.get("textBaseline") == "top"
    first = top + (size if hangs else size / 3 - (len(lines) - 1) / 2 * size * 1.15)
    spans = "".join(
        f'<tspan x="{left:.1f}" y="{first + n * size * 1.15:.1f}">{escape(line)}</tspan>'
        for n, line in enumerate(lines)
    )
    return f'<text font-size="{size:g}" text-anchor="{anchor}">{spans}</text>'


def tip(panel: dict[str, Any], frame: Frame, row: int) -> str:
    """What a marker says when the mouse is over it."""
    styles: list[tuple[Field, Style]] = [(field, style_of(panel, field)) for field in frame.fields]
    return "\n".join(f"{title_of(style, field)}: {style.show(field.values[row]).text}" for field, style in styles)
