"""What a province's readings take on disk: by family and kind, for how many days, and what each choice would save.

Bytes of rows are reckoned from PostgreSQL's page layout and the metrics that a family's devices send; a stack that runs
gives measured ones instead.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from devices.family import Family, Metric
from simulators.behaviour import voices
from simulators.fleet import native_profile
from simulators.plan import DAY_S, Plan

PAGE, PAGE_HEADER, LINE_POINTER, ROW_HEADER, ALIGNED = 8192, 24, 4, 23, 8
FIXED_COLUMNS = 8
"""time, seq, received, batch, boot, device, area and extra; boot and extra are NULL in most rows."""
INDEX_BYTES = 67
"""Of a reading in its unique index. Measured: 14.4 million readings of 10,000 devices, in the order of arrival, 67.5 B;
filled in order it would be 36."""
WAL_BYTES = 258
"""Of a reading in the write-ahead log. Measured on the same rows, full pages after checkpoints included; it is reused,
so it is a rate and no space."""
LAKE_BASE, LAKE_METRIC = 7.3, 0.85
"""Of a reading in the lake. Measured on the same rows: 9.8 B with three metrics rounded to 0.1 or 0.01."""
ROLLUP_FIXED, ROLLUP_METRIC = 28, 32
"""Of a rollup row beside its header: bucket, device, area, n and completeness; and per metric avg, min, max and n."""
ROLLUP_INDEX_BYTES = 36
COLUMNSTORE_SHARE = 0.155
"""What converted chunks keep of their bytes: 26.3 of 171 B a reading (docs/storage.md, Community edition 2.19.3)."""
WITHOUT_LAKE_DAYS = 3650
PROVINCE_LOW, PROVINCE_HIGH = 308e12, 408e12
"""Storage of the provincial data centre, bytes: 69 and 87 servers (progress report of Bắc Giang, 2024)."""


class Measured(NamedTuple):
    """Bytes of a family's rows with their index, from a stack that runs; None where it has too few rows to tell."""

    reading: float | None = None
    rollup_1h: float | None = None
    rollup_1d: float | None = None
    lake: float | None = None


class FamilyBytes(NamedTuple):
    """What one family takes. Bytes per day, except `newest_bytes`, which is there once; rows with their index."""

    family: str
    devices: int
    readings_per_day: int
    bytes_per_reading: float
    readings: int
    rollup_1h: int
    rollup_1d: int
    wal: int
    lake: int
    newest_bytes: int
    measured: bool


class Disk(NamedTuple):
    """A disk: bytes free for the platform, and of which folder."""

    free: int
    where: str


def sent_metrics(family: Family) -> tuple[Metric, ...]:
    """The metrics that devices with the family's native profile send."""
    return tuple(voice.metric for voice in voices(native_profile(family.name)))


def aligned(size: int) -> int:
    """Rows and row headers begin at multiples of eight bytes."""
    return -(-size // ALIGNED) * ALIGNED


def reading_bytes(columns: int, sent: tuple[Metric, ...]) -> float:
    """Bytes of a reading's row without index, its share of the page included.

    `columns`: all metrics of the family, of which `sent` are not NULL.

    >>> from devices.family import FAMILIES
    >>> sent = sent_metrics(FAMILIES["air_quality"])
    >>> len(sent) > 0, reading_bytes(8, sent[:3])
    (True, 101.1)
    """
    header = aligned(ROW_HEADER + -(-(FIXED_COLUMNS + columns) // 8))
    fixed = 4 * 8 + 8  # four of eight bytes; device and area fill the next eight
    states = sum(metric.kind == "state" for metric in sent)
    row = aligned(header + fixed + 8 * (len(sent) - states) + 2 * states) + LINE_POINTER
    return round(PAGE / ((PAGE - PAGE_HEADER) // row), 1)


def rollup_bytes(metrics: int) -> int:
    """Bytes of a rollup row with its index."""
    return aligned(ROW_HEADER + 4) + aligned(ROLLUP_FIXED + ROLLUP_METRIC * metrics) + LINE_POINTER + ROLLUP_INDEX_BYTES


def family_bytes(family: Family, devices: int, interval_s: float, measured: Measured) -> FamilyBytes:
    """What the devices of a family take in a day."""
    sent = sent_metrics(family)
    rows = round(devices * DAY_S / interval_s)
    row = measured.reading or reading_bytes(len(family.metrics), sent) + INDEX_BYTES
    rollup = rollup_bytes(len(sent))
    return FamilyBytes(
        family=family.name,
        devices=devices,
        readings_per_day=rows,
        bytes_per_reading=round(row, 1),
        readings=round(rows * row),
        rollup_1h=round(min(rows, 24 * devices) * (measured.rollup_1h or rollup)),
        rollup_1d=round(min(rows, devices) * (measured.rollup_1d or rollup)),
        wal=rows * WAL_BYTES,
        lake=round(rows * (measured.lake or LAKE_BASE + LAKE_METRIC * len(sent))),
        newest_bytes=round(devices * row),
        measured=measured.reading is not None,
    )


def days_kept(kept: Mapping[str, timedelta], *names: str) -> float:
    """Days of the first of the names that has a retention of its own."""
    return next(kept[name] for name in names if name in kept) / timedelta(days=1)


def at_rest(families: list[FamilyBytes], kept: Mapping[str, timedelta], readings_days: float | None = None) -> int:
    """Bytes in the database once everything has been kept as long as it is."""
    total = 0.0
    for one in families:
        total += one.readings * (readings_days or days_kept(kept, one.family, ""))
        total += one.rollup_1h * days_kept(kept, f"{one.family}_1h", "1h")
        total += one.rollup_1d * days_kept(kept, f"{one.family}_1d", "1d")
        total += one.newest_bytes
    return round(total)


def choices(families: list[FamilyBytes], kept: Mapping[str, timedelta], late_days: float) -> list[dict[str, Any]]:
    """What each choice takes after ten years, all readings of which are to be had unless it says otherwise."""
    everything = at_rest(families, kept, WITHOUT_LAKE_DAYS)
    retained = at_rest(families, kept)
    lake = sum(one.lake for one in families) * WITHOUT_LAKE_DAYS
    readings = sum(one.readings for one in families)
    early = at_rest(families, kept, late_days)
    packed = everything - round(readings * (WITHOUT_LAKE_DAYS - late_days) * (1 - COLUMNSTORE_SHARE))
    rows = (
        ("keep all readings in the database", everything, True, "ten years"),
        ("retention", retained, True, "readings older than their retention are gone, rollups stay"),
        ("retention and lake", retained + lake, True, "ten years of readings, old ones as Parquet"),
        ("retention at the late limit and lake", early + lake, True, "as before, the least in the database"),
        ("columnstore", packed, False, "ten years in the database; Community edition only; tried once, not used"),
    )
    return [
        {"choice": name, "bytes": size, "saves_bytes": everything - size, "tested": tested, "remark": remark}
        for name, size, tested, remark in rows
    ]


def storage_plan(
    load: Plan,
    families: list[FamilyBytes],
    kept: Mapping[str, timedelta],
    late_days: float,
    disk: Disk,
) -> dict[str, Any]:
    """The whole plan as one JSON document."""
    parts = ("readings", "rollup_1h", "rollup_1d", "lake", "wal")
    per_day = {part: sum(getattr(one, part) for one in families) for part in parts}
    stored = per_day["readings"] + per_day["rollup_1h"] + per_day["rollup_1d"]
    rest = at_rest(families, kept)
    newest = sum(one.newest_bytes for one in families)
    return {
        "province": load.province,
        "density": load.density,
        "people": load.people,
        "devices": load.devices,
        "messages_per_s": round(load.messages_per_s, 3),
        "per_family": [one._asdict() for one in families],
        "bytes_per_day": per_day | {"stored": stored},
        "newest_bytes": newest,
        "at_rest_bytes": rest,
        "disk": {
            "bytes": disk.free,
            "where": disk.where,
            "days_without_retention": round(max(0, disk.free - newest) / stored, 2),
            "fits_with_retention": rest <= disk.free,
        },
        "choices": choices(families, kept, late_days),
        "province_storage": {
            "low_bytes": round(PROVINCE_LOW),
            "high_bytes": round(PROVINCE_HIGH),
            "share_at_rest": round(rest / PROVINCE_HIGH, 4),
            "days_without_retention": round(PROVINCE_HIGH / stored),
            "years_with_lake": round((PROVINCE_HIGH - rest) / max(1, per_day["lake"]) / 365, 1),
        },
        "measured": sorted(one.family for one in families if one.measured),
    }
