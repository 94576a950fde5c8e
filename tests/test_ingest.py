"""Real messages through a real broker into a real database: where each ends, and why."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest

from devices.rejected import Reason
from tests.stack import RunningStack


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def uplink(area: str, device: str) -> str:
    """The native topic."""
    return f"dothi/v1/{area}/{device}/up"


@pytest.fixture(scope="module")
def device(stack: RunningStack) -> str:
    return stack.enroll("ingest-aq")


def stored(stack: RunningStack, device: str, seq: int) -> dict[str, Any]:
    """The row of one reading as the view shows it, waited for."""
    return dict(
        stack.wait_for("select to_jsonb(c) from city.air_quality c where device = %s and seq = %s", device, seq)
    )


def quarantined(stack: RunningStack, topic: str, since: datetime) -> tuple[Any, ...]:
    """Reason, field, value, detail, payload of the one message on a topic."""
    stack.wait_for("select count(*) from city.quarantine where topic = %s and received >= %s", topic, since)
    rows = stack.query(
        "select reason, field, value, detail, payload from city.quarantine where topic = %s and received >= %s",
        topic,
        since,
    )
    assert len(rows) == 1
    return rows[0]


def test_a_full_reading_is_stored_as_sent(stack: RunningStack, device: str) -> None:
    sent = {
        "time": now_ms(),
        "seq": 1,
        "boot": 3,
        "metrics": {"pm25": 41.2, "temperature": 28.5, "relative_humidity": 0.7},
    }
    stack.publish(uplink("213", device), sent)
    row = stored(stack, device, 1)
    assert {name: row[name] for name in sent["metrics"]} == sent["metrics"]
    assert (row["area"], row["boot"], row["extra"], row["pm10"]) == ("213", 3, None, None)
    assert datetime.fromisoformat(row["time"]).timestamp() * 1000 == pytest.approx(sent["time"], abs=0.01)


def test_rfc_3339_cbor_and_lists(stack: RunningStack, device: str) -> None:
    text = datetime.now(UTC).isoformat()
    batch = [{"time": now_ms() - n, "seq": 20 + n, "metrics": {"pm10": n}} for n in range(5)]
    stack.publish(
        uplink("213", device),
        {"time": text, "seq": 10, "metrics": {"pm25": 1}},
        cbor2.dumps({"time": now_ms(), "seq": 11, "metrics": {"pm25": 2.5}}),
        batch,
        cbor2.dumps([{"time": now_ms() - 50 - n, "seq": 30 + n, "metrics": {"pm10": n}} for n in range(3)]),
    )
    assert datetime.fromisoformat(stored(stack, device, 10)["time"]) == datetime.fromisoformat(text)
    assert stored(stack, device, 11)["pm25"] == 2.5
    assert [stored(stack, device, 20 + n)["pm10"] for n in range(5)] == [0, 1, 2, 3, 4]
    assert [stored(stack, device, 30 + n)["pm10"] for n in range(3)] == [0, 1, 2]


def test_only_metrics_are_required(stack: RunningStack) -> None:
    device = stack.enroll("ingest-bare")
    stack.publish(uplink("213", device), {"metrics": {"pm25": 5}})
    stack.wait_for("select count(*) from city.air_quality where device = %s", device)
    seq, same = stack.query("select seq, time = received from city.air_quality where device = %s", device)[0]
    assert seq < 0
    assert same


VALUE_CASES: list[tuple[str, bytes, object, Reason]] = [
    ("out of range", b'{"pm25": 1, "pm10": -5}', -5, Reason.OUT_OF_RANGE),
    ("NaN", b'{"pm25": 1, "pm10": NaN}', "NaN", Reason.NOT_FINITE),
    ("Infinity", b'{"pm25": 1, "pm10": Infinity}', "Infinity", Reason.NOT_FINITE),
    ("1e400", b'{"pm25": 1, "pm10": 1e400}', "1e400", Reason.NOT_FINITE),
    ("text for a number", b'{"pm25": 1, "pm10": "12"}', "12", Reason.WRONG_TYPE),
    ("true for a number", b'{"pm25": 1, "pm10": true}', True, Reason.WRONG_TYPE),
]


@pytest.mark.parametrize(
    ("metrics", "raw", "reason"), [case[1:] for case in VALUE_CASES], ids=[c[0] for c in VALUE_CASES]
)
def test_one_bad_value_does_not_cost_the_others(
    stack: RunningStack, device: str, metrics: bytes, raw: object, reason: Reason
) -> None:
    seq = 1000 + [case[1] for case in VALUE_CASES].index(metrics)
    stack.publish(uplink("213", device), b'{"time": %d, "seq": %d, "metrics": %s}' % (now_ms(), seq, metrics))
    row = stored(stack, device, seq)
    assert (row["pm25"], row["pm10"]) == (1, None)
    assert row["extra"] == {"rejected": {"pm10": raw}, "reasons": {"pm10": reason.value}}


def test_latitude_as_text_is_refused_and_the_rest_stored(stack: RunningStack) -> None:
    device = stack.enroll("ingest-fire", "native-fire-watch", "220")
    stack.publish(uplink("220", device), {"time": now_ms(), "seq": 1, "metrics": {"co": 3.5, "latitude": "21.3"}})
    row = stack.wait_for("select to_jsonb(c) from city.fire_watch c where device = %s", device)
    assert (row["co"], row["latitude"]) == (3.5, None)
    assert row["extra"] == {"rejected": {"latitude": "21.3"}, "reasons": {"latitude": "wrong_type"}}


def test_unknown_metrics_and_fields_are_kept(stack: RunningStack, device: str) -> None:
    stack.publish(
        uplink("213", device),
        {"time": now_ms(), "seq": 2000, "firmware": "1.2", "metrics": {"pm25": 1, "radon": {"value": 7}}},
    )
    assert stored(stack, device, 2000)["extra"] == {"firmware": "1.2", "radon": {"value": 7}}


def test_nul_characters_are_made_visible_not_fatal(stack: RunningStack, device: str) -> None:
    stack.publish(uplink("213", device), {"time": now_ms(), "seq": 2001, "note": "a\0b", "metrics": {"pm25": 1}})
    row = stored(stack, device, 2001)
    assert row["pm25"] == 1
    assert "a␀b" in json.dumps(row["extra"], ensure_ascii=False)


MESSAGE_CASES: list[tuple[str, bytes, Reason]] = [
    ("empty", b"", Reason.EMPTY_PAYLOAD),
    ("not UTF-8", b'{"metrics": {"pm25": "\xff"}}', Reason.INVALID_UTF8),
    ("cut short", b'{"metrics": {"pm25": 1', Reason.MALFORMED),
    ("nested deeply", b"[" * 100_000, Reason.TOO_DEEP),
    ("1 MB", b'{"metrics": {"pm25": 1}, "x": "' + b"x" * 1_000_000 + b'"}', Reason.TOO_LARGE),
    ("a number", b"42", Reason.WRONG_SHAPE),
    ("no metrics", b'{"pm25": 1}', Reason.WRONG_SHAPE),
    ("empty metrics", b'{"metrics": {}}', Reason.NO_METRIC),
    ("only a bad value", b'{"metrics": {"pm25": -1}}', Reason.OUT_OF_RANGE),
    ("only unknown metrics", b'{"metrics": {"radon": 1}}', Reason.NO_METRIC),
    ("only text with NUL", b'{"metrics": {"pm25": "a\\u0000"}}', Reason.NUL_CHARACTER),
    ("seq as text", b'{"seq": "7", "metrics": {"pm25": 1}}', Reason.BAD_SEQ),
    ("seq beyond 63 bits", b'{"seq": 9223372036854775808, "metrics": {"pm25": 1}}', Reason.BAD_SEQ),
    ("boot negative", b'{"boot": -1, "metrics": {"pm25": 1}}', Reason.BAD_BOOT),
    ("time as words", b'{"time": "yesterday", "metrics": {"pm25": 1}}', Reason.BAD_TIME),
    ("time without zone", b'{"time": "2026-11-20T10:00:00", "metrics": {"pm25": 1}}', Reason.BAD_TIME),
    ("1970", b'{"time": 86400000, "metrics": {"pm25": 1}}', Reason.CLOCK_NOT_SET),
    ("zero", b'{"time": 0, "metrics": {"pm25": 1}}', Reason.CLOCK_NOT_SET),
    ("seconds for milliseconds", b'{"time": %d, "metrics": {"pm25": 1}}' % time.time(), Reason.TIME_UNIT),
    ("microseconds", b'{"time": %d, "metrics": {"pm25": 1}}' % (time.time() * 1e6), Reason.TIME_UNIT),
    ("far future", b'{"time": %d, "metrics": {"pm25": 1}}' % (now_ms() + 3_600_000), Reason.IN_FUTURE),
    ("before the late limit", b'{"time": %d, "metrics": {"pm25": 1}}' % (now_ms() - 8 * 86_400_000), Reason.TOO_LATE),
]


@pytest.mark.parametrize(("payload", "reason"), [case[1:] for case in MESSAGE_CASES], ids=[c[0] for c in MESSAGE_CASES])
def test_a_message_that_cannot_be_read_is_kept_with_its_reason(
    stack: RunningStack, device: str, payload: bytes, reason: Reason
) -> None:
    since = stack.query("select clock_timestamp()")[0][0]
    stack.publish(uplink("213", device), payload)
    found, _, _, detail, kept = quarantined(stack, uplink("213", device), since)
    assert found == reason.value
    assert detail
    assert kept == payload[:65_536]


def test_who_is_not_known_or_not_here(stack: RunningStack) -> None:
    [here, gone] = stack.enroll_many(
        [("ingest-here", "native-weather", "215", ""), ("ingest-gone", "native-weather", "215", "")]
    )
    stack.query(
        "update registry.device set state = 'retired', changed = pg_current_xact_id() where device = %s returning 1",
        gone,
    )
    stack.wait_known()
    reading = {"metrics": {"temperature": 20}}
    for topic, reason in (
        (uplink("215", "nobody-knows-me"), Reason.UNKNOWN_DEVICE),
        (uplink("216", here), Reason.WRONG_AREA),
        (uplink("215", gone), Reason.RETIRED_DEVICE),
    ):
        since = stack.query("select clock_timestamp()")[0][0]
        stack.publish(topic, reading)
        assert quarantined(stack, topic, since)[0] == reason.value


def test_duplicates_are_stored_once_and_counted(stack: RunningStack) -> None:
    device = stack.enroll("ingest-twice", area="217")
    message = {"time": now_ms(), "seq": 7, "metrics": {"pm25": 5, "pm10": None}}
    stack.publish(uplink("217", device), message, message, {"time": now_ms(), "seq": 8, "metrics": {"pm25": 6}})
    stack.wait_settled(3, "217")
    stack.publish(uplink("217", device), message)
    stack.wait_settled(4, "217")
    assert stack.query("select count(*) from city.air_quality where device = %s", device) == [(2,)]
    assert ledger(stack, "217") == (4, 2, 2, 0)


def test_same_key_with_other_values_is_a_conflict(stack: RunningStack) -> None:
    device = stack.enroll("ingest-conflict", area="218")
    when = now_ms()
    first = {"time": when, "seq": 7, "metrics": {"pm25": 5}}
    other = {"time": when, "seq": 7, "metrics": {"pm25": 6}}
    stack.publish(uplink("218", device), first)
    stack.wait_settled(1, "218")
    since = stack.query("select clock_timestamp()")[0][0]
    stack.publish(uplink("218", device), other, {"time": when, "seq": 8, "metrics": {"pm25": 9}})
    reason, field, value, _, payload = quarantined(stack, uplink("218", device), since)
    assert (reason, field, value) == ("conflict", "seq", "7")
    assert json.loads(payload) == other
    stack.wait_settled(3, "218")
    assert stack.query("select seq, pm25 from city.air_quality where device = %s order by seq", device) == [
        (7, 5),
        (8, 9),
    ]
    assert ledger(stack, "218") == (3, 2, 0, 1)


def test_one_bad_element_of_a_list_does_not_cost_the_others(stack: RunningStack) -> None:
    device = stack.enroll("ingest-list", area="221")
    stack.publish(
        uplink("221", device),
        [{"time": now_ms(), "seq": 1, "metrics": {"pm25": 5}}, {"seq": -3, "metrics": {"pm25": 5}}, "what"],
    )
    stack.wait_settled(3, "221")
    assert ledger(stack, "221") == (3, 1, 0, 2)
    kept = stack.query("select reason, payload from city.quarantine where device = %s order by id", device)
    assert kept == [("bad_seq", b'{"seq":-3,"metrics":{"pm25":5}}'), ("wrong_shape", b'"what"')]


def test_late_readings_go_to_their_own_time(stack: RunningStack) -> None:
    device = stack.enroll("ingest-late")
    times = [now_ms() - day * 86_400_000 for day in range(7)]
    stack.publish(uplink("213", device), [{"time": t, "seq": n, "metrics": {"pm25": n}} for n, t in enumerate(times)])
    stack.wait_for("select count(*) = 7 from city.air_quality where device = %s", device)
    rows = stack.query(
        "select (extract(epoch from time) * 1000)::int8 from city.air_quality where device = %s order by seq", device
    )
    assert [time for (time,) in rows] == times
    newest = "select seq from city.latest_air_quality where device = %s"
    stack.wait_for(newest, device, until=lambda seq: seq == 0)


def test_presence_follows_the_status_topic(stack: RunningStack) -> None:
    device = stack.enroll("ingest-status", area="222")
    for word, online in ((b"online", True), (b"offline", False)):
        stack.publish(f"dothi/v1/222/{device}/status", word)
        stack.wait_for(
            "select online from city.device where device = %s", device, until=lambda seen, on=online: seen is on
        )
    assert ledger(stack, "222") == (0, 0, 0, 0)


def test_consumers_read_every_batch_once_in_commit_order(stack: RunningStack, device: str) -> None:
    """A transaction held back must not be skipped: what is read stops at the oldest transaction that is still open."""
    import psycopg

    behind = "select count(*) from ops.batch where xid >= pg_snapshot_xmin(pg_current_snapshot())"
    with psycopg.connect(stack.document["database"]) as held:
        held.execute("select pg_current_xact_id()")
        stack.publish(uplink("213", device), {"time": now_ms(), "seq": 3000, "metrics": {"pm25": 1}})
        stored(stack, device, 3000)
        assert stack.query(behind)[0][0] >= 1
    assert stack.query(behind)[0][0] == 0


def ledger(stack: RunningStack, inbox: str) -> tuple[int, ...]:
    """received, stored, duplicate, quarantined of one inbox."""
    return stack.query(
        "select coalesce(sum(received), 0)::int, coalesce(sum(stored), 0)::int, coalesce(sum(duplicate), 0)::int, "
        "coalesce(sum(quarantined), 0)::int from city.ledger where inbox = %s",
        inbox,
    )[0]
