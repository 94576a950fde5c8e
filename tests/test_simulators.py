"""Laws of the simulated city: seeded, sized as asked, plausible, and in the format that the platform reads."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from devices.profile import Profile
from dothi.commands import simulate
from dothi.errors import WrongUsage
from dothi.load.record import write_record
from simulators.city import City, Message, natural_rate
from simulators.fleet import (
    Fleet,
    build,
    districts,
    native_families,
    native_profile,
    zones_of,
)
from simulators.messages import Kind
from simulators.mix import prefix
from simulators.plan import plan
from simulators.schedule import USUAL, Shares
from simulators.spool import NO_ANSWER, ROW, Spool
from tests.stack import RunningStack

BOOT = 1_764_547_200
START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
NATIVE = [native_profile(family) for family in native_families()]


def small_fleet(seed: int = 1, people: int = 2000, density: float = 50) -> Fleet:
    return build(districts(zones_of("bac-giang"), density, people=people), seed)


def names(profile: Profile) -> str:
    return profile.name


# On the wire


def city_of(rate: float, shares: Shares = USUAL) -> City:
    fleet = small_fleet()
    return City(fleet, start=START, boot=BOOT, speed=rate / natural_rate(fleet, shares), shares=shares)


def messages(shares: Shares, seconds: float = 4.0) -> list[Message]:
    return said(city_of(1000.0, shares), START + seconds)


def said(city: City, moment: float) -> list[Message]:
    return list(city.each(city.until(moment)))


# The schedule


def test_same_seed_says_the_same_in_whatever_steps_it_is_asked() -> None:
    whole, parts = city_of(500.0), city_of(500.0)
    at_once = Counter((m.topic, m.payload) for m in said(whole, START + 4))
    piecewise = Counter((m.topic, m.payload) for step in range(1, 21) for m in said(parts, START + step / 5))
    assert at_once == piecewise
    assert at_once


def test_sequence_numbers_of_a_device_have_no_gap() -> None:
    by_device: dict[str, list[int]] = {}
    for message in messages(Shares(duplicate=0.0)):
        by_device.setdefault(message.device, []).append(message.seq)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_device.values())


def test_rate_and_shares_are_as_documented() -> None:
    sent = said(city_of(1000.0), START + 30)
    kinds = Counter(m.kind for m in sent)
    assert len(sent) == pytest.approx(30_000, rel=0.03)
    assert kinds[Kind.LATE] / len(sent) == pytest.approx(0.02, rel=0.2)
    assert sum(m.again for m in sent) / len(sent) == pytest.approx(0.01, rel=0.2)
    assert sum(n for kind, n in kinds.items() if kind.faulty) / len(sent) == pytest.approx(0.005, rel=0.3)


def test_late_messages_are_old_yet_within_the_late_limit() -> None:
    for message in messages(Shares(late=0.5)):
        age = message.due - message.time / 1000
        if message.kind is Kind.LATE:
            assert 100 < age < 7 * 86_400
        elif not message.again:
            assert 0 <= age < 0.002


def test_duplicates_repeat_a_payload_exactly() -> None:
    sent = messages(Shares(duplicate=0.2))
    first = {(m.device, m.seq): m.payload for m in sent if not m.again}
    repeated = [m for m in sent if m.again]
    assert repeated
    assert all(first[m.device, m.seq] == m.payload for m in repeated)


@pytest.mark.parametrize("shares", [{"late": -0.1}, {"faulty": 1.5}, {"late": 0.6, "faulty": 0.6}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        Shares(**shares)


def test_planned_bytes_are_those_of_real_payloads() -> None:
    sizes: dict[str, list[int]] = {}
    for message in messages(Shares(0, 0, 0), seconds=10.0):
        sizes.setdefault(message.device.split("-")[0], []).append(len(message.payload))
    for load in plan("bac-giang", 10).families:
        measured = sizes[prefix(load.family)]
        assert load.bytes_per_message == pytest.approx(sum(measured) / len(measured), rel=0.1)


# The command line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--people", "0"], "--people 0: "),
        (["run", "--density", "10000"], "--density 10000: "),
        (["run", "--people", "1", "--density", "1"], "makes no device"),
        (["run", "--rate", "0"], "--rate 0: "),
        (["run", "--speed", "-1"], "--speed -1: "),
        (["run", "--speed", "2", "--rate", "5"], "one of the two"),
        (["run", "--for", "-1"], "--for -1: "),
    ],
)
def test_wrong_usage_names_the_value_and_what_is_allowed(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(simulate.app, arguments)
    assert isinstance(result.exception, WrongUsage)
    assert result.exception.exit_code == 2
    with pytest.raises(WrongUsage, match=told):
        raise result.exception


def test_the_record_of_a_run_is_csv(tmp_path: Path) -> None:
    path, city = tmp_path / "sent.csv", city_of(1000.0, Shares(0, 0, 0))
    asked = city.until(START + 1.0)
    rows = np.zeros(len(asked), dtype=ROW)
    for name in ("device", "boot", "seq", "time", "kind"):
        rows[name] = getattr(asked, name)
    rows["code"][1:] = NO_ANSWER
    with Spool(tmp_path / "sent.spool") as spool:
        spool.append(rows)
    write_record(path, city.fleet, [spool.path])
    (row,), message = csv.DictReader(path.read_text().splitlines()), next(city.each(asked))
    assert (row["area"], row["device"], row["seq"], row["kind"]) == (message.area, message.device, "1", "fresh")


def test_sigterm_asks_for_an_end() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop = simulate.stop_on_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(1.0)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


# With a real stack


@pytest.mark.stack
def test_what_the_broker_acknowledged_is_stored_once_or_quarantined(stack: RunningStack, tmp_path: Path) -> None:
    record = tmp_path / "acknowledged.csv"
    before = stack.received()
    asked = (
        "--province",
        "bac-kan",
        "--people",
        "200",
        "--rate",
        "400",
        "--for",
        "3",
        "--record",
        str(record),
        "--json",
    )
    summary = json.loads(stack.dothi("simulate", "run", *asked).stdout)
    acknowledged = list(csv.DictReader(record.read_text().splitlines()))
    assert summary["acknowledged"] == summary["sent"] == len(acknowledged)
    assert summary["sent"] == pytest.approx(1200, rel=0.1)
    assert (summary["unsent"], summary["in_flight"], summary["refused"]) == (0, 0, 0)
    stack.wait_settled(before + len(acknowledged))
    kinds = Counter(row["kind"] for row in acknowledged)
    lost = {"duplicate", Kind.ALL_OUT_OF_RANGE.name.lower(), Kind.CUT_SHORT.name.lower()}
    expected = Counter((row["device"], int(row["seq"])) for row in acknowledged if row["kind"] not in lost)
    assert stored(stack, summary["boot"]) == expected
    refused = "select count(*) from city.quarantine where topic like 'dothi/v1/0%%'"
    assert stack.query(refused)[0][0] >= kinds["all_out_of_range"] + kinds["cut_short"]


def stored(stack: RunningStack, boot: int) -> Counter[tuple[str, int]]:
    parts = [f"select device, seq from city.{family} where boot = %s" for family in native_families()]
    return Counter(stack.query(" union all ".join(parts), *[boot] * len(parts)))


@pytest.mark.stack
def test_sigterm_ends_a_run_with_its_summary(stack: RunningStack) -> None:
    command = [
        sys.executable,
        "-m",
        "dothi",
        "simulate",
        "run",
        "--dir",
        str(stack.folder),
        "--people",
        "100",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Ctrl-C stops" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(out)["devices"] == 50
