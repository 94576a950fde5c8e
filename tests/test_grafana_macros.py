"""The macro expander that the dashboards' queries are tested with."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboards.macros import MacroError, Range, expand

HOUR = Range(datetime(2026, 11, 20, 17, 0, tzinfo=UTC), datetime(2026, 11, 20, 18, 0, 0, 250_000, tzinfo=UTC))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("$__time(t)", 't AS "time"'),
        ("$__timeEpoch(t)", 'extract(epoch from t) as "time"'),
        ("$__timeFilter(r.t)", "r.t BETWEEN '2026-11-20T17:00:00Z' AND '2026-11-20T18:00:00.25Z'"),
        ("$__timeFrom() $__timeTo()", "'2026-11-20T17:00:00Z' '2026-11-20T18:00:00.25Z'"),
        ("$__timeGroup(t, '5m')", "time_bucket('300.000s',t)"),
        ("$__timeGroup(t,1h,NULL)", "time_bucket('3600.000s',t)"),
        ("$__timeGroup(t,1h,0)", "time_bucket('3600.000s',t)"),
        ("$__timeGroup(t,1h,previous)", "time_bucket('3600.000s',t)"),
        ("$__timeGroupAlias(t, $__interval)", "time_bucket('60.000s',t) AS \"time\""),
        ("$__timeGroup(t,'5m'), x", "time_bucket('300.000s',t) AS \"time\", x"),
        (
            "$__timeGroup(t,'5m'), x GROUP BY $__timeGroup(t,'5m')",
            "time_bucket('300.000s',t) AS \"time\", x GROUP BY time_bucket('300.000s',t) AS \"time\"",
        ),
        ("$__unixEpochFilter(e)", "e >= 1795194000 AND e <= 1795197600"),
        ("$__unixEpochGroupAlias(e,'5m')", 'floor((e)/300)*300 AS "time"'),
        ("$__unixEpochFrom() $__unixEpochNanoTo()", "1795194000 1795197600000000000"),
        ("60000.0 / $__interval_ms", "60000.0 / 60000"),
        ("a -- $__nonsense(b)\nc", "a \nc"),
        ("a /* $__nonsense(b) */ c", "a  c"),
        ("'-- no comment' $q$ /* neither */ $q$", "'-- no comment' $q$ /* neither */ $q$"),
    ],
)
def test_macro(sql: str, expected: str) -> None:
    assert expand(sql, HOUR, 60_000) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "$__timeGrp(t,'5m')",
        "$__timeGroup(t)",
        "$__timeGroup(t,'5 minutes')",
        "$__timeGroup(t,5m,nil)",
        "$__timeFilter()",
    ],
)
def test_macro_that_the_data_source_refuses(sql: str) -> None:
    with pytest.raises(MacroError):
        expand(sql, HOUR, 60_000)


def test_a_macro_ends_at_the_first_closing_parenthesis() -> None:
    assert expand("$__timeFilter(date(t))", HOUR, 1).startswith("date(t BETWEEN")


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("o'clock", "x = '$v'", "x = 'o''clock'"),
        (("a", "b'c"), "x IN ($v)", "x IN ('a','b''c')"),
        (("a",), "x IN (${v})", "x IN ('a')"),
        ("a", "x = ${v:sqlstring}", "x = 'a'"),
        ("a", "$vote [[v]]", "$vote a"),
    ],
)
def test_variables_are_quoted_by_kind(value: str | tuple[str, ...], text: str, expected: str) -> None:
    assert expand(text, HOUR, 1, {"v": value}) == expected


@pytest.mark.parametrize(
    ("hours", "points", "least_ms", "expected"),
    [(6, 1000, 1, 20_000), (3, 240, 60_000, 60_000), (24, 240, 60_000, 300_000), (24 * 90, 240, 60_000, 32_400_000)],
)
def test_interval(hours: int, points: int, least_ms: int, expected: int) -> None:
    end = datetime(2026, 11, 20, tzinfo=UTC)
    interval = Range(end - timedelta(hours=hours), end).interval_ms(points, least_ms)
    assert interval == (expected if expected != 32_400_000 else 43_200_000)


def test_interval_text_drops_what_the_largest_unit_does_not_hold() -> None:
    assert expand("$__interval", HOUR, 90_000) == "1m"
    assert expand("$__interval", HOUR, 43_200_000) == "12h"
