"""What a rejection guesses: the cause is named when undoing it gives a legal value, and only then."""

import base64
from math import nan
from struct import unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.causes import NO_MEASUREMENT, causes, in_province, likely_cause, likely_encoding, swapped
from devices.family import FAMILIES, Metric
from devices.rejected import Rejected
from devices.spelling import LONGEST_NUMBER, SPELLINGS
from devices.values import value_of

METRICS = [metric for family in FAMILIES.values() for metric in family.metrics if not metric.states]
LABEL = {"vi": "x", "en": "x"}


def metric(name: str, unit: str, low: float, high: float) -> Metric:
    return Metric(name, unit, low, high, "gauge", (), LABEL, None)


TEMPERATURE = metric("temperature", "Cel", -40, 85)
PRESSURE = metric("atmospheric_pressure", "hPa", 500, 1100)
PM25 = metric("pm25", "ug/m3", 0, 1000)
SHARE = metric("relative_humidity", "1", 0, 1)
DURATION = metric("duration", "s", 0, 3600)
LIGHT = metric("illuminance", "lx", 0, 200_000)
VOLTAGE = metric("battery_voltage", "V", 0, 60)
COUNT = metric("count", "1", 0, 5000)
LATITUDE = metric("latitude", "deg", -90, 90)


@pytest.mark.parametrize(
    ("of", "number", "words"),
    [
        (TEMPERATURE, 6550.9, "an unsigned 16-bit read of a negative number (-2.7)"),
        (TEMPERATURE, 65533, "an unsigned 16-bit read of a negative number (-3)"),
        (TEMPERATURE, 655.1, "an unsigned 16-bit read of a negative number (-0.26)"),
        (TEMPERATURE, 4294967290, "an unsigned 32-bit read of a negative number (-6)"),
        (TEMPERATURE, 250, "an unsigned 8-bit read of a negative number (-6)"),
        (LIGHT, -25536, "a signed 16-bit read of a large number (40000)"),
        (TEMPERATURE, 225, "a factor of 10 (22.5)"),
        (TEMPERATURE, 2250, "a factor of 100 (22.5)"),
        (TEMPERATURE, 22500, "a factor of 1000 (22.5)"),
        (PRESSURE, 10.13, "a factor of 1/100 (1013)"),
        (TEMPERATURE, 100.4, "degrees Fahrenheit (38.0 Cel)"),
        (TEMPERATURE, 299.15, "kelvin (26.0 Cel)"),
        (DURATION, 300_000, "a value in ms (300 s)"),
        (COUNT, 0x1400 * 2, "the bytes of a 16-bit number swapped (40)"),
        (COUNT, 0x2A000000, "the bytes of a 32-bit number swapped (42)"),
        (TEMPERATURE, 5760.0, "the bytes of a 16-bit number swapped (22.5)"),
        (PRESSURE, 101325, "a value in Pa (1013.25 hPa)"),
        (PRESSURE, 101.3, "a value in kPa (1013 hPa)"),
        (PM25, 41_200, "a value in ng/m3 (41.2 ug/m3)"),
        (metric("so2", "mg/m3", 0, 20), 350, "a value in ug/m3 (0.35 mg/m3)"),
        (VOLTAGE, 3612, "a value in mV (3.612 V)"),
        (SHARE, 54, "a percentage; send a share from 0 to 1 (0.54)"),
        (metric("battery", "%", 0, 100), 5400, "hundredths of a percent (54 %)"),
        (LATITUDE, 106.2, "latitude and longitude swapped"),
        (TEMPERATURE, -127, "a sensor's mark for no measurement"),
        (TEMPERATURE, 3276.7, "a sensor's mark for no measurement"),
        (PM25, -9999, "a sensor's mark for no measurement"),
    ],
)
def test_a_number_out_of_range_has_its_cause(of: Metric, number: float, words: str) -> None:
    assert words in (likely_cause(of, number) or "")
    refused = value_of(of, number)
    assert isinstance(refused, Rejected)
    assert words in refused.detail


@pytest.mark.parametrize(("of", "number"), [(SHARE, -3.7), (PM25, -0.123), (metric("angle", "deg", 0, 360), -4.5)])
def test_what_nothing_explains_has_none(of: Metric, number: float) -> None:
    assert likely_cause(of, number) is None


def test_a_float_with_swapped_bytes() -> None:
    wrong = unpack(">f", bytes.fromhex("703db441"))[0]
    assert wrong > 1e9
    assert "the bytes of a 32-bit float swapped (22.53)" in (likely_cause(TEMPERATURE, wrong) or "")


@given(st.sampled_from(METRICS), st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**33), 2**33))
def test_undoing_a_cause_gives_a_legal_value(of: Metric, number: float) -> None:
    if of.low <= number <= of.high:
        return
    for cause in causes(of, float(number)):
        if cause.meant is None:
            assert number in NO_MEASUREMENT
        else:
            assert of.low <= cause.meant <= of.high, cause


def spelt_number(text: str) -> float | None:
    """The number that a text most likely spells, by the first spelling that takes it."""
    if len(text) > LONGEST_NUMBER:
        return None
    return next((number for read, _ in SPELLINGS if (number := read(text)) is not None), None)


@given(st.sampled_from(METRICS), st.text(max_size=60))
def test_a_text_is_called_a_number_only_when_it_is_a_legal_one(of: Metric, text: str) -> None:
    refused = value_of(of, text)
    assert isinstance(refused, Rejected)
    if "number as text" in refused.detail or "number with its unit" in refused.detail:
        assert spelt_number(text.strip()) is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("22.5", "a number as text; send it without quotes"),
        ("-3", "a number as text; send it without quotes"),
        ("22,5", "with a decimal comma"),
        ("22.5 °C", "a number with its unit"),
        ("22,5C", "a number with its unit"),
        ("0x1F", "hexadecimal"),
        ("N/A", "a word for no value"),
        ("", "a word for no value"),
        ("warm", "text; expected a number"),
        ("2250", "text; expected a number"),
        ("٢٢", "text; expected a number"),
    ],
)
def test_a_number_as_text(text: str, words: str) -> None:
    refused = value_of(TEMPERATURE, text)
    assert isinstance(refused, Rejected)
    assert words in refused.detail


def test_thousands_as_text() -> None:
    refused = value_of(PRESSURE, "1,013.2")
    assert isinstance(refused, Rejected)
    assert "between its thousands" in refused.detail


def test_true_for_a_number_and_a_number_for_a_state() -> None:
    refused = value_of(SHARE, True)
    assert isinstance(refused, Rejected)
    assert "send 1 or 0" in refused.detail
    state = Metric("door", "1", 0, 1, "state", ("closed", "open"), LABEL, None)
    refused = value_of(state, 1)
    assert isinstance(refused, Rejected)
    assert "send its name (open)" in refused.detail
    refused = value_of(state, 7)
    assert isinstance(refused, Rejected)
    assert "perhaps" not in refused.detail


def test_a_swapped_position_is_in_the_province_the_other_way_round() -> None:
    assert swapped(106.2, 21.3)
    assert not swapped(21.3, 106.2)
    assert not swapped(52.5, 13.4)
    assert not in_province(nan, 106.2)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("0175640367180104686D", "hex"),
        ("02023b0003003702710c60", "hex"),
        ("AXVkA2cYAQRobQ==", "base64"),
        ("AgI7AAMANwJxDGA=", "base64"),
        ("0112", None),
        ("ARI=", "base64"),
        ("A86661", "hex"),
        ("", None),
        ("not a frame", None),
    ],
)
def test_how_a_frame_was_written(text: str, encoding: str | None) -> None:
    assert likely_encoding(text) == encoding


@given(st.binary(min_size=4, max_size=64))
def test_hex_is_always_known(frame: bytes) -> None:
    assert likely_encoding(frame.hex()) == "hex"
    assert likely_encoding(frame.hex().upper()) == "hex"


@given(st.binary(min_size=24, max_size=64).filter(lambda frame: len(set(frame)) > 12))
def test_base64_is_not_called_hex(frame: bytes) -> None:
    text = base64.b64encode(frame).decode()
    assert likely_encoding(text) in ("base64", None) or set(text) <= set("0123456789abcdef") or text.isupper()
