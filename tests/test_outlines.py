"""Outlines of districts: ours or a province's, with whose they are, and no finer than a map can show."""

import json
import math
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.outlines import DATA, FINE, Outlines, OutlinesRefused, off, ours, outlines_from, thin
from dashboards.preview.frame import Field, Frame
from dashboards.preview.geomap import geomap
from dashboards.tree import dashboards
from devices.area import ZONES
from tests.stack import dothi

SQUARE = [[106.0, 21.0], [106.2, 21.0], [106.2, 21.2], [106.0, 21.2], [106.0, 21.0]]
GOOD: dict[str, Any] = {
    "type": "FeatureCollection",
    "attribution": "UBND tỉnh",
    "license": "ODbL",
    "features": [
        {"type": "Feature", "properties": {"code": "213"}, "geometry": {"type": "Polygon", "coordinates": [SQUARE]}}
    ],
}


def drawn(outlines: Outlines) -> dict[str, Any]:
    """District → its lines, as Grafana reads them."""
    document = json.loads(b64decode(outlines.address.removeprefix(DATA)))
    return {one["properties"]["code"]: one["geometry"]["coordinates"] for one in document["features"]}


def test_every_district_of_the_plan_is_drawn_and_it_is_said_whose_outlines_they_are() -> None:
    assert set(drawn(ours())) == {zone.code for zone in ZONES}
    assert "CC0" in ours().said
    assert len(ours().address) < 50_000  # it stands in every board that has a map


def test_a_province_may_bring_its_own() -> None:
    brought = outlines_from(GOOD)
    assert drawn(brought) == {"213": [SQUARE]}
    wall = json.loads(dashboards("postgres", brought)["dothi-wall.json"])
    maps = [panel for panel in wall["panels"] if panel["type"] == "geomap"]
    assert [one["options"]["layers"][0]["config"]["src"] for one in maps] == [brought.address]
    assert all("UBND tỉnh (ODbL)" in one["description"] for one in maps)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "Feature"}, "no GeoJSON FeatureCollection"),
        ({"license": " "}, "license: none is given"),
        ({"attribution": None}, "attribution: none is given"),
        ({"features": []}, "features: none"),
        ({"features": [{"properties": {"code": "999"}}]}, "feature 1: code 999 is not known; allowed are 058"),
        ({"features": [7]}, "feature 1: code None"),
        ({"features": [{"properties": {"code": "213"}, "geometry": {"type": "Point"}}]}, "213: geometry Point"),
        (
            {"features": [{"properties": {"code": "213"}, "geometry": {"type": "Polygon", "coordinates": [7]}}]},
            "213: coordinates are no rings",
        ),
        (
            {
                "features": [
                    {
                        "properties": {"code": "213"},
                        "geometry": {"type": "Polygon", "coordinates": [[[x * 1e5, y] for x, y in SQUARE]]},
                    }
                ]
            },
            "not in degrees",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(OutlinesRefused, match=said):
        outlines_from(GOOD | change)


def test_the_command_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.geojson"
    wrong.write_text(json.dumps(GOOD | {"license": ""}), "utf-8")
    done = dothi("dashboards", "build", str(tmp_path / "tree"), "--outlines", str(wrong), check=False)
    assert done.returncode == 2
    assert "--outlines" in done.stderr
    assert "license: none is given" in " ".join(done.stderr.split())


places = st.tuples(st.floats(105, 107), st.floats(21, 22))


@given(st.lists(places, min_size=2, max_size=60))
def test_no_place_that_was_left_out_lies_far_from_the_line(ring: list[tuple[float, float]]) -> None:
    kept = thin(ring)
    rounding = 1e-3
    assert math.dist(kept[0], ring[0]) < rounding
    assert math.dist(kept[-1], ring[-1]) < rounding
    for place in ring:
        assert min(off(place, one, other) for one, other in pairwise(kept)) <= FINE + rounding


def test_the_preview_draws_them_below_the_places() -> None:
    wall = json.loads(dashboards("postgres", outlines_from(GOOD))["dothi-wall.json"])
    (panel,) = (one for one in wall["panels"] if one["type"] == "geomap")
    cells = Frame([Field("lat", [21.1]), Field("lon", [106.1]), Field("standing", [1]), Field("devices", [5])])
    picture = geomap(panel, [cells, Frame([])])
    assert picture.index("<polyline") < picture.index("<circle")
