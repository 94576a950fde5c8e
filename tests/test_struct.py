"""The struct codec: frames of bytes as YAML describes them; what is wrong with a frame, and what with a description."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs.frames import FRAME_CODECS
from devices.codecs.struct_formula import NO_VALUE, BadFormula, formula
from devices.codecs.struct_frame import BadSpec, struct_codec
from devices.documents import parse_yaml
from devices.profile import PROFILES
from devices.rejected import Reason, Rejected


def read(spec: str, frame: str, port: int | None = None) -> Any:
    """What a frame becomes."""
    return struct_codec(parse_yaml(spec))(bytes.fromhex(frame), port)


def refused(spec: str, frame: str, port: int | None = None) -> Rejected:
    """Why a frame becomes nothing."""
    result = read(spec, frame, port)
    assert isinstance(result, Rejected), result
    assert result.layer == "codec"
    return result


def one(step: str, frame: str) -> Any:
    """The value `x` of a single step."""
    return read(f"- {step}", frame).get("x")


@pytest.mark.parametrize(
    ("step", "frame", "value"),
    [
        ("{name: x, type: u8}", "ff", 255),
        ("{name: x, type: i8}", "ff", -1),
        ("{name: x, type: u16}", "0102", 258),
        ("{name: x, type: u16le}", "0102", 513),
        ("{name: x, type: i16}", "fff6", -10),
        ("{name: x, type: i16le}", "f6ff", -10),
        ("{name: x, type: u24}", "010203", 66051),
        ("{name: x, type: u24le}", "010203", 197121),
        ("{name: x, type: i24}", "ffffff", -1),
        ("{name: x, type: u40le}", "0100000001", 4294967297),
        ("{name: x, type: i64}", "8000000000000000", -(2**63)),
        ("{name: x, type: u64}", "ffffffffffffffff", 2**64 - 1),
        ("{name: x, type: f32}", "41ac0000", 21.5),
        ("{name: x, type: f32le}", "0000ac41", 21.5),
        ("{name: x, type: f64}", "4035800000000000", 21.5),
        ("{name: x, type: f16}", "4d60", 21.5),
        ("{name: x, type: bool}", "02", True),
        ("{name: x, type: bcd, size: 3}", "123456", 123456),
        ("{name: x, type: bcd, size: 2}", "f123", 123),
        ("{name: x, type: text, size: 5}", "414d313000", "AM10"),
        ("{name: x, type: text, size: rest}", "c490c3b4", "Đô"),
        ("{name: x, type: hex, size: 2}", "0AfF", "0aff"),
        ("{name: x, type: i16, scale: 0.1}", "011a", 28.2),
        ("{name: x, type: i16, scale: 0.01, offset: -40}", "0fa1", 0.01),
        ("{name: x, type: u8, scale: 1/16}", "03", 0.1875),
        ("{name: x, type: u8, scale: 4, offset: 2500}", "66", 2908),
        ("{name: x, type: u8, missing: 255}", "ff", None),
        ("{name: x, type: i16, missing: [-1, 0x7fff]}", "7fff", None),
        ('{name: x, type: u8, map: {0: closed, 1: open, "*": unknown}}', "01", "open"),
        ('{name: x, type: u8, map: {0: closed, 1: open, "*": unknown}}', "07", "unknown"),
        ("{name: x, type: u8, map: {0: closed, 1: open}}", "07", 7),
        ("{name: x, type: u8, bit: 7}", "80", True),
        ("{name: x, type: u8, bits: [1, 3]}", "0a", 5),
        ("{name: x, type: u16, bits: [4, 15], signed: true}", "fff0", -1),
        ("{name: x, type: u8, formula: x * x + 1}", "03", 10),
        ("{name: x, type: u8, formula: 1 / x}", "00", None),
        ("{name: x, type: u8, formula: sqrt(x) if x < 100 else -x}", "09", 3),
    ],
)
def test_a_value(step: str, frame: str, value: object) -> None:
    assert one(step, frame) == value


def test_a_scale_is_what_its_digits_say() -> None:
    """282 × 0.1 is 28.200000000000003 in floats; a thermometer says 28.2."""
    for raw in range(-400, 1000):
        value = one("{name: x, type: i16, scale: 0.1}", struct.pack(">h", raw).hex())
        assert value == raw / 10


@given(st.sampled_from(["b", "h", "i", "q", "B", "H", "I", "Q", "f", "d"]), st.booleans(), st.binary(min_size=8))
def test_numbers_are_those_of_struct(code: str, little: bool, frame: bytes) -> None:
    order = "<" if little else ">"
    size = struct.calcsize(order + code)
    (wanted,) = struct.unpack(order + code, frame[:size])
    kind = "f" if code in "fd" else "i" if code.islower() else "u"
    name = f"{kind}{size * 8}{'le' if little else 'be'}"
    found = struct_codec([{"name": "x", "type": name}])(frame[:size], None)
    assert isinstance(found, dict)
    assert found["x"] == wanted or (math.isnan(wanted) and math.isnan(found["x"]))


@given(st.integers(0, 2**24 - 1), st.integers(0, 23), st.integers(0, 23))
def test_bits_put_together_are_the_number(number: int, one_end: int, other_end: int) -> None:
    low, high = sorted((one_end, other_end))
    parts = [{"name": "middle", "bits": [low, high]}]
    if low:
        parts.append({"name": "below", "bits": [0, low - 1]})
    if high < 23:
        parts.append({"name": "above", "bits": [high + 1, 23]})
    found = struct_codec([{"type": "u24", "parts": parts}])(number.to_bytes(3, "big"), None)
    assert isinstance(found, dict)
    assert (found.get("above", 0) << high + 1) + (found["middle"] << low) + found.get("below", 0) == number


LAYOUT = """
- {name: version, type: u8, expect: 2}
- {skip: 1}
- {name: _flags, type: u8}
- {when: _flags & 1, name: temperature, type: i16, scale: 0.1}
- when: _flags & 2
  fields: [{name: humidity, type: u8}]
  else: [{name: dry, formula: 1}]
- {name: last, type: u8, at: -1}
- switch: _flags
  cases:
    3: [{name: end, type: u8}]
    "*": [{skip: rest}]
"""


def test_steps_in_order() -> None:
    assert read(LAYOUT, "020003ff9c3709") == {
        "version": 2,
        "temperature": -10.0,
        "humidity": 55,
        "last": 9,
        "end": 9,
    }
    assert read(LAYOUT, "02000009") == {"version": 2, "dry": 1, "last": 9}


DECENTLAB = """
- {type: u8, expect: 2}
- {name: device_id, type: u16}
- flags: u16
  groups:
    - {words: 2, values: {moisture: x0 / 50, wetter: moisture * 2, temperature: (x1 - 400) / 10}}
    - {words: 1, values: {battery: x0 / 1000}}
"""


def test_flags_say_which_groups_follow() -> None:
    full = {"device_id": 571, "moisture": 1.1, "wetter": 2.2, "temperature": 22.5, "battery": 3.168}
    assert read(DECENTLAB, "02023b0003003702710c60") == full
    assert read(DECENTLAB, "02023b00020c60") == {"device_id": 571, "battery": 3.168}
    assert "beyond the profile's 2" in refused(DECENTLAB, "02023b00060c60").detail
    assert "expected 2" in refused(DECENTLAB, "03023b00020c60").detail
    assert "battery takes 2 bytes and 1 are left" in refused(DECENTLAB, "02023b00020c").detail
    assert "1 byte left over" in refused(DECENTLAB, "02023b00020c6000").detail


TABLE = """
order: le
fields:
  - table:
      "0175": {name: battery, type: u8}
      "0367": {name: temperature, type: i16, scale: 0.1}
      "**68": {name: humidity, type: u8, scale: 0.5}
      "20ce":
        - record:
            - {name: timestamp, type: u32}
            - {name: temperature, type: i16, scale: 0.1}
      "05cc":
        - {name: entered, type: u16}
        - {name: left_again, type: u16}
        - {name: inside, formula: entered - left_again}
"""


def test_a_table_of_keys() -> None:
    assert read(TABLE, "0175640367e5ff0468 6d") == {"battery": 100, "temperature": -2.7, "humidity": 54.5}
    assert read(TABLE, "0367010003670200") == {"temperature": 0.1, "temperature_2": 0.2}
    records = read(TABLE, "01756420ce781a4165df00 20ce791a4165e000")
    assert records == [
        {"battery": 100},
        {"timestamp": 1698765432, "temperature": 22.3},
        {"timestamp": 1698765433, "temperature": 22.4},
    ]


def test_formulas_of_a_key_mean_its_own_values() -> None:
    found = read(TABLE, "05cc0a000300 05cc64000100")
    assert found == {"entered": 10, "left_again": 3, "inside": 7, "entered_2": 100, "left_again_2": 1, "inside_2": 99}


def test_an_unknown_key_costs_the_rest_only() -> None:
    first, rest = read(TABLE, "0175640367e5ffeeee01")
    assert first == {"battery": 100, "temperature": -2.7}
    assert isinstance(rest, Rejected)
    assert rest.reason == Reason.WRONG_SHAPE
    assert "byte 7 of 10: key eeee is not in the table" in rest.detail
    assert rest.value == "0175640367e5ffeeee01"


def test_a_table_with_lengths_passes_over_unknown_keys() -> None:
    spec = '- {table: {"01": {name: a, type: u8}, "02": {name: b, type: text, size: rest}}, length: u8}'
    assert read(spec, "01010705021111 02026869") == {"a": 7, "b": "hi"}
    assert "takes 9 bytes" in refused(spec, "0101070509").detail


def test_a_table_leaves_a_checksum_alone() -> None:
    spec = '[{table: {"01": {name: a, type: u8}}, before: 2}, {skip: 2}]'
    assert read(spec, "0107ffff") == {"a": 7}
    assert "takes 1 byte and 0 are left" in refused(spec, "0107 01 ffff").detail


def test_repetitions_are_documents_or_a_list() -> None:
    history = "[{name: n, type: u8}, {repeat: n, fields: [{name: level, type: u8}, {name: ago, formula: index * 600}]}]"
    assert read(history, "020506") == [{"n": 2}, {"level": 5, "ago": 0}, {"level": 6, "ago": 600}]
    listed = "- {repeat: rest, list: peaks, fields: [{name: hz, type: u16}]}"
    assert read(listed, "00010002") == {"peaks": [{"hz": 1}, {"hz": 2}]}
    assert "takes no byte" in refused('- {repeat: rest, fields: [{name: a, formula: "1"}]}', "00").detail
    assert "repetitions" in refused("[{name: n, type: i8}, {repeat: n, fields: [{skip: 1}]}]", "ff").detail


def test_text_up_to_a_mark_and_bytes_left() -> None:
    spec = '[{name: a, type: text, size: {until: "ff"}}, {skip: 1}, {when: left > 1, name: b, type: u16}]'
    assert read(spec, "6869ff0102") == {"a": "hi", "b": 258}
    assert "1 byte left over" in refused(spec, "6869ff01").detail


def test_ports_have_layouts_of_their_own() -> None:
    spec = 'ports: {1: [{name: a, type: u8}], 2: {length: 2, fields: [{name: b, type: u16}]}, "*": [{skip: rest}]}'
    assert read(spec, "05", 1) == {"a": 5}
    assert read(spec, "0005", 2) == {"b": 5}
    assert read(spec, "00", 99) == {}
    assert "2 bytes" not in refused(spec, "000005", 2).detail
    two = "ports: {1: [{name: a, type: u8}], 2: [{name: b, type: u8}]}"
    assert "port 3; expected 1, 2" in refused(two, "00", 3).detail
    assert "port is missing" in refused(two, "00", None).detail
    assert read("ports: {1: [{name: a, type: u8}]}", "07", None) == {"a": 7}


def test_rest_and_length() -> None:
    assert read("{rest: keep, fields: [{name: a, type: u8}]}", "0102") == {"a": 1, "rest": "02"}
    assert read("{rest: ignore, fields: [{name: a, type: u8}]}", "0102") == {"a": 1}
    assert "expected [1, 3]" in refused("{length: [1, 3], fields: [{skip: rest}]}", "0102").detail
    assert read("{length: {min: 2, max: 4}, fields: [{skip: rest}]}", "0102") == {}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("5", "codec.struct: '5' is no mapping"),
        ("{}", "codec.struct: fields is missing"),
        ("[{name: a, type: u17}]", "codec.struct.fields[0].type: u17 is no type; expected u8"),
        ("[{name: a, type: i16x}]", "codec.struct.fields[0].type: i16x is no type"),
        ("[{name: a}]", "type is missing"),
        ("[{type: u8}]", "name is missing"),
        ("[{name: 1a, type: u8}]", "expected letters, digits and _"),
        ("[{name: a, type: u8, colour: red}]", "unknown key colour; expected one of at"),
        ("[{name: a, type: u8, scale: ten}]", "codec.struct.fields[0].scale: 'ten'; expected a number"),
        ("[{name: a, type: u8, bits: [3, 9]}]", "bits 3 to 9; expected 0 to 7"),
        ("[{name: a, type: f32, bit: 1}]", "only an integer has them"),
        ("[{name: a, type: u8, signed: true}]", "only bits can be signed here"),
        ("[{name: a, type: text}]", "size is missing"),
        ("[{name: a, type: u8, size: 2}]", "only bcd, text, hex have a size"),
        ("[{name: a, type: text, size: 0}]", "expected 1 or more bytes"),
        ('[{name: a, type: text, size: {until: "f"}}]', "in hexadecimal"),
        ("[{name: a, type: u8, formula: y + 1}]", "nothing is named y before it"),
        ("[{name: a, type: u8, formula: x + 1, scale: 2}]", "a formula goes without scale and offset"),
        ("[{name: a, type: u8, map: [1]}]", "expected numbers with their words"),
        ("[{table: {175: {name: a, type: u8}}}]", "in quotes"),
        ('[{table: {"01": {name: a, type: u8}, "0203": {skip: 1}}}]', "all of one length"),
        ('[{table: {"01": {name: a, type: u8}}, length: text}]', "integer type"),
        ("[{flags: u8, groups: [{words: 0, values: {}}]}]", "expected 1 to 64"),
        ("[{flags: text, groups: []}]", "integer type"),
        ("[{switch: a, cases: {}}]", "nothing is named a"),
        ("[{repeat: 3}]", "fields is missing"),
        ("{order: middle, fields: []}", "expected be"),
        ("{length: many, fields: []}", "codec.struct.length: 'many'; expected bytes"),
        ("{rest: drop, fields: []}", "expected reject, ignore, keep"),
        ("{ports: {300: []}}", "port 300; expected 0 to 255"),
        ("{ports: {1: []}, fields: []}", "and no fields"),
        ("[{when: 'import os', fields: []}]", "is no formula"),
    ],
)
def test_a_faulty_description_is_one_line_that_names_the_place(spec: str, problem: str) -> None:
    with pytest.raises(BadSpec) as error:
        struct_codec(parse_yaml(spec))
    assert problem in str(error.value)
    assert str(error.value).startswith("codec.struct")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "x.real",
        "x[0]",
        "[x for x in (1,)]",
        "lambda: 1",
        "f'{x}'",
        "exec('1')",
        "max(x, key=abs)",
        "x if",
        "",
        "x" * 3000,
        "(" * 500 + "x" + ")" * 500,
        "x := 1",
        "1 < x < 3",
        "None",
    ],
)
def test_a_formula_is_arithmetic_and_nothing_else(text: str) -> None:
    with pytest.raises(BadFormula):
        formula(text, {"x"})


@pytest.mark.parametrize(
    "text", ["9 ** 9 ** 9 ** 9", "1 << 4000000000", "1 / 0", "log(0)", "sqrt(-1)", "y + 1", "'a' * 2"]
)
def test_a_formula_without_a_value_says_so_at_once(text: str) -> None:
    evaluate = formula(text, {"x", "y"})
    with pytest.raises(NO_VALUE):
        evaluate({"x": 1})


STRUCTS = [profile for profile in PROFILES.values() if profile.codec == "struct"]
_uplink = st.fixed_dictionaries(
    {"frame": st.binary(min_size=1, max_size=60), "port": st.sampled_from([1, 2, 6, 8, 85])}
)


@settings(max_examples=20)
@pytest.mark.parametrize("profile", STRUCTS, ids=lambda profile: profile.name)
@given(uplink=_uplink)
def test_any_bytes_give_an_answer(profile: Any, uplink: dict[str, Any]) -> None:
    assert profile.map({**uplink, "eui": "0" * 16}, uplink["frame"])


@pytest.mark.parametrize("profile", STRUCTS, ids=lambda profile: profile.name)
def test_examples_cut_or_grown_give_an_answer(profile: Any) -> None:
    """And what was read of a frame that is cut is never all of it."""
    for example in profile.examples:
        frame, port = bytes.fromhex(example["frame"]), example.get("port")
        for damaged in (*(frame[:end] for end in range(1, len(frame))), frame + b"\0", frame + frame):
            assert profile.map({"frame": damaged, "port": port}, damaged)


def test_the_kinds_of_frame_codecs() -> None:
    assert {"struct", "builtin"} <= FRAME_CODECS.keys()
    with pytest.raises(ValueError, match=r"codec\.builtin is lpp; expected cayenne-lpp"):
        FRAME_CODECS["builtin"]("lpp")
