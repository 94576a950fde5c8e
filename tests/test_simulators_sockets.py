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
from contextlib import suppress
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

from simulators import sockets_packets as mqtt
from simulators.city import members_of
from simulators.fleet import Fleet, build, districts, zones_of
from simulators.scenario import Outage
from simulators.schedule import Shares
from simulators.sockets import check_doors, drive_sockets
from simulators.sockets_count import Counts
from simulators.sockets_links import Manner
from simulators.sockets_part import Rehearsal, broker_of, divided
from simulators.sockets_probe import SocketsError
from simulators.spool import NO_ANSWER, NOT_SENT, Rows, read
from tests.gated import Gated, tokens_of

COMING_S = 1.2
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
        self._client.subscribe([("dothi/v1/+/+/up", 1), ("dothi/v1/+/+/status", 1)])
        self._client.loop_start()
        assert self._heard.wait(10)
        time.sleep(0.3)  # until what is retained has come
        self.said.clear()

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
    """A city that is about to begin."""
    start = time.time() + COMING_S
    quiet = Rehearsal(fleet, start, int(start))
    return Rehearsal(fleet, start, int(start), speed=rate / quiet.city().rate_per_s, shares=Shares(duplicate=0.0))


def driven(
    told: Rehearsal, broker: Gated, tokens: Tokens, folder: Path, seconds: float, **more: Any
) -> tuple[dict[str, Any], Rows]:
    """Run, and read what became of every message."""
    given: dict[str, Any] = {"stop": threading.Event(), "manner": QUICK, "processes": 2, **more}
    said = drive_sockets(told, [(broker.url, ())], tokens, seconds=seconds, folder=folder, **given)
    return said, np.concatenate([read(path) for path in sorted(folder.glob("*.spool"))])


def later(told: Rehearsal, seconds: float, action: Callable[[], object]) -> threading.Thread:
    """Do something so many seconds after the start."""
    timer = threading.Timer(told.start + seconds - time.time(), action)
    timer.start()
    return timer


def test_all_that_the_city_says_arrives_in_order_and_everybody_says_goodbye(
    fleet: Fleet, broker: Gated, tokens: Tokens, platform: Platform, tmp_path: Path
) -> None:
    told = rehearsal(fleet)
    said, rows = driven(told, broker, tokens, tmp_path, 2.0)
    city = told.city()
    wanted = defaultdict(list)
    for message in city.each(city.until(told.start + 2.0)):
        wanted[message.topic].append(message.payload)
    assert platform.ends("/up") == wanted
    assert said["sent"] == said["acknowledged"] == len(rows) == sum(map(len, wanted.values()))
    assert (said["unsent"], said["in_flight"], said["connected"]) == (0, 0, 300)
    assert (said["turned_away"], said["disconnects"]) == ({}, {})
    assert np.all(rows["code"] == 0)
    assert np.all(rows["answer"] > 0)
    assert list(platform.ends("/status").values()) == [[b"online", b"offline"]] * 300


def test_a_wrong_token_a_storm_and_a_takeover_are_counted(
    fleet: Fleet, broker: Gated, tokens: Tokens, platform: Platform, tmp_path: Path
) -> None:
    wrong, dark, taken = 7, np.arange(100, 200, dtype=np.uint32), 250
    theirs = tokens.copy()
    theirs[wrong] = b"guessed"
    told = rehearsal(fleet)
    cut = Outage(dark, told.start + 0.5, told.start + 1.5, restart=False)
    one = Rehearsal(fleet, told.start, told.boot)
    own = tokens[members_of(fleet, one.shard) == taken]
    last = Fleet(fleet.seed, *(getattr(fleet, name) for name in ("areas", "families")), *of(fleet, taken))
    doors = later(told, 1.0, lambda: check_doors(Rehearsal(last, 0, 0), [(broker.url, ())], own))
    said, rows = driven(told, broker, theirs, tmp_path, 3.0, outages=[cut])
    doors.join()
    names = fleet.ids()
    assert (said["connected"], said["cut"], said["reconnects"], said["takeovers"]) == (299, 100, 101, 1)
    assert set(said["turned_away"]) == {"not authorised"}
    assert said["away_s"]["p50"] > 0
    status = {topic.split("/")[3]: heard for topic, heard in platform.ends("/status").items()}
    assert set(status) == {name for place, name in enumerate(names) if place != wrong}
    assert all(status[names[place]] == [b"online", b"offline", b"online", b"offline"] for place in dark)
    assert np.all(rows["code"][rows["sender"] == wrong] == NOT_SENT)
    assert np.all(rows["code"][rows["sender"] != wrong] == 0)
    arrived = Counter(dict(zip(names, [0] * 300, strict=True)))
    arrived.update({topic.split("/")[3]: len(set(heard)) for topic, heard in platform.ends("/up").items()})
    taken_in = rows[rows["code"] == 0]
    assert [arrived[name] for name in names] == np.bincount(taken_in["sender"], minlength=300).tolist()


def of(fleet: Fleet, place: int) -> list[Any]:
    """The columns of a fleet of one device."""
    columns = (fleet.area, fleet.family, fleet.number, fleet.key, fleet.lat, fleet.lon)
    return [column[place : place + 1] for column in columns]


def test_who_loses_power_forgets(fleet: Fleet, broker: Gated, tokens: Tokens, tmp_path: Path) -> None:
    """What waited when the power went is never sent; from then on all is."""
    told = rehearsal(fleet)
    dark = np.arange(0, 300, dtype=np.uint32)
    night = Outage(dark, told.start - COMING_S, told.start + 1.0, restart=False)
    power = Outage(dark, told.start + 0.6, told.start + 1.0, restart=True)
    said, rows = driven(told, broker, tokens, tmp_path, 2.5, outages=[night, power])
    before = rows["due"] < told.start + 0.55
    assert before.any()
    assert np.all(rows["code"][before] == NOT_SENT)
    assert np.all(rows["code"][rows["due"] > told.start + 0.65] < 0x80)
    assert said["unsent"] == np.count_nonzero(rows["code"] == NOT_SENT)
    assert (said["connected"], said["cut"], said["reconnects"]) == (300, 0, 0)


@pytest.mark.full
def test_silence_of_three_keepalives_is_survived(fleet: Fleet, broker: Gated, tokens: Tokens, tmp_path: Path) -> None:
    told = Rehearsal(fleet, time.time() + COMING_S, 1, speed=1e-6)
    said, _ = driven(told, broker, tokens, tmp_path, 3.2, manner=Manner(keepalive_s=1, session_s=0))
    assert (said["sent"], said["connected"], said["disconnects"], said["reconnects"]) == (0, 300, {}, 0)
    assert said["pings"] > 3 * 300


def test_a_killed_broker_costs_nobody_a_message(fleet: Fleet, broker: Gated, tokens: Tokens, tmp_path: Path) -> None:
    told = rehearsal(fleet)
    with ThreadPoolExecutor(1) as pool:
        # The broker ends with the thread that started it, so it is the run that has another one.
        run = pool.submit(driven, told, broker, tokens, tmp_path, 3.5)
        time.sleep(told.start + 0.5 - time.time())
        broker.kill()
        time.sleep(0.7)
        broker.start()
        said, rows = run.result()
    assert sum(said["disconnects"].values()) == 300
    assert (said["connected"], said["reconnects"]) == (300, 300)
    assert said["turned_away"]["nobody listens"] > 0
    assert np.all(rows["code"] < NO_ANSWER)


def test_tls_with_the_authority_of_the_stack(
    fleet: Fleet, broker: Gated, tokens: Tokens, platform: Platform, tmp_path: Path
) -> None:
    told = rehearsal(fleet)
    manner = Manner(ca=str(broker.ca))
    check_doors(told, [(broker.secure_url, ())], tokens, ca=manner.ca)
    spool = {"stop": threading.Event(), "manner": manner, "folder": tmp_path}
    said = drive_sockets(told, [(broker.secure_url, ())], tokens, seconds=1.0, **spool)  # type: ignore[arg-type]
    assert (said["connected"], said["turned_away"], said["unsent"]) == (300, {}, 0)
    assert said["acknowledged"] == said["sent"] == sum(map(len, platform.ends("/up").values())) > 0


def test_a_broker_that_refuses_or_is_not_there_is_named(fleet: Fleet, broker: Gated, tokens: Tokens) -> None:
    told = rehearsal(fleet)
    with pytest.raises(SocketsError, match=r"does not let in .*: not authorised"):
        check_doors(told, [(broker.url, ())], np.full(300, b"guessed"), patience_s=0)
    with pytest.raises(SocketsError, match=r"127.0.0.1:1 does not let in .*: nobody listens"):
        check_doors(told, [("mqtt://127.0.0.1:1", ())], tokens, patience_s=0)


RUN = """
import sys, signal, threading, time
from pathlib import Path
import numpy as np
from simulators.fleet import build, districts, zones_of
from simulators.sockets import drive_sockets
from simulators.sockets_part import Rehearsal
fleet = build(districts(zones_of("bac-giang"), 100, people=300), 1)
tokens = np.array([f"token-of-{device}".encode() for device in fleet.ids()], dtype="S43")
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())
def progress(_, counts):
    if counts.connected == 300: print("there", flush=True)
told = Rehearsal(fleet, time.time() + 0.5, 1)
said = drive_sockets(told, [(sys.argv[1], ())], tokens, seconds=20, stop=stop, folder=Path(sys.argv[2]), processes=2,
                     progress=progress, progress_s=0.1)
print(said["connected"], flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.full)])
def test_no_process_is_left(broker: Gated, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", RUN, broker.url, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        os.killpg(process.pid, number)
        rest = process.stdout.read()
    gone, left = psutil.wait_procs(children, timeout=15)
    assert (len(gone), left) == (2, [])
    if number == signal.SIGINT:
        assert rest.splitlines()[-1] == "300"
        assert process.returncode == 0


@pytest.mark.full
def test_a_process_that_dies_ends_the_run_with_a_word(fleet: Fleet, broker: Gated, tmp_path: Path) -> None:
    def kill_one(_seconds: float, counts: Counts) -> None:
        if counts.connected:
            psutil.Process().children()[-1].kill()

    told = rehearsal(fleet)
    with pytest.raises(SocketsError, match="ended too soon"):
        driven(told, broker, tokens_of(fleet.ids()), tmp_path, 20.0, progress=kill_one, progress_s=0.1)
    assert psutil.Process().children() == [] or all(
        "sockets_child" not in " ".join(child.cmdline()) for child in psutil.Process().children()
    )


# Laws that need no broker


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
