"""A map at any scale: the server's cells below, the districts with their names above."""

from grafana_foundation_sdk.models import common, geomap, units
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.column import COUNT, SHARE, Column, plain
from dashboards.palette import ABSENT, BLUE, BORDER, LOST, MARKER, ORANGE, RED, YELLOW, Shown, too_low
from dashboards.pen import Pen
from dashboards.vocabulary import Look, panel

# What a place is coloured by; the statements count like this.
STANDING = {
    0: ("none", ABSENT),
    1: ("ok", MARKER),
    2: ("lost", LOST),
    3: ("warning", BLUE),
    4: ("minor", YELLOW),
    5: ("major", ORANGE),
    6: ("critical", RED),
}
PLACES = [Column("lat", COUNT, 3), Column("lon", COUNT, 3)]


def grid_map(pen: Pen, key: str, w: int) -> grafana.Panel:
    """Outlines of districts, cells of the statement `cells` (the colour says what is wrong, the size how many devices),
    districts with their names above (statement `districts`), each a way to the district's board."""
    layers = [
        outlines(pen),
        markers("cells", "A", "standing", size=("devices", 3, 10), opacity=0.85),
        markers("districts", "B", "standing", size=("expected", 5, 5), opacity=1.0, label="label"),
    ]
    # Both answers have lat, lon and devices; titles must do for both.
    columns = [
        standing(pen),
        Column("share", SHARE, 0, too_low(90, 75)),
        plain("label", link="dothi-district"),
        plain("area"),
        *PLACES,
        Column("devices"),
        Column("online"),
        Column("expected"),
        Column("reporting"),
    ]
    queries = [pen.rows("cells", "A"), pen.rows("districts", "B")]
    return panel(pen, key, queries, columns, w, Look("geomap", options(layers, "cells")))


def standing(pen: Pen) -> Column:
    """How a cell stands, in words and colour."""
    steps = tuple((rank or None, color) for rank, (_, color) in STANDING.items())
    words = {str(rank): Shown(pen.words(f"standing.{name}")) for rank, (name, _) in STANDING.items()}
    return Column("standing", units.LocaleFormat, 0, steps, shown=words)


def markers(
    name: str, query: str, color: str, size: tuple[str, int, int], opacity: float, label: str | None = None
) -> common.MapLayerOptions:
    """A layer of circles; `size`: by which field, from and to how many pixels."""
    field, least, most = size
    style: dict[str, object] = {
        "color": {"field": color, "fixed": MARKER},
        "opacity": opacity,
        "rotation": {"fixed": 0, "max": 360, "min": -360, "mode": "mod"},
        "size": {"field": field, "fixed": least, "max": most, "min": least},
        "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
    }
    if label:
        style["text"] = {"field": label, "fixed": "", "mode": "field"}
        style["textConfig"] = {
            "fontSize": 15,
            "offsetX": 0,
            "offsetY": 9,
            "textAlign": "center",
            "textBaseline": "top",
        }
    return common.MapLayerOptions(
        type_val="markers",
        name=name,
        location=common.FrameGeometrySource(
            mode=common.FrameGeometrySourceMode.COORDS, latitude="lat", longitude="lon"
        ),
        filter_data={"id": "byRefId", "options": query},
        config={"showLegend": False, "style": style},
        tooltip=True,
    )


def outlines(pen: Pen) -> common.MapLayerOptions:
    """Where districts end."""
    style = {"color": {"fixed": BORDER}, "opacity": 1.0, "lineWidth": 1}
    return common.MapLayerOptions(
        type_val="geojson",
        name="outlines",
        config={"src": pen.source.outlines.address, "rules": [], "style": style},
        tooltip=False,
    )


def options(layers: list[common.MapLayerOptions], fitted: str) -> geomap.Options:
    """The view fits what the layer `fitted` holds, which is what is chosen; `zoom` is only how near that may come.

    The base map is the server's own default, so that a centre without internet can set its own or none.
    """
    return geomap.Options(
        view=geomap.MapViewConfig(
            id_val="fit", lat=None, lon=None, zoom=12, padding=5, all_layers=False, last_only=False, layer=fitted
        ),
        controls=geomap.ControlsOptions(show_zoom=True, mouse_wheel_zoom=False, show_attribution=True),
        basemap=common.MapLayerOptions(type_val="default", name="base", config={}),
        layers=layers,
        tooltip=geomap.TooltipOptions(mode=geomap.TooltipMode.DETAILS),
    )
