"""SenML (RFC 8428) in JSON and CBOR: resolution, what must be refused, devices and times, units of RFC 8798."""

import json
import os
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.senml import LABELS, decode_senml, resolved
from devices.codecs.senml_units import SENML_UNITS
from devices.envelopes import Packet, opener_of
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES
from devices.units import UNITS, UnknownUnit, ucum

FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads")) / "senml"
DEVICE = "urn:dev:ow:10e2073a01080063"
NUMBERS = {label: number for number, label in LABELS.items()}


def decoded(pack: object) -> list[dict[str, Any]]:
    """The documents of a pack."""
    found = decode_senml(json.dumps(pack).encode())
    assert isinstance(found, list), found
    return found


def refused(pack: object) -> Rejected:
    """Why a pack is none."""
    found = decode_senml(json.dumps(pack).encode())
    assert isinstance(found, Rejected), found
    assert found.layer == "codec"
    return found


def in_cbor(pack: list[dict[str, Any]]) -> bytes:
    """The pack with the labels of RFC 8428, 6."""
    return cbor2.dumps([{NUMBERS.get(key, key): value for key, value in record.items()} for record in pack])


@pytest.mark.parametrize(
    ("record", "device", "name"),
    [
        ({"n": f"{DEVICE}:voltage"}, DEVICE, "voltage"),
        ({"n": f"{DEVICE}_humidity"}, DEVICE, "humidity"),
        ({"n": DEVICE, "u": "Cel"}, DEVICE, "temperature"),
        ({"bn": DEVICE, "u": "%RH"}, DEVICE, "humidity"),
        ({"bn": f"{DEVICE}:", "n": "voltage"}, DEVICE, "voltage"),
        ({"bn": "urn:dev:mac:", "n": "0024befffe804ff1/temp"}, "urn:dev:mac:0024befffe804ff1", "temp"),
        ({"bn": "2001:db8::2/", "n": "temperature"}, "2001:db8::2", "temperature"),
        ({"bn": "device1/", "n": "rooms/1/temp"}, "device1", "rooms/1/temp"),
        ({"bn": "device1", "n": "temp"}, "device1", "temp"),
        ({"n": "gateway/box-7/temp"}, "gateway/box-7", "temp"),
        ({"n": "box-7:temp"}, "box-7", "temp"),
        ({"n": "temp"}, None, "temp"),
        ({"n": DEVICE, "u": "parsec"}, DEVICE, "value"),
    ],
)
def test_who_measured_what(record: dict[str, Any], device: str | None, name: str) -> None:
    (document,) = decoded([{**record, "v": 1}])
    assert document["device"] == device
    assert document["data"] == {name: 1}


def test_base_fields_stay_until_they_change() -> None:
    pack = [
        {"bn": "a:", "bt": 1e9, "bu": "A", "bv": 10, "bs": 100, "n": "x", "v": 1, "s": 5},
        {"n": "y", "u": "V", "v": 2},
        {"bn": "b:", "bt": 2e9, "bv": 0, "n": "x", "t": 5, "v": 3},
    ]
    assert decoded(pack) == [
        {"device": "a", "time": 1e9, "data": {"x": 11, "x_sum": 105, "y": 12}, "units": {"x": "A", "y": "V"}},
        {"device": "b", "time": 2e9 + 5, "data": {"x": 3}, "units": {"x": "A"}},
    ]


def test_times_are_absolute_or_relative_to_receipt() -> None:
    pack = [{"bn": "a:", "n": "x", "t": time, "v": 1} for time in (-5, 0, 5, 2**28 - 1, 2**28, 1.5e9)]
    times = [{key: one[key] for key in ("time", "ago") if key in one} for one in decoded(pack)]
    assert times == [{"ago": 5}, {}, {"ago": -5}, {"ago": -(2**28 - 1)}, {"time": 2**28}, {"time": 1.5e9}]


def test_a_relative_time_is_kept_by_the_reading() -> None:
    (reading,) = PROFILES["senml-weather"].read(b'[{"n":"urn:dev:mac:1:temp","u":"Cel","t":-60.5,"v":1}]')
    assert isinstance(reading, Reading)
    assert (reading.time, reading.ago) == (None, 60_500_000)


def test_kinds_of_values() -> None:
    pack = [
        {"bn": "a:", "n": "number", "v": 1.5},
        {"n": "text", "vs": "b"},
        {"n": "flag", "vb": True},
        {"n": "bytes", "vd": "aGk"},
        {"n": "sum", "s": 7},
        {"n": "often", "v": 1, "ut": 30},
        {"n": "number", "v": 2},
    ]
    assert decoded(pack)[0]["data"] == {
        "number": 1.5,
        "text": "b",
        "flag": True,
        "bytes": "aGk",
        "sum_sum": 7,
        "often": 1,
        "often_update_s": 30,
        "number_2": 2,
    }


@pytest.mark.parametrize(
    ("pack", "field", "words"),
    [
        ({"n": "a:x", "v": 1}, None, "pack is a list"),
        ([], None, "pack is a list"),
        ([5], None, "a record is an object"),
        ([{"bn": "a:"}], None, "no record has a value"),
        ([{"n": "a:x", "v": 1, "vs": "b"}], None, "a record has one value"),
        ([{"v": 1}], "n", "neither bn nor n"),
        ([{"n": "ä:x", "v": 1}], "n", "a name starts with a letter or a digit"),
        ([{"n": "-a", "v": 1}], "n", "a name starts with a letter or a digit"),
        ([{"bver": 11, "n": "a:x", "v": 1}], "bver", "versions up to 10"),
        ([{"n": "a:x", "v": 1}, {"bver": 99, "n": "a:y", "v": 1}], "bver", "record 2: version 99"),
        ([{"n": "a:x", "v": 1, "key_": 1}], "key_", "must refuse the pack"),
        ([{"n": "a:x", "v": "1"}], "v", "v is a number"),
        ([{"n": "a:x", "v": True}], "v", "v is a number"),
        ([{"n": "a:x", "t": "now", "v": 1}], "t", "t is a number"),
        ([{"n": "a:x", "vb": 1}], "vb", "vb is true or false"),
        ([{"n": 7, "v": 1}], "n", "n is a text"),
        ([{"bver": 0, "n": "a:x", "v": 1}], "bver", "bver is a whole number"),
        ([{"n": "a:x", "v": 1}] * 10_001, None, "at most 10000"),
    ],
)
def test_what_is_no_pack(pack: object, field: str | None, words: str) -> None:
    rejected = refused(pack)
    assert rejected.field == field
    assert words in rejected.detail


def test_other_fields_do_no_harm() -> None:
    assert decoded([{"n": "a:x", "v": 1, "colour": "red", "bfoo": 1}])[0]["data"] == {"x": 1}


_name = st.text("abcxyz019", min_size=1, max_size=6)
_record = st.fixed_dictionaries(
    {"n": _name, "v": st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6)},
    optional={"u": st.sampled_from(sorted(SENML_UNITS)), "t": st.integers(-100, 100), "bt": st.just(1.6e9)},
)
packs = st.lists(_record, min_size=1, max_size=8).map(lambda pack: [{**pack[0], "bn": "dev1:"}, *pack[1:]])


@given(packs)
def test_json_and_cbor_say_the_same(pack: list[dict[str, Any]]) -> None:
    assert decode_senml(in_cbor(pack)) == decode_senml(json.dumps(pack).encode())


@given(packs)
def test_resolved_records_stay_what_they_are(pack: list[dict[str, Any]]) -> None:
    """Written out again without base fields, a pack means the same (RFC 8428, 4.6)."""
    once = resolved(pack)
    again = [
        {"n": one.base + one.own, "t": one.time, **({"u": one.unit} if one.unit else {}), **one.values} for one in once
    ]
    assert [(r.base + r.own, r.time, r.unit, r.values) for r in resolved(again)] == [
        (r.base + r.own, r.time, r.unit, r.values) for r in once
    ]


@given(st.binary(max_size=200) | packs.map(in_cbor).map(lambda raw: raw[:-1]))
def test_any_bytes_give_an_answer(payload: bytes) -> None:
    for part in opener_of(ROUTES["senml"])("senml/box-1", payload):
        assert isinstance(part, Packet)
        assert PROFILES["senml-weather"].map(part.document, part.payload)


def test_numbers_beyond_all_bounds() -> None:
    for text in (b"1e400", b"-1e400", b"NaN", b"1" + b"0" * 900, b"123456789012345678901234567890"):
        for label in (b"v", b"t", b"bt", b"bv", b"s"):
            payload = b'[{"n":"a:temp","v":1,"' + label + b'":' + text + b',"bs":0.5}]'
            assert PROFILES["senml-weather"].read(payload, "senml/a")


def test_cbor_of_any_length_is_not_read() -> None:
    rejected = decode_senml(b"\x9f" + b"\xa0" * 70_000 + b"\xff")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.TOO_LARGE


def test_a_decimal_fraction_is_a_number() -> None:
    found = decode_senml(cbor2.dumps([{0: "a:x", 2: cbor2.CBORTag(4, [-1, 235])}]))
    assert isinstance(found, list)
    assert found[0]["data"] == {"x": 23.5}


def test_data_is_base64_in_both_forms() -> None:
    assert decode_senml(cbor2.dumps([{0: "a:x", 8: b"hi \n"}])) == decoded([{"n": "a:x", "vd": "aGkgCg"}])


def test_the_topic_names_the_device_where_the_pack_does_not() -> None:
    opener = opener_of(ROUTES["senml"])
    (alone,) = opener("senml/box-1", b'[{"n":"temp","v":1}]')
    named = opener("senml/box-1", b'[{"bn":"a:","n":"x","v":1},{"bn":"b:","n":"x","v":1}]')
    assert alone.foreign_id == "box-1"
    assert [part.foreign_id for part in named] == ["a", "b"]


def test_units_are_ours_where_a_metric_has_them() -> None:
    understood = {name for name in SENML_UNITS if SENML_UNITS[name] in UNITS}
    assert {"Cel", "%RH", "lat", "m3/s", "l/s", "kWh", "mA", "hPa", "km/h", "dBm"} - understood == {"dBm"}
    for name in understood:
        assert ucum(SENML_UNITS[name]) == SENML_UNITS[name]
    with pytest.raises(UnknownUnit):
        ucum(SENML_UNITS["C"])  # coulomb, not Celsius


FILES = sorted(path.name for path in FOLDER.glob("*.senml.json")) if FOLDER.is_dir() else []
# The source resolved times relative to now by its own clock; its answer to ex7 has another number of records.
RELATIVE, STALE = {"rfc8428-ex2.senml.json"}, {"rfc8428-ex7.senml.json"}


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER}")
@pytest.mark.parametrize("name", FILES)
def test_examples_of_the_rfc(name: str) -> None:
    payload = (FOLDER / name).read_bytes()
    wanted = json.loads((FOLDER / name.replace(".senml.", ".expected.")).read_text())
    found = [
        {"n": one.base + one.own, **({"u": one.unit} if one.unit else {}), "t": one.time, **one.values}
        for one in resolved(json.loads(payload))
    ]
    if name in RELATIVE | STALE:
        assert all(one["t"] == 0 for one in found)
        found, wanted = ([{k: v for k, v in one.items() if k != "t"} for one in all_] for all_ in (found, wanted))
    assert found[: len(wanted)] == wanted
    assert len(found) == len(wanted) or name in STALE


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER}")
@pytest.mark.parametrize("name", FILES)
def test_examples_of_the_rfc_become_readings(name: str) -> None:
    payload = (FOLDER / name).read_bytes()
    best = max(
        (profile.read(payload) for key, profile in PROFILES.items() if key.startswith("senml-")),
        key=lambda results: sum(isinstance(result, Reading) for result in results),
    )
    assert all(isinstance(result, Reading) for result in best) or name == "rfc8428-ex5.senml.json"
    assert sum(isinstance(result, Reading) for result in best) >= 1
