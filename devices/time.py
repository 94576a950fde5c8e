"""The time a device states → microseconds since 1970 UTC; and whether that can be true when it was received."""

import re
from datetime import UTC, datetime, timedelta
from math import isfinite

from cbor2 import CBORTag

from devices.raw import shown
from devices.rejected import Reason, Rejected

UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
SECOND = 1_000_000
DAY = 86_400 * SECOND
EARLIEST = -62_135_596_800 * SECOND  # year 1
LATEST = 253_402_300_800 * SECOND - 1  # the last microsecond of year 9999
YEAR_2000, YEAR_2100 = 946_684_800 * SECOND, 4_102_444_800 * SECOND
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:[.,](\d{1,30}))?(Z|z|[+-]\d\d:\d\d)?", re.ASCII)


def parse_time(raw: object, unit: str, zone: str | None = None) -> int | Rejected:
    """Microseconds since 1970 UTC, always within the years 1 to 9999, or Rejected (bad_time, time_unit).

    `unit`: `s`, `ms`, `us` for numbers, where RFC 3339 text is taken too; or `rfc3339` for text alone, of which an
    interval (`start/end`) counts from its start.
    `zone`: what a text without a zone means (`Z`, `+07:00`); without it such a text is refused.
    """
    if isinstance(raw, str):
        return parse_text(raw.partition("/")[0] if unit == "rfc3339" else raw, zone)
    if isinstance(raw, CBORTag) and raw.tag in (0, 1):
        return parse_time(raw.value, "s" if raw.tag else "rfc3339", zone)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return _bad(raw, f"a time is {_expected(unit)}")
    if unit == "rfc3339":
        return _bad(raw, "a number; expected RFC 3339 text such as 2026-01-31T07:00:00+07:00")
    if isinstance(raw, float) and not isfinite(raw):
        return _bad(raw, f"not a finite number; expected {_expected(unit)}")
    return parse_number(raw, unit)


def parse_number(raw: int | float, unit: str) -> int | Rejected:
    """A finite count of seconds, milliseconds or microseconds since 1970."""
    if abs(raw) < 10**24:
        time_us = raw * UNITS[unit] if isinstance(raw, int) else round(raw * UNITS[unit])
        if EARLIEST <= time_us <= LATEST:
            return time_us
        other = likely_unit(raw, unit, YEAR_2000, YEAR_2100)
        if other:
            return wrong_unit(raw, unit, other)
    return _bad(raw, f"beyond the year 9999; expected {_expected(unit)}")


def parse_text(text: str, zone: str | None) -> int | Rejected:
    """RFC 3339; the fraction is cut to microseconds, second 60 is the start of the next minute."""
    match = _RFC3339.fullmatch(text.strip()) if len(text) < 80 else None
    if match is None:
        hint = "a number as text; send it without quotes" if re.fullmatch(r"\d{9,20}", text[:30]) else "not a time"
        return _bad(text, f"{hint}; expected RFC 3339 such as 2026-01-31T07:00:00+07:00")
    day, minutes, seconds, fraction, stated_zone = match.groups()
    offset = stated_zone or zone
    if offset is None:
        return _bad(text, "no time zone; add Z or +07:00")
    leap = seconds == "60"
    try:
        moment = datetime.fromisoformat(f"{day}T{minutes}{'59' if leap else seconds}{offset.upper()}")
    except ValueError as error:
        return _bad(text, f"no such time ({error})")
    whole = (moment - _EPOCH) // timedelta(microseconds=1) + (SECOND if leap else 0)
    time_us = whole + int(((fraction or "") + "000000")[:6])
    return time_us if EARLIEST <= time_us <= LATEST else _bad(text, "beyond the years 1 to 9999")


def repaired(raw: object) -> str | None:
    """An RFC 3339 time of a server, also one whose second `-` was left out; None when it is no time.

    >>> repaired("2020-0327T12:39:05.547336Z")
    '2020-03-27T12:39:05.547336Z'
    """
    if not isinstance(raw, str):
        return None
    text = re.sub(r"^(\d{4}-\d\d)(\d\d[Tt ])", r"\1-\2", raw[:80])
    return None if isinstance(parse_text(text, None), Rejected) else text


def check_time(time_us: int, received_us: int, late_us: int, future_us: int) -> Rejected | None:
    """Whether a reading of this time may be stored: not more than `future_us` ahead of receipt nor `late_us` behind it.

    A time that would be plausible in another unit is named as such before anything else is blamed.
    """
    if received_us - late_us <= time_us <= received_us + future_us:
        return None
    milliseconds = time_us // 1000
    other = likely_unit(milliseconds, "ms", received_us - max(late_us, 366 * DAY), received_us + DAY)
    if other and other != "ms":
        return wrong_unit(milliseconds, "ms", other, show(time_us))
    if time_us > received_us + future_us:
        ahead, limit = span(time_us - received_us), span(future_us)
        detail = f"{ahead} ahead of receipt; expected at most {limit}; set the device's clock (NTP) and its time zone"
        return Rejected("time", Reason.IN_FUTURE, "time", show(time_us), detail)
    if 0 <= time_us < 366 * DAY:
        detail = "the year is 1970: the device's clock was never set; let it fetch the time (NTP) before it sends"
        return Rejected("time", Reason.CLOCK_NOT_SET, "time", show(time_us), detail)
    behind, limit = span(received_us - time_us), span(late_us)
    detail = f"{behind} before receipt; the late limit is {limit}; check the clock, or raise the limit of the family"
    return Rejected("time", Reason.TOO_LATE, "time", show(time_us), detail)


def likely_unit(number: int | float, unit: str, low_us: int, high_us: int) -> str | None:
    """The unit other than `unit` in which the number lies between the two times, if there is one."""
    for other, nanoseconds in _NANOSECONDS.items():
        if other != unit and low_us * 1000 <= number * nanoseconds <= high_us * 1000:
            return other
    return None


def wrong_unit(number: int | float, unit: str, other: str, value: str | None = None) -> Rejected:
    """The number is plausible in another unit."""
    in_microseconds = int(number * _NANOSECONDS[other]) // 1000
    detail = f"read as {_NAMES[unit]} this is no plausible time, read as {_NAMES[other]} it is {show(in_microseconds)}"
    return Rejected("time", Reason.TIME_UNIT, "time", value or shown(number), f"{detail}; send {_NAMES[unit]}")


def show(time_us: int) -> str:
    """RFC 3339 in UTC, with a fraction only where there is one. Raises OverflowError beyond the years 1 to 9999."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def span(duration_us: int) -> str:
    """A duration in the largest unit that fits: 3.2 days, 40 s."""
    for name, size in (("days", DAY), ("h", 3600 * SECOND), ("min", 60 * SECOND)):
        if duration_us >= size:
            return f"{duration_us / size:.1f}".removesuffix(".0") + f" {name}"
    return f"{duration_us / SECOND:.0f} s"


def _bad(raw: object, detail: str) -> Rejected:
    return Rejected("time", Reason.BAD_TIME, "time", shown(raw), detail)


def _expected(unit: str) -> str:
    number = f"{_NAMES[unit]} since 1970 or " if unit in _NAMES else ""
    return f"{number}RFC 3339 text such as 2026-01-31T07:00:00+07:00"
