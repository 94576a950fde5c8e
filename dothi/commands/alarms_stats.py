"""Figures of the alarm desk as people read them."""

from typing import Any

from dothi.commands.alarms_shown import age, print_rows, word
from dothi.output import print_line

Row = dict[str, Any]
SAID = {
    "vi": (
        "{for_centre} cảnh báo cho trung tâm ({raised} tính cả thông tin), {per_hour:.2f} mỗi giờ; "
        "tiếp nhận đúng hạn: {in_time}; bị đánh giá sai: {false} trong {judged}; diễn tập: {drills}"
    ),
    "en": (
        "{for_centre} alarms for the centre ({raised} with information), {per_hour:.2f} an hour; "
        "acknowledged in time: {in_time}; judged false: {false} of {judged}; drills: {drills}"
    ),
}
HEADS = {
    "vi": {
        "severities": (
            "mức",
            "số",
            "đang diễn ra",
            "hạn tiếp nhận",
            "đúng hạn",
            "trung vị tiếp nhận",
            "đúng / sai / diễn tập",
        ),
        "top_talkers": ("thiết bị", "khu vực", "quy tắc", "số cảnh báo", "số lần", "mới nhất"),
        "busiest_hours": ("giờ", "số cảnh báo"),
    },
    "en": {
        "severities": (
            "severity",
            "raised",
            "active",
            "acknowledge within",
            "in time",
            "median to acknowledge",
            "true / false / drill",
        ),
        "top_talkers": ("device", "area", "rule", "alarms", "occurrences", "newest"),
        "busiest_hours": ("hour", "alarms"),
    },
}
TITLES = {
    "vi": {"severities": "theo mức", "top_talkers": "báo nhiều nhất", "busiest_hours": "giờ bận nhất"},
    "en": {"severities": "by severity", "top_talkers": "top talkers", "busiest_hours": "busiest hours"},
}


def print_figures(document: Row, lang: str) -> None:
    """One line of the whole, then by severity, the busiest hours and who rings most."""
    said = {**document, "in_time": percent(document["in_time_share"]), "false": percent(document["false_share"])}
    print_line(SAID[lang].format(**said))
    rows: dict[str, list[tuple[object, ...]]] = {
        "severities": [severity(row, lang) for row in document["severities"]],
        "busiest_hours": [(row["hour"], row["raised"]) for row in document["busiest_hours"]],
        "top_talkers": [
            (row["name"] or row["device"], row["area"], row["rule"], row["alarms"], row["occurrences"], row["newest"])
            for row in document["top_talkers"]
        ],
    }
    for name, lines in rows.items():
        if lines:
            print_rows(lang, TITLES[lang][name], HEADS[lang][name], lines)


def severity(row: Row, lang: str) -> tuple[object, ...]:
    """A severity as a row of a table."""
    times = [None if row[name] is None else age(row[name]) for name in ("within_s", "median_s")]
    verdicts = f"{row['judged_true']} / {row['judged_false']} / {row['drills']}"
    named = word(lang, row["severity"])
    return (named, row["raised"], row["active"], times[0], percent(row["in_time_share"]), times[1], verdicts)


def percent(share: float | None) -> str:
    """A share as people read it.

    >>> percent(0.123), percent(None)
    ('12.3 %', '–')
    """
    return "–" if share is None else f"{share:.1%}".replace("%", " %")
