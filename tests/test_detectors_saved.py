"""What an earlier version of the detectors has stored is read by that of today: a row of rollup.detector_state.

`saved/detectors_air_quality.zlib` is such a row, `packed` of it, compressed: three devices of air_quality that told
four metrics for 90 minutes.
"""

import zlib
from pathlib import Path

import numpy as np
import pytest

from analytics.columns import Columns
from analytics.detectors import all_detectors
from analytics.detectors.detector import Detector
from analytics.detectors.pack import devices_of, pack, unpack
from analytics.detectors.watch import Watch
from devices.family import FAMILIES
from tests.detector_world import BEGIN_US, SECOND_US, fleet_of

FAMILY = FAMILIES["air_quality"]
STORED = zlib.decompress((Path(__file__).parent / "saved" / "detectors_air_quality.zlib").read_bytes())
DEVICES = 3


def failed(detector: Detector, error: Exception) -> None:
    """What was stored must not be the end of a detector."""
    raise AssertionError(f"{detector.name}: {error}") from error


def put_back() -> Watch:
    """The detectors of today, with what was stored."""
    watch = Watch(FAMILY, all_detectors(), failed)
    watch.grow(fleet_of(devices_of(STORED)))
    unpack(watch, STORED, 0)
    return watch


def test_a_stored_row_is_read_as_it_was_stored() -> None:
    """Packed again it is the same, to the byte: nothing that is known of a fleet is lost by an update. Where a detector
    is to keep other things, it begins anew on every device: store another row here only if that is meant."""
    watch = put_back()
    assert devices_of(STORED).tolist() == [70, 71, 72]
    assert (watch.newest[:DEVICES] == BEGIN_US + 89 * 60 * SECOND_US).all()
    assert pack(watch, devices_of(STORED), 0) == STORED


@pytest.mark.parametrize("minutes", [1, 60, 24 * 60])
def test_detectors_go_on_from_a_stored_row(minutes: int) -> None:
    """None of them fails, and ordinary readings find nothing: what begins anew has its grace again."""
    watch = put_back()
    begin, slot = BEGIN_US + 90 * 60 * SECOND_US, np.arange(DEVICES)
    values = np.full((DEVICES, len(FAMILY.metrics)), np.nan)
    for name, middle in (("pm25", 40.0), ("co", 900.0), ("temperature", 25.0), ("battery_level", 0.8)):
        values[:, FAMILY.index[name]] = middle
    found = []
    for number in range(5):
        time = np.full(DEVICES, begin + number * minutes * 60 * SECOND_US)
        given = FAMILY, slot.astype(np.int32), np.full(DEVICES, 213, np.int16), time, slot, time, values
        found += watch.take(slot, Columns(*given))
        found += watch.tick(int(time[0]))
    assert {one.detector for one in found if one.changes.on.any()} <= {"silent"}, "gaps of a day may be silence"
