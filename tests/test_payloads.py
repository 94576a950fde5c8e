"""The whole collection of real messages that nobody here wrote, through the function behind `dothi devices decode`.

Each becomes what its row of `expectation.tsv` says, with the topic that the row names and without any; those that may
fall short are listed with the reason. They lie outside the repository, under their own licences; without them these
tests are skipped. The systems' own tests compare every value. `python -m tests.test_payloads` prints the table of
docs/payload-formats.md.
"""

import json
import os
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devices.time import parse_time
from dothi.commands.decode import verdict_on

FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")

# What each message that fits becomes, taken from the message by hand.
STORED: dict[str, dict[str, float | str]] = {
    "frigate/frigate-events-0.jsonc": {
        "object_class": "person",
        "event": "update",
        "motion": "moving",
        "confidence": 0.87890625,
        "top_confidence": 0.958984375,
        "object_speed": 0.77,
        "average_object_speed": 14.31,
        "velocity_angle": 180,
    },
    "frigate/frigate-reviews-6.jsonc": {"object_class": "person", "event": "update", "severity": "alert"},
    "frigate/frigate-tracked_object_update-2.jsonc": {"object_class": "person", "event": "update", "confidence": 0.95},
    "frigate/frigate-tracked_object_update-5.jsonc": {"event": "update", "confidence": 0.92},
    "shelly/shelly2pmg3-Shelly.GetStatus.json": {
        "total_active_energy_import": 0.314614,
        "active_power": 0,
        "voltage": 219.2,
        "current": 0,
        "frequency": 50,
        "power_factor": 0,
        "temperature": 52,
    },
    "ngsi/AirQualityObserved-ex-normalized_jsonld.json": {
        "co": 500_000,
        "no2": 69,
        "so2": 11,
        "temperature": 12.2,
        "relative_humidity": 0.54,
    },
    "ngsi/WeatherObserved-ex-normalized_json.json": {
        "temperature": 3.3,
        "relative_humidity": 0.15,
        "wind_speed": 2,
        "wind_direction": 135,
        "precipitation": 0.1,
        "atmospheric_pressure": 938.9,
    },
    "ngsi/TrafficFlowObserved-ex-normalized_jsonld.json": {
        "intensity": 197,
        "period_s": 300,
        "occupancy": 0.76,
        "average_vehicle_speed": 52.6,
        "average_headway_time": 0.5,
        "average_vehicle_length": 9.87,
    },
    "ngsi/WaterObserved-ex-normalized_jsonld.json": {"water_level": 3.52, "flow": 12},
}
for form in ("ex-normalized_jsonld", "ex_json"):
    STORED[f"ngsi/WeatherObserved-{form}.json"] = {
        "temperature": 3.3,
        "relative_humidity": 1,
        "wind_speed": 2,
        "wind_direction": 135,
        "precipitation": 0,
        "atmospheric_pressure": 938.9,
    }
TIMES = {
    "frigate/frigate-events-0.jsonc": 1607123962082975,
    "frigate/frigate-reviews-6.jsonc": 1718987129308396,
    "frigate/frigate-tracked_object_update-2.jsonc": 1607123958748393,
    "shelly/shelly2pmg3-Shelly.GetStatus.json": 1760364737000000,
    "ngsi/AirQualityObserved-ex-normalized_jsonld.json": 1458039600000000,
    "ngsi/WaterObserved-ex-normalized_jsonld.json": 1584434700209000,
}
TOPICS = {"frigate": "frigate/events", "shelly": "shelly-1/status/switch:0", "ngsi": "ngsi/x"}
PRIVATE = ("ABC12345", "John", "Bob", "red sedan")


def message_files(system: str) -> list[str]:
    """The messages of a system, without what is expected of them."""
    names = [path.name for path in (FOLDER / system).glob("*.json*")] if FOLDER.is_dir() else []
    return sorted(f"{system}/{name}" for name in names if ".expected." not in name)


FILES = [name for system in TOPICS for name in message_files(system)]


def without_comments(payload: bytes) -> bytes:
    """The documentation's comments; a broker carries none."""
    return json.dumps(json.loads(re.sub(rb"//[^\n]*", b"", payload))).encode()


class Row(NamedTuple):
    """A row of expectation.tsv."""

    file: str
    system: str
    topic: str
    verdict: str


def rows() -> list[Row]:
    """What is expected of each message; nothing where the collection is not there."""
    table = FOLDER / "expectation.tsv"
    return [Row(*line.split("\t")[:4]) for line in table.read_text("utf-8").splitlines()[1:]] if table.is_file() else []


ROWS = rows()

# Why a message does not become what its row says; without a topic some say less. By the start of the file's name.
SHORT: dict[str, str] = {
    "ngsi/ElectroMagneticObserved-": "a field strength that states no unit: no family holds one",
    "sparkplug-b/NDATA_": "data by alias: what it is called stands in the birth, which is another message",
    "homie/doc-1": "a part of a description with dots in it, which is no JSON",
    "ngsi/ElectroMagneticObserved": "field strengths, which no family has",
}
SHORT_WITHOUT_TOPIC: dict[str, str] = {
    "homie/topic-": "a bare value, whose property stands in the topic alone",
}


def excuse(row: Row, table: dict[str, str]) -> str | None:
    """Why a message falls short, None when it must not."""
    return next((why for start, why in table.items() if row.file.startswith(start)), None)


@lru_cache(None)
def judged(row: Row, with_topic: bool) -> dict[str, Any]:
    """What the decode command says of a message."""
    return verdict_on((FOLDER / row.file).read_bytes(), row.topic or None if with_topic else None, None, row.file)


def outcome(document: dict[str, Any]) -> str:
    """stored, guessed (by vocabulary alone), notice (no reading by design) or rejected."""
    if document["readings"]:
        return "stored" if any(reading["profile"] for reading in document["readings"]) else "guessed"
    return "rejected" if document["rejected"] else "notice"


def is_met(row: Row, document: dict[str, Any]) -> bool:
    """Whether a message became what its row says."""
    found = outcome(document)
    return found == "rejected" if row.verdict == "reject" else found in ("stored", "notice")


@pytest.mark.parametrize("with_topic", [True, False], ids=["topic", "content"])
@pytest.mark.parametrize("row", ROWS, ids=[row.file for row in ROWS])
def test_message_becomes_what_is_expected(row: Row, with_topic: bool) -> None:
    document = judged(row, with_topic)
    short = excuse(row, SHORT) or (None if with_topic else excuse(row, SHORT_WITHOUT_TOPIC))
    if short and not is_met(row, document):
        assert document["readings"] or len(document["rejected"]["detail"]) > 20
        return
    assert is_met(row, document), document["rejected"] or document["readings"]
    for reading in document["readings"]:
        assert reading["metrics"]


@pytest.mark.parametrize("name", STORED)
def test_message_becomes_its_values(name: str) -> None:
    """Taken from the message by hand."""
    document = judged(next(row for row in ROWS if row.file == name), False)
    metrics = document["readings"][0]["metrics"]
    assert {key: metrics.get(key) for key in STORED[name]} == pytest.approx(STORED[name])
    if name in TIMES:
        assert parse_time(document["readings"][0]["time"], "rfc3339") == TIMES[name]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("frigate")])
def test_no_plate_and_no_name_is_shown(name: str) -> None:
    document = judged(next(row for row in ROWS if row.file == name), False)
    assert not [word for word in PRIVATE if word in repr(document)]


def counts() -> list[str]:
    """The table of the whole collection: of each system what became of its messages, read with the topics stated."""
    found: dict[str, Counter[str]] = {}
    for row in ROWS:
        kind = "rejected, as expected" if row.verdict == "reject" else outcome(judged(row, True))
        found.setdefault(row.system, Counter())[kind] += 1
    kinds = ("stored", "notice", "rejected", "rejected, as expected")
    lines = [
        "| system | messages | stored | no reading by design | rejected | rejected, as expected |",
        "|---|---|---|---|---|---|",
    ]
    for system, count in sorted(
        [*found.items(), ("all", sum(found.values(), Counter()))], key=lambda one: one[0] == "all"
    ):
        lines.append(f"| {system} | {count.total()} | " + " | ".join(str(count[kind]) for kind in kinds) + " |")
    return lines


def test_the_page_claims_no_more_than_is_so() -> None:
    page = (Path(__file__).parents[1] / "docs" / "payload-formats.md").read_text("utf-8")
    for line in counts()[2:]:
        system, messages, stored, notices, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        claimed = re.search(rf"^\| {re.escape(system)} \| (\d+) \| (\d+) \| (\d+) \|", page, re.MULTILINE)
        assert claimed, f"{system} is not on the page: python -m tests.test_payloads"
        assert claimed[1] == messages
        assert int(claimed[2]) + int(claimed[3]) <= int(stored) + int(notices), (
            f"{system}: python -m tests.test_payloads"
        )


if __name__ == "__main__":
    print("\n".join(counts()))  # noqa: T201 - for the page
