"""From readings over the broker to the air index of their hour, and to the alarm of their district."""

import time

import pytest

from tests.stack import RunningStack

MINUTE_MS = 60_000
HOURS = 6
LONGEST_S = 200.0
RUNG = """
select severity, message, message_en, members_now from city.alarm where kind = 'air_quality' and area = %s
"""


def hours_of(pm25: float, until_ms: int) -> list[list[dict[str, object]]]:
    """Some hours of readings a minute apart, in lists as a station sends them that was cut off."""
    first = until_ms - HOURS * 60 * MINUTE_MS
    said = [
        {"time": first + n * MINUTE_MS, "seq": n + 1, "metrics": {"pm25": pm25 + n % 7, "pm10": 1.4 * pm25 + n % 5}}
        for n in range(HOURS * 60)
    ]
    return [said[n : n + 60] for n in range(0, len(said), 60)]


def rung(stack: RunningStack, area: str) -> tuple[object, ...]:
    """The alarm of a district; the index takes half a minute, the look at it one more."""
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        if rows := stack.query(RUNG, area):
            return rows[0]
        time.sleep(1.0)
    said = stack.query("select bucket, device, vn_aqi from city.air_index_1h where area = %s order by bucket", area)
    raise AssertionError(f"no alarm of {area} within {LONGEST_S} s; indices: {said}")


@pytest.mark.full
def test_bad_air_is_one_alarm_of_its_district(stack: RunningStack) -> None:
    """The hour is closed already when its readings come late: it is judged again."""
    bad, fair = stack.enroll("smog", area="215"), stack.enroll("clean", area="220")
    now = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS
    for device, area, pm25 in ((bad, "215", 170.0), (fair, "220", 8.0)):
        stack.publish(f"dothi/v1/{area}/{device}/up", *hours_of(pm25, now))
    severity, message, message_en, members = rung(stack, "215")
    index = stack.query("select max(vn_aqi) from city.air_index_1h where device = %s", bad)[0][0]
    assert 201 <= index <= 300, "PM2.5 of 150 to 250 µg/m³"
    assert (severity, members) == ("major", 1)
    assert f"VN_AQI {index:.0f}" in str(message)
    assert "Air quality is bad" in str(message_en)
    assert stack.query(RUNG, "220") == []
