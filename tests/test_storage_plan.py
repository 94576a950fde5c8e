"""The plan of what a province takes on disk: sums agree, a stack is measured, wrong sizes are named."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devices.family import FAMILIES
from dothi.commands.storage_plan import wanted_disk
from dothi.errors import WrongUsage
from dothi.storage_plan import INDEX_BYTES, Disk, Measured, family_bytes, reading_bytes, sent_metrics, storage_plan
from ingest.retention import KEPT
from simulators.plan import plan
from tests.command import dothi
from tests.old_readings import DEVICES, own_database
from tests.stack import RunningStack

Connection = psycopg.Connection[Any]
ROWS = 20_000


@pytest.fixture(scope="module")
def owned(stack: RunningStack) -> Iterator[tuple[str, Connection]]:
    with own_database(stack) as opened:
        yield opened


RECKONED = Measured()


def document(measured: Measured = RECKONED, disk: int = 10**13) -> dict[str, Any]:
    load = plan("bac-giang", 200.0)
    families = [family_bytes(FAMILIES[one.family], one.devices, one.interval_s, measured) for one in load.families]
    return storage_plan(load, families, KEPT, 7.0, Disk(disk, "--disk"))


def test_the_parts_make_the_whole() -> None:
    found = document()
    per_day = found["bytes_per_day"]
    assert per_day["readings"] == sum(one["readings"] for one in found["per_family"])
    assert per_day["stored"] == per_day["readings"] + per_day["rollup_1h"] + per_day["rollup_1d"]
    assert found["disk"]["days_without_retention"] == pytest.approx(
        (10**13 - found["newest_bytes"]) / per_day["stored"], abs=0.01
    )
    assert 0 < found["province_storage"]["share_at_rest"] < 1
    by_name = {one["choice"]: one for one in found["choices"]}
    everything = by_name["keep all readings in the database"]
    assert everything["saves_bytes"] == 0
    assert all(one["bytes"] + one["saves_bytes"] == everything["bytes"] for one in by_name.values())
    assert [name for name, one in by_name.items() if not one["tested"]] == ["columnstore"]


def test_what_is_measured_counts() -> None:
    reckoned, measured = document(), document(Measured(reading=400.0, lake=20.0))
    assert (reckoned["measured"], len(measured["measured"])) == ([], len(FAMILIES))
    one = measured["per_family"][0]
    assert one["readings"] == round(one["readings_per_day"] * 400.0)
    assert one["lake"] == one["readings_per_day"] * 20


def test_rows_are_as_long_as_reckoned(owned: tuple[str, Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    url, connection = owned
    family = FAMILIES["air_quality"]
    names = [metric.name for metric in sent_metrics(family)]
    connection.execute(
        f"insert into reading.air_quality (time, seq, received, batch, device, area, {', '.join(names)})"
        f" select %(day)s::timestamptz + n * interval '1 s', n, now(), 1, d.id, d.area, {', '.join('n' for _ in names)}"
        " from generate_series(1, %(rows)s) n, registry.device d".encode(),
        {"rows": ROWS, "day": datetime(2026, 1, 1, 1, tzinfo=UTC)},
    )
    row = connection.execute(
        "select pg_relation_size(format('%I.%I', chunk_schema, chunk_name)::regclass)"
        " from timescaledb_information.chunks"
        " where hypertable_name = 'air_quality'"
    ).fetchone()
    assert row is not None
    assert row[0] / ROWS / DEVICES == pytest.approx(reading_bytes(len(family.metrics), sent_metrics(family)), rel=0.01)
    monkeypatch.setenv("DOTHI_DATABASE_URL", url)
    found = json.loads(dothi("storage", "plan", "--json").stdout)
    assert found["measured"] == ["air_quality"]
    (air,) = [one for one in found["per_family"] if one["family"] == "air_quality"]
    assert air["bytes_per_reading"] != reading_bytes(len(family.metrics), sent_metrics(family)) + INDEX_BYTES
    assert row[0] / ROWS / DEVICES < air["bytes_per_reading"] < 3 * row[0] / ROWS / DEVICES


def test_the_plan_needs_no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOTHI_DATABASE_URL", raising=False)
    assert "TB after ten years" in " ".join(dothi("storage", "plan", "--disk", "40TB").stdout.split())


@pytest.mark.parametrize(("text", "size"), [("1.5TB", 1.5e12), ("500 GB", 5e11), ("123", 123), ("2P", 2e15)])
def test_a_disk_is_given_in_bytes(text: str, size: float) -> None:
    assert wanted_disk(text, None).free == size


@pytest.mark.parametrize("text", ["", "TB", "-1TB", "0", "1 parsec"])
def test_a_disk_that_is_none_is_named(text: str) -> None:
    with pytest.raises(WrongUsage, match=f"--disk {text}: allowed: bytes, or a size like 500GB or 40TB"):
        wanted_disk(text, None)
