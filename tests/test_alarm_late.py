"""Readings that come hours late: what was over long ago does not ring, what lasts rings, a wrong clock rings late."""

import time
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from analytics.alarms.late import OLD_US, WAIT_US, Late, Newest
from analytics.alarms.matching import Sign
from tests.stack import RunningStack

NAN = float("nan")
NOW = 1_780_000_000_000_000
MINUTE_US = 60_000_000
LIMIT = "limit-critical"


def sign(finding: int, found: int, until: int | None = None, device: int = 1, began: bool = True) -> Sign:
    place = (finding, device, "x", 58, "fill_level", "native-fill-level", LIMIT, "status")
    return Sign(*place, found, found, until, 1.0, 1.0, 0.0, NAN, NAN, 60.0, 180.0, began, NOW - found)


def newest(*times: tuple[int, int]) -> Newest:
    def of(_signs: Sequence[Sign]) -> dict[int, int]:
        return dict(times)

    return of


def test_what_is_new_is_judged_at_once() -> None:
    late = Late()
    fresh = [sign(1, NOW - MINUTE_US), sign(2, NOW - MINUTE_US, NOW)]
    assert late.sift(fresh, NOW, newest()) == fresh
    ended = sign(3, NOW - 9 * OLD_US, NOW, began=False)
    assert late.sift([ended], NOW, newest()) == [ended], "what has rung must be able to end"


def test_what_was_over_long_before_the_newest_reading_is_history() -> None:
    late = Late()
    assert late.sift([sign(1, NOW - 9 * OLD_US, NOW - 8 * OLD_US)], NOW, newest((1, NOW))) == []
    assert not late.waiting


def test_what_lasts_until_the_newest_reading_rings() -> None:
    lasting = sign(1, NOW - 9 * OLD_US)
    assert Late().sift([lasting], NOW, newest((1, NOW - MINUTE_US))) == [lasting]


def test_a_device_that_catches_up_is_waited_for() -> None:
    late, found, hour = Late(), NOW - 5 * 60 * MINUTE_US, 60 * MINUTE_US
    assert late.sift([sign(1, found), sign(2, found)], NOW, newest((1, found))) == []
    for minute in range(1, 5):  # an hour of readings a minute
        assert late.ripe(NOW + minute * MINUTE_US, newest((1, found + minute * hour))) == []
    assert late.sift([sign(1, found, found + hour, began=False)], NOW + 4 * MINUTE_US, newest()) == []
    here = NOW + 6 * MINUTE_US
    assert late.ripe(here, newest((1, here))) == [sign(2, found)], "one is over since hours, the other lasts"
    assert not late.waiting


@given(st.integers(OLD_US + 1, 100 * OLD_US), st.booleans())
def test_a_wrong_clock_rings_after_a_minute(behind: int, over: bool) -> None:
    late, found = Late(), NOW - behind
    one = sign(1, found, found + 1 if over else None)
    assert late.sift([one], NOW, newest((1, found))) == []
    assert late.ripe(NOW + WAIT_US // 2, newest((1, found + WAIT_US // 2))) == []
    assert late.ripe(NOW + WAIT_US, newest((1, found + WAIT_US))) == [one]


def test_held_readings_ring_for_what_lasts_alone(stack: RunningStack) -> None:
    """Three hours that a bin held: it burnt in the first, and does not now; another one burns since."""
    was, burns = (stack.enroll(name, "native-fill-level", "220") for name in ("held-was", "held-is"))
    begin = int(time.time() * 1000) - 180 * 60_000
    for device, last in ((was, 60), (burns, 181)):
        said = [
            {"time": begin + n * 60_000, "seq": n + 1, "metrics": {"status": "burning" if 20 <= n < last else "ok"}}
            for n in range(181)
        ]
        stack.publish(f"dothi/v1/220/{device}/up", *[said[n : n + 50] for n in range(0, 181, 50)])
    members = """
        select string_agg(distinct m.device, ' ') from city.alarm_member m join city.alarm a on a.id = m.alarm
        where a.kind = 'status-state' and a.area = '220' and starts_with(m.device, 'held-')
    """
    stack.wait_for(members, until=lambda found: found == burns)
    assert stack.query("select count(*) from city.finding where device = %s and until is not null", was) == [(1,)]
    time.sleep(7)  # what waits is looked at every five seconds
    assert stack.query(members) == [(burns,)]
    ended = {"time": int(time.time() * 1000), "seq": 500, "metrics": {"status": "ok"}}
    stack.publish(f"dothi/v1/220/{burns}/up", ended)
