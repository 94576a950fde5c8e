"""Lines of environmental stations (Circular 10/2021/TT-BTNMT): values, statuses, times, what is wrong with a line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs import CODECS
from devices.codecs.circular10_words import SYMBOLS, UNIT_NAMES, folded
from devices.envelopes import Packet, opener_of
from devices.laws import stated_metrics
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES
from devices.time import show
from devices.units import ucum

quick = settings(database=None, deadline=None, max_examples=150)
OPEN = opener_of(ROUTES["circular10"])
AIR, WATER = PROFILES["circular10-ambient"], PROFILES["circular10-effluent"]
STAMP = "20260101070000"
TOPIC = "circular10/BG_KCN_KK01"


def packets(text: str | bytes, topic: str = TOPIC) -> list[Packet]:
    found = OPEN(topic, text.encode() if isinstance(text, str) else text)
    assert all(isinstance(part, Packet) for part in found)
    return [part for part in found if isinstance(part, Packet)]


def line(
    name: str, value: object, unit: str = "ug/m3", stamp: str = STAMP, status: str = "00", between: str = "\t"
) -> str:
    return between.join((name, str(value), unit, stamp, status))


def air(text: str | bytes) -> dict[str, float | str]:
    (part,) = packets(text)
    (result,) = AIR.map(part.document, part.payload)
    assert isinstance(result, Reading), result
    return stated_metrics(AIR, result)


def refused(text: str | bytes) -> Rejected:
    part = packets(text)[-1]
    (result,) = AIR.map(part.document, part.payload)
    assert isinstance(result, Rejected), result
    return result


@pytest.mark.parametrize("between", ["\t", ";", "|", " ", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_however_they_are_kept_apart(between: str, end: str) -> None:
    text = end.join((line("PM2,5", "41.2", between=between), line("CO", "0,72", "mg/m3", between=between))) + end
    assert air(text) == {"pm25": 41.2, "co": 720}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1258"])
def test_text_however_it_is_encoded(encoding: str) -> None:
    text = line("Nhiệt độ", "21,5", "°C") if encoding != "cp1258" else line("Temp", "21,5", "°C")
    assert air(text.encode(encoding)) == {"temperature": 21.5}


@pytest.mark.parametrize("name", ["PM2,5", "PM2.5", "PM25", "pm2_5", "PM-2.5", "Pm 2,5"])
def test_names_however_they_are_spelt(name: str) -> None:
    assert air(line(name, 41.2)) == {"pm25": 41.2}


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("ug/m3", 5),
        ("µg/m3", 5),
        ("μg/m³", 5),
        ("ug/Nm3", 5),
        ("µg/Nm³", 5),
        ("mg/m3", 5000),
        ("mg/Nm3", 5000),
        ("", 5),
        ("-", 5),
    ],
)
def test_units_however_they_are_spelt(unit: str, value: float) -> None:
    assert air(line("SO2", 5, unit)) == {"so2": value}


@pytest.mark.parametrize("unit", ["oC", "°C", "ºC", "℃", "C", "Cel", "độ C"])
def test_degrees(unit: str) -> None:
    assert air(line("Temp", "-1.5", unit)) == {"temperature": -1.5}


@pytest.mark.parametrize("unit", ["ppm", "ppb", "furlong"])
def test_a_unit_that_says_too_little_costs_its_value(unit: str) -> None:
    found = refused(line("SO2", 5, unit))
    assert (found.reason, found.field) == (Reason.WRONG_TYPE, "so2")
    assert found.detail


@pytest.mark.parametrize(
    "stamp", [STAMP, "2026-01-01 07:00:00", "2026/01/01 07:00:00", "202601010700", "2026-01-01T07:00:00"]
)
def test_time_is_vietnams(stamp: str) -> None:
    (part,) = packets(line("PM10", 3, stamp=stamp))
    (result,) = AIR.map(part.document, part.payload)
    assert isinstance(result, Reading)
    assert result.time is not None
    assert show(result.time) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(("status", "word"), [("01", "calibrating"), ("2", "faulty"), ("07", "unknown")])
def test_only_a_measuring_sensor_gives_a_value(status: str, word: str) -> None:
    text = line("PM10", 63) + "\n" + line("NO2", "12,5", status=status)
    (part,) = packets(text)
    (result,) = AIR.map(part.document, part.payload)
    assert isinstance(result, Reading)
    assert stated_metrics(AIR, result) == {"pm10": 63}
    assert result.extra is not None
    assert result.extra["rejected"] == {"no2": f"12,5 (status {status.zfill(2)})"}
    assert result.extra["reasons"] == {"no2": "not_measured"}
    assert result.partial
    alone = refused(line("NO2", 5, status=status))
    assert alone.reason == Reason.NOT_MEASURED
    assert word in alone.detail


def test_a_parameter_that_the_profile_has_not_is_kept_with_its_status() -> None:
    (part,) = packets(line("PM10", 63) + "\n" + line("VHg", 0.1, "mg/Nm3", status="02"))
    (result,) = AIR.map(part.document, part.payload)
    assert isinstance(result, Reading)
    assert result.extra is not None
    assert result.extra["VHg"] == "0.1 (status 02)"


def test_times_of_a_file_are_readings_of_their_own_bytes() -> None:
    text = "\r\n".join(line("PM10", n, stamp=f"2026010107{n:02d}00") for n in (10, 5, 0))
    found = packets(text)
    assert [part.document["time"] for part in found] == [f"2026-01-01T07:{n:02d}:00+07:00" for n in (0, 5, 10)]  # type: ignore[index]
    assert len({part.payload for part in found}) == 3
    assert found[0].payload.strip() == line("PM10", 0, stamp="20260101070000").encode()


def test_a_second_line_of_a_parameter_gets_a_number() -> None:
    (part,) = packets(
        "\n".join((line("Flow", 1, "m3/h", status="01"), line("Flow", 2, "m3/h"), line("Flow", 3, "m3/h")))
    )
    assert isinstance(part.document, dict)
    assert (part.document["Flow"], part.document["Flow_2"]) == (2, 3)
    assert isinstance(part.document["Flow_3"], Rejected)


@pytest.mark.parametrize(
    ("topic", "station"),
    [
        ("circular10/KK01", "KK01"),
        ("circular10/BG/KK01/KK01_20260101070000.txt", "KK01"),
        ("circular10/BG_KCN_KK01_202601010700.TXT", "BG_KCN_KK01"),
        ("circular10/KK01.txt", "KK01"),
        ("circular10", None),
        ("circular10/", None),
    ],
)
def test_the_topic_names_the_station(topic: str, station: str | None) -> None:
    assert packets(line("PM10", 3), topic)[0].foreign_id == station


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("PM10\t63", "line 1 (1 of 1 lines cannot be read): 2 columns"),
        (line("PM10", 63) + "\nCOD\t4", "line 2 (1 of 2 lines cannot be read)"),
        (line("PM10", 63, stamp="1767225600"), "is not YYYYMMDDhhmmss"),
        (line("PM10", 63, status="OK"), "expected 00 (measuring)"),
        (line("", 63), "no name"),
        ("\n\n", "no line of a parameter"),
        ('{"PM10": 63}', "columns"),
    ],
)
def test_a_line_that_cannot_be_read_says_which_and_why(text: str, words: str) -> None:
    found = refused(text)
    assert found.reason == Reason.MALFORMED
    assert words in found.detail
    assert "00" in found.detail


def test_a_bad_line_does_not_cost_the_others() -> None:
    good, bad = packets(line("PM10", 63) + "\nCOD\t4")
    assert isinstance(good.document, dict)
    assert isinstance(bad.document, Rejected)


def test_a_day_that_does_not_exist_is_refused_as_a_time() -> None:
    assert refused(line("PM10", 63, stamp="20260231070000")).reason == Reason.BAD_TIME


def test_an_odd_value_is_refused_alone() -> None:
    text = line("PM10", 63) + "\n" + line("NO2", "<0.1") + "\n" + line("SO2", "")
    (part,) = packets(text)
    (result,) = AIR.map(part.document, part.payload)
    assert isinstance(result, Reading)
    assert result.extra is not None
    assert result.extra["reasons"] == {"no2": "wrong_type"}


def test_waste_water() -> None:
    (part,) = packets(
        "\n".join(
            (line("pH", "7,2", ""), line("Độ màu", 38, "Pt-Co"), line("Amoni", 0.9, "mg/l"), line("Flow", 24, "m3/h"))
        )
    )
    (result,) = WATER.map(part.document, part.payload)
    assert isinstance(result, Reading)
    assert stated_metrics(WATER, result) == {"ph": 7.2, "colour": 38, "ammonium": 0.9, "flow_rate": 24}


def test_every_unit_name_leads_to_a_unit() -> None:
    for name in UNIT_NAMES.values():
        assert ucum(name)


def test_spellings_do_not_collide() -> None:
    for key in set(SYMBOLS.values()):
        assert SYMBOLS[folded(key)] == key


@quick
@given(st.binary(max_size=300))
def test_any_bytes(payload: bytes) -> None:
    for part in OPEN(TOPIC, payload):
        assert isinstance(part, Packet)
        assert AIR.map(part.document, part.payload)


CELL = st.text(max_size=12) | st.sampled_from([STAMP, "00", "01", "12,5", "ug/m3", "PM2,5"])


@quick
@given(st.lists(st.lists(CELL, min_size=3, max_size=6), max_size=8), st.sampled_from("\t;| "))
def test_any_columns(rows: list[list[str]], between: str) -> None:
    document = CODECS["circular10"]("\n".join(between.join(row) for row in rows).encode("utf-8", "replace"))
    assert isinstance(document, list | Rejected)


@quick
@given(st.floats(0, 5000).map(lambda x: round(x, 3)), st.booleans())
def test_what_is_written_is_read(value: float, comma: bool) -> None:
    text = repr(value).replace(".", ",") if comma else repr(value)
    assert air(line("PM2,5", text)) == pytest.approx({"pm25": value})
