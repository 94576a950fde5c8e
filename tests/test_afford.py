"""What detectors remember fits into the memory that there is for it."""

from hypothesis import given
from hypothesis import strategies as st

from analytics.detectors import all_detectors
from analytics.detectors.afford import Cost, costs, left_out

NAMES = ("air_quality", "meter", "rain")
detectors = st.sampled_from(["spike", "drift", "silent"])
found_costs = st.lists(
    st.builds(Cost, st.sampled_from(NAMES), detectors, st.integers(1, 999), st.booleans()),
    unique_by=lambda cost: (cost.family, cost.detector),
)
fleets = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 10**6))


@given(found_costs, fleets, st.integers(0, 10**9))
def test_what_is_left_fits_or_nothing_more_can_be_left_out(
    found: list[Cost], devices: dict[str, int], room: int
) -> None:
    gone = left_out(found, devices, room)
    left = [cost for cost in found if (cost.family, cost.detector) not in gone]
    taken = sum(cost.bytes * devices.get(cost.family, 0) for cost in left)
    assert taken <= room or not any(cost.general for cost in left)
    assert all(cost.general for cost in found if (cost.family, cost.detector) in gone)


@given(found_costs, fleets)
def test_with_room_for_all_nothing_is_left_out(found: list[Cost], devices: dict[str, int]) -> None:
    assert not left_out(found, devices, sum(cost.bytes * devices.get(cost.family, 0) for cost in found))


def test_a_hundred_thousand_devices_of_the_dearest_family_fit_into_half_a_gigabyte() -> None:
    found = costs(all_detectors())
    dearest = max({cost.family: sum(c.bytes for c in found if c.family == cost.family) for cost in found}.values())
    assert dearest * 100_000 < 1 << 29 or not left_out(found, {"air_quality": 100_000}, 1 << 30)


def test_what_knows_one_kind_of_trouble_is_never_left_out() -> None:
    found = costs(all_detectors())
    gone = {detector for _, detector in left_out(found, dict.fromkeys({cost.family for cost in found}, 10**7), 0)}
    kept = {cost.detector for cost in found} - gone
    assert {"silent", "battery", "clock", "reporting", "leak", "fire-smoke", "fire-camera"} <= kept
    assert {"drift", "spike", "stuck"} <= gone
