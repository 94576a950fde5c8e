"""Conversions of units, and what a time on the wire means."""

import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.rejected import Reason, Rejected
from devices.time import DAY, SECOND, check_time, parse_time, show
from devices.units import ALIASES, UNITS, UnknownUnit, conversion, ucum

NEW_YEAR = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
LATE, FUTURE = 7 * DAY, 300 * SECOND


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (212, "°F", "Cel", 100),
        (-40, "[degF]", "Cel", -40),
        (273.15, "K", "Cel", 0),
        (0.5, "GP", "GQ", 500),
        (54, "%", "1", 0.54),
        (36, "kph", "m/s", 10),
        (10, "m/s", "km/h", 36),
        (60, "mph", "km/h", 96.56064),
        (1, "kn", "km/h", 1.852),
        (314.614, "Wh", "kW.h", 0.314614),
        (101325, "Pa", "hPa", 1013.25),
        (431, "cm", "m", 4.31),
        (5, "CEL", "C", 5),
    ],
)
def test_known_conversions(value: float, source: str, target: str, result: float) -> None:
    assert conversion(source, target)(value) == pytest.approx(result, rel=1e-9, abs=1e-9)


def test_conversions_go_back_where_they_came_from() -> None:
    for source, (quantity, *_) in UNITS.items():
        for target in (code for code, (other, *_) in UNITS.items() if other == quantity):
            there, back = conversion(source, target), conversion(target, source)
            assert back(there(12.5)) == pytest.approx(12.5, rel=1e-9), (source, target)


def test_every_alias_leads_to_a_unit() -> None:
    assert {alias for alias, code in ALIASES.items() if code not in UNITS or alias in UNITS} == set()


def test_unknown_unit_names_the_nearest() -> None:
    with pytest.raises(UnknownUnit, match="did you mean ug/m3"):
        ucum("ug/m2")
    with pytest.raises(UnknownUnit, match="expected a unit of temperature"):
        conversion("hPa", "Cel")


@pytest.mark.parametrize(
    ("raw", "unit", "shown"),
    [
        (1767225600000, "ms", "2026-01-01T00:00:00Z"),
        (1767225600000.5, "ms", "2026-01-01T00:00:00.000500Z"),
        (1767225600, "s", "2026-01-01T00:00:00Z"),
        (1767225600.25, "s", "2026-01-01T00:00:00.250000Z"),
        (1767225600000000, "us", "2026-01-01T00:00:00Z"),
        ("2026-01-01T07:00:00+07:00", "ms", "2026-01-01T00:00:00Z"),
        ("2026-01-01 00:00:00.1234567Z", "ms", "2026-01-01T00:00:00.123456Z"),
        ("2026-01-01t00:00:00z", "rfc3339", "2026-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "ms", "2017-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z/2026-01-01T00:05:00Z", "rfc3339", "2026-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "ms", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "ms", "9999-12-31T23:59:59.999999Z"),
        (CBORTag(1, 1767225600), "ms", "2026-01-01T00:00:00Z"),
        (CBORTag(0, "2026-01-01T00:00:00Z"), "ms", "2026-01-01T00:00:00Z"),
        (-1000, "ms", "1969-12-31T23:59:59Z"),
    ],
)
def test_times(raw: object, unit: str, shown: str) -> None:
    time_us = parse_time(raw, unit)
    assert isinstance(time_us, int), time_us
    assert show(time_us) == shown


@pytest.mark.parametrize(
    ("raw", "unit", "reason", "words"),
    [
        ("2026-01-01T00:00:00", "ms", Reason.BAD_TIME, "zone"),
        ("1767225600000", "ms", Reason.BAD_TIME, "without quotes"),
        ("2026-02-30T00:00:00Z", "ms", Reason.BAD_TIME, "no such time"),
        ("0001-01-01T00:00:00+07:00", "ms", Reason.BAD_TIME, "years 1 to 9999"),
        ("yesterday", "ms", Reason.BAD_TIME, "RFC 3339"),
        ("2026-01-01T00:00:00Z" * 9000, "ms", Reason.BAD_TIME, "RFC 3339"),
        (True, "ms", Reason.BAD_TIME, "milliseconds"),
        ([1], "ms", Reason.BAD_TIME, "milliseconds"),
        (float("nan"), "ms", Reason.BAD_TIME, "finite"),
        (10**400, "ms", Reason.BAD_TIME, "9999"),
        (1767225600000, "rfc3339", Reason.BAD_TIME, "number"),
        (1767225600000, "s", Reason.TIME_UNIT, "milliseconds it is 2026-01-01T00:00:00Z"),
        (1767225600000000, "ms", Reason.TIME_UNIT, "microseconds it is"),
        (1767225600000000000, "ms", Reason.TIME_UNIT, "nanoseconds it is"),
    ],
)
def test_times_that_are_none(raw: object, unit: str, reason: Reason, words: str) -> None:
    rejected = parse_time(raw, unit)
    assert isinstance(rejected, Rejected)
    assert (rejected.layer, rejected.reason) == ("time", reason)
    assert words in rejected.detail
    assert len(rejected.value or "") <= 200


def test_a_zone_can_be_agreed() -> None:
    assert parse_time("2016-03-15T11:00:00", "rfc3339", "Z") == parse_time("2016-03-15T11:00:00Z", "ms")
    assert parse_time("2016-03-15T11:00:00", "rfc3339", "+07:00") == parse_time("2016-03-15T04:00:00Z", "ms")


@pytest.mark.parametrize(
    ("time_us", "reason", "words"),
    [
        (NEW_YEAR, None, ""),
        (NEW_YEAR + FUTURE, None, ""),
        (NEW_YEAR - LATE, None, ""),
        (NEW_YEAR + FUTURE + 1, Reason.IN_FUTURE, "5 min ahead"),
        (NEW_YEAR + 7 * 3600 * SECOND, Reason.IN_FUTURE, "7 h ahead"),
        (NEW_YEAR - LATE - DAY, Reason.TOO_LATE, "8 days before"),
        (NEW_YEAR // 1000, Reason.TIME_UNIT, "read as seconds it is 2026-01-01T00:00:00Z"),
        (0, Reason.CLOCK_NOT_SET, "1970"),
        (120 * SECOND, Reason.CLOCK_NOT_SET, "1970"),
        (NEW_YEAR * 4, Reason.IN_FUTURE, "days ahead"),
    ],
)
def test_times_seen_from_receipt(time_us: int, reason: Reason | None, words: str) -> None:
    rejected = check_time(time_us, NEW_YEAR, LATE, FUTURE)
    assert (rejected.reason if rejected else None) == reason
    assert words in (rejected.detail if rejected else "")


@settings(database=None, deadline=None, max_examples=200)
@given(
    st.integers() | st.floats() | st.text() | st.booleans() | st.none(), st.sampled_from(["s", "ms", "us", "rfc3339"])
)
def test_any_value_as_a_time(raw: object, unit: str) -> None:
    time_us = parse_time(raw, unit)
    if isinstance(time_us, int):
        assert "T" in show(time_us)
        check_time(time_us, NEW_YEAR, LATE, FUTURE)
