"""The province wall: how many devices speak, how fresh their data is, where they fall silent, what they say now.

reporting | readings/min | quarantined | slowest feed | per 100 people
data age, one number per family
map of districts                     | newest readings
fine dust by district                | readings per minute by outcome
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.board import board, selector
from dashboards.statements import choose, interval_s, per_family, statements
from dashboards.vocabulary import (
    ABSENT,
    MARKER,
    QUIET,
    RED,
    Column,
    Place,
    Source,
    Sql,
    Steps,
    district_map,
    kpi,
    newest_table,
    too_high,
    too_low,
    trend,
)
from dashboards.words import Words
from devices.area import ZONES
from devices.family import FAMILIES

CLOCK = units.DurationInHoursMinutesSeconds  # 00:01:30 reads the same in every language
NOTHING: Steps = ((None, QUIET), (0, RED), (0.01, QUIET))  # red when nothing at all is stored
LATE, STOPPED = 3, 10  # intervals without a reading
VN_AQI_100 = 50.0  # µg/m³ of PM2.5, Decision 1459/QĐ-TCMT
PROVINCES = sorted({zone.province for zone in ZONES})
LARGEST = max(PROVINCES, key=lambda province: sum(zone.people_2019 for zone in ZONES if zone.province == province))


def wall(words: Words, source: Source) -> grafana.Dashboard:
    """The dashboard `dothi-wall` in one language."""
    sql = wall_statements(words)

    def rows(name: str) -> Sql:
        return Sql(source, sql[name], "table")

    def lines(name: str) -> Sql:
        return Sql(source, sql[name], "time_series")

    panels = [
        kpi(words, "reporting", rows("reporting"), REPORTING, at=Place(0, 0, 7, 4)),
        kpi(words, "rate", rows("rate"), RATE, at=Place(7, 0, 4, 4)),
        kpi(words, "quarantined", rows("quarantined"), QUARANTINED, at=Place(11, 0, 4, 4)),
        kpi(words, "worst_age", rows("worst_age"), WORST_AGE, at=Place(15, 0, 5, 4)),
        kpi(words, "density", rows("density"), DENSITY, at=Place(20, 0, 4, 4)),
        kpi(words, "ages", rows("ages"), age_columns(words), at=Place(0, 4, 24, 5)),
        district_map(words, "districts", rows("districts"), DISTRICTS, at=Place(0, 9, 12, 10)),
        newest_table(words, "newest", rows("newest"), NEWEST, at=Place(12, 9, 12, 10)),
        trend(words, "fine_dust", lines("fine_dust"), FINE_DUST, at=Place(0, 19, 12, 8), limit=VN_AQI_100),
        trend(words, "settled", lines("settled"), SETTLED, at=Place(12, 19, 12, 8)),
    ]
    province = selector(words, "province", sql["provinces"], source, first=LARGEST)
    return board(words, "dothi-wall", "wall", [province], panels)


REPORTING = [
    Column("reporting"),
    Column("expected"),
    Column("share", units.Percent, 1, too_low(90, 75)),
]
RATE = [Column("per_minute", units.LocaleFormat, 0, NOTHING)]
QUARANTINED = [Column("share", units.Percent, 2, too_high(1, 5))]
WORST_AGE = [Column("age", CLOCK), Column("intervals", units.LocaleFormat, 1, too_high(LATE, STOPPED))]
DENSITY = [Column("density", units.LocaleFormat, 2), Column("target", units.LocaleFormat, 0)]
DISTRICTS = [
    Column("share", units.Percent, 0, too_low(90, 75, quiet=MARKER, absent=ABSENT)),
    Column("label"),
    Column("lat", units.LocaleFormat, 3),
    Column("lon", units.LocaleFormat, 3),
    Column("devices"),
    Column("reporting"),
    Column("people", units.LocaleFormat, 0),
    Column("devices_per_100", units.LocaleFormat, 2),
    Column("target_low"),
    Column("target_high"),
]
NEWEST = [
    Column("district", width=150),
    Column("family", width=150),
    Column("age", CLOCK, width=90),
    Column("device", width=150),
    Column("reading"),
]
FINE_DUST = [Column("pm25", units.MicrogramPerCubicMeter, 1)]
SETTLED = [Column("stored"), Column("duplicate"), Column("quarantined")]


def age_columns(words: Words) -> list[Column]:
    """One number per family, judged by the family's own interval."""
    return [
        Column(
            family.name,
            CLOCK,
            steps=too_high(LATE * interval_s(family), STOPPED * interval_s(family)),
            title=family.label[words.language],
        )
        for family in FAMILIES.values()
    ]


def wall_statements(words: Words) -> dict[str, str]:
    """The wall's SQL in one language, by panel."""
    texts = statements("wall")
    name = "p.name" if words.language == "vi" else "p.name_en"
    ages = per_family(texts["ages.feed"], ",\n       ", FAMILIES, words)
    worst = per_family(texts["worst_age.feed"], ", ", FAMILIES, words)
    newest = per_family(texts["newest.feed"], "\nUNION ALL ", FAMILIES, words)
    provinces = choose("province", {province: words(f"province.{province}") for province in PROVINCES})
    return texts | {
        "provinces": texts["provinces"].format(label=provinces),
        "ages": texts["ages"].format(feeds=ages),
        "worst_age": texts["worst_age"].format(feeds=worst),
        "districts": texts["districts"].format(name=name),
        "newest": texts["newest"].format(name=name, feeds=newest),
        "fine_dust": texts["fine_dust"].format(name=name),
    }
