"""Laws of the simulated city: seeded, sized as asked, plausible, and in the format that the platform reads."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from devices.enroll import DEVICE_ID
from devices.family import FAMILIES, Metric
from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.rejected import Rejected
from dothi.commands import simulate
from dothi.errors import WrongUsage
from simulators import draw
from simulators.behaviour import BehaviourError, count_curve, default_section, memory, values, voices
from simulators.city import City, Message, natural_rate
from simulators.fleet import (
    Fleet,
    build,
    districts,
    native_families,
    native_profile,
    people_of,
    provinces,
    rows,
    zones_of,
)
from simulators.messages import Kind
from simulators.mix import MIX, apportion, apportion_visibly, prefix, weights
from simulators.payload import Writer, sample
from simulators.plan import PlanError, plan
from simulators.publish import Broker, BrokerError, Publisher, Tally
from simulators.schedule import USUAL, Shares
from tests.stack import RunningStack

STIRRED = [6515378097567897105, 3499946262820276026]
BOOT = 1_764_547_200
START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
SHARES = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30).map(np.array)
NATIVE = [native_profile(family) for family in native_families()]


def small_fleet(seed: int = 1, people: int = 2000, density: float = 50) -> Fleet:
    return build(districts(zones_of("bac-giang"), density, people=people), seed)


def names(profile: Profile) -> str:
    return profile.name


# The fleet


def test_same_seed_gives_the_same_fleet_byte_for_byte() -> None:
    assert small_fleet(7).tobytes() == small_fleet(7).tobytes()
    assert list(rows(small_fleet(7))) == list(rows(small_fleet(7)))


def test_another_seed_gives_another_fleet() -> None:
    assert small_fleet(7).tobytes() != small_fleet(8).tobytes()


def test_a_fleet_of_known_seed_stays_what_it_is() -> None:
    """Whoever compares two runs of one seed, years apart, must get the same city."""
    fleet = small_fleet(1)
    assert fleet.ids()[:2] == ["aq-213-000001", "ac-213-000001"]
    assert draw.stir(np.array([1, 2], dtype=np.uint64), draw.salt("device"), 4).tolist() == STIRRED


def test_ids_are_unique_and_as_the_wire_asks() -> None:
    ids = small_fleet().ids()
    assert len(set(ids)) == len(ids) == 1000
    assert all(DEVICE_ID.fullmatch(device) for device in ids)


def test_rows_name_what_the_registry_knows() -> None:
    enrolled = list(rows(small_fleet(), chunk=300))
    assert [row.device for row in enrolled] == small_fleet().ids()
    assert {row.profile for row in enrolled} == {profile.name for profile in NATIVE}
    assert {row.area for row in enrolled} == {zone.code for zone in zones_of("bac-giang")}


def test_devices_stand_around_the_centre_of_their_zone() -> None:
    zones = {zone.code: zone for zone in zones_of("bac-giang")}
    for row in rows(small_fleet()):
        zone = zones[row.area]
        reach = 1.5 * (zone.area_km2 / np.pi) ** 0.5 / 100
        assert row.lat is not None
        assert row.lon is not None
        assert abs(row.lat - zone.lat) < reach
        assert abs(row.lon - zone.lon) < reach


def test_a_small_city_shows_every_family_in_every_district() -> None:
    fleet = small_fleet()
    assert len(set(zip(fleet.area.tolist(), fleet.family.tolist(), strict=True))) == 10 * len(NATIVE)


@pytest.mark.parametrize("province", provinces())
@pytest.mark.parametrize("density", [75, 200])
def test_every_district_is_within_one_percent_of_the_target(province: str, density: float) -> None:
    for district in districts(zones_of(province), density):
        target = people_of(district.zone, 2030) * density / 100
        assert district.devices == pytest.approx(target, rel=0.01)


@given(people=st.integers(1, 100_000), density=st.floats(0.1, 1000))
def test_people_and_devices_asked_for_are_people_and_devices_got(people: int, density: float) -> None:
    parts = districts(zones_of("bac-kan"), density, people=people)
    assert sum(part.people for part in parts) == people
    assert sum(part.devices for part in parts) == round(people * density / 100)


@given(total=st.integers(0, 100_000), shares=SHARES)
def test_apportioned_numbers_add_up_and_stay_near_their_share(total: int, shares: draw.Floats) -> None:
    counts = apportion(total, shares)
    assert counts.sum() == total
    assert np.all(np.abs(counts - shares / shares.sum() * total) < 1.0 + 1e-6)


@given(total=st.integers(0, 1000), shares=SHARES)
def test_visible_numbers_add_up_too(total: int, shares: draw.Floats) -> None:
    counts = apportion_visibly(total, shares)
    assert counts.sum() == total
    assert counts.min() >= 0


def test_the_mix_names_known_families_and_gives_an_unnamed_one_a_little() -> None:
    assert set(MIX) == set(FAMILIES)
    assert sum(MIX.values()) == pytest.approx(1.0)
    assert len({prefix(family) for family in FAMILIES}) == len(FAMILIES)
    assert weights([*MIX, "brand_new"]).sum() == pytest.approx(1.0)
    assert weights([*MIX, "brand_new"])[-1] > 0


def test_a_million_devices_are_columns_not_objects() -> None:
    fleet = build(districts(zones_of("bac-giang"), 54), 1)
    assert len(fleet) > 1_000_000
    assert len(fleet.tobytes()) / len(fleet) <= 32


# Behaviour


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_every_value_of_a_day_is_legal(profile: Profile) -> None:
    keys = draw.stir(np.arange(40, dtype=np.uint64), 1)
    for minute in range(0, 1440, 15):
        seconds = np.full(len(keys), START + 60.0 * minute)
        for name, column in values(voices(profile), keys, seconds).items():
            metric = profile.family.metrics[profile.family.index[name]]
            assert illegal(metric, column.tolist()) == []


def illegal(metric: Metric, column: list[object]) -> list[object]:
    if metric.kind == "state":
        return [value for value in column if value not in range(len(metric.states))]
    return [value for value in column if not isinstance(value, float) or not metric.low <= value <= metric.high]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_metric_without_behaviour_moves_inside_its_range(family: object) -> None:
    for metric in family.metrics:  # type: ignore[attr-defined]
        section = default_section(metric)
        assert section["curve"] in {"day", "count", "choice"}


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_counters_never_fall(profile: Profile) -> None:
    keys = draw.stir(np.arange(20, dtype=np.uint64), 2)
    counters = [voice for voice in voices(profile) if voice.metric.kind == "counter"]
    moments = [START + 600.0 * step for step in range(0, 24 * 6 * 3)]
    for voice in counters:
        rows_over_time = np.array([voice.curve(keys, np.full(len(keys), moment)) for moment in moments])
        assert np.all(np.diff(rows_over_time, axis=0) >= 0)
        assert np.all(rows_over_time[-1] > rows_over_time[0])


def test_a_counter_counts_at_its_rate() -> None:
    metric = FAMILIES["meter"].metrics[0]
    keys = draw.stir(np.arange(2000, dtype=np.uint64), 3)
    curve = count_curve(metric, {"curve": "count", "rate": 2.0, "swing": 0.6, "peak": 19})
    day = curve(keys, np.full(2000, START + 86_400.0)) - curve(keys, np.full(2000, START))
    assert day.mean() == pytest.approx(48.0, rel=0.05)


def test_noise_has_its_deviation_and_remembers() -> None:
    keys = draw.stir(np.arange(20_000, dtype=np.uint64), 4)
    now, soon, later = (memory(keys, np.full(20_000, START + wait), "x") for wait in (0.0, 300.0, 36_000.0))
    assert now.std() == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(now, soon)[0, 1] > 0.5
    assert abs(np.corrcoef(now, later)[0, 1]) < 0.05


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_values_depend_on_seed_and_time_alone(profile: Profile) -> None:
    keys = draw.stir(np.arange(10, dtype=np.uint64), 5)
    seconds = np.array([START + 137.0 * step for step in range(10)])
    together = values(voices(profile), keys, seconds)
    for place in reversed(range(10)):
        alone = values(voices(profile), keys[place : place + 1], seconds[place : place + 1])
        assert {name: column[0] for name, column in alone.items()} == {
            name: column[place] for name, column in together.items()
        }


def test_behaviour_of_an_unknown_metric_is_named() -> None:
    class Wrong:
        name, family, behaviour = "native-x", FAMILIES["meter"], {"no_such": {"curve": "day"}}

    with pytest.raises(BehaviourError, match=r"native-x.*no_such"):
        voices(Wrong())  # type: ignore[arg-type]


# On the wire


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_what_is_written_reads_back_as_the_values_sent(profile: Profile) -> None:
    spoken = voices(profile)
    keys = draw.stir(np.arange(50, dtype=np.uint64), 6)
    times = (START * 1000 + np.arange(50) * 1_234_567).astype(np.int64)
    sent = values(spoken, keys, times / 1000.0)
    for place, payload in enumerate(Writer(spoken).write(sample(keys, times, seq=7, boot=BOOT), sent)):
        (reading,) = profile.read(payload)
        assert isinstance(reading, Reading)
        assert (reading.time, reading.seq, reading.boot, reading.extra) == (times[place] * 1000, 7, BOOT, None)
        assert read_back(profile, reading) == {name: column[place] for name, column in sent.items()}


def read_back(profile: Profile, reading: Reading) -> dict[str, object]:
    pairs = [(m, v) for m, v in zip(profile.family.metrics, reading.values, strict=True) if not isnan(v)]
    return {metric.name: value for metric, value in pairs}


def test_each_kind_of_message_becomes_what_it_is_meant_to() -> None:
    seen: Counter[Kind] = Counter()
    profile_of = {row.device: PROFILES[row.profile] for row in rows(small_fleet())}
    for message in messages(Shares(late=0.1, duplicate=0.1, faulty=0.4)):
        seen[message.kind] += 1
        if message.again:
            continue
        (result,) = profile_of[message.device].read(message.payload)
        if message.kind in (Kind.ALL_OUT_OF_RANGE, Kind.CUT_SHORT):
            assert isinstance(result, Rejected)
        else:
            assert isinstance(result, Reading)
            assert result.time == message.time * 1000
            assert result.partial == (message.kind is Kind.ONE_OUT_OF_RANGE)
            assert (result.extra is None) == (message.kind in (Kind.FRESH, Kind.LATE))
    assert set(seen) == {kind for kind in Kind if kind <= Kind.CUT_SHORT}  # the others come from scenarios


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


# The plan


def test_the_plan_of_2030() -> None:
    document = plan("bac-giang", 200).document()
    assert document["people"] == pytest.approx(1_870_000, abs=10)
    assert document["devices"] == pytest.approx(3_740_000, abs=20)


def test_people_of_the_census_are_those_of_the_census() -> None:
    assert plan("bac-giang", 100, people_year=2019).people == 1_803_950
    assert plan("bac-kan", 100, people_year=2019).people == 313_905


@pytest.mark.parametrize("province", provinces())
@pytest.mark.parametrize("density", [0.5, 150, 1000])
def test_the_numbers_of_a_plan_add_up(province: str, density: float) -> None:
    document = plan(province, density).document()
    assert sum(part["people"] for part in document["per_district"]) == document["people"]
    assert sum(part["devices"] for part in document["per_district"]) == document["devices"]
    assert sum(part["devices"] for part in document["per_family"]) == document["devices"]
    assert sum(part["bytes_per_day"] for part in document["per_family"]) == document["bytes_per_day"]
    rate = sum(part["devices"] / part["interval_s"] for part in document["per_family"])
    assert document["messages_per_s"] == pytest.approx(rate, rel=1e-3, abs=1e-3)


def test_a_plan_counts_the_fleet_that_would_be_built() -> None:
    fleet = build(districts(zones_of("bac-kan"), 20), 1)
    counted = {load.family: load.devices for load in plan("bac-kan", 20).families}
    assert fleet.count_by_family() == counted


def test_planned_bytes_are_those_of_real_payloads() -> None:
    sizes: dict[str, list[int]] = {}
    for message in messages(Shares(0, 0, 0), seconds=10.0):
        sizes.setdefault(message.device.split("-")[0], []).append(len(message.payload))
    for load in plan("bac-giang", 10).families:
        measured = sizes[prefix(load.family)]
        assert load.bytes_per_message == pytest.approx(sum(measured) / len(measured), rel=0.1)


@pytest.mark.parametrize("density", [0, -5, 1000.5, 10_000, float("nan"), float("inf")])
def test_an_impossible_density_is_refused(density: float) -> None:
    with pytest.raises(PlanError, match=r"--density .*1000"):
        plan("bac-giang", density)


# The command line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plan", "--density", "0"], "--density 0: .*1000"),
        (["plan", "--density", "-3"], "--density -3: .*1000"),
        (["plan", "--density", "1001"], "--density 1001: .*1000"),
        (["plan", "--province", "atlantis"], "--province atlantis: .*bac-giang, bac-kan"),
        (["plan", "--people-year", "1999"], "--people-year 1999: .*2019, 2030"),
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


def test_a_plan_as_json_and_as_tables() -> None:
    as_json = CliRunner().invoke(simulate.app, ["plan", "--province", "bac-kan", "--density", "100", "--json"])
    assert as_json.exit_code == 0
    assert len(json.loads(as_json.stdout)["per_district"]) == 8
    tables = CliRunner().invoke(simulate.app, ["plan", "--province", "bac-kan", "--density", "100"])
    assert tables.exit_code == 0
    assert "messages/s" in tables.stdout


def test_the_record_of_a_run_is_csv(tmp_path: Path) -> None:
    path = tmp_path / "sent.csv"
    message = messages(Shares(0, 0, 0))[0]
    with simulate.recording(path) as note:
        assert note is not None
        note(message)
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert (row["area"], row["device"], row["seq"], row["kind"]) == (message.area, message.device, "1", "fresh")


# Gateways


def test_a_broker_that_does_not_answer_is_named() -> None:
    publisher = Publisher([Broker("mqtt://127.0.0.1:9")], name="t", per_broker=1)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:9"):
        publisher.start(patience_s=0.2)


def test_what_waits_too_long_is_given_up_and_counted() -> None:
    publisher = Publisher([Broker("mqtt://127.0.0.1:9")], name="t")
    for message in messages(Shares(0, 0, 0), seconds=1.0):
        publisher.offer(message)
    publisher.turn(START + 20.0)
    assert publisher.tally.unsent == 0
    publisher.turn(START + 60.0)
    assert publisher.tally.unsent > 100
    assert publisher.tally.sent == 0


def test_a_tally_counts_kinds_and_what_is_overdue() -> None:
    tally = Tally()
    for message in messages(Shares(late=0.3, duplicate=0.2, faulty=0.1)):
        tally.count(message, message.due + 5.0)
    assert tally.overdue == tally.sent == tally.in_flight
    assert min(tally.late, tally.duplicated, tally.faulty) > 0


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
