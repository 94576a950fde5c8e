"""What detectors remember: packed and put back, widened when devices send more, numbered by slots that stay."""

from typing import Any

import numpy as np

from analytics.columns import Columns
from analytics.detectors.afford import bytes_of
from analytics.detectors.anomaly import Anomaly
from analytics.detectors.carry import judged_names
from analytics.detectors.detector import Detector
from analytics.detectors.layout import LINE
from analytics.detectors.pack import devices_of, pack, unpack
from analytics.detectors.rows import Floats, Rows
from analytics.detectors.slots import NOBODY, Seats, Slots
from analytics.detectors.watch import Watch
from devices.family import FAMILIES
from tests.detecting_world import Above, Broken, Quiet
from tests.detector_world import BEGIN_US, SECOND_US, fleet_of

FAMILY = FAMILIES["air_quality"]
KINDS = (Above, Quiet)


def watched(devices: int = 5) -> Watch:
    watch = Watch(FAMILY, KINDS, lambda detector, error: None)
    watch.grow(fleet_of(devices))
    return watch


def columns(minute: int, slots: list[int], **metrics: float) -> tuple[Any, Columns]:
    """A reading of each slot."""
    n = len(slots)
    values: Floats = np.full((n, len(FAMILY.metrics)), np.nan)
    for name, value in metrics.items():
        values[:, FAMILY.index[name]] = value
    time = np.full(n, BEGIN_US + minute * 60 * SECOND_US)
    device = np.array(slots)
    return device, Columns(FAMILY, device, np.full(n, 213), time, np.arange(n), time, values)


def above(watch: Watch) -> Detector:
    return next(detector for detector in watch.detectors if detector.name == "above")


def test_narrow_detectors_know_what_was_sent_and_keep_it_when_more_comes() -> None:
    watch = watched()
    assert [detector.name for detector in watch.detectors] == ["quiet"]
    for minute in range(2):
        watch.take(*columns(minute, [0, 3], pm10=200))
    assert judged_names(above(watch)) == ["pm10"]
    found = watch.take(*columns(2, [0, 3], pm10=200, pm25=200))
    assert judged_names(above(watch)) == ["pm25", "pm10"]
    assert above(watch).state["run"][[0, 3]].tolist() == [[1, 3], [1, 3]]
    assert [one.detector for one in found] == ["above"]
    assert found[0].changes.metric.tolist() == [FAMILY.index["pm10"]] * 2, "places in the whole family"


def test_a_range_comes_back_as_it_was() -> None:
    watch, again = watched(), watched()
    for minute in range(4):
        watch.take(*columns(minute, [0, 3, 4], pm10=200))
    packed = pack(watch, np.arange(5), 0)
    assert devices_of(packed[:24]).tolist() == [0, 1, 2, 3, 4]
    unpack(again, packed, 0)
    assert again.sent == watch.sent
    assert again.newest.tolist() == watch.newest.tolist()
    for one, other in zip(watch.detectors, again.detectors, strict=True):
        for name, array in one.state.items():
            np.testing.assert_array_equal(array, other.state[name])


def test_a_detector_that_keeps_other_things_than_before_begins_anew() -> None:
    watch = watched()
    watch.take(*columns(0, [1], pm10=200))
    packed = pack(watch, np.arange(5), 0)

    class Longer(Above):
        arrays = {**Above.arrays, "more": Above.arrays["sum"]}  # noqa: RUF012 - as the base declares it

    changed = Watch(FAMILY, (Longer, Quiet), lambda detector, error: None)
    changed.grow(fleet_of(5))
    unpack(changed, packed, 0)
    assert not above(changed).state["run"].any()
    assert next(d for d in changed.detectors if d.name == "quiet").state["heard"][1] == BEGIN_US


def test_a_fault_is_told_once_and_is_its_own() -> None:
    told: list[str] = []
    watch = Watch(FAMILY, (Broken, Above), lambda detector, error: told.append(f"{detector.name}: {error}"))
    watch.grow(fleet_of(5))
    for minute in range(3):
        watch.take(*columns(minute, [2], pm25=13 if minute == 0 else 200))
    assert told == ["broken: 13 is no good"]
    assert [detector.name for detector in watch.detectors] == ["above"]
    assert above(watch).state["run"][2, 0] == 2


def test_all_of_a_device_lies_in_lines_of_its_own() -> None:
    detector = Anomaly(FAMILY)
    detector.grow(fleet_of(7))
    first = [array[0].ctypes.data for array in detector.state.values()]
    row = detector.records.rows.strides[0]
    assert bytes_of(Anomaly, 1) == row == 4 * LINE
    assert min(first) % LINE == 0
    assert max(first) - min(first) < row
    assert all(array.strides[0] == row for array in detector.state.values())


def test_rows_of_some_metrics_say_nothing_of_the_others() -> None:
    told = np.array([[5.0, 7.0, np.nan], [6.0, np.nan, np.nan]])
    column = np.full(len(FAMILY.metrics), 2)
    column[[1, 4]] = 0, 1
    rows = Rows(FAMILY, np.arange(2), np.zeros(2, int), np.zeros(2, int), told, column)
    np.testing.assert_array_equal(rows.values[:, [1, 4, 0]], told)
    np.testing.assert_array_equal(rows.of(np.array([1])).values[0, [1, 4, 0]], told[1])
    np.testing.assert_array_equal(rows.narrowed(FAMILY, [4, 1]).values, told[:, [1, 0]])
    np.testing.assert_array_equal(rows.told[:, rows.columns(np.array([4]))], told[:, [1]])


def test_a_slot_is_one_device_and_gaps_are_filled() -> None:
    slots, seats = Slots(), Seats()
    slots.seat(2, np.array([70, NOBODY, 90]))
    assert slots.add(np.array([5, 6, 7, 8])).tolist() == [0, 1, 3, 5]
    assert slots.fleet().device.tolist() == [5, 6, 70, 7, 90, 8]
    seats.put(np.array([70, 90]), 1, np.array([2, 4]))
    asked = np.array([90, 70, 5, 4_000_000])
    assert seats.of(asked, 1).tolist() == [4, 2, NOBODY, NOBODY]
    assert seats.of(asked, 0).tolist() == [NOBODY] * 4
