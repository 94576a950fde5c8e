"""What a receiver is told of an alarm, in words and as JSON: from rows of the record, pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from analytics.delivery.channel import Message, one_line
from analytics.delivery.routes import LOCAL, Language
from devices.alarm import SIDE, whens
from devices.documents import parse_yaml
from devices.family import FAMILIES

Both = dict[str, str]
OTHER, LIMIT = "other", "limit"
MOST_LINE = 1_000


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a letter. `needs`: the part without which it is left out."""

    vi: str
    en: str
    needs: str = ""


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """words.yaml."""

    severity: dict[str, Both]
    what: dict[str, Both]
    place: dict[str, Both]
    side: dict[str, Both]
    subject: Both
    lines: list[Line]


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of alarm: its name, and what whoever is told should do."""

    title: Both
    do: Both


class News(NamedTuple):
    """One step in an alarm's life, as told. `alarm`: its row of city.alarm; `key`: of this delivery, in every try."""

    key: str
    what: str
    at: datetime
    severity: str
    by: str | None
    note: str | None
    area_name: str | None
    alarm: Mapping[str, Any]


@lru_cache(1)
def words() -> Words:
    """The words that all letters are made of."""
    return msgspec.convert(parse_yaml(_text("words.yaml")), Words)


@lru_cache(1)
def kinds() -> dict[str, Kind]:
    """What is said of each kind of alarm, by its name."""
    return msgspec.convert(parse_yaml(_text("kinds.yaml")), dict[str, Kind])


@lru_cache(1)
def limits() -> dict[str, Kind]:
    """The same of every metric that may be beyond a limit, such as pm25-high."""
    limit, sides = kinds()[LIMIT], words().side
    return {
        f"{metric.name}-{SIDE[when]}": Kind(
            {tongue: f"{metric.label[tongue]} {sides[SIDE[when]][tongue]}" for tongue in limit.title}, limit.do
        )
        for family in FAMILIES.values()
        for metric in family.metrics
        for when in whens(metric)
    }


def kind_of(name: str) -> Kind:
    """What is said of a kind of alarm."""
    return kinds().get(name) or limits().get(name) or kinds()[OTHER]


def _text(name: str) -> str:
    return files("analytics").joinpath("delivery", name).read_text("utf-8")


def message(news: News, language: Language) -> Message:
    """News as a receiver of this language is told."""
    parts = parts_of(news, language)
    subject = one_line(words().subject[language].format_map(parts))
    body = "\n".join(lines_of(parts, language)) + "\n"
    thread = f"alarm-{news.alarm['id']}-{news.alarm['raised'].astimezone(UTC):%Y%m%dT%H%M%S}"
    return Message(news.key, thread, subject, body, document(news, subject, body, language))


def lines_of(parts: Mapping[str, str], language: Language) -> list[str]:
    """The lines whose parts are there."""
    told = [line for line in words().lines if not line.needs or parts.get(line.needs)]
    return [one_line_of(getattr(line, language).format_map(parts)) for line in told]


def one_line_of(text: str) -> str:
    """A line of a letter: devices choose their names, so nothing in it may begin another line."""
    return " ".join(text.split())[:MOST_LINE]


def parts_of(news: News, language: Language) -> dict[str, str]:
    """Every part that lines may name; those that there are not are empty."""
    alarm, said = news.alarm, words()
    kind = kind_of(alarm["kind"])
    own = alarm.get("message") if language == "vi" else alarm.get("message_en") or alarm.get("message")
    cleared, raised = alarm.get("cleared"), alarm["raised"]
    over, here = news.what == "cleared", news.what not in ("cleared", "receded")
    parts = {
        "id": str(alarm["id"]),
        "severity": said.severity[news.severity][language],
        "what": said.what[news.what][language],
        "title": kind.title[language],
        "message": own,
        "place": place(alarm, news.area_name, language),
        "device": " ".join(filter(None, (alarm.get("device"), bracketed(alarm.get("name"))))),
        "members": str(alarm["members"]) if (alarm.get("members") or 0) > 1 else None,
        "raised": local(raised),
        "cleared": local(cleared) if over and cleared else None,
        "lasted": lasted(cleared - raised, language) if over and cleared else None,
        "age": lasted(news.at - raised, language) if news.what == "reminded" else None,
        "occurrences": str(alarm["occurrences"]) if (alarm.get("occurrences") or 0) > 1 else None,
        "by": news.by if news.what == "acknowledged" else None,
        "note": news.note,
        "do": kind.do[language] if here and news.what != "test" else None,
        "ack": "yes" if here and news.what not in ("acknowledged", "test") else None,
    }
    return {name: one_line_of(value or "") for name, value in parts.items()}


def place(alarm: Mapping[str, Any], area_name: str | None, language: Language) -> str:
    """Where, as people call it."""
    if not alarm.get("area"):
        return area_name or words().place["province"][language]
    return f"{area_name} ({alarm['area']})" if area_name else str(alarm["area"])


def bracketed(name: str | None) -> str | None:
    """A name behind an id."""
    return f"({name})" if name else None


def local(when: datetime) -> str:
    """A moment as the province's clocks show it."""
    return when.astimezone(LOCAL).strftime("%d/%m/%Y %H:%M:%S")


def lasted(span: timedelta, language: Language) -> str:
    """A span in its two largest units.

    >>> lasted(timedelta(minutes=125), "vi"), lasted(timedelta(seconds=42), "en")
    ('2 giờ 5 phút', '42 s')
    """
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    unit = {"vi": ("ngày", "giờ", "phút", "giây"), "en": ("d", "h", "min", "s")}[language]
    if days:
        return f"{days} {unit[0]} {hours % 24} {unit[1]}"
    if hours:
        return f"{hours} {unit[1]} {minutes % 60} {unit[2]}"
    return f"{minutes} {unit[2]} {seconds % 60} {unit[3]}" if minutes else f"{seconds} {unit[3]}"


def document(news: News, subject: str, body: str, language: Language) -> bytes:
    """The same for programs: what happened, the alarm as in city.alarm, and the words."""
    told = {
        "version": 1,
        "key": news.key,
        "what": news.what,
        "at": news.at,
        "severity": news.severity,
        "by": news.by,
        "note": news.note,
        "alarm": dict(news.alarm),
        "text": {"language": language, "subject": subject, "body": body},
    }
    return msgspec.json.encode(told, enc_hook=str)
