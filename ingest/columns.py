"""Readings of one family in columns: added one by one, or many at once as arrays; read as arrays when all are there."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.family import Family
from devices.reading import Reading
from ingest.known import Device
from ingest.window import Arrival, Source

NO_BOOT = -1
"""Stands for a boot that was not sent."""

T = TypeVar("T")
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Origin(NamedTuple):
    """Where a reading came from: enough to quarantine and to count it. `payload`: its own bytes within the message."""

    arrival: Arrival
    topic: bytes
    payload: bytes


Sender = tuple[Source, bytes]
"""How a reading came: the connection, and its message's topic."""


class Block:
    """Many rows as arrays. `order`: places of their messages within the batch."""

    def __init__(self, order: Ints, table: "Table") -> None:
        self.order = order
        self.table = table

    def device(self, row: int) -> Device:
        """Whose reading it is."""
        raise NotImplementedError

    def origin(self, row: int) -> Origin:
        """Where it came from."""
        raise NotImplementedError

    def senders(self, rows: Ints) -> list[Sender]:
        """How some rows came."""
        raise NotImplementedError

    def asks(self) -> NDArray[np.bool_]:
        """Which rows are of devices that ask to be told what is settled."""
        raise NotImplementedError


class Table(NamedTuple):
    """All rows of a family. Times in microseconds since 1970 UTC; `boot`: or NO_BOOT; `device`, `area`: ids of the
    registry; `values`: rows × metrics, NaN = absent; `extra`: JSON, None where no row has any."""

    time: Ints
    seq: Ints
    boot: Ints
    received: Ints
    device: NDArray[np.integer]
    area: NDArray[np.integer]
    values: Floats
    extra: list[bytes | None] | None


class Each(Sequence[T]):
    """What a function makes of each row."""

    def __init__(self, function: Callable[[int], T], rows: int) -> None:
        self._function = function
        self._rows = rows

    def __len__(self) -> int:
        """Rows."""
        return self._rows

    def __getitem__(self, row: Any) -> Any:
        """Of one row, or of a slice."""
        return [*map(self._function, range(self._rows)[row])] if isinstance(row, slice) else self._function(row)

    def __iter__(self) -> Iterator[T]:
        """Of all rows."""
        return map(self._function, range(self._rows))


class Columns:
    """Readings of one family, in the order of their messages."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._time: list[int] = []
        self._seq: list[int] = []
        self._boot: list[int] = []
        self._values: list[float] = []
        self._extra: list[bytes | None] = []
        self._devices: list[Device] = []
        self._origins: list[Origin] = []
        self._order: list[int] = []
        self._blocks: list[Block] = []
        self._rows = 0
        self._table: Table | None = None
        self._where = np.zeros(0, dtype=np.int64)  # of each row of the table: among single rows, then among the blocks'
        self._starts = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        """Rows."""
        return self._rows

    def add(
        self, device: Device, reading: Reading, when: int, origin: tuple[Arrival, bytes, bytes], order: int
    ) -> None:
        """One row. `when`: its time, microseconds since 1970 UTC; `order`: place of its message within the batch."""
        _, seq, boot, values, extra, _, _ = reading
        self._rows += 1
        self._table = None
        self._time.append(when)
        self._seq.append(seq)
        self._boot.append(NO_BOOT if boot is None else boot)
        self._values.extend(values)
        self._extra.append(msgspec.json.encode(extra) if extra else None)
        self._devices.append(device)
        self._origins.append(Origin(*origin))
        self._order.append(order)

    def extend(self, block: Block) -> None:
        """Many rows."""
        self._rows += len(block.order)
        self._table = None
        self._blocks.append(block)

    @property
    def table(self) -> Table:
        """All rows as arrays."""
        if self._table is None:
            self._table = self._joined()
        return self._table

    def _joined(self) -> Table:
        tables = [*([self._single()] if self._time else []), *(block.table for block in self._blocks)]
        orders = [*([np.array(self._order, dtype=np.int64)] if self._time else []), *(b.order for b in self._blocks)]
        sizes = [len(self._time), *(len(block.order) for block in self._blocks)]
        self._starts = np.cumsum([0, *sizes])[:-1]
        if len(tables) == 1:
            self._where = np.arange(self._rows)
            return tables[0]
        if not tables:
            return self._single()
        order = np.concatenate(orders)
        self._where = np.argsort(order, kind="stable")
        *arrays, _ = zip(*tables, strict=True)
        joined = [np.concatenate(pieces) for pieces in arrays]
        if not (order[1:] >= order[:-1]).all():  # most often all are in order as they are
            joined = [array[self._where] for array in joined]
        time, seq, boot, received, device, area, values = joined
        extra = self._extras([table.extra for table in tables], [len(table.time) for table in tables])
        return Table(time, seq, boot, received, device, area, values, extra)

    def _extras(self, pieces: Sequence[list[bytes | None] | None], sizes: list[int]) -> list[bytes | None] | None:
        """The extras of all rows, in the order of the rows."""
        if not any(pieces):
            return None
        loose = [one for piece, size in zip(pieces, sizes, strict=True) for one in piece or [None] * size]
        return [loose[place] for place in self._where.tolist()]

    def _single(self) -> Table:
        rows = len(self._time)
        return Table(
            time=np.array(self._time, dtype=np.int64),
            seq=np.array(self._seq, dtype=np.int64),
            boot=np.array(self._boot, dtype=np.int64),
            received=np.array([origin.arrival.received for origin in self._origins], dtype=np.int64),
            device=np.array([device.id for device in self._devices], dtype=np.int64),
            area=np.array([device.area_id for device in self._devices], dtype=np.int64),
            values=np.array(self._values, dtype=np.float64).reshape(rows, len(self.family.metrics)),
            extra=self._extra if any(self._extra) else None,
        )

    def _found(self, row: int) -> tuple[Block | None, int]:
        """The block that a row of the table is in, None for single rows, and its place there."""
        assert self.table is not None
        where = int(self._where[row])
        piece = int(np.searchsorted(self._starts, where, side="right")) - 1
        return (self._blocks[piece - 1] if piece else None), where - int(self._starts[piece])

    def device(self, row: int) -> Device:
        """Whose reading it is."""
        block, place = self._found(row)
        return block.device(place) if block else self._devices[place]

    def origin(self, row: int) -> Origin:
        """Where a row came from."""
        block, place = self._found(row)
        return block.origin(place) if block else self._origins[place]

    def arrival(self, row: int) -> Arrival:
        """What brought it."""
        return self.origin(row).arrival

    def senders(self, rows: Ints) -> list[Sender]:
        """How some rows came."""
        assert self.table is not None
        where = self._where[rows]
        pieces = np.searchsorted(self._starts, where, side="right") - 1
        places = where - self._starts[pieces]
        by_piece = np.argsort(pieces, kind="stable")
        found: list[Sender] = []
        for piece in np.unique(pieces).tolist():
            found += self._senders_in(piece, places[pieces == piece])
        return [found[place] for place in np.argsort(by_piece).tolist()]

    def _senders_in(self, piece: int, places: Ints) -> list[Sender]:
        """Of rows of one block, or of the single ones (piece 0)."""
        if piece:
            return self._blocks[piece - 1].senders(places)
        origins = [self._origins[place] for place in places.tolist()]
        return [(origin.arrival.source, origin.topic) for origin in origins]

    def asks(self) -> NDArray[np.bool_]:
        """Which rows are of devices that ask to be told what is settled."""
        assert self.table is not None
        single = np.array([device.profile.acknowledge for device in self._devices], dtype=np.bool_)
        return np.concatenate([single, *(block.asks() for block in self._blocks)])[self._where]

    @property
    def time(self) -> Ints:
        """Microseconds since 1970 UTC."""
        return self.table.time

    @property
    def seq(self) -> Ints:
        """Numbers of the readings."""
        return self.table.seq

    @property
    def boot(self) -> Ints:
        """Boots, or NO_BOOT."""
        return self.table.boot

    @property
    def values(self) -> Floats:
        """Rows × metrics."""
        return self.table.values

    @property
    def extra(self) -> list[bytes | None]:
        """What else was said, as JSON."""
        return self.table.extra or [None] * self._rows

    @property
    def devices(self) -> Sequence[Device]:
        """Whose readings they are, each looked up when it is asked for."""
        return Each(self.device, self._rows)

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """What brought them."""
        return Each(self.arrival, self._rows)
