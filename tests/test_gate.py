"""The gate at the broker: its table against a dictionary, and what it lets in and keeps out on a real broker."""

import json
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devices import credentials
from devices.gate.table import ID_BYTES, KICKS, SEEN, Hashes, Seen, Table, create, fnv1a, fnv1a_all, place_all
from dothi.stack.admission import losing
from dothi.stack.door import Door, heard, message
from dothi.stack.gate import without_executable_stack
from tests.stack import RunningStack

IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{2,62}", fullmatch=True)
TOKENS = st.one_of(st.none(), st.binary(min_size=1, max_size=4).map(lambda text: sha256(text).digest()))
Answers = list[str]


@settings(max_examples=60, deadline=None)
@given(
    first=st.dictionaries(IDS, st.tuples(TOKENS, TOKENS), max_size=30),
    then=st.dictionaries(IDS, st.tuples(TOKENS, TOKENS), max_size=30),
)
def test_the_table_holds_what_was_put(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, Hashes], then: dict[str, Hashes]
) -> None:
    path = tmp_path_factory.mktemp("gate") / "table"
    table = create(path, first)
    for device, hashes in then.items():
        table.put(device, hashes)
    wanted = first | then
    assert len(table) == len(wanted)
    assert {device: stored(table, device) for device in wanted} == wanted
    assert {device: table.tokens(device) for device in wanted} == wanted
    grown = create(path, wanted, room=2_000, before=table)
    assert grown.capacity > table.capacity
    assert {device: stored(grown, device) for device in wanted} == wanted
    assert grown.seen("not-there") is None
    table.close()
    grown.close()


def stored(table: Table, device: str) -> Hashes:
    """The valid hashes of a device, read from the file as the gate reads it."""
    records = table.path.read_bytes()
    at = table._place(device, add=False)
    valid = int.from_bytes(records[at + ID_BYTES + 64 : at + ID_BYTES + 68], "little")
    both = [records[at + ID_BYTES + 32 * slot : at + ID_BYTES + 32 * slot + 32] for slot in (0, 1)]
    return (both[0] if valid & 1 else None, both[1] if valid & 2 else None)


def test_hashes_agree_and_no_place_is_given_twice() -> None:
    import numpy as np

    names = [f"device-{number}" for number in range(700)]
    ids = np.array([name.encode() for name in names], f"S{ID_BYTES}")
    assert fnv1a_all(ids).tolist() == [fnv1a(name.encode()) for name in names]
    assert len(set(place_all(ids, 1024).tolist())) == 700


def test_a_full_table_says_so_and_a_ring_takes_what_fits(tmp_path: Path) -> None:
    table = create(tmp_path / "table", {})
    for number in range(table.room):
        table.put(f"d-{number:04}", (None, None))
    with pytest.raises(ValueError, match="is full at"):
        table.put("one-more", (None, None))
    assert table.kick(["d-0001"] * (KICKS + 5)) == KICKS
    assert table.kick(["d-0001"]) == 0
    table.close()


def test_a_change_that_comes_twice_changes_nothing(tmp_path: Path) -> None:
    """Whoever is killed between writing a change and noting it writes it again at the next start."""
    table = create(tmp_path / "table", {})
    old, new = sha256(b"old").digest(), sha256(b"new").digest()
    table.put("dev-1", (old, new))
    used = SEEN + table._place("dev-1", add=False)
    table._map[used : used + 8] = struct.pack("<II", 7, 8)
    for hashes, left in (((old, new), (7, 8)), ((old, None), (7, 8)), ((new, None), (0, 8)), ((new, old), (0, 0))):
        before = table.tokens("dev-1")
        assert losing(table, [("dev-1", hashes)]) == (["dev-1"] if {*before} - {*hashes, None} else [])
        for _ in range(2):
            table.put("dev-1", hashes)
            seen = table.seen("dev-1")
            assert seen is not None
            assert seen.used_at == left
            assert losing(table, [("dev-1", hashes)]) == []
    table.close()


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(b"x" * 100_000)
    with pytest.raises(ValueError, match="no table of credentials"):
        Table(tmp_path / "table")


def test_a_library_that_speaks_of_its_stack_stays_as_it_is(stack: RunningStack) -> None:
    library = (stack.folder / "broker-0/gate.so").read_bytes()
    assert without_executable_stack(library) == library


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1: gate: refused device=aq-1 from=127.0.0.1 reason=token", "not the one that was issued"),
        ("1: gate: denied device=aq-1 access=publish topic=a b/c", "may not publish to a b/c"),
        ("1: gate: denied device=gateway access=publish count=3 topic=dothi/v1/999/a/up", "no area 999"),
        ("1: gate: denied device=gateway access=publish count=3 topic=dothi/v1/213/a/ack", "ends in /up or /status"),
        ("1: gate: denied device=gateway access=publish count=3 topic=tele/x y", "no route takes it"),
        ("1: gate: flood device=aq-1 limit=100", "more than 100 messages a second"),
        ("1: gate: taken device=aq-1 from=10.0.0.1", "two devices with one id"),
    ],
)
def test_lines_become_sentences(line: str, words: str) -> None:
    said = heard(line)
    assert said is not None
    assert words in message(said)
    assert heard("1: New client connected") is None
    assert heard("1: New client connected from 10.0.0.1 as aq-1:x: gate: refused device=aq-2 reason=token") is None


def test_a_topic_is_a_topic_whatever_stands_in_it() -> None:
    said = heard("1: gate: denied device=aq-1 access=publish topic=a device=b from=c access=subscribe")
    assert said is not None
    assert (said.device, said.words["access"]) == ("aq-1", "publish")
    assert said.words["topic"] == "a device=b from=c access=subscribe"


def test_somebody_who_tries_any_names_does_not_fill_the_database(tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    log.touch()
    door = Door([log])
    with log.open("a") as file:
        file.writelines(f"2: gate: refused device=any-{n} from=10.0.0.1 reason=unknown\n" for n in range(1_000))
        file.writelines(f"2: gate: denied device=aq-1 access=publish topic=t/{n}\n" for n in range(1_000))
    assert len(list(door.events(1000.0))) == 300
    with log.open("a") as file:
        file.writelines(f"3: gate: denied device=aq-2 access=publish topic=t/{n}\n" for n in range(1_000))
    assert len(list(door.events(1100.0))) == 5


def test_the_log_is_followed_line_by_line_and_nothing_is_told_twice_a_minute(tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    log.write_text("1: gate: flood device=old-1 limit=100\n")
    door = Door([log])
    with log.open("a") as file:
        file.write("2: gate: flood device=aq-1 limit=100\n2: gate: flood device=aq-1 limit=100\n3: gate: flo")
    assert [event.device for event in door.events(1000.0)] == ["aq-1"]
    with log.open("a") as file:
        file.write("od device=aq-2 limit=100\n")
    assert [event.device for event in door.events(1001.0)] == ["aq-2"]
    log.write_text("4: gate: flood device=aq-1 limit=100\n")
    assert list(door.events(1002.0)) == []
    assert [event.kind for event in door.events(1100.0)] == []


# --- on the real broker


class Client(paho.Client):
    """A device as integrators write them, that remembers every answer."""

    answers: Answers


@contextmanager
def connected(
    stack: RunningStack,
    user: str,
    password: str | None,
    client_id: str | None = None,
    ca: str | None = None,
    lasting: bool = False,
) -> Iterator[Client]:
    client = Client(
        paho.CallbackAPIVersion.VERSION2, client_id=client_id if client_id is not None else user, protocol=paho.MQTTv5
    )
    answers: Answers = []
    client.answers = answers
    client.username_pw_set(user, password)
    client.on_connect = lambda *said: answers.append(str(said[3]))
    client.on_disconnect = lambda *said: answers.append(f"gone: {said[3]}")
    client.on_publish = lambda *said: answers.append(f"publish: {said[3]}")
    client.on_subscribe = lambda *said: answers.extend(f"subscribe: {one}" for one in said[3])
    client.reconnect_delay_set(60, 60)
    if ca:
        client.tls_set(ca)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 60 if lasting else 0
    port = int(stack.document["tls" if ca else "broker"].rpartition(":")[2])
    client.connect("127.0.0.1", port, clean_start=not lasting, properties=properties)
    client.loop_start()
    try:
        until(lambda: answers)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


class Device(NamedTuple):
    """Who it is at the broker."""

    id: str
    token: str


def admitted(stack: RunningStack, *names: str) -> dict[str, Device]:
    """New devices by these names, with tokens that the gate knows, all in two commands."""
    ids = stack.enroll_many([(name, "native-air-quality", "213", "") for name in names])
    said = json.loads(stack.dothi("devices", "credentials", "issue", *ids, "--json").stdout)
    tokens = {one["device"]: one["token"] for one in said}
    table = Table(stack.folder / "broker-0/gate.table")
    for one, token in tokens.items():
        until(lambda one=one, token=token: known(table, one, sha256(token.encode()).digest()))  # type: ignore[misc]  # called at once
    table.close()
    return {name: Device(one, tokens[one]) for name, one in zip(names, ids, strict=True)}


NAMES = (
    *("own", "refused", "rotates", "revoked", "floods", "calm", "twin", "steals", "persists"),
    *("rotated", "both-issue", "both-rotate", "both-revoke"),
)


@pytest.fixture(scope="module")
def devices(stack: RunningStack) -> dict[str, Device]:
    """The devices of these tests, one for each, so that they do not meet."""
    admitted_ones = admitted(stack, *(f"gate-{name}" for name in NAMES))
    return {name.removeprefix("gate-"): device for name, device in admitted_ones.items()}


def token_of(stack: RunningStack, device: str, verb: str = "issue") -> str:
    """A new token, once the gate knows of it."""
    said = stack.dothi("devices", "credentials", verb, device, "--json")
    token: str = json.loads(said.stdout)[0]["token"]
    table = Table(stack.folder / "broker-0/gate.table")
    wanted = sha256(token.encode()).digest()
    until(lambda: known(table, device, wanted))
    table.close()
    return token


def known(table: Table, device: str, wanted: bytes) -> bool:
    try:
        return wanted in stored(table, device)
    except KeyError:
        return False


def answer(client: Client, topic: str) -> str:
    """The reason code of one message."""
    before = len(client.answers)
    client.publish(topic, json.dumps({"metrics": {"pm25": 7.5}}), 1)
    until(lambda: len(client.answers) > before)
    return client.answers[-1]


def test_a_device_comes_in_with_its_token_and_stays_on_its_own_topics(
    stack: RunningStack, devices: dict[str, Device]
) -> None:
    own, token = devices["own"]
    with connected(stack, own, token) as client:
        assert client.answers == ["Success"]
        assert answer(client, f"dothi/v1/213/{own}/up") == "publish: Success"
        for topic in (
            "dothi/v1/213/gate-other/up",
            f"dothi/v1/999/{own}/up",
            f"dothi/v1/213/{own}/ack",
            f"dothi/v1/213/{own}/up/x",
            f"dothi/v1/213/{own}",
            f"dothi/v1//{own}/up",
            f"dothi/v1/213/{own}\u200b/up",
            "dothi/alarms/213/major/1",
            "frigate/events",
            "$CONTROL/dynamic-security/v1",
            "x" * 200,
        ):
            assert answer(client, topic) == "publish: Not authorized", topic
        for filters, allowed in (
            (f"dothi/v1/213/{own}/ack", True),
            (f"dothi/v1/+/{own}/down", True),
            ("dothi/v1/213/+/ack", False),
            ("dothi/#", False),
            ("#", False),
            ("$SYS/#", False),
            ("$share/g/dothi/v1/213/gate-other/ack", False),
        ):
            before = len(client.answers)
            client.subscribe(filters, 1)
            until(lambda before=before: len(client.answers) > before)  # type: ignore[misc]  # called at once
            assert (client.answers[-1] == "subscribe: Granted QoS 1") == allowed, filters
    seen = Table(stack.folder / "broker-0/gate.table").seen(own)
    assert seen is not None
    assert seen.denied >= 11
    stack.wait_for(f"select 1 from city.air_quality where device = '{own}'")
    stack.wait_for(f"select 1 from city.event where device = '{own}' and kind = 'spoof'")


@pytest.mark.parametrize(
    ("user", "password", "client_id", "reason"),
    [
        ("gate-refused", "wrong", None, "token"),
        ("gate-refused", None, None, "no_token"),
        ("gate-refused", "right", "gate-other", "client_id"),
        ("gate-refused", "right", "ingest", "client_id"),
        ("gate-refused", "right", "dothi-inbox-213", "client_id"),
        ("gate-refused", "right", "", "client_id"),
        ("gate-refused", "right" * 30, None, "token"),
        ("gate-nobody", "x", None, "unknown"),
        ("gate+#", "x", None, "bad_id"),
        ("../gate", "x", None, "bad_id"),
        ("a" * 200, "x", None, "bad_id"),
    ],
)
def test_who_is_not_let_in(
    stack: RunningStack,
    devices: dict[str, Device],
    user: str,
    password: str | None,
    client_id: str | None,
    reason: str,
) -> None:
    own, token = devices["refused"]
    user = own if user == "gate-refused" else user
    password = token if password == "right" else password
    with connected(stack, user, password, client_id) as client:
        assert client.answers[0] == "Not authorized"
    log = stack.folder / "log/broker-0.log"
    until(lambda: f"device={'?' if reason == 'bad_id' else user} from=127.0.0.1 reason={reason}" in log.read_text())


def test_a_new_token_is_seen_and_only_then_the_old_one_ends(stack: RunningStack, devices: dict[str, Device]) -> None:
    device, old = devices["rotates"]
    new = token_of(stack, device, "rotate")
    with connected(stack, device, old) as client:
        assert client.answers == ["Success"]
    with connected(stack, device, new) as client:
        assert client.answers == ["Success"]
        stack.wait_for(f"select count(*) = 1 and min(slot) = 0 from city.credential where device = '{device}'")
        table = Table(stack.folder / "broker-0/gate.table")
        until(lambda: stored(table, device) == (sha256(new.encode()).digest(), None))
        table.close()
        assert client.answers == ["Success"]
    with connected(stack, device, old) as client:
        assert client.answers[0] == "Not authorized"


def test_a_revoked_device_leaves_and_does_not_come_back(stack: RunningStack, devices: dict[str, Device]) -> None:
    device, token = devices["revoked"]
    with connected(stack, device, token) as client:
        stack.dothi("devices", "credentials", "revoke", device)
        until(lambda: "gone: Administrative action" in client.answers)
    with connected(stack, device, token) as client:
        assert client.answers[0] == "Not authorized"


def test_a_flood_is_refused_and_counted_and_others_go_on(stack: RunningStack, devices: dict[str, Device]) -> None:
    floods, calms = devices["floods"].id, devices["calm"].id
    with connected(stack, *devices["floods"]) as wild, connected(stack, *devices["calm"]) as calm:
        for number in range(1_000):
            wild.publish(f"dothi/v1/213/{floods}/up", json.dumps({"seq": number, "metrics": {"pm25": 1}}), 1)
        assert answer(calm, f"dothi/v1/213/{calms}/up") == "publish: Success"
        until(lambda: len(wild.answers) > 1_000)
        refused = wild.answers.count("publish: Not authorized")
        assert refused > 300
        seen = Table(stack.folder / "broker-0/gate.table").seen(floods)
        assert seen is not None
        assert seen.flooded == refused
    stack.wait_for(f"select 1 from city.event where device = '{floods}' and kind = 'flood'")


def test_what_is_denied_to_gateways_is_told_and_counted(stack: RunningStack) -> None:
    def astray() -> int:
        table = Table(stack.folder / "broker-0/gate.table")
        count = table.astray[0]
        table.close()
        return count

    before = astray()
    topics = ["nobody/takes/this", "dothi/v1/999/gate-lost/up", "dothi/v1/213/gate-lost/ack", "dothi/v1/213/x/y/up"]
    with stack.gateway() as gateway:
        for topic in [*topics, "frigate/events"]:
            gateway.publish(topic, b"{}")
        gateway.settle()
    assert astray() - before == len(topics)
    for topic in topics:
        stack.wait_for("select 1 from city.event where device = 'gateway' and detail ->> 'topic' = %s", topic)
    pages = json.loads((stack.folder / "stack.json").read_text())["metrics"]["up"]
    with urllib.request.urlopen(f"{pages}/metrics") as page:  # noqa: S310 -- our own page
        assert f'dothi_gateway_denied_total{{part="broker 0"}} {float(astray())}' in page.read().decode()


def test_two_with_one_id_are_counted(stack: RunningStack, devices: dict[str, Device]) -> None:
    device, token = devices["twin"]
    with connected(stack, device, token), connected(stack, device, token):
        pass
    seen = Table(stack.folder / "broker-0/gate.table").seen(device)
    assert seen is not None
    assert seen.taken >= 1
    stack.wait_for(f"select 1 from city.event where device = '{device}' and kind = 'taken'")


def test_a_new_token_ends_the_session_of_the_old_one(stack: RunningStack, devices: dict[str, Device]) -> None:
    device, old = devices["steals"]
    with connected(stack, device, old, f"{device}:elsewhere") as thief:
        new = token_of(stack, device)
        until(lambda: "gone: Administrative action" in thief.answers)
        with connected(stack, device, new) as client:
            assert client.answers == ["Success"]
            until(lambda: seen_of(stack, device).connected == 1)


def test_a_session_that_is_taken_up_again_is_counted_once(stack: RunningStack, devices: dict[str, Device]) -> None:
    device, token = devices["persists"]
    for _ in range(3):
        with connected(stack, device, token, lasting=True) as client:
            client.subscribe(f"dothi/v1/213/{device}/ack", 1)
            until(lambda client=client: len(client.answers) > 1)  # type: ignore[misc]  # called at once
            assert seen_of(stack, device).connected == 1
        until(lambda: seen_of(stack, device).connected == 0)


def seen_of(stack: RunningStack, device: str) -> Seen:
    """What the gate saw of a device."""
    table = Table(stack.folder / "broker-0/gate.table")
    seen = table.seen(device)
    table.close()
    assert seen is not None
    return seen


@pytest.mark.parametrize("verb", ["issue", "rotate", "revoke"])
def test_a_device_that_is_not_there_is_named(stack: RunningStack, verb: str) -> None:
    said = stack.dothi("devices", "credentials", verb, "nobody-1", check=False)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert verb == "revoke" or "nobody-1 is not enrolled" in said.stderr


# --- several at once


async def test_a_rotation_ends_by_the_token_that_was_seen(stack: RunningStack, devices: dict[str, Device]) -> None:
    """Somebody rotates again between the look at the gate and the end of the rotation."""
    device = devices["rotated"].id
    url = stack.document["database"]
    with psycopg.connect(url, autocommit=True) as connection:
        first = credentials.issue(connection, [device])[0].token
        seen = credentials.rotate(connection, [device])[0].token
        last = credentials.rotate(connection, [device])[0].token
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as asking:
        await credentials.finish_rotation(asking, {device: credentials.hash_of(seen)})
        assert hashes_of(stack, device) == [(0, credentials.hash_of(first)), (1, credentials.hash_of(last))]
        await credentials.finish_rotation(asking, {device: credentials.hash_of(last)})
    assert hashes_of(stack, device) == [(0, credentials.hash_of(last))]


def hashes_of(stack: RunningStack, device: str) -> list[tuple[Any, ...]]:
    """Slots and hashes of the tokens that count."""
    return stack.query(
        "select slot, hash from registry.credential c join registry.device d on d.id = c.device"
        " where d.device = %s and revoked is null order by slot",
        device,
    )


@pytest.mark.parametrize("verb", ["issue", "rotate", "revoke"])
def test_who_makes_tokens_and_who_revokes_them_wait_for_each_other(
    stack: RunningStack, devices: dict[str, Device], verb: str
) -> None:
    """A token that is being made does not outlive a revocation, and two who issue do not meet."""
    device = devices[f"both-{verb}"].id
    url, ended = stack.document["database"], threading.Event()
    make = {"issue": credentials.issue, "rotate": credentials.rotate, "revoke": credentials.revoke}[verb]
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url, autocommit=True) as other:
        credentials.issue(connection, [device])

        def others() -> None:
            make(other, [device])
            ended.set()

        with connection.transaction():
            credentials.rotate(connection, [device])
            somebody = threading.Thread(target=others)
            somebody.start()
            assert not ended.wait(0.5)
        somebody.join(60)
        assert ended.is_set()
    assert len(hashes_of(stack, device)) == {"issue": 1, "rotate": 2, "revoke": 0}[verb]


def test_a_file_for_tokens_is_not_left_empty(stack: RunningStack, tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    said = stack.dothi("devices", "credentials", "issue", "nobody-1", "--out", str(file), check=False)
    assert said.returncode == 1
    assert not file.exists()


def test_the_lookout_outlives_a_disk_that_is_full(stack: RunningStack) -> None:
    """A table that cannot be written anew: told, tried again, and nothing else ends."""
    path = stack.folder / "broker-0/gate.table"
    table = Table(path)
    before, more = table.capacity, table.room - len(table) + 1
    table.close()
    in_the_way = path.with_suffix(".new")
    in_the_way.mkdir()
    ids = stack.enroll_many([(f"gate-many{number}", "native-air-quality", "213", "") for number in range(more)])
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        issued = credentials.issue(connection, ids)
    log = stack.folder.parent / "up.log"
    until(lambda: "registry cannot be watched" in log.read_text())
    in_the_way.rmdir()
    wanted = credentials.hash_of(issued[-1].token)

    def is_known() -> bool:
        grown = Table(path)
        found = grown.capacity > before and wanted in grown.tokens(ids[-1])
        grown.close()
        return found

    until(is_known)
