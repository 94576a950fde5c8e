"""Tricks against the broker, with raw sockets on the real stack: what is sent is what a hostile device would send.

A device with valid credentials, somebody without any, and the gateway. Nobody gets what is another's, nothing of
it takes the broker away from others, and what the gate counts stays true.
"""

import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from devices import credentials
from devices.gate.table import Table
from ingest.mqtt import encode_length, packet, text
from tests.stack import RunningStack
from tests.test_gate import Device, admitted, seen_of, until

NAMES = ("honest", "hostile", "victim", "subscriber", "sessions", "model", "killed", "grown", "wills", "drowns")
NOT_AUTHORIZED = 0x87


@pytest.fixture(scope="module")
def devices(stack: RunningStack) -> dict[str, Device]:
    """The devices of these tests."""
    return {name.removeprefix("abuse-"): one for name, one in admitted(stack, *(f"abuse-{n}" for n in NAMES)).items()}


class Raw:
    """A connection on which any bytes are sent, and packets read as they come."""

    def __init__(self, stack: RunningStack) -> None:
        self.socket = socket.create_connection(("127.0.0.1", urlsplit(stack.document["broker"]).port or 0), timeout=15)
        self._rest = b""

    def send(self, *packets: bytes) -> None:
        """Send them in one go; the other side may have hung up."""
        with suppress(OSError):
            self.socket.sendall(b"".join(packets))

    def receive(self) -> tuple[int, bytes] | None:
        """Kind and body of the next packet, None when the connection has ended."""
        while True:
            found = split(self._rest)
            if found:
                kind, body, self._rest = found
                return kind, body
            try:
                got = self.socket.recv(65_536)
            except ConnectionError:
                return None
            if not got:
                return None
            self._rest += got

    def has_ended(self) -> bool:
        """Read until the other side hangs up."""
        while self.receive():
            pass
        self.close()
        return True

    def close(self) -> None:
        """Without a word."""
        self.socket.close()


def split(text: bytes) -> tuple[int, bytes, bytes] | None:
    """The first packet of a stream: kind, body, rest; section 2.1.4 of MQTT 5."""
    length = shift = 0
    for at, byte in enumerate(text[1:5], 1):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = at + 1 + length
            return (text[0], text[at + 1 : end], text[end:]) if len(text) >= end else None
    return None


def binary(value: bytes) -> bytes:
    """Two bytes of length, and what is as long."""
    return len(value).to_bytes(2) + value


def connect(
    client: bytes,
    user: bytes | None,
    password: bytes | None,
    will: bytes = b"",
    retained: bool = False,
    more: bytes = b"",
) -> bytes:
    """CONNECT of MQTT 5, section 3.1; `will` is its topic, `more` are properties."""
    flags = 0x02 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    flags |= (0x04 | 0x08 | (0x20 if retained else 0)) if will else 0
    body = text("MQTT") + b"\x05" + bytes((flags,)) + b"\x00\x3c" + encode_length(len(more)) + more + binary(client)
    body += b"\x00" + binary(will) + binary(b'{"metrics":{"pm25":666}}') if will else b""
    return packet(0x10, body + b"".join(binary(one) for one in (user, password) if one is not None))


def publish(topic: bytes, payload: bytes = b'{"metrics":{"pm25":1}}', pid: int = 1, retained: bool = False) -> bytes:
    """PUBLISH at QoS 1, section 3.3."""
    return packet(0x32 | retained, binary(topic) + pid.to_bytes(2) + b"\x00" + payload)


def subscribe(filters: Sequence[bytes], pid: int = 1) -> bytes:
    """SUBSCRIBE at QoS 1, section 3.8."""
    return packet(0x82, pid.to_bytes(2) + b"\x00" + b"".join(binary(one) + b"\x01" for one in filters))


PING = b"\xc0\x00"


@contextmanager
def raw(stack: RunningStack) -> Iterator[Raw]:
    """A connection that says nothing yet."""
    one = Raw(stack)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def inside(stack: RunningStack, device: Device, client: str | None = None, will: bytes = b"") -> Iterator[Raw]:
    """A connection of a device that was let in."""
    with raw(stack) as one:
        one.send(connect((client or device.id).encode(), device.id.encode(), device.token.encode(), will))
        said = one.receive()
        assert said is not None
        assert said[1][1] == 0, said
        yield one


def refused(stack: RunningStack, sent: bytes) -> bool:
    """Whether a CONNECT is answered by a refusal, or by nothing but the end."""
    with raw(stack) as one:
        one.send(sent)
        said = one.receive()
        return said is None or said[1][1] != 0


def assert_alive(stack: RunningStack, honest: Device) -> None:
    """The same broker as ever lets an honest device in and takes its message."""
    assert psutil.pid_exists(stack.document["processes"]["broker"][0])
    with inside(stack, honest) as one:
        one.send(publish(f"dothi/v1/213/{honest.id}/up".encode()))
        said = one.receive()
        assert said is not None
        assert said[0] == 0x40
        assert len(said[1]) == 2 or said[1][2] < 0x80


# --- names and topics


NAMES_NOBODY_HAS = [
    b"", b"+", b"#", b"$SYS", b"a/b", b"aq-1\x00ingest", b"ingest\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf",
    "ingeſt".encode(), "ｉngest".encode(), "abuse\u00adhonest".encode(), "аbuse-honest-1".encode(), b"ingest ",
    b"%s%n%s%n", b"x" * 63, b"x" * 64, b"x" * 65_535, b"dothi-inbox-213", b"' or 1=1 --", b"../../etc/passwd", b"-ab",
    b"INGEST",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES_NOBODY_HAS, ids=range(len(NAMES_NOBODY_HAS)))
def test_strange_names_open_no_door(stack: RunningStack, devices: dict[str, Device], name: bytes) -> None:
    token, honest = devices["hostile"].token.encode(), devices["honest"].id.encode()
    own = devices["hostile"].id.encode()
    assert refused(stack, connect(name, name, token))
    assert refused(stack, connect(own, name, token))
    assert refused(stack, connect(name, own, token))
    assert refused(stack, connect(honest, own, token))
    assert refused(stack, connect(own, own, name))
    assert_alive(stack, devices["honest"])


def strange_topics(own: str, victim: str) -> list[bytes]:
    """Topics that look like one's own, or like another's."""
    mine = f"dothi/v1/213/{own}"
    looks = [
        f"dothi/v1/213/{victim}/up", f"{mine}/../{victim}/up", f"{mine}/up/", f"/{mine}/up", f"dothi//v1/213/{own}/up",
        f"dothi/v1/213//{own}/up", f"dothi/v1//{own}/up", f"{mine} /up", f"{mine}x/up", f"{mine[:-1]}/up",
        f"dothi/v1/21/{own}/up", f"dothi/v1/2133/{own}/up", f"{mine}\u200b/up", f"dothi/v1/２13/{own}/up",
        f"DOTHI/v1/213/{own}/up", f"{mine}/UP", f"{mine}/ack", f"{mine}/down", mine, f"{mine}/up\u2028",
        "dothi/alarms/213/major/1", "$CONTROL/dynamic-security/v1", "$SYS/broker/uptime", "$share/g/x", "$", "", "/",
        "//////", "spBv1.0/g/NBIRTH/n", "frigate/events", f"{mine}/u\u0440",
    ]  # fmt: skip
    bad = [f"dothi/v1/+/{own}/up", f"{mine}/#", "#", "+"]  # no topics at all: the connection ends
    return [
        *(one.encode() for one in [*looks, *bad]),
        b"x" * 65_535,
        b"/" * 65_535,
        f"{mine}/up\x00".encode(),
        b"\xff",
    ]


def test_no_topic_but_ones_own_is_taken(stack: RunningStack, devices: dict[str, Device]) -> None:
    own, victim = devices["hostile"], devices["victim"]
    before = stack.received()
    for topic in strange_topics(own.id, victim.id):
        with inside(stack, own) as one:
            one.send(publish(topic))
            said = one.receive()
            assert said is None or said[0] != 0x40 or said[1][2] == NOT_AUTHORIZED, topic[:80]
    assert_alive(stack, devices["honest"])
    stack.wait_settled(before + 1)
    rows = stack.query("select count(*) from city.air_quality where device = any(%s)", [own.id, victim.id])
    assert rows == [(0,)]


def test_a_topic_alias_stays_with_the_topic_it_was_allowed_for(stack: RunningStack, devices: dict[str, Device]) -> None:
    own, victim = devices["hostile"].id, devices["victim"].id
    alias = b"\x03\x23\x00\x01"  # property 0x23, alias 1
    with inside(stack, devices["hostile"]) as one:
        one.send(packet(0x32, binary(f"dothi/v1/213/{victim}/up".encode()) + b"\x00\x01" + alias + b"{}"))
        one.send(packet(0x32, binary(b"") + b"\x00\x02" + alias + b"{}"))
        answers = [one.receive(), one.receive()]
        assert [said[1][2] for said in answers if said] == [NOT_AUTHORIZED] * 2
        one.send(packet(0x32, binary(f"dothi/v1/213/{own}/status".encode()) + b"\x00\x03" + alias + b"online"))
        said = one.receive()
        assert said is not None
        assert len(said[1]) == 2 or said[1][2] < 0x80


def test_no_filter_but_ones_own_is_granted_and_their_number_is_small(
    stack: RunningStack, devices: dict[str, Device]
) -> None:
    own, victim = devices["subscriber"].id, devices["victim"].id
    for topic in (
        "#", "+/#", "dothi/#", "dothi/v1/#", "dothi/v1/+/+/ack", f"dothi/v1/213/{victim}/#", "$SYS/#", "$CONTROL/#",
        f"$share/g/dothi/v1/213/{own}/ack", f"$share/g/dothi/v1/213/{victim}/ack", "$share/g/#", "$queue/#",
        f"dothi/v1/213/{own}/up", f"dothi/v1/#/{own}/ack", f"dothi/+/213/{own}/ack", "dothi/alarms/#",
    ):  # fmt: skip
        with inside(stack, devices["subscriber"]) as one:
            one.send(subscribe([topic.encode()]))
            said = one.receive()
            assert said is None or said[1][-1] >= 0x80, topic
    with inside(stack, devices["subscriber"]) as one:
        many = [
            f"dothi/v1/{number:03}/{own}/{end}".encode()
            for number in range(1_000)
            for end in ("ack", "+", "#", f"x{number}")
        ]
        for first in range(0, len(many), 500):
            one.send(subscribe([b"y" * 200, *many[first : first + 500]]))
        answers = b"".join(said[1][3:] for _ in range(0, len(many), 500) if (said := one.receive()))
        assert sum(answer < 0x80 for answer in answers) < 100
        one.send(subscribe([b"#"] * 10_000))
        said = one.receive()
        assert said is not None
        assert set(said[1][3:]) == {NOT_AUTHORIZED}
    assert_alive(stack, devices["honest"])


def test_what_another_sends_is_not_heard(stack: RunningStack, devices: dict[str, Device]) -> None:
    victim = devices["victim"]
    with inside(stack, devices["subscriber"]) as one:
        own = devices["subscriber"].id
        one.send(subscribe([f"dothi/v1/+/{own}/#".encode(), f"dothi/v1/213/{victim.id}/ack".encode()]))
        one.receive()
        with inside(stack, victim) as other:
            other.send(publish(f"dothi/v1/213/{victim.id}/up".encode(), b'{"seq":1,"metrics":{"pm25":3}}'))
            other.receive()
        stack.wait_for("select 1 from city.air_quality where device = %s", victim.id)
        with stack.gateway() as gateway:
            for device in (victim.id, own):
                gateway.publish(f"dothi/v1/213/{device}/up", b"{}")
            gateway.settle()
        one.send(PING)
        assert one.receive() == (0xD0, b"")


# --- sessions


def test_nobody_takes_over_a_session(stack: RunningStack, devices: dict[str, Device]) -> None:
    hostile, victim = devices["hostile"], devices["victim"]
    with inside(stack, victim) as one:
        for client in (victim.id, f"{victim.id}:", "dothi-inbox-213", "dothi-inbox-frigate", "", "gateway", "ingest"):
            assert refused(stack, connect(client.encode(), hostile.id.encode(), hostile.token.encode())), client
            assert refused(stack, connect(client.encode(), victim.id.encode(), hostile.token.encode())), client
        one.send(PING)
        assert one.receive() == (0xD0, b"")


def test_a_device_whose_id_is_a_session_of_ingest_is_kept_out(stack: RunningStack) -> None:
    file = stack.folder / "reserved.csv"
    file.write_text("device,profile,area\ndothi-inbox-213,native-air-quality,213\n")
    stack.dothi("devices", "enroll", str(file), check=False)
    said = stack.dothi("devices", "credentials", "issue", "dothi-inbox-213", "--json", check=False)
    if said.returncode:
        return  # such a device is not even enrolled
    token = json.loads(said.stdout)[0]["token"]
    log = stack.folder / "log/broker-0.log"

    def told() -> bool:
        assert refused(stack, connect(b"dothi-inbox-213", b"dothi-inbox-213", token.encode()))
        return "device=dothi-inbox-213 from=127.0.0.1 reason=reserved" in log.read_text()

    until(told)


def test_one_token_opens_few_sessions(stack: RunningStack, devices: dict[str, Device]) -> None:
    device = devices["sessions"]
    standing = []
    try:
        for number in range(4):
            standing.append(Raw(stack))
            standing[-1].send(connect(f"{device.id}:{number}".encode(), device.id.encode(), device.token.encode()))
            said = standing[-1].receive()
            assert said is not None
            assert said[1][1] == 0
        assert refused(stack, connect(f"{device.id}:5".encode(), device.id.encode(), device.token.encode()))
        assert seen_of(stack, device.id).connected == 4
        with inside(stack, device, f"{device.id}:2"):  # what displaces one of them comes in
            assert standing[2].has_ended()
            assert seen_of(stack, device.id).connected == 4
    finally:
        for one in standing:
            one.close()
    until(lambda: seen_of(stack, device.id).connected == 0)


def test_what_the_gate_counts_agrees_with_a_model(stack: RunningStack, devices: dict[str, Device]) -> None:
    device = devices["model"]
    name, token = device.id.encode(), device.token.encode()
    chance = random.Random(6)  # noqa: S311 -- the same steps in every run
    standing: dict[int, Raw] = {}
    for _ in range(300):
        number = chance.randrange(4)
        client = f"{device.id}:{number}".encode()
        step = chance.choice(("in", "in", "lasting", "out", "cut", "wrong", "method", "other", "garbage", "half"))
        if step in ("in", "lasting"):
            one = Raw(stack)
            one.send(connect(client, name, token, more=b"\x11\x00\x00\x00\x3c" if step == "lasting" else b""))
            said = one.receive()
            assert said is not None
            assert said[1][1] == 0
            if number in standing:
                assert standing.pop(number).has_ended()
            standing[number] = one
        elif step in ("out", "cut") and number in standing:
            one = standing.pop(number)
            one.send(b"\xe0\x00" if step == "out" else b"")
            one.close()
        elif step == "wrong":
            assert refused(stack, connect(client, name, b"wrong"))
        elif step == "method":  # an authentication method that nobody knows: property 0x15
            assert refused(stack, connect(client, name, token, more=b"\x15" + binary(b"SCRAM-SHA-1")))
        elif step == "other":
            assert refused(stack, connect(b"other", name, token))
        elif step in ("garbage", "half"):
            with raw(stack) as one:
                one.send(
                    connect(client, name, token)[: -1 if step == "half" else 12]
                    + (b"" if step == "half" else b"\xff" * 40)
                )
        until(lambda: seen_of(stack, device.id).connected == len(standing))
    for one in standing.values():
        one.close()
    until(lambda: seen_of(stack, device.id).connected == 0)


def test_after_a_kill_nobody_is_connected(stack: RunningStack, devices: dict[str, Device]) -> None:
    device = devices["killed"]
    with inside(stack, device):
        assert seen_of(stack, device.id).connected == 1
        pid = json.loads((stack.folder / "stack.json").read_text())["processes"]["broker"][0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: seen_of(stack, device.id).connected == 0)

    def comes_back() -> bool:
        with suppress(OSError, AssertionError), inside(stack, device):
            return seen_of(stack, device.id).connected == 1
        return False

    until(comes_back)
    until(lambda: seen_of(stack, device.id).connected == 0)
    stack.document["processes"]["broker"] = json.loads((stack.folder / "stack.json").read_text())["processes"]["broker"]


@pytest.mark.full
def test_a_table_that_grows_forgets_nobody(stack: RunningStack, devices: dict[str, Device]) -> None:
    device, path = devices["grown"], stack.folder / "broker-0/gate.table"
    before = Table(path)
    more = before.room - len(before) + 1
    ids = stack.enroll_many([(f"abuse-more{number}", "native-air-quality", "213", "") for number in range(more)])
    standing: list[Raw] = []
    chance = random.Random(3)  # noqa: S311 -- the same steps in every run
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        credentials.issue(connection, ids)
    deadline = time.monotonic() + 60
    while capacity(path) == before.capacity:
        assert time.monotonic() < deadline, "the table does not grow"
        come_or_go(stack, device, standing, chance)
    for _ in range(20):  # while the gate may have the old file yet
        come_or_go(stack, device, standing, chance)
    before.close()
    time.sleep(1.5)  # it looks for another one every second
    until(lambda: seen_of(stack, device.id).connected == len(standing))
    for one in standing:
        one.close()
    until(lambda: seen_of(stack, device.id).connected == 0)


def come_or_go(stack: RunningStack, device: Device, standing: list[Raw], chance: random.Random) -> None:
    """One session more or less, three at most."""
    if standing and (len(standing) == 3 or chance.random() < 0.4):
        standing.pop(chance.randrange(len(standing))).close()
        time.sleep(0.01)  # until the broker has seen it
    else:
        standing.append(Raw(stack))
        client = f"{device.id}:{chance.randrange(10**9)}"
        standing[-1].send(connect(client.encode(), device.id.encode(), device.token.encode()))
        said = standing[-1].receive()
        assert said is not None
        assert said[1][1] == 0


def capacity(path: Path) -> int:
    """Of the table that lies there now."""
    table = Table(path)
    table.close()
    return table.capacity


# --- wills and kept messages


@pytest.mark.parametrize("end", ["{victim}/up", "{victim}/status", "{own}/up", "{own}/ack", "{own}/down"])
def test_a_last_will_goes_to_ones_own_status_alone(stack: RunningStack, devices: dict[str, Device], end: str) -> None:
    own, victim = devices["wills"], devices["victim"].id
    topic = "dothi/v1/213/" + end.format(own=own.id, victim=victim)
    before = seen_of(stack, own.id).denied
    with stack.gateway() as gateway, inside(stack, own, will=topic.encode()):
        assert gateway
    until(lambda: seen_of(stack, own.id).denied > before)
    assert stack.query("select count(*) from city.air_quality where pm25 = 666") == [(0,)]


def test_readings_are_never_kept_and_a_status_is_short(stack: RunningStack, devices: dict[str, Device]) -> None:
    own = devices["wills"]
    with inside(stack, own) as one:
        for area in ("213", "214", "215"):
            one.send(publish(f"dothi/v1/{area}/{own.id}/up".encode(), retained=True))
            one.receive()
        one.send(publish(f"dothi/v1/213/{own.id}/status".encode(), b"x" * 2_000, retained=True))
        said = one.receive()
        assert said is not None
        assert said[1][2] == NOT_AUTHORIZED
        one.send(publish(f"dothi/v1/213/{own.id}/status".encode(), b"online", retained=True))
        one.receive()
    kept = []
    user = json.loads((stack.folder / "secrets.json").read_text())["ingest"]
    with raw(stack) as ingest:
        ingest.send(connect(b"abuse-reads", b"ingest", user.encode()))
        ingest.receive()
        ingest.send(subscribe([f"dothi/v1/+/{own.id}/up".encode(), f"dothi/v1/+/{own.id}/status".encode()]), PING)
        while (said := ingest.receive()) and said[0] != 0xD0:
            kept += [said] if said[0] & 0xF0 == 0x30 else []
    assert [body[-6:] for _, body in kept] == [b"online"]


# --- too much of everything


def test_a_flood_that_does_not_end_is_cut_off_and_others_go_on(stack: RunningStack, devices: dict[str, Device]) -> None:
    drowns, honest = devices["drowns"], devices["honest"]
    with inside(stack, honest) as calm, inside(stack, drowns) as wild:
        message = publish(f"dothi/v1/213/{drowns.id}/up".encode())
        wild.send(*[message] * 20_000)
        for number in range(20):
            calm.send(publish(f"dothi/v1/213/{honest.id}/up".encode(), pid=number + 1))
            said = calm.receive()
            assert said is not None
            assert len(said[1]) == 2 or said[1][2] < 0x80
        assert wild.has_ended()
    assert 1_000 < seen_of(stack, drowns.id).flooded <= 20_000
    until(lambda: seen_of(stack, drowns.id).connected == 0)


def test_who_guesses_tokens_neither_gets_in_nor_holds_up_anybody(
    stack: RunningStack, devices: dict[str, Device]
) -> None:
    victim, honest = devices["victim"], devices["honest"]
    broker = psutil.Process(stack.document["processes"]["broker"][0])
    before, used = seen_of(stack, victim.id).failed, sum(broker.cpu_times()[:2])
    longest = b"x" * 60_000
    for number in range(600):
        guess = longest if number % 3 == 0 else credentials.new_tokens(1)[0]
        assert refused(stack, connect(victim.id.encode(), victim.id.encode(), guess))
        if number % 100 == 0:
            assert_alive(stack, honest)
    assert seen_of(stack, victim.id).failed - before == 600
    assert sum(broker.cpu_times()[:2]) - used < 600 * 0.005
    with inside(stack, victim):
        assert seen_of(stack, victim.id).connected == 1


def test_half_said_words_hold_up_nobody(stack: RunningStack, devices: dict[str, Device]) -> None:
    whole = connect(devices["hostile"].id.encode(), devices["hostile"].id.encode(), devices["hostile"].token.encode())
    waiting = [Raw(stack) for _ in range(300)]
    try:
        for number, one in enumerate(waiting):
            one.send((whole[: number % len(whole)], b"\x10\xff\xff\xff\x7f", b"\x10\x9f\x8d\x06" + b"a")[number % 3])
        assert_alive(stack, devices["honest"])
    finally:
        for one in waiting:
            one.close()
    for first in (
        publish(b"a"),
        subscribe([b"#"]),
        PING,
        b"\xf0\x00",
        b"\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",  # how TLS begins
    ):
        with raw(stack) as one:
            one.send(first)
            assert one.has_ended()
    assert_alive(stack, devices["honest"])


def test_what_is_too_large_ends_the_connection(stack: RunningStack, devices: dict[str, Device]) -> None:
    own = devices["hostile"]
    huge = b"\x26" + binary(b"k") + binary(b"v" * 60_000)  # a user property
    with raw(stack) as one:  # a CONNECT of more than 100,000 bytes
        one.send(connect(own.id.encode(), own.id.encode(), own.token.encode(), more=huge * 3))
        assert one.has_ended()
    with inside(stack, own) as one:
        one.send(packet(0x32, binary(f"dothi/v1/213/{own.id}/up".encode()) + b"\x00\x01\x00" + b"x" * 2_100_000))
        assert one.has_ended()
    with inside(stack, own) as one:
        one.send(*[PING] * 5_000)
        assert [one.receive() for _ in range(5_000)] == [(0xD0, b"")] * 5_000
    assert_alive(stack, devices["honest"])


def test_any_bytes_whatever_leave_the_broker_as_it_is(stack: RunningStack, devices: dict[str, Device]) -> None:
    own = devices["hostile"]
    chance = random.Random(11)  # noqa: S311 -- the same bytes in every run
    pid = stack.document["processes"]["broker"][0]
    seeds = [
        connect(own.id.encode(), own.id.encode(), own.token.encode(), f"dothi/v1/213/{own.id}/status".encode(), True),
        publish(f"dothi/v1/213/{own.id}/up".encode()),
        subscribe([f"dothi/v1/213/{own.id}/ack".encode()]),
    ]
    for _ in range(400):
        broken = bytearray(b"".join(chance.choices(seeds, k=chance.randint(1, 4))))
        for _ in range(chance.randint(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with raw(stack) as one:
            one.send(*([seeds[0]] if chance.random() < 0.5 else []), bytes(broken))
    assert_alive(stack, devices["honest"])
    assert stack.document["processes"]["broker"][0] == pid
    until(lambda: seen_of(stack, own.id).connected == 0)


def test_two_hundred_are_revoked_at_once_and_leave(stack: RunningStack) -> None:
    many = list(admitted(stack, *(f"abuse-many{number}" for number in range(200))).values())
    standing = []
    for number, one in enumerate(many):
        client = one.id if number % 2 else f"{one.id}:other"
        standing.append(Raw(stack))
        standing[-1].send(connect(client.encode(), one.id.encode(), one.token.encode()))
        standing[-1].receive()
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        assert credentials.revoke(connection, [one.id for one in many]) == 200
    assert all(one.has_ended() for one in standing)
    for one in standing:
        one.close()
    first = many[0]
    assert refused(stack, connect(first.id.encode(), first.id.encode(), first.token.encode()))
    until(lambda: all(seen_of(stack, one.id).connected == 0 for one in many))
