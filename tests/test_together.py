"""Reading many messages together gives what reading each alone gives: for any payload, of every family."""

import json
from collections.abc import Iterable, Sequence
from math import nan
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.family import FAMILIES, Family
from devices.profile import PROFILES
from devices.route import ROUTES
from ingest import together
from ingest.batch import Batch, Limits
from ingest.intake import Intake
from ingest.mqtt import Messages, Publish
from ingest.route import Router
from ingest.window import Arrival
from tests.examples import examples
from tests.told import Change, tell

NOW_US = 1_763_690_400_000_000
NOW_MS = NOW_US // 1000
AREA = "213"
ALL = list(PROFILES.values())
OWN = [profile for profile in ALL if profile.table is None]


class Source:
    """Where test messages come from."""

    inbox = AREA

    def acknowledge(self, pids: Sequence[int]) -> None:
        """Nobody waits."""

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Nobody listens."""

    def pause(self) -> None:
        """Nothing flows."""

    def resume(self) -> None:
        """Nothing flows."""


@pytest.fixture(scope="module")
def router() -> Router:
    """Two devices of every profile, and one that is retired."""
    made = Router(ROUTES)
    for number, profile in enumerate(ALL):
        for twin in (0, 1):
            tell(made, Change(2 * number + twin, device(profile.name, twin), profile.name, AREA, 213, False))
    tell(made, Change(9_000, "gone", OWN[0].name, AREA, 213, True))
    tell(made, Change(9_001, "elsewhere", OWN[0].name, "216", 216, False))
    return made


def device(profile: str, twin: int = 0) -> str:
    """An id."""
    return f"{profile}-{twin}"[-60:]


def numbers(low: float, high: float) -> st.SearchStrategy[Any]:
    """Mostly in range."""
    return st.one_of(
        st.floats(low, high),
        st.integers(int(low), int(min(high, 2**53))),
        st.floats(low, high).map(lambda number: round(number, 1)),
        st.sampled_from([low, high, -0.0, 0, 1e308, -1, 2**53 + 1, 10**30, 1e-320, True, "1", None, [], {}, nan]),
    )


def metrics_of(family: Family) -> st.SearchStrategy[dict[str, Any]]:
    """Some metrics of a family, now and then one that it does not have."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        metric.name: st.sampled_from([*metric.states, "odd", 0, None])
        if metric.states
        else numbers(metric.low, metric.high)
        for metric in family.metrics
    }
    odd = st.dictionaries(st.sampled_from(["extra", "rejected", "đ", "", *fields]), st.integers(0, 2), max_size=1)
    chosen = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda known, more: known | more, chosen, st.one_of(st.just({}), odd))


def items_of(family: Family) -> st.SearchStrategy[Any]:
    """A message, nearly always whole."""
    time = st.one_of(
        st.integers(NOW_MS - 1_000, NOW_MS),
        st.sampled_from([0, -1, NOW_MS - 8 * 86_400_000, NOW_MS + 400_000, 253_402_300_799_999, 253_402_300_800_000]),
        st.sampled_from([NOW_MS + 0.5, float(NOW_MS), "2025-11-21T02:00:00Z", None, True, str(NOW_MS)]),
    )
    count = st.one_of(st.integers(0, 70_000), st.sampled_from([2**63 - 1, 2**63, -1, 1.0, "1", None, True]))
    return st.fixed_dictionaries(
        {"metrics": st.one_of(metrics_of(family), st.sampled_from([None, [], 1]))},
        optional={"time": time, "seq": count, "boot": count, "more": st.just(1)},
    )


def spelt(document: Any) -> st.SearchStrategy[bytes]:
    """JSON or CBOR of a document, tidy or not."""
    text = json.dumps(document)
    return st.sampled_from(
        [
            text.encode(),
            json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
            text.replace("e+", "E").encode() + b" \n",
            text.replace('"metrics"', '"metrics": {}, "metrics"').encode(),
            text.replace('"seq"', '"\\u0073eq"').encode(),
            b"\xef\xbb\xbf" + text.encode(),
            text.encode()[:-1],
            text.encode("utf-16"),
            cbor2.dumps(document),
            cbor2.dumps(document, canonical=True),
            cbor2.dumps(document)[:-1],
            cbor2.dumps(cbor2.CBORTag(55799, document)),
        ]
    )


def payloads_of(family: Family) -> st.SearchStrategy[bytes]:
    """What a device may send."""
    items = items_of(family)
    documents = st.one_of(items, st.lists(items, max_size=4))
    return st.one_of(
        documents.flatmap(spelt), st.binary(max_size=30), st.sampled_from([b"", b"[]", b"[[]]", b"[" * 999])
    )


def carried(router: Router, messages: Sequence[tuple[bytes, bytes]], cuts: int = 1) -> Batch:
    """A batch of messages that came in several arrivals."""
    batch, intake = Batch(Limits()), Intake(router)
    step = -(-len(messages) // cuts) or 1
    for start in range(0, len(messages), step):
        some = [Publish(topic, payload, 1, False) for topic, payload in messages[start : start + step]]
        intake.take(Arrival(Source(), NOW_US + start * 61_000_000, Messages.of(some), 10), batch)
    intake.finish(batch)
    return batch


def said(batch: Batch) -> dict[str, Any]:
    """All that comes of a batch, comparable."""
    return {
        "rows": {name: rows_of(batch, name) for name in sorted(batch.columns)},
        "quarantine": [(*entry[1:], entry.origin[1:], entry.origin.arrival.received) for entry in batch.quarantine],
        "ledger": dict(batch.ledger),
        "unknown": dict(batch.unknown),
        "presence": batch.presence,
        "asked": [(asked.device, asked.arrival.received, asked.payload) for asked in batch.asked],
    }


def rows_of(batch: Batch, family: str) -> list[Any]:
    """Every row of a family with where it came from; -0.0 and NaN as they are."""
    columns = batch.columns[family]
    table, rows = columns.table, len(columns)
    numbers = [column.tolist() for column in table[:6]]
    extras = table.extra or [None] * rows
    whence = [(columns.device(row), columns.origin(row)[1:]) for row in range(rows)]
    assert [columns.arrival(row).received for row in range(rows)] == numbers[3]
    return list(zip(*numbers, map(repr, table.values.tolist()), extras, whence, strict=True))


@pytest.fixture
def both(router: Router, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Carries messages in both ways and compares."""

    def compare(messages: Sequence[tuple[bytes, bytes]], cuts: int = 1) -> Batch:
        monkeypatch.setattr(together, "FEW", 1_000_000)
        alone = carried(router, messages, cuts)
        monkeypatch.setattr(together, "FEW", 1)
        many = carried(router, messages, cuts)
        assert said(many) == said(alone)
        return many

    return compare


def up(name: str) -> bytes:
    """The topic of a device."""
    return f"dothi/v1/{AREA}/{name}/up".encode()


LAW = settings(
    max_examples=examples(12),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("profile", OWN, ids=[profile.name for profile in OWN])
def test_together_as_alone(both: Any, profile: Any) -> None:
    @LAW
    @given(st.lists(payloads_of(profile.family), min_size=1, max_size=8), st.integers(1, 3))
    def law(payloads: list[bytes], cuts: int) -> None:
        both([(up(device(profile.name, place % 2)), payload) for place, payload in enumerate(payloads)], cuts)

    law()


TOPICS = [up(device(profile.name)) for profile in ALL[:: len(ALL) // 8]]
TOPICS += [up("gone"), up("elsewhere"), up("nobody"), b"dothi/v1/213/%s/status" % device(OWN[0].name).encode()]
ANY = st.tuples(
    st.sampled_from([*TOPICS, *(up(device(profile.name)) for profile in OWN)]),
    st.sampled_from([b"online", b"offline", b"x", *(b'{"metrics": {"temperature": %d}}' % n for n in range(20))]),
)


@LAW
@given(st.lists(ANY, max_size=30), st.integers(1, 4))
def test_of_any_devices_at_once(both: Any, messages: list[tuple[bytes, bytes]], cuts: int) -> None:
    both(messages, cuts)


def test_what_is_usual_is_read_together(both: Any, router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every family: the general way is not even asked."""
    asked = []
    read = Router.read
    monkeypatch.setattr(Router, "read", lambda *given: asked.append(given) or read(*given))
    for profile in OWN:
        sent = {m.name: m.states[-1] if m.states else round((m.low + m.high) / 2, 3) for m in profile.family.metrics}
        whole = {"time": NOW_MS, "seq": 7, "boot": 3, "metrics": sent}
        some = {"metrics": dict(list(sent.items())[:2])}
        for payload in (json.dumps(one).encode() for one in (whole, some, [whole, {**whole, "seq": 8}])):
            monkeypatch.setattr(together, "FEW", 1)
            batch = carried(router, [(up(device(profile.name)), payload)] * 3)
            assert len(batch.columns[profile.family.name]) in (3, 6)
    assert not asked


def test_rows_keep_the_order_of_their_messages(both: Any) -> None:
    """Of two messages with one key the first is stored, however each was read."""
    name = up(device("native-air-quality"))
    odd = b'{"time": %d, "seq": 1, "metrics": {"pm25": 1, "pm10": -5}}' % NOW_MS
    good = b'{"time": %d, "seq": 1, "metrics": {"pm25": 2}}' % NOW_MS
    for messages in ([odd, good, odd, good], [good, odd, good]):
        batch = both([(name, payload) for payload in messages])
        values = batch.columns["air_quality"].table.values[:, 0]
        assert values.tolist() == [1.0 if payload is odd else 2.0 for payload in messages]


def test_families_are_as_many_as_devices_have(router: Router) -> None:
    assert {profile.family.name for profile in OWN} == set(FAMILIES)
    assert np.all(router.numbers([up(device(profile.name)) for profile in OWN]) >= 0)
