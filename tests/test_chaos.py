"""The fault harness: that it counts rightly, and a short round of faults. The long one: make chaos N=300."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.chaos import checker, wire
from tests.chaos.checker import Kept, Verdict, judge
from tests.chaos.decks import BROKER_ROUND, KILLS, OTHERS, plan_of
from tests.chaos.generator import Device, Kind, Numbers, all_seqs, element, extra, message, seqs, times_ms, values
from tests.chaos.nemesis import FAULTS
from tests.chaos.proxy import BROKEN, Border, Proxy
from tests.chaos.record import Track
from tests.chaos.report import page, summary
from tests.chaos.rounds import Plan, play
from tests.chaos.run import row, rows_in
from tests.chaos.stand import Stand
from tests.stack import copy_prepared

START_MS = 1_767_225_600_000
DEVICES = [
    Device("c0-213-air-quality-0", "air_quality", "213", 3, 77, START_MS),
    Device("c0-213-meter-0", "meter", "213", 4, 77, START_MS),
]


def rows_of(device: Device, seq: Numbers) -> Numbers:
    """Rows as the database holds them when all is well."""
    return np.column_stack([seq, times_ms(device, seq), *values(device, seq)])


def acknowledged(device: Device, messages: int) -> Track:
    """A track whose messages have all been acknowledged by the broker, and by the platform if it asks."""
    track = Track(device)
    for _ in range(messages):
        number = track.next()
        track.acknowledge(number, Kind.MAIN)
        kind = extra(device, number)
        if kind:
            track.acknowledge(number, kind)
    if device.asks:
        track.settle(messages - 1, 0.0)
    return track


def kept(track: Track) -> list[Kept]:
    """What quarantine holds of a track's extras when all is well."""
    return [
        Kept(topic.decode(), payload, "conflict" if kind is Kind.CONFLICT else "not_json")
        for number, kind in track.acknowledged_extras(*checker.EXPECTED_IN_QUARANTINE)
        for topic, payload in [message(track.device, number, kind)]
    ]


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.family)
def test_a_payload_says_what_the_checker_expects(device: Device) -> None:
    for number in range(600):
        _, payload = message(device, number, Kind.MAIN)
        document = json.loads(payload)
        found = document if isinstance(document, list) else [document]
        assert [one["seq"] for one in found] == list(seqs(device, number))
        for one in found:
            when, a, b = (
                int(column[0])
                for column in (times_ms(device, np.array([one["seq"]])), *values(device, np.array([one["seq"]])))
            )
            assert (one["time"], list(one["metrics"].values())) == (when, [a, b])
    together = sorted(all_seqs(device, np.arange(600)))
    assert together == sorted(seq for number in range(600) for seq in seqs(device, number))


def test_every_kind_of_extra_is_published() -> None:
    assert {extra(DEVICES[0], number) for number in range(600)} == {None, *Kind} - {Kind.MAIN}
    assert json.loads(element(DEVICES[0], 5)) != json.loads(element(DEVICES[0], 5, shift=1))


def verdict(change: str) -> Verdict:
    """The verdict after one planted fault."""
    tracks = [acknowledged(device, 700) for device in DEVICES]
    stored = {track.device.name: rows_of(track.device, track.all_published()) for track in tracks}
    quarantine = [entry for track in tracks for entry in kept(track)]
    meter = stored[DEVICES[1].name]
    match change:
        case "lost":
            stored[DEVICES[1].name] = np.delete(meter, 41, axis=0)
        case "doubled":
            stored[DEVICES[1].name] = np.vstack([meter, meter[41]])
        case "altered":
            meter[41, 2] += 1
        case "moved":
            meter[41, 1] += 1
        case "invented":
            stored[DEVICES[1].name] = np.vstack([meter, rows_of(DEVICES[1], np.array([700]))])
        case "forgotten":
            del quarantine[0]
        case "refused":
            stored[DEVICES[1].name] = np.delete(meter, 41, axis=0)
            quarantine.append(Kept(DEVICES[1].topic.decode(), element(DEVICES[1], 41), "future"))
        case "unsettled":
            tracks[1].next()
    return judge(tracks, stored, quarantine)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ("none", {}),
        ("lost", {"lost_by_broker": 1, "lost_by_platform": 1}),
        ("doubled", {"doubled": 1}),
        ("altered", {"altered": 1}),
        ("moved", {"altered": 1}),
        ("invented", {"invented": 1}),
        ("forgotten", {"extras_lost": 1}),
        ("refused", {"wrongly_quarantined": 1}),
        ("unsettled", {"unsettled": 1}),
    ],
)
def test_the_checker_sees(change: str, wrong: dict[str, int]) -> None:
    found = verdict(change)._asdict()
    assert {name: found[name] for name in list(found)[4:-1] if found[name]} == wrong


def test_packets_are_told_apart_however_the_stream_is_cut() -> None:
    chance = random.Random(5)  # noqa: S311 - the same cuts in every run
    packets = [wire.publish(b"t", n + 1, bytes(chance.randrange(400))) for n in range(200)]
    stream, borders, at = b"".join(packets), set(), 0
    for packet in packets:
        borders.add(at)
        at += len(packet)
    border, parser, position, seen = Border(), wire.Stream(), 0, 0
    while position < len(stream):
        chunk = stream[position : position + chance.randrange(1, 700)]
        first = border.first_in(chunk)
        expected = min((b - position for b in borders if position <= b < position + len(chunk)), default=None)
        assert first == expected
        seen += sum(1 for packet in parser.feed(chunk) if packet.kind == wire.PUBLISH)
        position += len(chunk)
    assert seen == len(packets)


@pytest.fixture
async def echo() -> AsyncIterator[Proxy]:
    """A proxy in front of a server that says everything twice as MQTT would: a packet in, the packet out."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1000):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(lambda: int(server.sockets[0].getsockname()[1]), mqtt=True)
    await proxy.start()
    yield proxy
    await proxy.close()
    server.close()
    await asyncio.sleep(0.05)


async def test_the_proxy_passes_breaks_freezes_and_cuts(echo: Proxy) -> None:
    packet = wire.publish(b"t", 1, b"hello")
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    writer.write(packet)
    assert await reader.readexactly(len(packet)) == packet
    echo.break_next = BROKEN[0]
    writer.write(packet)
    assert await reader.readexactly(len(packet) + 2) == BROKEN[0] + packet
    echo.freeze()
    writer.write(packet)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    echo.thaw()
    assert await reader.readexactly(len(packet)) == packet
    echo.reset()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
    echo.refusing = True
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()


def test_a_run_meets_every_fault_and_can_be_repeated() -> None:
    plans = [plan_of(9, number, 100) for number in range(40)]
    assert plans == [plan_of(9, number, 100) for number in range(40)]
    assert {name for plan in plans for name in plan.faults} == {*KILLS, *OTHERS, *BROKER_ROUND}
    special = {name for name in FAULTS if name.startswith(("disk", "clock"))}
    assert {*KILLS, *OTHERS, *BROKER_ROUND} | special == set(FAULTS)


@pytest.fixture
async def stand(tmp_path: Path, prepared: Path) -> AsyncIterator[Stand]:
    """A stack of its own behind proxies."""
    copy_prepared(prepared, tmp_path / "dothi")
    async with Stand(tmp_path) as stand:
        yield stand


@pytest.mark.stack
async def test_a_short_round_loses_nothing(stand: Stand) -> None:
    """What a broker has acknowledged is there once, and the ledger balances, whatever is killed but the broker."""
    faults = ("crash after_commit_before_puback", "broker network: truncated packet", "kill database")
    done = await play(stand, Plan(0, 20261122, faults, 150, per_family=1))
    assert done.complaints == [], done.verdict.examples
    assert done.verdict.readings_by_broker > 150
    assert [one.fault for one in done.happened] == list(faults)


@pytest.mark.stack
@pytest.mark.full
async def test_nothing_promised_is_lost(stand: Stand, tmp_path: Path) -> None:
    gentle = Plan(
        0,
        20261121,
        (
            "kill worker",
            "database network: half-open",
            "crash after_commit_before_puback",
            "kill backend",
            "corrupt broker packets",
            "kill database",
            "database network: answers swallowed",
            "broker network: truncated packet",
        ),
        1500,
        per_family=3,
    )
    file = tmp_path / "rounds.jsonl"
    for plan in (
        gentle,
        Plan(1, 7, ("kill broker with a backlog", "crash before_commit", "kill supervisor"), 1500, per_family=3),
    ):
        done = await play(stand, plan)
        with file.open("a") as lines:
            lines.write(json.dumps(row(done, "ordinary")) + "\n")
        assert done.complaints == [], done.verdict.examples
        assert done.verdict.readings_by_broker > 1000
        assert done.verdict.quarantined > 0
    assert stand.broker_proxy.bytes > 100_000
    assert stand.database_proxy.bytes > 100_000
    check_report(file)


def check_report(file: Path) -> None:
    """A run's file, its last line cut short by a kill, makes a report."""
    with file.open("a") as lines:
        lines.write('{"round": 2, "see')
    found = summary(rows_in(file))
    assert found["rounds"] == 2
    assert found["kills"] == 9
    assert found["lost_of_those"] == found["lost_by_platform"] == found["double_rows"] == 0
    text = page(found)
    assert "| kill database | 1 | 1 |" in text
    assert "Kills that broke a promise: 0 of 9" in text
