"""Real messages of foreign systems through the whole line: the database holds what the pure functions say, no more."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devices.envelopes import Notice, Packet, opener_of
from devices.fitting import chosen
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import ROUTES, matches, rivals_of, route_of
from devices.sniff import sniff
from ingest.route import Router
from tests.stack import RunningStack, running_stack
from tests.test_payloads import FOLDER, without_comments
from tests.told import AliasChange, Change, tell

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")

PRIVATE = ("ABC12345", "John", "Bob", "red sedan")
WAIT_S = 60


class Message(NamedTuple):
    """One file: where it was published, and its bytes."""

    file: str
    inbox: str
    topic: str
    payload: bytes


def files() -> list[Path]:
    """Every message of the collection, without what it should become."""
    found = sorted(path for path in FOLDER.glob("*/*") if path.is_file() and ".expected." not in path.name)
    return [path for path in found if path.suffix in (".json", ".jsonc", ".cbor", ".bin", ".txt", ".pb")]


def message_of(path: Path, number: int) -> Message | None:
    """A message on a topic of its system; None for what no route takes. Published uplinks of different devices have
    the same few EUIs: each gets one of its own."""
    payload = path.read_bytes()
    payload = without_comments(payload) if path.suffix == ".jsonc" else payload
    said = sniff(payload)
    route = route_of(said[0].topic) if said else None
    if route is None:
        return None
    topic = said[0].topic.replace("unnamed", f"device-{number}")
    if route.kind == "lorawan":
        (part,) = opener_of(route)(topic, payload)
        payload = re.sub(str(part.foreign_id).encode(), b"%016x" % (0xA000 + number), payload, flags=re.IGNORECASE)
    return Message(f"{path.parent.name}/{path.name}", route.name, topic, payload)


def messages() -> list[Message]:
    """All that some route takes."""
    found = (message_of(path, number) for number, path in enumerate(files()))
    return [one for one in found if one is not None]


def devices_of(sent: list[Message]) -> dict[tuple[str, str], str]:
    """Profile by (kind, foreign id) of everything that the messages speak of and some profile takes."""
    openers = {name: opener_of(route) for name, route in ROUTES.items()}
    rows: dict[tuple[str, str], str] = {}
    for one in sent:
        kind = ROUTES[one.inbox].kind
        for part in openers[one.inbox](one.topic, one.payload):
            if isinstance(part, Packet) and part.foreign_id and (kind, part.foreign_id) not in rows:
                found = chosen(kind, part)
                if not isinstance(found, Rejected):
                    rows[kind, part.foreign_id] = found.profile.name
    return rows


@pytest.fixture(scope="module")
def old_stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """A stack that takes readings of any age: the messages are from 2010 to 2025."""
    folder = tmp_path_factory.mktemp("foreign")
    kept = "20000d,1m=20000d,1h=20000d,1d=20000d"
    environment = {"DOTHI_LATE_LIMIT": "20000d", "DOTHI_RETENTION": kept}
    with running_stack(folder, environment=environment, prepared=prepared) as stack:
        yield stack


def told(sent: list[Message], rows: dict[tuple[str, str], str], ids: list[str]) -> dict[str, list[Reading | Rejected]]:
    """What a router in memory makes of the messages, by inbox."""
    router = Router(ROUTES)
    for number, (((kind, name), profile), device) in enumerate(zip(rows.items(), ids, strict=True), 1):
        tell(router, Change(number, device, profile, "213", 213, False))
        tell(router, AliasChange(kind, name, device))
    results: dict[str, list[Reading | Rejected]] = {}
    for one in sent:
        for outcome in router.read(one.inbox, one.topic.encode(), one.payload):
            if not isinstance(outcome.result, Notice):
                results.setdefault(one.inbox, []).append(outcome.result)
    return results


def ledger(stack: RunningStack) -> dict[str, tuple[int, int, int]]:
    """Received, stored or found again, and quarantined, by foreign inbox."""
    rows = stack.query(
        "select inbox, sum(received)::int, (sum(stored) + sum(duplicate))::int, sum(quarantined)::int"
        " from city.ledger where inbox = any(%s) and received > 0 group by inbox",
        list(ROUTES),
    )
    return {inbox: tuple(counts) for inbox, *counts in rows}


def settled(stack: RunningStack, wanted: dict[str, int]) -> dict[str, tuple[int, int, int]]:
    """The ledger once it has counted so many readings per inbox."""
    until = time.monotonic() + WAIT_S
    found = ledger(stack)
    while time.monotonic() < until and {inbox: counts[0] for inbox, counts in found.items()} != wanted:
        time.sleep(0.05)
        found = ledger(stack)
    return found


@pytest.mark.full
def test_real_messages_end_where_the_pure_functions_say(old_stack: RunningStack, record_property: Any) -> None:
    sent = messages()
    assert len(sent) > 100
    rows = devices_of(sent)
    places = [(f"f{n}", profile, "213", f'"{kind}:{name}"') for n, ((kind, name), profile) in enumerate(rows.items())]
    ids = old_stack.enroll_many(places)
    expected = told(sent, rows, ids)
    with old_stack.gateway() as gateway:
        for one in sent:
            gateway.publish(one.topic, one.payload)
        gateway.settle()
    counts = {inbox: Counter(isinstance(one, Reading) for one in results) for inbox, results in expected.items()}
    found = settled(old_stack, {inbox: count.total() for inbox, count in counts.items()})
    late = found_late(old_stack)
    record_property("messages", json.dumps({inbox: list(count) for inbox, count in found.items()}))
    for inbox, count in counts.items():
        received, kept, refused = found[inbox]
        assert received == count.total(), inbox
        assert (kept, refused) == (count[True] - late.get(inbox, 0), count[False] + late.get(inbox, 0)), inbox


def found_late(stack: RunningStack) -> dict[str, int]:
    """What only the writer could refuse: times out of limits, and other values under a key that is stored."""
    reasons = ["clock_not_set", "in_future", "too_late", "time_unit", "conflict", "refused_by_database"]
    rows = stack.query(
        "select inbox, count(*)::int from city.quarantine where layer in ('time', 'writer') and reason = any(%s)"
        " and detail not like %s group by inbox",
        reasons,
        "%never seen%",
    )
    return dict(rows)


@pytest.mark.full
def test_every_rejection_says_why(old_stack: RunningStack) -> None:
    rejected = old_stack.query("select inbox, reason, detail from city.quarantine")
    assert rejected
    assert not [row for row in rejected if len(row[2]) <= 20]


@pytest.mark.full
def test_nothing_private_is_kept(old_stack: RunningStack) -> None:
    everything = str(old_stack.query("select payload, detail from city.quarantine"))
    everything += str(old_stack.query("select extra from city.camera_event"))
    assert not [word for word in PRIVATE if word in everything]


@pytest.mark.full
def test_uplinks_of_every_device_are_stored_with_their_values(old_stack: RunningStack) -> None:
    sent = [one for one in messages() if ROUTES[one.inbox].kind == "lorawan"]
    assert len(sent) > 50
    for one in sent:
        (packet,) = opener_of(ROUTES[one.inbox])(one.topic, one.payload)
        assert isinstance(packet, Packet)
        found = chosen("lorawan", packet)
        if isinstance(found, Rejected) or found.how == "common":  # what several profiles agree on names none
            continue
        for reading in found.results:
            if isinstance(reading, Reading) and reading.time is not None and reading.seq >= 0:
                same_row(old_stack, one, str(packet.foreign_id), reading, found.profile.name)


def same_row(stack: RunningStack, one: Message, eui: str, reading: Reading, profile: str) -> None:
    """Check that the row of a reading has its values."""
    family = PROFILES[profile].family
    rows = stack.query(
        f"select {', '.join(family.index)} from city.{family.name} c join registry.device d using (device)"
        " join registry.alias a on a.device = d.id join registry.profile p on p.id = d.profile"
        " where a.foreign_id = %s and p.profile = %s and c.seq = %s"
        " and c.time = timestamptz 'epoch' + %s * interval '1 microsecond'",
        *(eui, profile, reading.seq, reading.time),
    )
    assert len(rows) == 1, one.file
    for metric, value, raw in zip(family.metrics, rows[0], reading.values, strict=True):
        if isnan(raw):
            assert value is None, (one.file, metric.name)
        else:
            wanted = metric.states[int(raw)] if metric.states else pytest.approx(raw)
            assert value == wanted, (one.file, metric.name)


def test_no_topic_here_is_read_by_two_routes() -> None:
    for one in messages():
        readers = [
            name
            for name, route in ROUTES.items()
            if any(matches(pattern, one.topic) for pattern in route.topics)
            and not any(matches(pattern, one.topic) for pattern in rivals_of(route, ROUTES.values()))
        ]
        assert readers == [one.inbox], one.topic
