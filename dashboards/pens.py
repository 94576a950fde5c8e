"""The pens of boards: what stands for the names in braces of their statements."""

from collections.abc import Sequence

from dashboards.extents import extents
from dashboards.measured import unit_written
from dashboards.palette import SEVERITIES
from dashboards.pen import Pen, Source
from dashboards.pieces import Pieces
from dashboards.statements import choose, listed, literal, per_family, statements, values
from dashboards.words import Words
from devices.area import ZONES
from devices.family import FAMILIES, Family

PROVINCES = sorted({zone.province for zone in ZONES})
LARGEST = max(PROVINCES, key=lambda province: sum(zone.people_2019 for zone in ZONES if zone.province == province))
FIRST_AREA = max((zone for zone in ZONES if zone.province == LARGEST), key=lambda zone: zone.urban_share)
BY_PROVINCE, BY_AREA = "province IN ($province)", "area IN ($area)"

# Rollups by zoom: hours up to some nine days, then local days. 18 districts stay below 5,000 rows a query.
ZOOM = {"hourly": "$__interval_ms < 7200000", "daily": "$__interval_ms >= 7200000"}


def pen_of(words: Words, source: Source, file: str, chosen: str, families: Sequence[Family] | None = None) -> Pen:
    """`chosen`: the condition on city.plan that the board's variables make; `families`: what it is about, None: all."""
    about = tuple(FAMILIES.values() if families is None else families)
    names = listed(tuple(family.name for family in about))
    vietnamese = words.language == "vi"
    fill = ZOOM | {
        "name": "p.name" if vietnamese else "p.name_en",
        "message": "message" if vietnamese else "coalesce(message_en, message)",
        "finding": "f.title_vi" if vietnamese else "f.title_en",
        "class_": "class_vi" if vietnamese else "class",
        "band": "vn_category" if vietnamese else "vn_category_en",
        "advice": "everyone_vi" if vietnamese else "everyone_en",
        "level_name": "level_name" if vietnamese else "level_name_en",
        "today": "(now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date",
        "yesterday": literal(f" ({words('yesterday')})"),
        # A gauge without levels of its own goes by its device's name.
        "gauge": "CASE WHEN r.river = '' THEN coalesce(r.name, r.device) ELSE r.station END",
        "province_name": choose("province", {province: words(f"province.{province}") for province in PROVINCES}),
        "known_by": literal(words("known_by") + " "),
        "of_board": "true" if families is None else f"family IN ({names})",
        "alarms_of_board": "true" if families is None else Pieces({}).piece("alarm_of", names),
        "map_families": "(NULL::text)" if families is None else values([(family.name,) for family in about]),
        "extents": values(extents()),
        "severities": values([(name, words(f"severity.{name}")) for name in SEVERITIES]),
        "feeds": per_family(statements("common")["worst_age.feed"], ", ", about, words),
        "metric_labels": values(labels(words, about)),
        "chosen": chosen,
        "choosable": "true",
        "outlines": source.outlines.said,
    }
    return Pen(words, source, file, fill)


def labels(words: Words, families: Sequence[Family]) -> list[tuple[str | float | None, ...]]:
    """Rows (family, metric, its label with the unit) of all that families measure or tell."""
    return [
        (family.name, metric.name, f"{metric.label[words.language]}{unit_written(metric)}")
        for family in families
        for metric in family.metrics
    ]
