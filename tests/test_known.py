"""Millions of names in arrays behave as a dict would, and a worker's registry as a plain table does."""

import asyncio
from collections import defaultdict
from typing import Any

import numpy as np
import psycopg
import pytest
import structlog.testing
from hypothesis import given
from hypothesis import strategies as st

from devices import changed
from devices.rejected import Reason, Rejected
from devices.route import ROUTES
from ingest import route as routing
from ingest.known import Device, Known
from ingest.names import FREE, LEAST_SLOTS, Names, hashes_of
from ingest.route import Router
from tests.stack import RunningStack
from tests.told import AliasChange, Change, aliases_of, devices_of

names = st.binary(max_size=3) | st.text("ab-", min_size=3, max_size=5).map(str.encode)
profiles = st.sampled_from(["native-air-quality", "native-weather", "lorawan-indoor", "nobody-has-it"])
areas = st.sampled_from(["213", "216", "058"])
device_ids = st.sampled_from([f"dev-{number}" for number in range(6)])
rows = st.tuples(profiles, areas, st.booleans())
foreign = st.tuples(st.sampled_from(["lorawan", "homie"]), st.sampled_from(["x", "y", "a\nb", "\ud800", "ô"]))
# One look at the registry: devices that were written, and foreign names that lead elsewhere now, or to nobody.
looks = st.tuples(
    st.dictionaries(device_ids, rows, max_size=4), st.dictionaries(foreign, device_ids | st.none(), max_size=3)
)


@given(st.lists(st.lists(names, unique=True, max_size=40), max_size=6), st.lists(names, max_size=20))
def test_names_are_numbered_as_in_a_dict(pieces: list[list[bytes]], others: list[bytes]) -> None:
    held, model = Names(), dict[bytes, int]()
    for piece in pieces:
        expected = [model.setdefault(name, len(model)) for name in piece]
        assert held.take(piece).tolist() == expected
        assert len(held) == len(model)
    assert [held.find(name) for name in [*model, *others]] == [model.get(name, FREE) for name in [*model, *others]]
    assert held.find_all([*others, *model]).tolist() == [model.get(name, FREE) for name in [*others, *model]]
    assert [held[number] for number in model.values()] == list(model)


def test_names_of_one_slot_and_of_one_hash_are_told_apart() -> None:
    made = [b"%d" % number for number in range(400_000)]
    hashes = hashes_of(made)
    order = np.argsort(hashes, kind="stable")
    twins = order[1:][np.diff(hashes[order].astype(np.int64)) == 0]
    alike = [made[place] for place in np.flatnonzero(np.isin(hashes, hashes[twins]))]
    crowd = [made[place] for place in np.flatnonzero(hashes % LEAST_SLOTS == LEAST_SLOTS - 1)[:300]]
    assert len(crowd) == 300  # of the last slot: they go on at the first
    wanted = list(dict.fromkeys([*crowd, *alike]))
    held = Names()
    held.take(wanted[::2])
    assert held.find_all(wanted[1::2]).tolist() == [FREE] * len(wanted[1::2])
    held.take(wanted[1::2])
    numbers = [*range(0, len(wanted[::2]))], [*range(len(wanted[::2]), len(wanted))]
    assert (held.find_all(wanted[::2]).tolist(), held.find_all(wanted[1::2]).tolist()) == numbers
    assert ([held.find(name) for name in wanted[::2]], [held.find(name) for name in wanted[1::2]]) == numbers


def test_names_grow() -> None:
    held = Names()
    for first in range(0, 60_000, 7_000):
        held.take([b"device-%d" % number for number in range(first, first + 7_000)])
    assert all(held.find(b"device-%d" % number) == number for number in range(63_000))
    assert held.find(b"device-63000") == FREE


def test_too_many_bytes_are_refused() -> None:
    held = Names()
    held._block = type("Full", (), {"__len__": lambda _: 2**32 - 2})()  # type: ignore[assignment]
    with pytest.raises(OverflowError, match="4 GiB"):
        held.take([b"abc"])


class Table:
    """The registry as a plain table, which tells what changed as the queries do."""

    def __init__(self) -> None:
        self.devices: dict[str, Change] = {}
        self.aliases: dict[tuple[str, str], str] = {}

    def write(
        self, devices: dict[str, tuple[str, str, bool]], aliases: dict[tuple[str, str], str | None]
    ) -> tuple[list[Change], list[AliasChange]]:
        """Change it; what is told of that."""
        touched = set(devices)
        for name, (profile, area, retired) in devices.items():
            number = self.devices[name].id if name in self.devices else len(self.devices) + 1
            self.devices[name] = Change(number, name, profile, area, int(area), retired)
        written = {key for key, device in aliases.items() if device in self.devices}
        for key, device in aliases.items():
            if device is None and key in self.aliases:
                touched.add(self.aliases.pop(key))  # as `devices alias remove` does: the device changes too
            elif device in self.devices:
                self.aliases[key] = device
        told = [AliasChange(*key, to) for key, to in self.aliases.items() if to in touched or key in written]
        return [self.devices[name] for name in touched], told


def takes(router: Router, devices: list[Change], aliases: list[AliasChange], in_pieces: bool) -> None:
    """As `Router.refresh` does."""
    pieces = [[one] for one in devices] if in_pieces else [devices]
    numbers = [router.take(devices_of(*piece)) for piece in pieces]
    told = [router.known.take_aliases(aliases_of(*aliases))]
    router.known.forget_aliases(routing.joined(numbers), routing.joined(told))


def expected(found: Change | None, area: str) -> object:
    """What a topic of an area means."""
    if found is None:
        return Reason.UNKNOWN_DEVICE
    if found.retired:
        return Reason.RETIRED_DEVICE
    return found if found.area == area else Reason.WRONG_AREA


def said(found: Device | Rejected | None) -> object:
    """The same of what was found."""
    if isinstance(found, Device):
        return Change(found.id, found.name, found.profile.name, found.area.decode(), found.area_id, found.retired)
    return found.reason if isinstance(found, Rejected) else found


@given(st.lists(looks, max_size=8), st.booleans())
def test_a_worker_knows_what_the_registry_says(told: list[Any], in_pieces: bool) -> None:
    router, table, standing = Router(ROUTES), Table(), dict[str, Change]()
    for devices, aliases in told:
        changes, names = table.write(devices, aliases)
        takes(router, changes, names, in_pieces)
        # A profile that this code has not leaves the device as it was.
        standing |= {one.device: one for one in changes if one.profile != "nobody-has-it"}
        assert len(router.known) == len(standing)
        for number in range(6):
            for area in ("213", "216", "058"):
                found = router.find(f"dothi/v1/{area}/dev-{number}/up".encode())
                assert said(found) == expected(standing.get(f"dev-{number}"), area)
        for key, device in table.aliases.items():
            assert said(router.known.called(*key)) == standing.get(device)
        for kind in ("lorawan", "homie"):
            for name in ("x", "y", "a\nb", "a", "ô", "", "\ud800"):
                if (kind, name) not in table.aliases:
                    assert router.known.called(kind, name) is None


def test_a_profile_that_nobody_has_is_said_with_its_devices() -> None:
    devices = devices_of(*(Change(n, f"dev-{n}", "nobody-has-it", "213", 213, False) for n in range(1, 4)))
    with structlog.testing.capture_logs() as lines:
        Known().take(devices._replace(standing=devices.standing * 0, standings=devices.standings[:1]))
    assert [(line["profile"], line["devices"]) for line in lines] == [("nobody-has-it", 3)]


def test_topics_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "MOST_TOPICS", 3)
    router = Router(ROUTES)
    router.take(devices_of(*(Change(n, f"dev-{n}", "native-weather", "213", 213, False) for n in range(1, 9))))
    for _ in range(2):
        for number in range(1, 9):
            found = router.find(f"dothi/v1/213/dev-{number}/up".encode())
            assert isinstance(found, Device)
            assert found.id == number
    assert len(router._topics) == 3


def test_the_registry_is_read_in_pieces_as_a_whole(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    enrolled = stack.enroll_many(
        [(f"known{n}", "native-weather", "216", "") for n in range(5)]
        + [("known-room", "lorawan-indoor", "215", "lorawan:70b3d5e75e00aa77")]
    )
    stack.dothi("devices", "retire", enrolled[1])

    async def looked(piece: int) -> tuple[Router, Router]:
        monkeypatch.setattr(changed, "PIECE", piece)
        router = Router(ROUTES)
        async with await psycopg.AsyncConnection.connect(stack.document["database"], autocommit=True) as connection:
            await router.refresh(connection)
            again = Router(ROUTES)
            again._xmin = router._xmin  # nothing changed since, or little
            await again.refresh(connection)
        return router, again

    expected: dict[int, list[object]] = defaultdict(list)
    for piece in (1_000_000, 7):
        router, again = asyncio.run(looked(piece))
        assert len(again) < len(router)
        for name in enrolled:
            expected[piece].append(said(router.known.device(name.encode())))
        expected[piece].append(said(router.known.called("lorawan", "70b3d5e75e00aa77")))
    assert expected[7] == expected[1_000_000]
    rows = stack.query(
        "select d.id, d.device, p.profile, a.code, a.id, d.state = 'retired' from registry.device d"
        " join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area"
        " where d.device = any(%s) order by d.id",
        enrolled,
    )
    assert expected[7] == [*(Change(*row) for row in rows), Change(*rows[-1])]
