"""Real messages of foreign systems through the whole line: stored with right values, or kept with a reason."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from devices.envelopes import Packet, opener_of
from devices.fitting import chosen
from devices.profile import PROFILES
from devices.rejected import Rejected
from devices.route import ROUTES
from tests.stack import RunningStack, running_stack
from tests.test_ngsi import STORED as ENTITIES
from tests.test_payloads import FILES, FOLDER, PRIVATE, STORED, TIMES, without_comments

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")

# A topic of each route; a Shelly is named by its topic, so each file has a device of its own.
TOPIC = {"frigate": "frigate/events", "shelly": "{}/status/{}", "ngsi": "ngsi/notification"}
COMPONENT = {"input_0": "input:0", "input_1": "input:1", "blutrv_200": "blutrv:200"}
EXPECTED = STORED | {f"ngsi/{name}": metrics for name, metrics in ENTITIES.items()}


@pytest.fixture(scope="module")
def old_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that takes readings of any age: the messages are from 2016 to 2025."""
    folder = tmp_path_factory.mktemp("foreign")
    kept = "20000d,1m=20000d,1h=20000d,1d=20000d"
    with running_stack(folder, environment={"DOTHI_LATE_LIMIT": "20000d", "DOTHI_RETENTION": kept}) as stack:
        yield stack


# What no profile takes comes from a device of some profile all the same, and must end in quarantine.
ANY = {"frigate": "frigate-event", "shelly": "shelly-gen3", "ngsi": "ngsi-weather-observed"}


def payload_of(name: str) -> bytes:
    """The message as a broker carries it."""
    payload = (FOLDER / name).read_bytes()
    return without_comments(payload) if name.endswith(".jsonc") else payload


def topic_of(name: str) -> str:
    """The topic it is sent on."""
    system, _, file = name.partition("/")
    stem = Path(file).stem.lower()
    return TOPIC[system].format(stem, COMPONENT.get(stem.partition("-")[2], "switch:0"))


def packets_of(name: str) -> list[Packet]:
    """What a message holds that is more than a notice."""
    opened = opener_of(ROUTES[name.split("/")[0]])(topic_of(name), payload_of(name))
    return [part for part in opened if isinstance(part, Packet)]


def enroll_all(stack: RunningStack) -> None:
    """Enrol a device for everything that the messages speak of."""
    rows: dict[tuple[str, str], str] = {}
    for name in FILES:
        system = name.split("/")[0]
        for packet in packets_of(name):
            found = chosen(ROUTES[system].kind, packet)
            if packet.foreign_id and (system, packet.foreign_id) not in rows:
                rows[system, packet.foreign_id] = ANY[system] if isinstance(found, Rejected) else found.profile.name
    places = [
        (f"foreign-{n}", profile, "213", f'"{route}:{name}"') for n, ((route, name), profile) in enumerate(rows.items())
    ]
    stack.enroll_many(places)


def test_real_messages_end_where_they_belong(old_stack: RunningStack) -> None:
    enroll_all(old_stack)
    with psycopg.connect(old_stack.document["database"], autocommit=True, row_factory=dict_row) as connection:
        kept = {system: [0, 0] for system in TOPIC}
        for name in filter(packets_of, FILES):
            before = connection.execute("select clock_timestamp() as now").fetchone()
            assert before is not None
            old_stack.publish(topic_of(name), payload_of(name))
            stored = outcome(connection, name, before["now"])
            kept[name.split("/")[0]][0 if stored else 1] += 1
    assert kept == {"frigate": [4, 1], "shelly": [4, 0], "ngsi": [30, 1]}
    with psycopg.connect(old_stack.document["reader"]) as reader:
        everything = str(reader.execute("select payload, detail from city.quarantine").fetchall())
        everything += str(reader.execute("select extra from city.camera_event").fetchall())
    assert not [word for word in PRIVATE if word in everything]


def outcome(connection: psycopg.Connection[dict[str, object]], name: str, since: object) -> bool:
    """Whether the message was stored, with the values it must have; else it is in quarantine with a sentence."""
    families = {profile.family.name for profile in PROFILES.values() if profile.route == name.split("/")[0]}
    until = time.monotonic() + 15
    while time.monotonic() < until:
        for family in families:
            row = connection.execute(f"select * from city.{family} where received >= %s".encode(), (since,)).fetchone()
            if row:
                wanted = EXPECTED.get(name, {})
                assert {metric: row[metric] for metric in wanted} == pytest.approx(wanted)
                with contextlib.suppress(KeyError):
                    assert int(row["time"].timestamp() * 1e6) == pytest.approx(TIMES[name], abs=1)  # type: ignore[attr-defined]
                return True
        refused = connection.execute("select * from city.quarantine where received >= %s", (since,)).fetchone()
        if refused:
            assert name not in EXPECTED, refused["detail"]
            assert len(str(refused["detail"])) > 20
            return False
        time.sleep(0.02)
    raise AssertionError(f"{name} is neither stored nor quarantined")
