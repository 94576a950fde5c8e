"""Laws of sending: every message has one fate, whatever brokers and connections do, and what is told is true."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from dothi.stack.certificates import files_in, prepare
from dothi.stack.passwords import password_line
from simulators.ahead import Routes, written
from simulators.city import City, natural_rate
from simulators.drive import drive
from simulators.fleet import build, districts, zones_of
from simulators.histogram import Histogram
from simulators.letters import receive, send
from simulators.line import PATIENCE_S, Line, Piece
from simulators.messages import Messages
from simulators.mqtt import StreamError
from simulators.packets import Packets, packet
from simulators.publish import Broker, BrokerError
from simulators.schedule import USUAL, Shares
from simulators.spool import FAILURE, NO_ANSWER, NO_SUBSCRIBER, NOT_SENT, ROW, Rows, Spool, read
from simulators.tally import Tally
from simulators.wire import DUP, IDS, Connack, Heard, Reader, connect
from tests.mosquitto import Mosquitto, mosquitto

BOOT = 1_764_547_200
START = 1_764_547_200.0
FLEET = build(districts(zones_of("bac-kan"), 50, people=2000), 1)
PLAIN = Shares(0.0, 0.0, 0.0)
CONNACK = b"\x20\x03\x00\x00\x00"


def city_of(rate: float, start: float = START, shares: Shares = USUAL) -> City:
    return City(FLEET, start=start, boot=BOOT, speed=rate / natural_rate(FLEET, shares), shares=shares)


def puback(number: int, code: int) -> bytes:
    """As mosquitto writes it: without a reason code where all is well."""
    head = b"\x40\x03" if code else b"\x40\x02"
    return head + (number % IDS + 1).to_bytes(2) + (bytes([code]) if code else b"")


# What a broker says

ANSWERS = st.lists(st.tuples(st.integers(0, IDS - 1), st.sampled_from([0, 0, NO_SUBSCRIBER, 0x87, 0x97])), max_size=60)


@given(ANSWERS, st.lists(st.integers(0, 300), max_size=8), st.booleans())
def test_pubacks_are_read_in_whatever_pieces_they_come(
    answers: list[tuple[int, int]], cuts: list[int], ping: bool
) -> None:
    stream = CONNACK + b"".join(puback(*answer) for answer in answers) + (b"\xd0\x00" if ping else b"")
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = Reader()
    heard = [reader.feed(stream[a:b]) for a, b in pairwise(edges)]
    told = [(int(number) - 1, int(code)) for one in heard for number, code in zip(one.ids, one.codes, strict=True)]
    assert told == answers
    assert [one.connack for one in heard if one.connack] == [Connack(0, IDS)]
    ends = [int(end) + edge for one, edge in zip(heard, edges, strict=False) for end in one.ends]
    sizes = np.cumsum([len(CONNACK), *(len(puback(*answer)) for answer in answers)])
    assert ends == sizes[1:].tolist()


@given(ANSWERS)
def test_pubacks_of_one_kind_are_read_at_once(answers: list[tuple[int, int]]) -> None:
    heard = Reader().feed(b"".join(puback(number, NO_SUBSCRIBER) for number, _ in answers))
    assert [int(number) - 1 for number in heard.ids] == [number for number, _ in answers]
    assert set(heard.codes.tolist()) <= {NO_SUBSCRIBER}


def test_a_connack_tells_reason_and_receive_maximum() -> None:
    properties = b"\x24\x01" + b"\x26\x00\x01a\x00\x02bc" + b"\x12\x00\x03xyz" + b"\x21\x00\x14" + b"\x13\x00\x1e"
    body = b"\x00\x00" + bytes([len(properties)]) + properties
    heard = Reader().feed(b"\x20" + bytes([len(body)]) + body)
    assert heard.connack == Connack(0, 20)
    assert Reader().feed(b"\x20\x03\x00\x87\x00").connack == Connack(0x87, IDS)


def test_a_goodbye_tells_why() -> None:
    assert Reader().feed(b"\xe0\x02\x8e\x00").closed == 0x8E
    assert Reader().feed(b"\xe0\x00").closed == 0


@pytest.mark.parametrize("stream", [b"\x30\x02\x00\x00", b"\x20\x01\x00", b"\x40\xff\xff\xff\xff\xff"])
def test_what_no_broker_says_to_a_publisher_is_an_error(stream: bytes) -> None:
    with pytest.raises(StreamError):
        Reader().feed(stream)


@given(st.binary(max_size=80))
def test_garbage_is_an_error_or_nothing(stream: bytes) -> None:
    try:
        heard = Reader().feed(stream)
    except StreamError:
        return
    assert isinstance(heard, Heard)


def test_connect_is_as_mqtt_5_has_it() -> None:
    assert connect("c", "u", "p", keepalive=30, session_s=60) == (
        b"\x10\x19\x00\x04MQTT\x05\xc0\x00\x1e\x05\x11\x00\x00\x00\x3c\x00\x01c\x00\x01u\x00\x01p"
    )
    assert connect("c", None, None, keepalive=30, session_s=60)[8:10] == b"\x05\x00"


# One line


def pieces_of(counts: Sequence[int], step_s: float = 0.01) -> Iterator[Piece]:
    """Messages numbered through, one every `step_s`; packets are as small as they can be."""
    number = 0
    for count in counts:
        at = np.arange(number, number + count)
        device = at.astype(np.uint32)
        none = np.zeros(count, dtype=np.uint8)
        messages = Messages(device, device, at, at, at, START + at * step_s, none, none.astype(np.bool_))
        yield Piece(messages, packets_of_numbers(at.tolist()))
        number += count


def packets_of_numbers(numbers: list[int]) -> Packets:
    made = [packet(b"t", b"%08d" % number) for number in numbers]
    sizes = np.array([len(one) for one, _ in made], dtype=np.int64)
    ends = np.cumsum(sizes)
    heads = np.array([head for _, head in made], dtype=np.int64)
    body = np.frombuffer(bytearray().join(one for one, _ in made), dtype=np.uint8)
    return Packets(body, ends, ends - sizes + heads)


def sent_in(chunk: bytes | memoryview) -> list[tuple[int, int, bool]]:
    """Identifier, number and whether it is marked as sent before, of each packet in a chunk."""
    raw = bytes(chunk)
    size = 2 + 2 + 1 + 2 + 1 + 8
    assert len(raw) % size == 0
    packets = [raw[at : at + size] for at in range(0, len(raw), size)]
    return [(int.from_bytes(one[5:7]), int(one[8:]), bool(one[0] & DUP)) for one in packets]


@settings(max_examples=150, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    window=st.integers(1, 30),
    seed=st.integers(0, 2**32),
)
def test_every_message_has_one_fate_whatever_the_broker_does(counts: list[int], window: int, seed: int) -> None:
    """A broker that answers in any order and with any code, twice, or not at all, and hangs up now and then."""
    chance, tally = random.Random(seed), Tally()  # noqa: S311
    line, flying, rows = Line(tally, window), dict[int, int](), list[Rows]()
    once, fates = set[int](), dict[int, int]()
    for piece in pieces_of(counts):
        line.offer(piece)
    now = START
    line.connected(IDS)
    for _ in range(150):
        act = chance.random()
        now += chance.choice([0.0, 0.005, 0.05, 0.3])
        if act < 0.05:
            line.lost()
            flying.clear()
            line.connected(chance.choice([IDS, 5, 1]))
        elif act < 0.55:
            for identifier, number, again in sent_in(line.bytes_due(now)):
                assert identifier not in flying
                assert again == (number in once)
                flying[identifier] = number
                once.add(number)
            assert len(flying) <= window
        elif flying:
            some = chance.sample(sorted(flying), chance.randint(1, len(flying)))
            codes = [chance.choice([0, NO_SUBSCRIBER, 0x87]) for _ in some]
            doubled = [*zip(some, codes, strict=True), (IDS, 0), (some[0], codes[0])]
            line.answered(
                np.array([identifier for identifier, _ in doubled], dtype=np.int64),
                np.array([code for _, code in doubled], dtype=np.uint8),
                np.full(len(doubled), now),
            )
            fates |= {flying.pop(identifier): code for identifier, code in zip(some, codes, strict=True)}
        rows += line.settled()
    line.cut(now)
    line.end()
    rows += line.settled()
    agree(np.concatenate([np.empty(0, dtype=ROW), *rows]), tally, once, fates, counts, now)


def agree(rows: Rows, tally: Tally, once: set[int], fates: dict[int, int], counts: list[int], now: float) -> None:
    codes = dict(zip(rows["device"].tolist(), rows["code"].tolist(), strict=True))
    due = [number for number in range(sum(counts)) if START + number * 0.01 < now]
    assert len(codes) == len(rows)
    assert sorted(codes) == sorted({*due, *once})
    assert {number for number, code in codes.items() if code != NOT_SENT} == once
    assert {number: code for number, code in codes.items() if code < NO_ANSWER} == fates
    assert tally.sent == len(once)
    assert tally.unsent == len(codes) - len(once)
    assert tally.in_flight == sum(code == NO_ANSWER for code in codes.values())
    assert (tally.refused, tally.unheard) == tuple(
        sum(code == wanted for code in fates.values()) for wanted in (0x87, NO_SUBSCRIBER)
    )
    assert np.all(np.isnan(rows["late"]) == (rows["code"] == NOT_SENT))
    assert np.all(np.isnan(rows["answer"]) == (rows["code"] >= NO_ANSWER))
    assert not np.any(rows["late"] < 0)


def test_what_waits_too_long_is_given_up_and_counted() -> None:
    line = Line(tally := Tally())
    for piece in pieces_of([100, 100]):
        line.offer(piece)
    assert not len(line.bytes_due(START - 1.0))
    line.give_up(START + PATIENCE_S + 1.205)
    assert len(sent_in(line.bytes_due(START + PATIENCE_S + 1.205))) == 100 - 21
    assert (tally.unsent, tally.sent) == (121, 79)


def test_a_connection_that_is_gone_keeps_no_more_than_a_bounded_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in flight waits for its connection; of what piled up since, the newest are kept."""
    monkeypatch.setattr("simulators.line.MOST_WAITING", 250)
    line = Line(tally := Tally())
    for number, piece in enumerate(pieces_of([100] * 10)):
        line.offer(piece)
        if not number:
            assert len(sent_in(line.bytes_due(START + 0.305))) == 31
            line.lost()
        line.give_up(START + 1.0)
    assert (tally.sent, tally.unsent) == (31, 1000 - 31 - 250)
    assert sum(len(rows) for rows in line.settled()) == 600
    again = sent_in(line.bytes_due(START + 10.0))
    assert [number for _, number, repeated in again if repeated] == list(range(31))
    assert [number for _, number, _ in sent_in(line.bytes_due(START + 10.0))][:1] == [750]


def test_a_packet_identifier_means_one_message_at_a_time_over_several_rounds() -> None:
    """One message is never answered; the others go round until its identifier would be used again."""
    line, seen = Line(Tally()), 0
    for piece in pieces_of([50_000, 50_000], step_s=0.0):
        line.offer(piece)
    for _ in range(200):
        packets = sent_in(line.bytes_due(START + 1.0))
        seen += len(packets)
        ids = np.array([identifier for identifier, number, _ in packets if number], dtype=np.int64)
        line.answered(ids, np.zeros(len(ids), dtype=np.uint8), np.full(len(ids), START + 1.1))
    assert seen == IDS - 1
    line.answered(np.array([1]), np.zeros(1, dtype=np.uint8), np.array([START + 1.2]))
    assert sent_in(line.bytes_due(START + 1.3))[0][:2] == (IDS, IDS - 1)


# Letters


@settings(deadline=None)
@given(st.lists(st.integers(0, 300_000), max_size=600), st.integers(0, 2**32))
def test_what_is_passed_on_arrives_as_it_was_and_may_be_written_to(sizes: list[int], seed: int) -> None:
    """More arrays than one call takes, empty ones, and ones that no pipe holds at once."""
    draws = np.random.default_rng(seed)
    sent = [draws.integers(0, 255, size % 3000 if place else size, dtype=np.uint8) for place, size in enumerate(sizes)]
    arrived: list[Any] = []
    ours, theirs = Pipe()
    with ours, theirs:
        reading = threading.Thread(target=lambda: arrived.extend(receive(theirs) for _ in range(2)))
        reading.start()
        send(ours, sent)
        send(ours, "over")
        reading.join()
    (first, last) = arrived
    assert last == "over"
    assert all(one.flags.writeable for one in first)
    assert [one.tobytes() for one in first] == [one.tobytes() for one in sent]


def test_a_letter_that_is_cut_off_is_none() -> None:
    ours, theirs = Pipe()
    with ours:
        with theirs:
            sizes, letter = [4_000], b""
            theirs.send((sizes, letter))
            os.write(theirs.fileno(), b"not all of it")
        with pytest.raises(EOFError):
            receive(ours)


# Times


@given(st.lists(st.floats(1e-5, 20_000.0), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_exact_to_a_class(times: list[float], share: float) -> None:
    histogram = Histogram()
    histogram.add(np.array([*times, np.nan]))
    true = float(np.quantile(np.array(times), share, method="inverted_cdf"))
    told = histogram.quantile(share)
    assert told is not None
    assert true * 0.999 <= told <= true * 1.046


def test_histograms_add_up() -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    first, second = np.array([0.001, 0.2]), np.array([3.0])
    one.add(first)
    other.add(second)
    both.add(np.concatenate([first, second]))
    one.merge(other)
    assert one.document("x") == both.document("x")
    assert Histogram().document("x") == {}


# What is written ahead


def test_lines_together_say_what_the_city_says_and_a_device_keeps_to_one() -> None:
    brokers = [Broker("mqtt://a", FLEET.areas[:3]), Broker("mqtt://b", FLEET.areas[3:6]), Broker("mqtt://c")]
    routes = Routes(FLEET, brokers, 2)
    whole, parts = city_of(2000.0), city_of(2000.0)
    batch = written(parts, routes, START + 2.0)
    place = {area: min(number // 3, 2) for number, area in enumerate(FLEET.areas)}
    said = []
    for number, messages, packets in batch.parts:
        assert {place[FLEET.areas[area]] for area in FLEET.area[messages.device]} == {number // 2}
        assert np.all(np.diff(messages.due) >= 0)
        starts = [0, *packets.ends[:-1].tolist()]
        said += [bytes(packets.body[a:b]) for a, b in zip(starts, packets.ends.tolist(), strict=True)]
    everything = whole.packets(whole.until(START + 2.0))
    starts = [0, *everything.ends[:-1].tolist()]
    assert sorted(said) == sorted(
        bytes(everything.body[a:b]) for a, b in zip(starts, everything.ends.tolist(), strict=True)
    )
    lines = [set(messages.device.tolist()) for _, messages, _ in batch.parts]
    assert sum(map(len, lines)) == len(set().union(*lines))


# With a real broker


class Run:
    """A city sent to brokers."""

    def __init__(
        self,
        folder: Path,
        brokers: Sequence[Broker],
        rate: float,
        seconds: float,
        happening: Callable[[], None] = lambda: None,
        **more: Any,
    ) -> None:
        """`happening`: what befalls the brokers once all connections stand and messages flow. Without `drain_s` what
        is late on a busy machine is sent all the same."""
        start = time.time() + SOON_S
        city = city_of(rate, start)
        path = folder / "sent.spool"
        self.tally, self._over, stop = Tally(), threading.Event(), threading.Event()
        thread = threading.Thread(target=self._when_it_flows, args=(happening,))
        thread.start()
        try:
            with Spool(path) as spool:
                told = {"start": start, "seconds": seconds, "stop": stop, "spool": spool, "tally": self.tally}
                self.summary = drive(city, brokers, **{"drain_s": 60.0, **told, **more})
        finally:
            self._over.set()
            thread.join()
        self.rows = read(path)
        self.due = city_of(rate, start).until(start + seconds)

    def _when_it_flows(self, happening: Callable[[], None]) -> None:
        while not (self.tally.is_up and self.tally.sent > 200):
            if self._over.wait(0.01):
                return
        happening()

    def check(self) -> None:
        """The laws: one row for each message that became due, and the summary says what the rows say."""
        rows, summary = self.rows, self.summary
        assert rows.dtype == ROW
        keys = ["device", "boot", "seq", "again"]
        told = sorted(zip(*(rows[key].tolist() for key in keys), strict=True))
        meant = sorted(zip(*(getattr(self.due, key).tolist() for key in keys), strict=True))
        assert told == meant
        codes = rows["code"]
        assert summary["sent"] == np.count_nonzero(codes != NOT_SENT)
        assert summary["unsent"] == np.count_nonzero(codes == NOT_SENT)
        assert summary["in_flight"] == np.count_nonzero(codes == NO_ANSWER)
        assert summary["unheard"] == np.count_nonzero(codes == NO_SUBSCRIBER)
        assert summary["refused"] == np.count_nonzero((codes >= FAILURE) & (codes < NO_ANSWER))
        assert summary["acknowledged"] == np.count_nonzero((codes < FAILURE) & (codes != NO_SUBSCRIBER))
        sent = rows[codes != NOT_SENT]
        assert summary["overdue"] == np.count_nonzero(sent["late"] > 1.0)
        assert summary["duplicated"] == np.count_nonzero(sent["again"])


SOON_S = 0.8


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


class Subscriber:
    """paho-mqtt as an independent reader of all that is said; QoS 0, so that it acknowledges nothing."""

    def __init__(self, url: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = lambda _c, _u, message: self.heard.append((message.topic, bytes(message.payload)))
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self._client.subscribe("dothi/#", qos=0)
        self._client.loop_start()
        assert self._ready.wait(60)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_what_is_sent_is_what_the_city_says(broker: Mosquitto, tmp_path: Path) -> None:
    subscriber = Subscriber(broker.url)
    run = Run(tmp_path, [Broker(broker.url)], rate=3000.0, seconds=2.0)
    run.check()
    assert run.summary["acknowledged"] == run.summary["sent"] == len(run.due)
    deadline = time.monotonic() + 60
    while len(subscriber.heard) < len(run.due) and time.monotonic() < deadline:
        time.sleep(0.05)
    subscriber.close()
    start = run.due.due[0]
    city = city_of(3000.0, start)
    assert sorted(subscriber.heard) == sorted((m.topic, m.payload) for m in city.each(run.due))


def test_nobody_listens(broker: Mosquitto, tmp_path: Path) -> None:
    run = Run(tmp_path, [Broker(broker.url)], rate=500.0, seconds=1.0)
    run.check()
    assert run.summary["unheard"] == run.summary["sent"] > 0


def test_a_broker_that_is_killed_and_comes_back(broker: Mosquitto, tmp_path: Path) -> None:
    def kill_and_start() -> None:
        broker.kill()
        time.sleep(0.7)
        broker.start()

    run = Run(tmp_path, [Broker(broker.url)], rate=2000.0, seconds=6.0, happening=kill_and_start)
    run.check()
    assert run.summary["reconnects"] == 2
    assert run.summary["in_flight"] == run.summary["unsent"] == 0
    assert run.summary["sent"] == len(run.due)


@pytest.mark.full
def test_a_broker_that_stands_still(broker: Mosquitto, tmp_path: Path) -> None:
    """What became due meanwhile is sent afterwards, and how late it was counts from when it was due."""

    def hold() -> None:
        broker.send(signal.SIGSTOP)
        time.sleep(3.0)
        broker.send(signal.SIGCONT)

    run = Run(tmp_path, [Broker(broker.url)], rate=2000.0, seconds=6.0, happening=hold, window=200)
    run.check()
    assert (run.summary["reconnects"], run.summary["in_flight"], run.summary["unsent"]) == (0, 0, 0)
    assert run.summary["overdue"] > 2000
    assert run.tally.lateness.most > 2.0
    assert run.tally.answers.most > 2.0


def test_one_of_two_brokers_gone_holds_up_nothing_at_the_other(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as one, mosquitto(tmp_path) as other:
        brokers = [Broker(one.url, FLEET.areas[:4]), Broker(other.url, FLEET.areas[4:])]
        run = Run(tmp_path, brokers, rate=1000.0, seconds=6.0, happening=one.kill, drain_s=0.5)
    assert not run.tally.is_up
    run.check()
    at_other = FLEET.area[run.rows["device"]] >= 4
    assert np.all(run.rows["code"][at_other] == NO_SUBSCRIBER)
    assert np.any(run.rows["code"][~at_other] == NOT_SENT)


def test_a_wrong_password_is_named(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(password_line("gateway", "right") + "\n")
    with mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}\n") as broker:
        url = broker.url.replace("//", "//gateway:{}@")
        with pytest.raises(BrokerError, match=r"127\.0\.0\.1:\d+ refuses the connection: "):
            Run(tmp_path, [Broker(url.format("wrong"))], rate=100.0, seconds=1.0)
        Run(tmp_path, [Broker(url.format("right"))], rate=100.0, seconds=0.5).check()


def test_messages_that_the_broker_refuses_are_counted(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic write dothi/v1/{FLEET.areas[0]}/+/up\n")
    with mosquitto(tmp_path, f"allow_anonymous true\nacl_file {rules}\n") as broker:
        run = Run(tmp_path, [Broker(broker.url)], rate=1000.0, seconds=1.0)
    run.check()
    allowed = FLEET.area[run.rows["device"]] == 0
    assert np.all(run.rows["code"][allowed] == NO_SUBSCRIBER)
    assert np.all(run.rows["code"][~allowed] == 0x87)


@pytest.mark.full
def test_a_small_receive_maximum_is_kept_to(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        broker.kill()
        broker.configure("allow_anonymous true\nmax_inflight_messages 3\n")
        broker.start()
        run = Run(tmp_path, [Broker(broker.url)], rate=300.0, seconds=1.5)
    run.check()
    assert run.summary["unheard"] == run.summary["sent"] == len(run.due)


def test_a_broker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:9 does not answer within 0 s"):
        Run(tmp_path, [Broker("mqtt://127.0.0.1:9")], rate=100.0, seconds=1.0, patience_s=0.2)


def test_told_to_stop_it_stops_and_accounts_for_what_was_due(broker: Mosquitto, tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(SOON_S + 1.0, stop.set).start()
    start = time.time() + SOON_S
    with Spool(tmp_path / "spool") as spool:
        city = city_of(1000.0, start)
        summary = drive(city, [Broker(broker.url)], start=start, seconds=None, stop=stop, spool=spool)
    assert 0.5 < summary["seconds"] < 10.0
    rows = read(tmp_path / "spool")
    meant = city_of(1000.0, start).until(start + summary["seconds"] - 0.2)
    assert set(zip(meant.device.tolist(), meant.seq.tolist(), strict=True)) <= set(
        zip(rows["device"].tolist(), rows["seq"].tolist(), strict=True)
    )
    assert summary["sent"] + summary["unsent"] == len(rows)


def test_a_city_that_is_written_too_slowly_is_accounted_for_too(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*given: Any) -> Any:
        time.sleep(0.8)
        return written(*given)

    monkeypatch.setattr("simulators.drive.written", slowly)
    monkeypatch.setattr("simulators.drive.LONGEST_STEP_S", 0.2)
    run = Run(tmp_path, [Broker(broker.url)], rate=1000.0, seconds=1.5, drain_s=0.5)
    run.check()
    assert run.summary["behind_s"] > 0
    assert run.summary["unsent"] > 300


@pytest.mark.full
def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, ["localhost", "127.0.0.1"], datetime.now(UTC))
    files = files_in(tmp_path)
    lines = f"allow_anonymous true\ncertfile {files.chain}\nkeyfile {files.key}\ntls_version tlsv1.3\n"
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    with mosquitto(tmp_path, lines) as broker:
        run = Run(tmp_path, [Broker(broker.url.replace("mqtt:", "mqtts:"))], rate=2000.0, seconds=1.5)
        run.check()
        assert run.summary["unheard"] == len(run.due)
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(BrokerError, match=r"certificate"):
            Run(tmp_path, [Broker(broker.url.replace("mqtt:", "mqtts:"))], rate=10.0, seconds=1.0, patience_s=1.0)


def test_the_sending_process_ends_with_the_one_that_writes(broker: Mosquitto, tmp_path: Path) -> None:
    script = tmp_path / "writes.py"
    script.write_text(
        "import threading, time\n"
        "from tests.test_simulators_sending import Broker, city_of, drive\n"
        "start = time.time()\n"
        f"drive(city_of(100.0, start), [Broker('{broker.url}')], start=start, seconds=None, stop=threading.Event())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as process:
        children: list[psutil.Process] = []
        while not children:
            assert process.poll() is None
            children = psutil.Process(process.pid).children()
            time.sleep(0.05)
        process.kill()
    assert psutil.wait_procs(children, timeout=60)[1] == []
