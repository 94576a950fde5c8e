"""What is kept of refused messages is what they said, as far as PostgreSQL can hold it."""

from collections.abc import Iterator
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.array import ArrayBinaryLoader

from devices.rejected import Reason, Rejected
from ingest.batch import Origin, Quarantined
from ingest.mqtt import Messages
from ingest.pack import SIGNATURE, TRAILER
from ingest.pack_refused import KEPT_NAME, KEPT_PAYLOAD, NAMES, PIECE, pack_refused
from ingest.parameters import EPOCH_2000_US, TEXT_OID, head, texts
from ingest.quarantine import DAY_US, local_day
from ingest.replay import Archive
from ingest.window import Arrival

ANY = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
WORDS = st.one_of(st.none(), ANY, st.sampled_from(["pm25", "a\0b", "\ud800"]))
REJECTED = st.builds(
    Rejected,
    st.sampled_from(["codec", "values"]),
    st.sampled_from(Reason),
    WORDS,
    WORDS,
    st.one_of(ANY, ANY.map(lambda t: t * 99)),
)
ARRIVAL = st.builds(
    Arrival, st.sampled_from(["213", "zigbee"]).map(Archive), st.integers(0, 2**60), st.just(Messages()), st.just(1)
)
ENTRIES = st.lists(
    st.builds(
        Quarantined,
        st.builds(Origin, ARRIVAL, st.binary(max_size=40), st.binary(max_size=40)),
        WORDS,
        st.none() | st.just("native-weather"),
        REJECTED,
    ),
    max_size=5,
)


def rows(stream: bytes) -> Iterator[list[bytes | None]]:
    """The fields of each row, read as the manual says."""
    assert stream.startswith(SIGNATURE)
    assert stream.endswith(TRAILER)
    at = len(SIGNATURE)
    while stream[at : at + 2] != TRAILER:
        count, fields = int.from_bytes(stream[at : at + 2]), list[bytes | None]()
        at += 2
        for _ in range(count):
            size = int.from_bytes(stream[at : at + 4], signed=True)
            at += 4
            fields.append(None if size < 0 else stream[at : at + size])
            at += max(0, size)
        yield fields
    assert at + 2 == len(stream)


def held(said: str | None) -> bytes | None:
    """A text as PostgreSQL can hold it."""
    return (
        None
        if said is None
        else "".join("␀" if c == "\0" else "?" if "\ud800" <= c <= "\udfff" else c for c in said).encode()
    )


@given(ENTRIES, st.integers(1, 2**62))
def test_every_field_is_there(entries: list[Quarantined], batch: int) -> None:
    found = list(rows(b"".join(pack_refused(entries, batch))))
    assert len(found) == len(entries)
    for entry, row in zip(entries, found, strict=True):
        (arrival, topic, payload), device, profile, rejected = entry
        said = dict(zip(NAMES, row, strict=True))
        assert said["received"] == (arrival.received - EPOCH_2000_US).to_bytes(8, signed=True)
        assert (said["batch"], said["inbox"]) == (batch.to_bytes(8), arrival.source.inbox.encode())
        assert said["topic"] == held(topic.decode(errors="backslashreplace"))
        assert (said["payload"], said["sha256"]) == (payload, sha256(payload).digest())
        assert said["size"] == len(payload).to_bytes(4)
        assert (said["device"], said["profile"]) == (held(device), held(profile))
        assert [said[name] for name in NAMES[-5:]] == [held(word) for word in rejected[:5]]


def test_of_much_the_beginning() -> None:
    """Of a payload and of a name; what was cut is still counted and hashed."""
    payload = bytes(KEPT_PAYLOAD) + b"more"
    origin = Origin(Arrival(Archive("213"), 0, Messages(), 1), b"t", payload)
    entry = Quarantined(origin, "x" * 999, None, Rejected("codec", Reason.MALFORMED, None, None, "no"))
    said = dict(zip(NAMES, next(rows(b"".join(pack_refused([entry], 1)))), strict=True))
    assert said["payload"] == bytes(KEPT_PAYLOAD)
    assert said["sha256"] == sha256(payload).digest()
    assert said["size"] == len(payload).to_bytes(4)
    assert said["device"] == b"x" * KEPT_NAME


def test_many_come_in_pieces() -> None:
    """None left out and none twice where one piece ends and the next begins."""
    arrival = Arrival(Archive("213"), 0, Messages(), 1)
    no = Rejected("codec", Reason.MALFORMED, None, None, "no")
    payloads = [b"%d" % number for number in range(3 * PIECE + 1)]
    entries = [Quarantined(Origin(arrival, b"t", payload), "x", None, no) for payload in payloads]
    pieces = list(pack_refused(entries, 1))
    assert max(map(len, pieces)) < 3 * min(map(len, pieces[1:4]))
    found = [dict(zip(NAMES, row, strict=True))["payload"] for row in rows(b"".join(pieces))]
    assert found == payloads


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
def test_texts_are_an_array(values: list[str]) -> None:
    assert ArrayBinaryLoader(1009).load(texts(values)) == values
    assert texts(values).startswith(head(TEXT_OID, len(values)))


@given(st.integers(0, 2**60))
def test_a_day_ends_at_midnight_in_vietnam(received: int) -> None:
    hours = 7 * 3_600_000_000
    assert local_day(received) * DAY_US <= received + hours < (local_day(received) + 1) * DAY_US
