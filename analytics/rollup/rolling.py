"""One family and width while it streams in: what is closed, what is kept in memory of open buckets."""

from collections.abc import Iterator

import numpy as np
import psycopg

from analytics.columns import Columns, IntArray
from analytics.rollup.closing import Heard, Piece, enrolled, from_memory, from_readings, move_border
from analytics.rollup.fresh import Fresh
from analytics.rollup.grid import Grid, Places
from analytics.rollup.late import touch
from analytics.rollup.shape import gauges_only
from analytics.rollup.width import Width
from devices.family import Family


class Rolling:
    """`until`: buckets before it are closed; `whole_from`: memory has all readings of buckets from there on. Times are
    µs since 1970 UTC."""

    def __init__(self, family: Family, width: Width, until: int, whole_from: int, places: Places) -> None:
        self.family = family
        self.width = width
        self.until = until
        self.summing = gauges_only(family)
        self.fresh = Fresh(family, width)
        self.grids: dict[int, Grid] = {}
        self._whole_from = whole_from
        self._places = places
        self._heard: dict[int, Heard] = {}
        self._partial: set[int] = set()
        self._pieces: Iterator[Piece] | None = None

    @property
    def ends(self) -> int:
        """End of the next bucket to be closed."""
        return self.until + self.width.us

    @property
    def frozen(self) -> int:
        """Readings before this are late: their bucket is closed, or being closed."""
        return self.ends if self._pieces else self.until

    @property
    def nbytes(self) -> int:
        """Bytes that sums take."""
        return sum(grid.nbytes for grid in self.grids.values())

    def is_whole(self, bucket: int) -> bool:
        """Whether memory has everything of a bucket that was taken from the stream."""
        return bucket >= self._whole_from and bucket not in self._partial

    def doubt(self, bucket: int) -> None:
        """Memory is not used for this bucket."""
        self._partial.add(bucket)
        self.grids.pop(bucket, None)
        self._heard.pop(bucket, None)

    def take(self, columns: Columns, rows: IntArray, now: int) -> None:
        """Keep what is needed of readings of open buckets; `rows`: which of them."""
        buckets = self.width.floors(columns.time[rows])
        for bucket in np.unique(buckets).tolist():
            # A bucket far ahead would take memory for as long; it is computed when its time comes.
            if bucket > now + self.width.us:
                self.doubt(bucket)
            if bucket >= self.frozen and self.is_whole(bucket):
                self._keep(columns, rows[buckets == bucket], bucket)

    def _keep(self, columns: Columns, rows: IntArray, bucket: int) -> None:
        devices = columns.device[rows]
        if self.summing:
            self.grid(bucket).add(self._places.of(devices), columns.area[rows], columns.values[rows])
        else:
            self._heard.setdefault(bucket, Heard()).add(devices)

    def grid(self, bucket: int) -> Grid:
        """The sums of an open bucket."""
        return self.grids.setdefault(bucket, Grid(len(self.family.metrics), self._places.count))

    def begin(self, connection: psycopg.Connection) -> None:
        """Begin to close the next bucket."""
        self.fresh.forget_areas(connection, self.until)
        self._pieces = self._all_pieces(connection)

    @property
    def closing(self) -> bool:
        """Whether the next bucket is being closed."""
        return self._pieces is not None

    def step(self, connection: psycopg.Connection) -> bool:
        """Write one piece; False when there was none left."""
        piece = next(self._pieces, None) if self._pieces else None
        if piece:
            piece(connection)
        return piece is not None

    def finish(self, connection: psycopg.Connection) -> Grid | None:
        """Move the border behind the bucket; returns the sums of which it was made, None when it was not made so."""
        bucket = self.until
        grid = self.grids.pop(bucket, None)
        if grid and grid.odd:
            devices = self._places.devices[sorted(grid.odd)].tolist()
            touch(connection, self.family, self.width, devices, [bucket] * len(devices))
        self.until = self.ends
        move_border(connection, self.family, self.width, self.until)
        self._pieces = None
        self._heard.pop(bucket, None)
        self._partial.discard(bucket)
        return grid

    def _all_pieces(self, connection: psycopg.Connection) -> Iterator[Piece]:
        bucket, whole = self.until, self.is_whole(self.until)
        if whole and self.summing:
            return from_memory(self.fresh, self.grids.get(bucket, Grid(0)), self._places, bucket)
        heard = self._heard[bucket].ids() if bucket in self._heard else []
        # Whoever changed to a profile of another family is only among those heard.
        devices = heard if whole else sorted({*heard, *enrolled(connection, self.family)})
        return from_readings(self.fresh, devices, bucket)
