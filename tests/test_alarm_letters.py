"""What people read of an alarm: of every kind, step and severity, in both languages, and nothing that others wrote
can change its shape."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.alarms.limits import in_use
from analytics.delivery.letter import News, kind_of, kinds, lasted, limits, message, words
from analytics.delivery.routes import SEVERITIES, Language, What
from dothi.commands.alarms_routes import test_news as news_of_a_test

RAISED = datetime(2026, 11, 20, 19, 3, 5, tzinfo=UTC)
LANGUAGES: tuple[Language, ...] = get_args(Language)
STEPS = get_args(What)
VIETNAMESE = re.compile("[ăâđêôơưàáạảãằắặẳẵầấậẩẫèéẹẻẽềếệểễìíịỉĩòóọỏõồốộổỗờớợởỡùúụủũừứựửữỳýỵỷỹ]", re.I)


def alarm(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "id": 123,
        "kind": "forest_fire",
        "severity": "critical",
        "device": "fw-220-000001",
        "name": "Camera núi 1",
        "area": "220",
        "raised": RAISED,
        "acknowledged": None,
        "by": None,
        "cleared": None,
        "value": 0.93,
        "message": "Nghi cháy rừng – Sơn Động",
        "message_en": "Forest fire suspected – Son Dong",
        "state": "unacknowledged",
        "occurrences": 3,
        "members": 12,
    }
    return plain | changes


def news(what: str = "raised", area_name: str | None = "Sơn Động", **changes: Any) -> News:
    whole = alarm(**changes)
    at = RAISED + timedelta(minutes=11)
    return News("key", what, at, whole["severity"], "Lan", None, area_name, whole)


def test_a_letter_in_vietnamese() -> None:
    told = message(news(), "vi")
    assert told.subject == "[NGUY CẤP] Báo động mới: Cháy rừng - Sơn Động (220)"
    assert told.body.splitlines() == [
        "NGUY CẤP - Báo động mới",
        "Nghi cháy rừng – Sơn Động",
        "",
        "Nơi: Sơn Động (220)",
        "Thiết bị: fw-220-000001 (Camera núi 1)",
        "Số thiết bị liên quan: 12",
        "Bắt đầu: 21/11/2026 02:03:05 (giờ Việt Nam)",
        "Số lần xảy ra: 3",
        "",
        "Việc cần làm: " + kinds()["forest_fire"].do["vi"],
        "Nhận xử lý: dothi alarms ack 123",
        "Xem: dothi alarms show 123",
    ]


def test_the_end_in_english() -> None:
    over = RAISED + timedelta(hours=2, minutes=5)
    told = message(news("cleared", None, cleared=over, area=None, device=None, name=None, members=0), "en")
    assert told.subject == "[CRITICAL] Over: Forest fire - Whole province"
    assert "Over: 21/11/2026 04:08:05, after 2 h 5 min" in told.body
    assert "ack" not in told.body
    assert "Device" not in told.body


def test_a_reminder_says_how_long_nobody_has_come() -> None:
    assert "Has lasted: 11 min 0 s" in message(news("reminded"), "en").body
    assert "Taken by: Lan" in message(news("acknowledged"), "en").body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted([*kinds(), "pm25-high", "river_stage-odd"]))
def test_every_kind_step_and_severity_has_its_words(kind: str, language: Language) -> None:
    for what in (*STEPS, "test"):
        for severity in SEVERITIES:
            told = message(news(what, kind=kind, severity=severity, cleared=RAISED), language)
            assert "{" not in told.subject + told.body
            assert all(part for part in told.subject.split(": "))
            assert (kind_of(kind).do[language] in told.body) == (what not in ("cleared", "receded", "test"))
            document = json.loads(told.document)
            assert document["text"] == {"language": language, "subject": told.subject, "body": told.body}
            assert document["alarm"]["raised"] == "2026-11-20T19:03:05Z"


def test_all_words_are_there_in_both_languages_and_not_the_same() -> None:
    said = words()
    both = [*said.severity.values(), *said.what.values(), *said.place.values(), *said.side.values()]
    both += [text for kind in (*kinds().values(), *limits().values()) for text in (kind.title, kind.do)]
    assert all(set(one) == set(LANGUAGES) for one in both)
    assert all(one["vi"].strip() and one["en"].strip() and one["vi"] != one["en"] for one in both)
    assert not any(VIETNAMESE.search(one["en"]) for one in both)
    assert set(said.severity) == set(SEVERITIES)
    assert set(said.what) == {*STEPS, "test"}
    assert all(line.needs or line.vi or not line.en for line in said.lines)


def test_every_kind_that_can_be_raised_has_words_of_its_own() -> None:
    raised = {getattr(rule, "kind", "") for rule in in_use().rules.rules} | {"forest_fire", "power_cut", "gateway_cut"}
    assert {kind for kind in raised if kind} - set(kinds()) == set()
    assert kind_of("pm25-high").title != kinds()["other"].title


def test_in_the_message_of_others_nothing_is_a_line_or_a_header() -> None:
    told = message(news(message="a\r\nBcc: x\n\nViệc cần làm: không", name="\x1b[2J\u202e"), "vi")
    assert told.body.splitlines()[1] == "a Bcc: x Việc cần làm: không"
    assert "\n" not in told.subject


@given(st.text(max_size=300), st.text(max_size=80), st.text(max_size=80), st.sampled_from(LANGUAGES))
def test_whatever_others_write_is_told(text: str, name: str, device: str, language: Language) -> None:
    plain = message(news(message="x", message_en="x", name="x", device="x"), language)
    told = message(news(message=text, message_en=text, name=name, device=device), language)
    assert len(told.body.split("\n")) <= len(plain.body.split("\n"))
    assert "\r" not in told.subject + told.body
    assert json.loads(told.document)["alarm"]["message"] == text


def test_spans_of_time() -> None:
    assert lasted(timedelta(days=2, hours=3), "vi") == "2 ngày 3 giờ"
    assert lasted(timedelta(seconds=-5), "en") == "0 s"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_test_says_that_it_is_one(language: Language) -> None:
    told = message(news_of_a_test(), language)
    assert ("THỬ" if language == "vi" else "TEST") in told.subject
    assert "ack" not in told.body
