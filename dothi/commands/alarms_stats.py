"""`dothi alarms stats`: figures of the alarm desk as people read them."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from analytics import alarm_figures
from dothi.asking import connected
from dothi.commands.alarms_asked import Area, Asked, Lang, language
from dothi.commands.alarms_words import age, word
from dothi.commands.options import AsJson, Folder
from dothi.errors import WrongUsage
from dothi.output import print_json, print_line
from dothi.times import moment

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


def stats(
    folder: Folder = None,
    since: Annotated[str, typer.Option("--since", help="From 30m, 12h or 7d ago, or a time, until now.")] = "24h",
    area: Area = None,
    most: Annotated[int, typer.Option("--most", help="So many top talkers and hours.", min=1, max=1000)] = 10,
    lang: Lang = "vi",
    as_json: AsJson = False,
) -> None:
    """How the alarms were: how many an hour, how many taken on in time, how many judged false, who rings most.

    Counted for the centre are all but information. In time: acknowledged within 5 minutes when critical, 15 when
    major, an hour when minor, 8 hours when a warning (ops.alarm_severity), of those that lasted so long.

    Example: dothi alarms stats --since 7d
    """
    language(lang)
    now = datetime.now(UTC)
    start = moment("--since", since, now)
    if start >= now:
        raise WrongUsage(f"--since {since!r} is not in the past; allowed: 30m, 12h or 7d ago, or a time before now")
    asked = Asked(folder)
    code = asked.area(area) if area is not None else None
    with connected(asked.stack.reader) as connection:
        document = alarm_figures.figures(connection, start, now, code, most)
    if as_json:
        print_json(document)
    else:
        print_figures(document, lang)


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
    from dothi.commands.alarms_shown import print_rows

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
