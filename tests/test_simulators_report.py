"""Conservation, the report about it, and what a run tells: against a real stack, and as laws over columns."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from devices.enroll_columns import enroll_columns
from dothi.commands import simulate
from dothi.commands.simulate_run import stop_on_signals
from dothi.errors import Refused, WrongUsage
from dothi.load.conservation import Account, account, document
from dothi.load.report import FORMAT, SECTIONS, read
from dothi.load.screen import outcome
from dothi.load.settling import verdict_of
from simulators.capacity import Figures, Range, Slo, Step, failure, next_rate, sustained
from simulators.city import City
from simulators.conserve import Fate, Found, Kept, digest_of, judge, packed, rank
from simulators.curves import Curves, class_of, quantile
from simulators.fleet import pieces
from simulators.messages import Kind, Messages
from simulators.report_html import page, verdict
from simulators.report_words import HEADS
from simulators.schedule import Shares
from simulators.spool import NO_ANSWER, NOT_SENT, ROW, Rows, Spool, slices
from tests.command import dothi_process
from tests.gateway import WAIT_S
from tests.load import AREAS, city_of, rows_of, send, sent
from tests.stack import RunningStack

RUN = ("simulate", "run", "--area", "216", "--area", "215", "--people", "200")
CLEAN = Shares(late=0.0, duplicate=0.0, faulty=0.0)
START = 1_764_547_200.0
CHARTS = 6


# Set arithmetic


keys = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=40)
wide = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(-(2**40), 2**40), st.integers(0, 2**32 - 1)), max_size=40
)


def spool_rows(named: list[tuple[int, int, int]], code: int = 0) -> Rows:
    made = np.zeros(len(named), dtype=ROW)
    for place, name in enumerate(("device", "time", "seq")):
        made[name] = [one[place] for one in named]
    made["code"] = code
    return made


def found(named: list[tuple[int, int, int]]) -> Found:
    columns = [np.array([one[place] for one in named], dtype=np.int64) for place in range(3)]
    return Found(columns[0], columns[1], columns[2], np.arange(len(named), dtype=np.float64))


def kept(named: list[tuple[int, int, int]], digests: list[int] | None = None) -> Kept:
    device, time_, seq, _ = found(named)
    return Kept(device, time_, seq, np.array(digests or [0] * len(named), dtype=np.uint64))


def fates(rows: Rows, stored: list[tuple[int, int, int]], quarantined: list[tuple[int, int, int]]) -> Counter[Fate]:
    judged = judge(rows, found(stored), kept(quarantined), np.zeros(8, dtype=np.int64), lambda messages: [])
    return Counter(map(Fate, judged.fates.tolist()))


@given(sent=keys, stored=st.sets(st.sampled_from([(a, b, c) for a in range(4) for b in range(4) for c in range(4)])))
def test_every_message_has_one_fate_as_plain_sets_would_say(
    sent: list[tuple[int, int, int]], stored: set[tuple[int, int, int]]
) -> None:
    got = fates(spool_rows(sent), sorted(stored), [])
    assert got[Fate.STORED] == len(set(sent) & stored)
    assert got[Fate.DUPLICATE] == sum(one in stored for one in sent) - got[Fate.STORED]
    assert got[Fate.MISSING] == sum(one not in stored for one in sent)


@pytest.mark.parametrize(
    ("missing", "settled", "en"),
    [(0, True, "nothing is missing"), (3, True, "3 acknowledged messages are missing"), (3, False, "not dealt with")],
)
def test_nothing_is_called_missing_before_the_platform_has_dealt_with_all(missing: int, settled: bool, en: str) -> None:
    account = {"missing": missing, "acknowledged": 9, "settled": settled}
    assert en in outcome(account).plain
    shown = verdict({"conservation": account})
    assert ("are missing" in shown, "not dealt with" in shown) == (bool(missing) and settled, not settled)


@given(sent=keys, quarantined=keys)
def test_quarantine_answers_for_as_many_messages_as_it_keeps(
    sent: list[tuple[int, int, int]], quarantined: list[tuple[int, int, int]]
) -> None:
    got = fates(spool_rows(sent), [], quarantined)
    assert got[Fate.QUARANTINED] == (Counter(sent) & Counter(quarantined)).total()
    assert got[Fate.QUARANTINED] + got[Fate.MISSING] == len(sent)


@given(sent=wide, others=wide)
def test_packed_keys_are_equal_exactly_where_names_are(
    sent: list[tuple[int, int, int]], others: list[tuple[int, int, int]]
) -> None:
    everything = others + sent[::2]
    packed_rows, packed_found, _ = packed(spool_rows(sent), found(everything), kept([]))
    assert len(set(packed_rows.tolist())) == len(set(sent))
    assert (packed_rows >= 0).all()
    names = dict(zip(packed_rows.tolist(), sent, strict=True))
    assert [names.get(key) for key in packed_found.tolist()] == [one if one in sent else None for one in everything]


@given(st.lists(st.integers(0, 5)))
def test_rank_counts_equal_ones_before(values: list[int]) -> None:
    assert rank(np.array(values, dtype=np.int64)).tolist() == [values[:at].count(one) for at, one in enumerate(values)]


def test_what_no_broker_took_is_not_missing_and_what_is_stored_beside_is_told() -> None:
    rows = np.concatenate([spool_rows([(1, 1, 1), (1, 1, 2)], NO_ANSWER), spool_rows([(2, 1, 1)], NOT_SENT)])
    judged = judge(rows, found([(1, 1, 1), (3, 3, 3)]), kept([]), np.zeros(8, dtype=np.int64), lambda messages: [])
    assert judged.fates.tolist() == [Fate.UNANSWERED, Fate.UNANSWERED, Fate.NOT_SENT]
    assert (judged.unasked, judged.strays) == (1, 1)


def test_a_payload_cut_before_its_number_is_told_by_its_bytes() -> None:
    rows = spool_rows([(1, 1, 1), (1, 1, 2)])
    unreadable = kept([(1, -1, -1)], [digest_of(b"two")])
    none = np.zeros(8, dtype=np.int64)

    def written(messages: Messages) -> list[bytes]:
        return [{1: b"one", 2: b"two"}[seq] for seq in messages.seq.tolist()]

    assert judge(rows, found([]), unreadable, none, written).fates.tolist() == [Fate.MISSING, Fate.QUARANTINED]


def test_what_a_quota_cut_is_told_apart() -> None:
    cut = np.array([0, 1, 0], dtype=np.int64)
    judged = judge(spool_rows([(1, 1, 1), (1, 1, 2), (2, 1, 1)]), found([]), kept([]), cut, lambda messages: [])
    assert judged.fates.tolist() == [Fate.COUNTED, Fate.MISSING, Fate.MISSING]


# Rates and delays


@given(st.lists(st.floats(2e-5, 5e3), min_size=1, max_size=50))
def test_a_quantile_is_true_to_its_class(seconds: list[float]) -> None:
    counts = np.bincount(class_of(np.array(seconds)), minlength=900)
    ordered = sorted(seconds)
    middle = quantile(counts, 0.5)
    assert middle == pytest.approx(ordered[(len(ordered) - 1) // 2], rel=0.02)
    assert quantile(counts, 1.0) == pytest.approx(ordered[-1], rel=0.02)


def test_curves_count_each_message_in_the_step_of_what_happened() -> None:
    rows = spool_rows([(1, 1, 1)] * 3)
    rows["due"], rows["late"], rows["answer"] = (
        START + np.array([0.5, 1.5, 2.5]),
        [0.0, 1.0, np.nan],
        [1.0, 0.1, np.nan],
    )
    rows["code"] = [0, 0, NOT_SENT]
    curves = Curves(START, 5.0)
    curves.add(rows)
    curves.add_received(rows, np.array([START + 4.5, np.nan, np.nan]))
    rates = curves.rates_document()["per_s"]
    assert rates["due"] == [1, 1, 1, 0, 0]
    assert rates["sent"] == [1, 0, 1, 0, 0]
    assert rates["acknowledged"] == [0, 1, 1, 0, 0]
    assert rates["stored"] == [0, 0, 0, 0, 1]
    assert curves.delays_document()["whole_s"]["received"]["p50"] == pytest.approx(4.0, rel=0.02)


def test_a_spool_cut_off_in_a_row_gives_the_whole_ones(tmp_path: Path) -> None:
    with Spool(tmp_path / "one") as spool:
        spool.append(spool_rows([(1, 1, 1), (2, 2, 2), (3, 3, 3)]))
    with spool.path.open("r+b") as file:
        file.truncate(ROW.itemsize * 3 - 1)
    assert [rows["device"].tolist() for rows in slices([spool.path], 1)] == [[1], [2]]


# Waiting for the platform


@pytest.mark.parametrize(
    ("waited", "still", "in_hand", "held", "counted", "verdict"),
    [
        (0.0, 0.0, 0, 0, False, None),
        (2.0, 2.0, 0, 0, False, None),
        (4.0, 4.0, 0, 0, False, True),
        (4.0, 4.0, 5, 0, False, None),
        (4.0, 4.0, 0, 5, False, None),
        (40.0, 31.0, 0, 5, False, False),
        (1.5, 1.5, 0, 5, True, True),
        (1.5, 1.5, 3, 0, True, None),
        (11.0, 0.0, 300, 0, True, True),
    ],
)
def test_when_the_platform_has_dealt_with_everything(
    waited: float, still: float, in_hand: int, held: int, counted: bool, verdict: bool | None
) -> None:
    assert verdict_of(waited, still, in_hand, held, counted) is verdict


# The search for the highest rate


def model(knee: float, slips: set[int]) -> tuple[float | None, list[Step]]:
    """A machine that sustains up to `knee`, and fails at whatever it is asked at some times, never twice in a row."""
    steps: list[Step] = []
    while (rate := next_rate(steps, Range(first=1000.0, most=200_000.0))) is not None:
        assert len(steps) < 100
        slipped = len(steps) in slips and not (steps and steps[-1].failure)
        steps.append(Step(rate, "busy" if slipped or rate > knee else None))
    return sustained(steps), steps


@given(knee=st.floats(2.0, 300_000.0), slips=st.sets(st.integers(0, 40), max_size=5))
def test_the_search_finds_the_knee_whatever_slips_in_between(knee: float, slips: set[int]) -> None:
    answer, _ = model(knee, slips)
    assert answer is not None
    assert answer <= knee
    assert answer >= min(knee, 200_000.0) / 1.0501


def test_a_machine_that_sustains_nothing_is_told_so() -> None:
    answer, steps = model(0.5, set())
    assert answer is None
    assert min(step.rate for step in steps) >= 1.0


GOOD = Figures(1000, 1000, 0, True, 0.01, 0.02, 0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"missing": 3}, "3 acknowledged messages are missing"),
        ({"sent": 900}, "900 of 1,000 messages could be sent"),
        ({"late": 0.2}, "sent late, 99 %: 0.2 s, allowed 0.1 s"),
        ({"answer": 2.0}, "PUBACK, 99 %: 2 s, allowed 1 s"),
        ({"answer": None}, "PUBACK, 99 %: nothing came"),
        ({"received": 9.0}, "lag of the platform, 99 %: 9 s, allowed 5 s"),
        ({"begin": 1.0, "end": 2.0}, "the lag grows: 1 s at the beginning, 2 s at the end of the step"),
        ({"settled": False}, "the platform did not catch up afterwards"),
    ],
)
def test_why_a_step_was_not_sustained(change: dict[str, Any], told: str) -> None:
    assert failure(GOOD, Slo()) is None
    assert failure(GOOD._replace(**change), Slo()) == told


# The command line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--people", "0"], "--people 0: "),
        (["run", "--density", "10000"], "--density 10000: "),
        (["run", "--people", "1", "--density", "1"], "makes no device"),
        (["run", "--preset", "2030", "--people", "5"], "--preset 2030 and --people 5"),
        (["run", "--preset", "1999"], "--preset 1999: .*2030"),
        (["run", "--shard", "9/8"], "--shard 9/8: "),
        (["run", "--area", "999"], "--area 999: "),
        (["run", "--rate", "0"], "--rate 0: "),
        (["run", "--speed", "-1"], "--speed -1: "),
        (["run", "--speed", "2", "--rate", "5"], "one of the two"),
        (["run", "--for", "-1"], "--for -1: "),
        (["run", "--tls"], "--tls without --sockets"),
        (["run", "--scenario", "nothing"], "--scenario nothing: "),
        (["run", "--settle-s", "-1"], "--settle-s -1: "),
        (["run", "--report", "out", "--no-account"], "--report out and --no-account"),
        (["run", "--record", "/nowhere/sent.csv"], "--record /nowhere/sent.csv: cannot be written"),
        (["run", "--report", "/proc/out"], "--report /proc/out: cannot be written"),
        (["capacity", "--from", "0"], "--from 0 "),
        (["capacity", "--from", "9", "--to", "8"], "--from 9 --to 8"),
        (["capacity", "--step-s", "1"], "--step-s 1: "),
        (["capacity", "--slo-lag-s", "0"], "--slo-lag-s 0: "),
    ],
)
def test_wrong_usage_names_the_value_and_what_is_allowed(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(simulate.app, arguments)
    assert isinstance(result.exception, WrongUsage)
    assert result.exception.exit_code == 2
    with pytest.raises(WrongUsage, match=told):
        raise result.exception


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="give the folder that --report named"):
        read(tmp_path)
    (tmp_path / "report.json").write_text('{"format": 0}')
    with pytest.raises(Refused, match="no report of this version"):
        read(tmp_path)


def test_sigterm_asks_for_an_end() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop = stop_on_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(60.0)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


# With a real stack


@pytest.fixture(scope="module")
def known(stack: RunningStack) -> RunningStack:
    """The stack, in which the devices of `city_of` are enrolled; cities of every seed have the same."""
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll_columns(connection, lambda: pieces(city_of().fleet))
    stack.wait_known()
    return stack


def hours_ago(hours: int) -> float:
    """When a city began, s since 1970. Cities of these tests have the same devices: of two that overlap, some device
    may give a time and a seq twice, with other values."""
    return time.time() - 3600 * hours


def through(stack: RunningStack, folder: Path, city: City, messages: Messages) -> Account:
    """Send, and account in small blocks until nothing is missing: the ledger counts what others sent before, too."""
    since, rows = time.time(), rows_of(messages)
    send(stack, city, messages)
    deadline = time.monotonic() + WAIT_S
    while (got := accounted(stack, folder, city, rows, since)).count(Fate.MISSING) and time.monotonic() < deadline:
        time.sleep(0.2)
    return got


def refused(stack: RunningStack, city: City) -> list[tuple[Any, ...]]:
    """What of a city is in quarantine, and why."""
    return stack.query(
        "select device, reason, detail from city.quarantine where position(%s in payload) > 0 limit 20",
        b'"boot":%d,' % city.boot,
    )


def accounted(stack: RunningStack, folder: Path, city: City, rows: Rows, since: float) -> Account:
    return account(stack.document["database"], sent(folder, city, rows, since), Curves(since, 60.0), most=200)


@pytest.mark.stack
def test_on_a_healthy_stack_every_message_is_accounted_for(known: RunningStack, tmp_path: Path) -> None:
    city = city_of(shares=Shares(late=0.05, duplicate=0.05, faulty=0.2))
    messages = city.until(city.start + 3.0)
    got = through(known, tmp_path, city, messages)
    lost = np.isin(messages.kind, (Kind.ALL_OUT_OF_RANGE, Kind.CUT_SHORT))
    assert got.count(Fate.QUARANTINED) == lost.sum()
    assert got.count(Fate.STORED) == (~lost & ~messages.again).sum()
    assert got.count(Fate.DUPLICATE) == (~lost & messages.again).sum()
    assert (got.count(Fate.MISSING), got.strays, got.unasked) == (0, 0, 0)
    told = document(got, city.fleet)
    assert sum(line["due"] for line in told["by_family"]) == len(messages)
    assert {line["area"] for line in told["by_district"]} == set(AREAS)


@pytest.mark.stack
def test_a_planted_loss_is_found_and_named(known: RunningStack, tmp_path: Path) -> None:
    city = city_of(seed=8, shares=CLEAN, start=hours_ago(1))
    messages = city.until(city.start + 2.0)
    got = through(known, tmp_path, city, messages)
    assert got.count(Fate.STORED) == len(messages), refused(known, city)
    gone = len(messages) // 2
    family = city.fleet.families[city.fleet.family[messages.device[gone]]]
    device = city.fleet.ids(messages.device[gone : gone + 1].astype(np.int64))[0]
    seq = int(messages.seq[gone])
    known.run(
        f"delete from reading.{family} r using registry.device d"
        f" where d.id = r.device and d.device = '{device}' and r.boot = {city.boot} and r.seq = {seq}"
    )
    got = accounted(known, tmp_path, city, rows_of(messages), city.start)
    assert got.count(Fate.MISSING) == 1
    assert [(one["device"], one["seq"], one["time"]) for one in got.missing] == [
        (device, seq, int(messages.time[gone]))
    ]


@pytest.mark.stack
def test_what_the_sender_did_not_note_is_told_as_stray(known: RunningStack, tmp_path: Path) -> None:
    city = city_of(seed=9, shares=CLEAN, start=hours_ago(2))
    messages = city.until(city.start + 2.0)
    through(known, tmp_path, city, messages)
    hidden = rows_of(messages)
    hidden["code"][0], hidden["answer"][0] = NO_ANSWER, np.nan
    middle = int(np.flatnonzero(messages.device == messages.device[-1])[0])
    got = accounted(known, tmp_path, city, np.delete(hidden, middle), city.start)
    assert (got.count(Fate.MISSING), got.count(Fate.UNANSWERED), got.unasked, got.strays) == (0, 1, 1, 1)


def test_no_figure_of_a_large_run_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a screen of 80 columns, or none."""
    monkeypatch.setenv("COLUMNS", "80")
    of_ten_minutes = Path(__file__).parents[1] / "docs/measurements/load-2030"
    shutil.copytree(of_ten_minutes, tmp_path / "out")
    said = dothi_process("simulate", "report", str(tmp_path / "out")).stdout
    assert "…" not in said
    counted = read(of_ten_minutes)["conservation"]
    assert all(f" {counted[name]:,} " in said for name in ("sent", "acknowledged", "stored", "duplicate"))
    assert max(len(line) for line in said.splitlines() if line.startswith(("air", "total", "sent →"))) <= 80


@pytest.mark.stack
def test_a_run_reports_what_the_broker_acknowledged(stack: RunningStack, tmp_path: Path) -> None:
    record, out = tmp_path / "acknowledged.csv", tmp_path / "out"
    asked = (*RUN, "--rate", "400", "--for", "3", "--record", str(record), "--report", str(out), "--json")
    summary = json.loads(stack.dothi_process(*asked).stdout)
    acknowledged = list(csv.DictReader(record.read_text().splitlines()))
    assert summary["acknowledged"] == summary["sent"] == len(acknowledged)
    assert summary["sent"] == pytest.approx(1200, rel=0.1)
    assert (summary["unsent"], summary["in_flight"], summary["refused"]) == (0, 0, 0)
    counted = summary["conservation"]
    assert (
        counted["acknowledged"]
        == counted["stored"] + counted["duplicate"] + counted["quarantined"]
        == len(acknowledged)
    )
    assert (counted["missing"], counted["stored_not_noted"]) == (0, 0)
    assert counted["settled"]
    assert 0 < counted["platform"]["settled"] == counted["platform"]["messages"]
    assert stored(stack, summary["boot"]) == counted["stored"]
    delays = summary["delays_s"]
    assert delays["answer"]["count"] == len(acknowledged)
    assert 0 < delays["queryable"]["count"] <= delays["queryable"]["asked"]
    assert 0 < delays["told"]["count"] == delays["told"]["asked"]
    assert 0 < delays["told"]["p50"] <= delays["told"]["max"]
    check_report(out, len(acknowledged))


def stored(stack: RunningStack, boot: int) -> int:
    families = [
        name
        for (name,) in stack.query("select table_name from information_schema.tables where table_schema = 'reading'")
    ]
    parts = [f"select 1 from reading.{family} where boot = {boot}" for family in families]
    return len(stack.query(" union all ".join(parts)))


ACCOUNT = {"due", "not_sent", "sent", "unanswered", "refused", "unheard", "acknowledged", "stored", "duplicate"}
ACCOUNT |= {"quarantined", "quarantined_not_kept", "missing"}


def check_report(folder: Path, acknowledged: int) -> None:
    told = read(folder)
    whole = {"stored_unacknowledged", "stored_not_noted", "by_family", "by_district", "first_missing"}
    assert told["conservation"].keys() == ACCOUNT | whole | {"settled", "ledger", "platform"}
    assert all(line.keys() == ACCOUNT | {"family"} for line in told["conservation"]["by_family"])
    assert all(line.keys() == ACCOUNT | {"area", "name"} for line in told["conservation"]["by_district"])
    assert told["rates"]["per_s"].keys() == {"due", "sent", "acknowledged", "stored"}
    assert told["delays"]["whole_s"].keys() == {"late", "answer", "received", "told", "queryable"}
    assert (told["format"], set(SECTIONS) - told.keys()) == (FORMAT, set())
    assert sum(told["rates"]["per_s"]["acknowledged"]) * told["rates"].get("step_s", 1) == acknowledged
    assert {"simulator", "broker", "database", "workers"} <= told["processes"]["cpu_s"].keys()
    assert {"workers 0", "broker 0", "up", "storage keep"} <= told["processes"]["each_mib"].keys()
    assert told["platform"]["meanwhile"]["wal_bytes"] > 0
    assert told["machine"]["cores"] > 0
    assert told["platform"]["database"]["fsync"] in ("on", "off")
    text = (folder / "report.html").read_text()
    assert all(f'id="{name}"' in text for name in HEADS)
    without_library = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(", without_library)
    assert page(told) == text or len(page(told)) == pytest.approx(len(text), rel=0.01)  # charts have ids of chance
    drawn = CliRunner().invoke(simulate.app, ["report", str(folder)])
    assert drawn.exit_code == 0, drawn.output
    assert "nothing is missing" in drawn.stdout


@pytest.mark.full
@pytest.mark.stack
def test_devices_with_connections_of_their_own_are_accounted_for_whatever_happens(
    stack: RunningStack, tmp_path: Path
) -> None:
    asked = (*RUN, "--rate", "300", "--for", "6", "--sockets", "--scenario", "power-cut", "--report", str(tmp_path))
    summary = json.loads(stack.dothi_process(*asked, "--json").stdout)
    counted = summary["conservation"]
    assert (counted["missing"], counted["stored_not_noted"]) == (0, 0)
    assert counted["acknowledged"] == summary["acknowledged"] > 500
    (event,) = json.loads((tmp_path / "truth.json").read_text())["events"]
    assert event["kind"] == "power_cut"


@pytest.mark.stack
@pytest.mark.parametrize("pause_s", [0.0, 3.0])
def test_sigint_ends_a_run_with_its_report(stack: RunningStack, tmp_path: Path, pause_s: float) -> None:
    command = [sys.executable, "-m", "dothi", *RUN, "--dir", str(stack.folder), "--report", str(tmp_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Ctrl-C stops" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(pause_s)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["conservation"]["missing"] == 0
    assert read(tmp_path)["conservation"]["acknowledged"] == json.loads(out)["acknowledged"]


@pytest.mark.stack
def test_a_run_that_lost_something_says_so_and_fails(stack: RunningStack, tmp_path: Path) -> None:
    """A trigger in the database loses one device's readings behind the platform's back."""
    stack.run(
        "create function lose() returns trigger language plpgsql as $$ begin return null; end $$;"
        "create trigger lose before insert on reading.noise for each row when (new.seq = 2) execute function lose()"
    )
    try:
        done = stack.dothi_process(*RUN, "--rate", "400", "--for", "3", "--report", str(tmp_path), check=False)
    finally:
        stack.run("drop trigger lose on reading.noise; drop function lose()")
    assert done.returncode == 1
    assert re.search(r"missing: no-21\d-\d+ boot \d+ seq 2 time \d+", done.stdout)
    assert "acknowledged messages are missing" in done.stdout


@pytest.mark.full
@pytest.mark.stack
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_a_browser_without_a_network_draws_every_chart(stack: RunningStack, tmp_path: Path) -> None:
    stack.dothi_process(*RUN, "--rate", "300", "--for", "3", "--report", str(tmp_path / "out"))
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom")
    page_at, profile = (tmp_path / "out/report.html").as_uri(), f"--user-data-dir={tmp_path / 'profile'}"
    no_network = "--host-resolver-rules=MAP * ~NOTFOUND"
    drawn = subprocess.run(
        ["chromium", *flags, profile, no_network, page_at], capture_output=True, text=True, timeout=120, check=True
    )
    assert drawn.stdout.count('class="main-svg"') >= 2 * CHARTS
    assert drawn.stdout.count('class="scatterlayer') == CHARTS


@pytest.mark.full
@pytest.mark.stack
def test_an_interrupted_search_tells_what_is_known(stack: RunningStack) -> None:
    asked = ("--area", "216", "--people", "400", "--from", "50", "--step-s", "5", "--json", "--dir", str(stack.folder))
    command = [sys.executable, "-m", "dothi", "simulate", "capacity", *asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "sustained" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == 0
    assert (told["complete"], told["messages_per_s"]) == (False, 50)


@pytest.mark.full
@pytest.mark.stack
def test_capacity_tells_its_sentence(stack: RunningStack) -> None:
    asked = ("--area", "216", "--people", "400", "--from", "50", "--to", "100", "--step-s", "5", "--json")
    told = json.loads(stack.dothi_process("simulate", "capacity", *asked).stdout)
    assert told["complete"]
    assert told["messages_per_s"] <= 100
    assert told["devices"] > 0
    assert told["days_on_disk"] > 0
