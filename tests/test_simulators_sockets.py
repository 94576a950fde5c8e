"""Devices with connections of their own against a real broker with the gate: nothing is lost, everybody comes back."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import paho.mqtt.client as paho
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from simulators import mqtt
from simulators.city import members_of
from simulators.fleet import Fleet, build, districts, zones_of
from simulators.scenario import Outage
from simulators.schedule import Shares
from simulators.sockets import Crowd
from simulators.sockets_guests import Guests, broker_of, divided, found
from simulators.sockets_manner import Manner
from simulators.sockets_outbox import Outbox
from simulators.sockets_part import Rehearsal
from simulators.sockets_probe import SocketsError
from simulators.sockets_wire import Address
from simulators.spool import NO_ANSWER, NOT_SENT, Rows, Spool, read
from simulators.tally import Tally
from tests.gated import Gated, tokens_of

SOON_S, PATIENCE_S = 0.5, 60.0
QUICK = Manner(first_s=0.3, longest_s=1.0)
Tokens = NDArray[np.bytes_]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return build(districts(zones_of("bac-giang"), 100, people=300), 1)


@pytest.fixture(scope="module")
def tokens(fleet: Fleet) -> Tokens:
    return tokens_of(fleet.ids())


@pytest.fixture(scope="module")
def broker(fleet: Fleet, tokens: Tokens, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    known = zip(fleet.ids(), (token.decode() for token in tokens.tolist()), strict=True)
    gated = Gated(tmp_path_factory.mktemp("gated"), fleet.areas, known)
    yield gated
    gated.stop()


class Platform:
    """What a subscriber who is none of ours hears."""

    def __init__(self, broker: Gated) -> None:
        self.said: defaultdict[str, list[bytes]] = defaultdict(list)
        parts = urlsplit(broker.ingest)
        self._heard = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="platform", protocol=paho.MQTTv5)
        self._client.username_pw_set(parts.username, parts.password)
        self._client.on_message = lambda _client, _userdata, message: self.said[message.topic].append(message.payload)
        self._client.on_subscribe = lambda *_: self._heard.set()
        self._client.connect(parts.hostname or "", parts.port or 0)
        new = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        self._client.subscribe([("dothi/v1/+/+/up", new), ("dothi/v1/+/+/status", new)])
        self._client.loop_start()
        assert self._heard.wait(60)

    def ends(self, end: str) -> dict[str, list[bytes]]:
        """What was said on topics that end so, in order."""
        return {topic: said for topic, said in self.said.items() if topic.endswith(end)}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def platform(broker: Gated) -> Iterator[Platform]:
    heard = Platform(broker)
    yield heard
    heard.close()


def rehearsal(fleet: Fleet, rate: float = 150.0) -> Rehearsal:
    """A city that is about to begin; `rate`: messages per second."""
    start = time.time() + SOON_S
    usual = Rehearsal(start, int(start)).city(fleet).rate_per_s
    return Rehearsal(start, int(start), speed=rate / usual, shares=Shares(duplicate=0.0))


@contextmanager
def gathered(fleet: Fleet, broker: Gated, tokens: Tokens, enough: int = 300, **more: Any) -> Iterator[Crowd]:
    """All devices, connected."""
    guests = Guests(fleet, tokens, [(more.get("url", broker.url), ())], more.get("manner", QUICK))
    with Crowd(guests, processes=2) as crowd:
        assert crowd.come(threading.Event(), PATIENCE_S, enough) == enough
        yield crowd


def spoken(
    crowd: Crowd, told: Rehearsal, folder: Path, meanwhile: Callable[[], object], **more: Any
) -> tuple[dict[str, Any], Rows]:
    """Let the city speak while something happens, then stop it: the summary and what became of every message."""
    stop = threading.Event()
    with Spool(folder / "sent.spool") as spool, ThreadPoolExecutor(1) as pool:
        given = {"seconds": None, "stop": stop, "spool": spool, "outages": [], **more}
        speech = pool.submit(lambda: crowd.speak(told, **given))
        try:
            meanwhile()
        finally:
            stop.set()
        said = speech.result(PATIENCE_S)
    return said, read(folder / "sent.spool")


def until(condition: Callable[[], bool]) -> None:
    """Wait for a state, not for a time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_all_that_the_city_says_arrives_in_order_and_everybody_says_goodbye(
    fleet: Fleet, broker: Gated, tokens: Tokens, platform: Platform, tmp_path: Path
) -> None:
    with gathered(fleet, broker, tokens) as crowd, Spool(tmp_path / "sent.spool") as spool:
        told = rehearsal(fleet)
        said = crowd.speak(told, seconds=2.0, stop=threading.Event(), spool=spool)
    rows, city = read(tmp_path / "sent.spool"), told.city(fleet)
    wanted = defaultdict(list)
    for message in city.each(city.until(told.start + 2.0)):
        wanted[message.topic].append(message.payload)
    until(lambda: len(platform.ends("/status")) == 300 and all(map(is_gone, platform.ends("/status").values())))
    assert platform.ends("/up") == wanted
    assert said["sent"] == said["acknowledged"] == len(rows) == sum(map(len, wanted.values()))
    assert (said["unsent"], said["in_flight"], said["connected"]) == (0, 0, 300)
    assert (said["turned_away"], said["disconnects"]) == ({}, {})
    assert np.all(rows["code"] == 0)
    assert np.all(rows["answer"] > 0)
    assert list(platform.ends("/status").values()) == [[b"online", b"offline"]] * 300


def is_gone(said: list[bytes]) -> bool:
    """Whether a device's last word is that it is away."""
    return said[-1] == b"offline"


def test_a_wrong_token_a_storm_and_a_takeover_are_counted(
    fleet: Fleet, broker: Gated, tokens: Tokens, platform: Platform, tmp_path: Path
) -> None:
    wrong, taken, dark = 7, 250, np.arange(100, 200, dtype=np.uint32)
    theirs = tokens.copy()
    theirs[wrong] = b"guessed"
    with gathered(fleet, broker, theirs, 299) as crowd:
        told, tally = rehearsal(fleet), crowd.totals.tally
        cut = Outage(dark, told.start + 0.5, told.start + 1.0, restart=False)

        def meanwhile() -> None:
            until(lambda: tally.reconnects == 100 and tally.up == 299)
            one = Fleet(fleet.seed, fleet.areas, fleet.families, *columns_of(fleet, taken))
            Guests(one, tokens[taken : taken + 1], [(broker.url, ())]).check_doors()
            until(lambda: tally.reconnects == 101 and tally.up == 299)

        said, rows = spoken(crowd, told, tmp_path, meanwhile, outages=[cut])
    names = fleet.ids()
    assert (said["connected"], said["cut"], said["reconnects"], said["takeovers"]) == (299, 100, 101, 1)
    assert set(said["turned_away"]) == {"not authorised"}
    assert said["away_max_ms"] > 0
    until(lambda: all(map(is_gone, platform.ends("/status").values())))
    status = {topic.split("/")[3]: heard for topic, heard in platform.ends("/status").items()}
    assert set(status) == {name for place, name in enumerate(names) if place != wrong}
    assert all(status[names[place]] == [b"online", b"offline", b"online", b"offline"] for place in dark)
    assert np.all(rows["code"][rows["sender"] == wrong] == NOT_SENT)
    assert np.all(rows["code"][rows["sender"] != wrong] == 0)
    arrived = Counter(dict.fromkeys(names, 0))
    arrived.update({topic.split("/")[3]: len(set(heard)) for topic, heard in platform.ends("/up").items()})
    taken_in = rows[rows["code"] == 0]
    assert [arrived[name] for name in names] == np.bincount(taken_in["sender"], minlength=300).tolist()


def columns_of(fleet: Fleet, place: int) -> list[Any]:
    """The columns of a fleet of one device."""
    columns = (fleet.area, fleet.family, fleet.number, fleet.key, fleet.lat, fleet.lon)
    return [column[place : place + 1] for column in columns]


@pytest.mark.full
def test_silence_of_three_keepalives_is_survived(fleet: Fleet, broker: Gated, tokens: Tokens, tmp_path: Path) -> None:
    with gathered(fleet, broker, tokens, manner=Manner(keepalive_s=2, session_s=0)) as crowd:
        silent = Rehearsal(time.time(), 1, speed=1e-6)
        said, _ = spoken(crowd, silent, tmp_path, lambda: until(lambda: crowd.totals.counts.pings > 4 * 300))
    assert (said["sent"], said["connected"], said["disconnects"], said["reconnects"]) == (0, 300, {}, 0)


def test_a_killed_broker_costs_nobody_a_message(fleet: Fleet, broker: Gated, tokens: Tokens, tmp_path: Path) -> None:
    with gathered(fleet, broker, tokens) as crowd:
        told, tally = rehearsal(fleet), crowd.totals.tally

        def meanwhile() -> None:
            until(lambda: tally.sent > 50)
            until(lambda: tally.up == 0)
            until(lambda: tally.up == 300)

        with ThreadPoolExecutor(1) as pool:
            # A broker ends with the thread that started it, so this one does.
            run = pool.submit(spoken, crowd, told, tmp_path, meanwhile)
            until(lambda: tally.sent > 50)
            broker.kill()
            until(lambda: tally.up == 0)
            broker.start()
            said, rows = run.result(PATIENCE_S)
    assert sum(said["disconnects"].values()) == 300
    assert (said["connected"], said["reconnects"]) == (300, 300)
    assert said["turned_away"]["nobody listens"] > 0
    assert np.all(rows["code"] < NO_ANSWER)


@pytest.mark.full
def test_tls_with_the_authority_of_the_stack(
    fleet: Fleet, broker: Gated, tokens: Tokens, platform: Platform, tmp_path: Path
) -> None:
    manner = Manner(ca=str(broker.ca))
    Guests(fleet, tokens, [(broker.secure_url, ())], manner).check_doors()
    with gathered(fleet, broker, tokens, url=broker.secure_url, manner=manner) as crowd:
        told, tally = rehearsal(fleet), crowd.totals.tally
        said, rows = spoken(crowd, told, tmp_path, lambda: until(lambda: tally.acknowledged > 100))
    assert (said["connected"], said["turned_away"], said["unsent"]) == (300, {}, 0)
    assert said["acknowledged"] == said["sent"] == len(rows) > 100
    until(lambda: sum(map(len, platform.ends("/up").values())) == len(rows))


def test_a_broker_that_refuses_or_is_not_there_is_named(fleet: Fleet, broker: Gated, tokens: Tokens) -> None:
    with pytest.raises(SocketsError, match=r"does not let in .*: not authorised"):
        Guests(fleet, np.full(300, b"guessed"), [(broker.url, ())]).check_doors(patience_s=0)
    with pytest.raises(SocketsError, match=r"127.0.0.1:1 does not let in .*: nobody listens"):
        Guests(fleet, tokens, [("mqtt://127.0.0.1:1", ())]).check_doors(patience_s=0)


class Up:
    """Connections of which those named are up, as messages meet them."""

    def __init__(self, *up: int) -> None:
        self.up, self.sent = set(up), list[tuple[int, bytes]]()

    def may_send(self, slot: int, in_flight: int) -> bool:
        return slot in self.up and in_flight < 2

    def send(self, slot: int, said: bytes, now: float) -> None:
        self.sent.append((slot, said))


def test_who_loses_power_forgets_and_who_does_not_says_it_again(fleet: Fleet) -> None:
    told, links, tally = Rehearsal(1000.0, 1, speed=1000.0), Up(*range(300)), Tally()
    outbox = Outbox(told.city(fleet), links, tally)
    outbox.write(1001.0)
    outbox.push(1001.0)
    in_flight, waiting = tally.sent, sum(row["code"] == NOT_SENT for rows in outbox.known() for row in rows)
    assert in_flight > 300 > waiting
    speaker = links.sent[0][0]
    outbox.is_up(speaker, session=True, now=1001.5)
    again = [said for slot, said in links.sent[in_flight:] if slot == speaker]
    assert again
    assert all(said[0] == 0x32 | 0b1000 for said in again)
    outbox.is_up(speaker, session=False, now=1001.6)
    assert all(said[0] == 0x32 for slot, said in links.sent[in_flight + len(again) :])
    repeated = tally.repeated
    outbox.forget(np.arange(300))
    outbox.is_up(speaker, session=True, now=1002.0)
    assert tally.repeated == repeated
    assert outbox.is_settled
    rows = np.concatenate(outbox.known())
    assert np.count_nonzero(rows["code"] == NO_ANSWER) == in_flight
    assert np.count_nonzero(rows["code"] == NOT_SENT) == tally.unsent == len(rows) - in_flight


def test_who_is_away_for_too_long_is_given_up_and_counted(fleet: Fleet) -> None:
    told, tally = Rehearsal(1000.0, 1, speed=1000.0), Tally()
    outbox = Outbox(told.city(fleet), Up(), tally)
    outbox.write(1001.0)
    outbox.push(1001.0)
    outbox.tidy(1001.0 + PATIENCE_S / 4)
    assert tally.unsent == 0
    outbox.tidy(1001.0 + PATIENCE_S)
    rows = np.concatenate(outbox.known())
    assert len(rows) == tally.unsent > 300
    assert np.all(rows["code"] == NOT_SENT)
    assert np.all(np.isnan(rows["late"]))


RUN = """
import sys, signal, threading, time
import numpy as np
from simulators.fleet import build, districts, zones_of
from simulators.sockets import Crowd
from simulators.sockets_guests import Guests
from simulators.sockets_part import Rehearsal
fleet = build(districts(zones_of("bac-giang"), 100, people=300), 1)
tokens = np.array([f"token-of-{device}".encode() for device in fleet.ids()], dtype="S43")
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())
def progress(_, tally):
    if tally.up == 300: print("there", flush=True)
with Crowd(Guests(fleet, tokens, [(sys.argv[1], ())]), processes=2, progress=progress, progress_s=0.1) as crowd:
    crowd.come(stop, 60)
    said = crowd.speak(Rehearsal(time.time(), 1), seconds=60, stop=stop)
print(said["connected"], flush=True)
"""


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(broker: Gated, number: signal.Signals) -> None:
    command = [sys.executable, "-c", RUN, broker.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        os.killpg(process.pid, number)
        rest = process.stdout.read()
    gone, left = psutil.wait_procs(children, timeout=60)
    assert (len(gone), left) == (2, [])
    if number == signal.SIGINT:
        assert rest.splitlines()[-1] == "300"
        assert process.returncode == 0


@pytest.mark.full
def test_a_process_that_dies_ends_the_run_with_a_word(fleet: Fleet, broker: Gated, tokens: Tokens) -> None:
    with gathered(fleet, broker, tokens) as crowd:
        mine = [child for child in psutil.Process().children() if "sockets_child" in " ".join(child.cmdline())]
        mine[-1].kill()
        with pytest.raises(SocketsError, match="ended too soon"):
            crowd.speak(rehearsal(fleet), seconds=60.0, stop=threading.Event())
    assert psutil.wait_procs(mine, timeout=60)[1] == []


# Laws that need no broker


def test_a_process_of_devices_carries_no_driver_of_a_database() -> None:
    program = "import sys, simulators.sockets_child; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_a_brokers_name_is_looked_up_once_and_loopback_has_many_addresses_in_ipv4_only() -> None:
    address = Address.of("mqtts://gateway:secret@localhost")
    assert (str(address), address.tls, address.is_local) == ("localhost:8883", True, True)
    assert address.found().ip == "127.0.0.1"
    away = Address.of("mqtt://[::1]:1884")
    assert (away.is_local, away.found().ip, away.port) == (False, "::1", 1884)
    with pytest.raises(SocketsError, match=r"broker a{64}:1883: no machine can have this name"):
        found(f"mqtt://{'a' * 64}")


@given(part=st.integers(1, 5), more=st.integers(0, 3), parts=st.integers(1, 7))
def test_shards_of_shards_are_disjoint_and_complete(part: int, more: int, parts: int) -> None:
    fleet = build(districts(zones_of("bac-giang"), 100, people=300), 1)
    shard = (part, part + more)
    members = [members_of(fleet, divided(shard, number, parts)) for number in range(parts)]
    assert sorted(np.concatenate(members).tolist()) == members_of(fleet, shard).tolist()


@given(
    packets=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8),
    cuts=st.lists(st.integers(0, 2500), max_size=6),
)
def test_packets_are_found_however_the_stream_is_cut(packets: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(mqtt.packet(head, body) for head, body in packets)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found, rest = [], b""
    for start, end in pairwise(edges):
        more, rest = mqtt.whole(rest + stream[start:end])
        found += more
    assert (found, rest) == (packets, b"")


@given(st.binary(max_size=60))
def test_what_is_no_mqtt_is_said_so_and_nothing_else_happens(stream: bytes) -> None:
    for read_it in (mqtt.whole, mqtt.welcome, mqtt.publish_ack):
        with suppress(mqtt.StreamError):
            read_it(stream)


def test_a_welcome_may_bring_what_the_broker_wants() -> None:
    properties = b"\x12\0\3abc\x13\0\x1e\x24\1\x21\0\x14\x26\0\1a\0\1b"
    body = b"\1\0" + bytes([len(properties)]) + properties
    assert mqtt.welcome(body) == mqtt.Welcome(session=True, reason=0, keepalive=30, window=20)


def test_a_device_goes_to_the_broker_of_its_area(fleet: Fleet) -> None:
    members = members_of(fleet, (1, 1))
    areas = [(), fleet.areas[:3], fleet.areas[3:5]]
    wanted = [1 if area < 3 else 2 if area < 5 else 0 for area in fleet.area[members]]
    assert broker_of(fleet, members, areas).tolist() == wanted
