"""What mistake would explain a number that is out of range. A cause is only named when undoing it gives a legal value,
or none at all where the number is a sensor's mark for that."""

import re
from collections.abc import Iterator
from functools import cache
from struct import pack, unpack
from typing import Literal, NamedTuple

from devices.area import ZONES
from devices.family import Metric
from devices.units import Conversion, UnknownUnit, conversion

MOST_NAMED = 3
"""Causes in one rejection: more only confuse."""

# Largest and smallest numbers of integers that sensors send when there is nothing to send, plain and in tenths and
# hundredths; and the numbers that data loggers write instead of a value. -127 is a DS18B20 that does not answer.
_FULL = {scale * mark for scale in (1, 0.1, 0.01) for mark in (32767, -32768, 65535)}
NO_MEASUREMENT = frozenset(
    {float(f"{mark:.10g}") for mark in _FULL}
    | {255.0, -127.0, -999.0, -999.9, -9999.0, 999.0, 999.9, 9999.0, 99999.0, 2147483647.0, -2147483648.0, 4294967295.0}
)

# The units in which devices send what is kept in the first one; the most frequent mistake first.
CONFUSED: dict[str, tuple[str, ...]] = {
    "hPa": ("Pa", "kPa", "bar", "mm[Hg]", "[in_i'Hg]", "[psi]"),
    "kPa": ("Pa", "hPa", "bar"),
    "ug/m3": ("ng/m3", "mg/m3"),
    "mg/m3": ("ug/m3",),
    "mg/L": ("ug/L",),
    "s": ("ms", "us"),
    "ms": ("us", "s"),
    "min": ("s", "ms"),
    "h": ("min", "s"),
    "m": ("mm", "cm"),
    "mm": ("um", "m"),
    "km": ("m",),
    "m/s": ("km/h", "cm/s"),
    "km/h": ("m/s", "cm/s"),
    "V": ("mV", "kV"),
    "A": ("mA",),
    "W": ("mW", "kW"),
    "kW": ("W",),
    "kW.h": ("W.h", "mW.h"),
    "m3": ("L",),
    "m3/s": ("L/s", "m3/h"),
    "m3/h": ("L/h", "L/min"),
    "Hz": ("mHz", "kHz"),
    "lx": ("klx",),
    "uS/cm": ("mS/cm", "S/m"),
}
_HEX = re.compile(r"(?:[0-9a-f]{2})+|(?:[0-9A-F]{2})+")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class Cause(NamedTuple):
    """What may have happened, and the number that was meant: None when nothing was measured."""

    meant: float | None
    says: str


def likely_cause(metric: Metric, number: float) -> str | None:
    """The most telling causes of a number out of the metric's range, as a phrase; None when none explains it."""
    found: list[str] = []
    for cause in causes(metric, number):
        if cause.says not in found:
            found.append(cause.says)
        if len(found) == MOST_NAMED:
            break
    return "; or ".join(found) or None


def causes(metric: Metric, number: float) -> Iterator[Cause]:
    """Every cause that explains the number, the most telling first."""
    for mistakes in (_mark, _sign, _short_order, _unit, _place, _share, _factor, _short_sign, _order):
        for cause in mistakes(metric, number):
            if cause.meant is None or metric.low <= cause.meant <= metric.high:
                yield cause


def _mark(metric: Metric, number: float) -> Iterator[Cause]:
    if number in NO_MEASUREMENT:
        yield Cause(None, "a sensor's mark for no measurement; send null instead")


def _sign(metric: Metric, number: float) -> Iterator[Cause]:
    """16 and 32 bits, plain, in tenths, hundredths or thousandths."""
    for bits in (16, 32):
        for scale in (1, 10, 100, 1000):
            full = 2**bits / scale
            if metric.low < 0 and full / 2 <= number < full:
                meant = rounded(number - full)
                yield Cause(meant, f"an unsigned {bits}-bit read of a negative number ({meant:.10g})")
    if -32768 <= number < 0 and number == int(number):
        yield Cause(number + 65536, f"a signed 16-bit read of a large number ({number + 65536:g})")


def _short_sign(metric: Metric, number: float) -> Iterator[Cause]:
    if metric.low < 0 and 128 <= number < 256 and number == int(number):
        yield Cause(number - 256, f"an unsigned 8-bit read of a negative number ({number - 256:g})")


def _unit(metric: Metric, number: float) -> Iterator[Cause]:
    if metric.unit == "Cel":
        if number > metric.high:
            yield Cause((number - 32) / 1.8, f"degrees Fahrenheit ({(number - 32) / 1.8:.1f} Cel)")
        if 200 <= number <= 373:
            yield Cause(number - 273.15, f"kelvin ({number - 273.15:.1f} Cel)")
        return
    for unit in CONFUSED.get(metric.unit, ()):
        change = _change(unit, metric.unit)
        if change and number:
            meant = rounded(change(number))
            yield Cause(meant, f"a value in {unit} ({meant:.6g} {metric.unit})")


@cache
def _change(source: str, target: str) -> Conversion | None:
    try:
        return conversion(source, target)
    except UnknownUnit:
        return None


def _place(metric: Metric, number: float) -> Iterator[Cause]:
    """A latitude that can only be a longitude. What was meant stands in the other field: say, where the province is."""
    if metric.name == "latitude" and 90 < abs(number) <= 180:
        yield Cause(province()[0], "latitude and longitude swapped")


def _share(metric: Metric, number: float) -> Iterator[Cause]:
    if metric.unit == "1" and (metric.low, metric.high) == (0, 1) and 1 < number <= 100:
        yield Cause(number / 100, f"a percentage; send a share from 0 to 1 ({number / 100:g})")
    elif metric.unit == "%" and 0 < number <= 10_000:
        yield Cause(number / 100, f"hundredths of a percent ({number / 100:g} %)")


def _factor(metric: Metric, number: float) -> Iterator[Cause]:
    """The smallest factor that explains it."""
    for scale in (10, 100, 1000):
        if metric.low <= number / scale <= metric.high:
            yield Cause(number / scale, f"a factor of {scale} ({number / scale:g})")
            return
        if number and metric.low <= number * scale <= metric.high:
            yield Cause(number * scale, f"a factor of 1/{scale} ({number * scale:g})")
            return


def _short_order(metric: Metric, number: float) -> Iterator[Cause]:
    """A small integer of 16 bits whose zero byte came last."""
    for scale in (1, 10, 100):
        whole = _whole(number * scale)
        if 256 <= whole < 2**16 and whole % 256 == 0:
            meant = whole / 256 / scale
            yield Cause(meant, f"the bytes of a 16-bit number swapped ({meant:g})")


def _order(metric: Metric, number: float) -> Iterator[Cause]:
    """The bytes of an integer of 16 or 32 bits, or of a float of 32, the wrong way round."""
    for scale in (1, 10, 100):
        whole = _whole(number * scale)
        for code, bits in (("H", 16), ("I", 32)):
            if 2 ** (bits // 2) <= whole < 2**bits:
                for signed in (code, code.lower()):
                    meant = unpack(f">{signed}", pack(f"<{code}", whole))[0] / scale
                    yield Cause(meant, f"the bytes of a {bits}-bit number swapped ({meant:g})")
    if 1e9 < abs(number) < 3.4e38 and unpack("<f", pack("<f", number))[0] == number:
        meant = unpack(">f", pack("<f", number))[0]
        if 1e-3 < abs(meant) < 1e6:
            yield Cause(meant, f"the bytes of a 32-bit float swapped ({meant:g})")


def _whole(number: float) -> int:
    """The integer of at most 32 bits that a number is but for rounding; -1 when it is none."""
    nearest = round(number) if 0 <= number < 2**32 else -1
    return nearest if abs(nearest - number) < 1e-6 else -1


def rounded(number: float) -> float:
    """Without the last digits that arithmetic left."""
    return float(f"{number:.12g}")


@cache
def province() -> tuple[float, float, float, float]:
    """A box around all zones and what neighbours them, in degrees: south, north, west, east."""
    south, north = min(zone.lat for zone in ZONES) - 0.6, max(zone.lat for zone in ZONES) + 0.6
    west, east = min(zone.lon for zone in ZONES) - 0.6, max(zone.lon for zone in ZONES) + 0.6
    return south, north, west, east


def in_province(latitude: float, longitude: float) -> bool:
    """Whether a position lies in the province or near it."""
    south, north, west, east = province()
    return south <= latitude <= north and west <= longitude <= east


def swapped(latitude: float, longitude: float) -> bool:
    """Whether a position lies in the province only when its two numbers change places."""
    return in_province(longitude, latitude) and not in_province(latitude, longitude)


def likely_encoding(text: str) -> Literal["hex", "base64"] | None:
    """How the bytes of a frame were written as text: None when it could be either, or is neither.

    Base64 decodes most hex to nonsense of three quarters of its length without complaint, so that this must be asked
    before. Hex is digits and letters of one case, in pairs, at least eight of them; shorter ones only where they can be
    no base64.
    """
    text = text.strip()
    hexadecimal = bool(_HEX.fullmatch(text))
    base64 = bool(text) and bool(_BASE64.fullmatch(text))
    if hexadecimal and base64:
        return "hex" if len(text) >= 8 else None
    return "hex" if hexadecimal else "base64" if base64 else None
