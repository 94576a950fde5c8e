"""Cayenne LPP: the types of the specification and of the libraries that extend it; frames that are none."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.cayenne import TYPES, decode_cayenne
from devices.laws import stated_metrics
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Reason, Rejected

FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads")) / "cayenne-lpp"


@pytest.mark.parametrize(
    ("frame", "document"),
    [
        # The examples of Cayenne's own page.
        ("03670110056700ff", {"temperature_3": 27.2, "temperature_5": 25.5}),
        ("0167ffd7067104d2fb2e0000", {
            "temperature_1": -4.1,
            "accelerometer_x_6": 1.234,
            "accelerometer_y_6": -1.234,
            "accelerometer_z_6": 0.0,
        }),
        ("018806765ff2960a0003e8", {"latitude_1": 42.3519, "longitude_1": -87.9094, "gps_altitude_1": 10.0}),
        ("000001010101", {"digital_in_0": 1, "digital_out_1": 1}),
        ("0202fd2e0303017206650123076601086855", {
            "analog_in_2": -7.22,
            "analog_out_3": 3.7,
            "illuminance_6": 291,
            "presence_7": 1,
            "humidity_8": 42.5,
        }),
        ("097327b00a86ff9c00640000", {
            "barometer_9": 1016.0,
            "gyrometer_x_10": -1.0,
            "gyrometer_y_10": 1.0,
            "gyrometer_z_10": 0.0,
        }),
        # Types that CayenneLPP and pycayennelpp add.
        ("0064fffffffb", {"generic_0": 4294967291}),
        ("017409c4", {"voltage_1": 25.0}),
        ("017503e8017600000032017832", {"current_1": 1.0, "frequency_1": 50, "percentage_1": 50}),
        ("0179ff9c", {"altitude_1": -100}),
        ("007a00a551017affffff", {"load_0": 42.321, "load_1": -0.001}),
        ("017d0190018003e8018200000fa0", {"concentration_1": 400, "power_1": 1000, "distance_1": 4.0}),
        ("0183000004d20184010e", {"energy_1": 1.234, "direction_1": 270}),
        ("01856955b900018eff", {"time_1": 1767225600, "switch_1": 255}),
        ("0187ff8001", {"colour_red_1": 255, "colour_green_1": 128, "colour_blue_1": 1}),
        ("01670001016700020167ffff", {"temperature_1": 0.1, "temperature_1_2": 0.2, "temperature_1_3": -0.1}),
    ],
)  # fmt: skip
def test_types(frame: str, document: dict[str, object]) -> None:
    assert decode_cayenne(bytes.fromhex(frame)) == document


def test_a_polyline_is_kept_as_it_is() -> None:
    line = bytes.fromhex("0a0106765ff2960a1122")[:10]
    assert decode_cayenne(b"\x01\xf0" + line) == {"polyline_1": line.hex()}


@pytest.mark.parametrize(
    "frame", ["01680195", "0367011005", "03", "0367", "018806765ff2960a0003", "0168", "01f0", "01f0ff00"]
)
def test_a_frame_that_ends_inside_a_value_is_refused_whole(frame: str) -> None:
    """The humidity of 0.5 % that could be read of `01 68 01 95` would be wrong: two bytes were meant."""
    result = decode_cayenne(bytes.fromhex(frame))
    assert isinstance(result, Rejected)
    assert (result.layer, result.reason) == ("codec", Reason.MALFORMED)
    assert "cut off" in result.detail


def test_an_unknown_type_costs_the_rest() -> None:
    result = decode_cayenne(bytes.fromhex("0167010e02fe11"))
    assert isinstance(result, list)
    document, rest = result
    assert document == {"temperature_1": 27.0}
    assert isinstance(rest, Rejected)
    assert "type 254 (0xfe) of channel 2" in rest.detail
    assert isinstance(decode_cayenne(bytes.fromhex("02fe11")), Rejected)


def test_what_was_read_is_stored_and_the_rest_is_refused() -> None:
    profile = PROFILES["cayenne-lpp"]
    first, rest = profile.read(bytes.fromhex("0167010e02fe11"), "cayenne/box-1")
    assert isinstance(first, Reading)
    assert stated_metrics(profile, first) == {"temperature": 27.0}
    assert isinstance(rest, Rejected)


channel = st.integers(0, 255)
entries = st.lists(st.tuples(channel, st.sampled_from(sorted(TYPES)), st.binary(min_size=9, max_size=9)), min_size=1)


@given(entries)
def test_frames_of_known_types_are_read_to_the_end(parts: list[tuple[int, int, bytes]]) -> None:
    frame, values = b"", 0
    for at, kind, raw in parts:
        known = TYPES[kind]
        count = max(len(known.parts), 1)
        frame += bytes([at, kind]) + raw[: known.size * count]
        values += count
    document = decode_cayenne(frame)
    assert isinstance(document, dict)
    assert len(document.keys() - {"notice"}) == values


@given(st.binary(max_size=80))
def test_any_bytes_give_an_answer(frame: bytes) -> None:
    result = decode_cayenne(frame)
    assert isinstance(result, Rejected | dict | list)
    assert PROFILES["cayenne-lpp"].read(frame, "cayenne/box-1")


VECTORS = {
    "elixir-temp.bin": {"temperature": 28.3},
    "py-data-2.bin": {"analog_input": 4294967291.0},
    "py-data-5.bin": {"analog_input": 25.0},
    "py-data-6.bin": {"analog_input": 42.321},
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER}")
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.bin")) if FOLDER.is_dir() else [])
def test_vectors_of_other_libraries(name: str) -> None:
    profile = PROFILES["cayenne-lpp"]
    (result,) = profile.read((FOLDER / name).read_bytes(), "cayenne/box-1")
    if name not in VECTORS:
        assert isinstance(result, Rejected)
        # Humidity in two bytes is not Cayenne LPP; a clock alone measures nothing.
        assert result.reason == (Reason.NO_READING if name == "py-data-7.bin" else Reason.MALFORMED)
    else:
        assert isinstance(result, Reading)
        assert stated_metrics(profile, result) == VECTORS[name]
