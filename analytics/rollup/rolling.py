"""One family and width while it streams in: what is closed, what is kept in memory of open buckets."""

from collections.abc import Iterator

import numpy as np
import psycopg

from analytics.beside import Job, Piece
from analytics.columns import Columns, FloatArray, IntArray
from analytics.rollup.closing import Heard, enrolled, from_memory, from_readings, move_border
from analytics.rollup.fresh import Fresh
from analytics.rollup.grid import Grid, Places
from analytics.rollup.late import touch
from analytics.rollup.shape import gauges_only
from analytics.rollup.width import SECOND_US, Width
from devices.family import Family

AHEAD_US = 600 * SECOND_US  # no reading lies as far ahead of its receipt


class Rolling:
    """`until`: buckets before it are closed. `again_from`, `whole_from`: memory gets all readings of buckets from the
    latter on as they stream in, those of buckets between them when what was taken before the start has been read again.
    Times are µs since 1970 UTC."""

    def __init__(self, family: Family, width: Width, until: int, started: int, places: Places) -> None:
        self.family = family
        self.width = width
        self.until = until
        self.summing = gauges_only(family)
        self.fresh = Fresh(family, width)
        self.places = places
        self.grids: dict[int, Grid] = {}
        self.whole_from = width.floor(started + AHEAD_US) + width.us
        self.again_from = max(until, width.floor(started) - width.us) if self.summing else self.whole_from
        self.reading_again = self.again_from < self.whole_from
        self._started = started
        self._heard: dict[int, Heard] = {}
        self._partial: set[int] = set()
        self._job: Job | None = None

    @property
    def ends(self) -> int:
        """End of the next bucket to be closed."""
        return self.until + self.width.us

    @property
    def frozen(self) -> int:
        """Readings before this are late: their bucket is closed, or being closed."""
        return self.ends if self._job else self.until

    @property
    def nbytes(self) -> int:
        """Bytes that sums take."""
        return sum(grid.nbytes for grid in self.grids.values())

    def is_whole(self, bucket: int) -> bool:
        """Whether memory has everything of a bucket that was taken from the stream."""
        return self.keeps(bucket) and (bucket >= self.whole_from or not self.reading_again)

    def keeps(self, bucket: int) -> bool:
        """Whether memory has, or will have."""
        return bucket >= min(self.again_from, self.whole_from) and bucket not in self._partial

    def doubt(self, bucket: int) -> None:
        """Memory is not used for this bucket."""
        self._partial.add(bucket)
        self.grids.pop(bucket, None)
        self._heard.pop(bucket, None)

    def take(self, columns: Columns, rows: IntArray, now: int) -> None:
        """Keep what is needed of readings of open buckets; `rows`: which of them."""
        for bucket, some in self._by_bucket(columns, rows):
            # A bucket far ahead would take memory for as long; it is computed when its time comes.
            if bucket > now + self.width.us:
                self.doubt(bucket)
            if bucket >= self.frozen and self.keeps(bucket):
                self._keep(columns, some, bucket)

    def take_again(self, columns: Columns) -> None:
        """Keep what was taken before the start, of buckets that are not closed."""
        rows = np.arange(len(columns.time))
        for bucket, some in self._by_bucket(columns, rows):
            if self.frozen <= bucket < self.whole_from and self.keeps(bucket):
                self._keep(columns, some, bucket)

    def suspect(self, devices: IntArray, times: IntArray) -> None:
        """What memory has of these devices in the buckets of these times is not to be used."""
        buckets = self.width.floors(times)
        for bucket in np.unique(buckets).tolist():
            if bucket >= self.frozen and self.keeps(bucket):
                self.grid(bucket).suspect(self.places.of(devices[buckets == bucket]))

    def _by_bucket(self, columns: Columns, rows: IntArray) -> Iterator[tuple[int, IntArray]]:
        buckets = self.width.floors(columns.time[rows])
        for bucket in np.unique(buckets).tolist():
            yield bucket, rows[buckets == bucket]

    def _keep(self, columns: Columns, rows: IntArray, bucket: int) -> None:
        devices = columns.device[rows]
        if self.summing:
            self.grid(bucket).add(self.places.of(devices), columns.area[rows], columns.values[rows])
        else:
            self._heard.setdefault(bucket, Heard()).add(devices)

    def grid(self, bucket: int) -> Grid:
        """The sums of an open bucket."""
        return self.grids.setdefault(bucket, Grid(len(self.family.metrics), self.places.count))

    def begin(self, connection: psycopg.Connection, interval_s: FloatArray) -> Job:
        """Begin to close the next bucket: the job that writes it. `interval_s`: by place."""
        self._job = Job(self._pieces(connection, interval_s))
        return self._job

    @property
    def closing(self) -> Job | None:
        """The job that closes the next bucket, when it has begun."""
        return self._job

    def finish(self, connection: psycopg.Connection) -> Grid | None:
        """Move the border behind the bucket; returns the sums of which it was made, None when it was not made so."""
        bucket = self.until
        grid = self.grids.pop(bucket, None)
        if grid and grid.odd:
            devices = self.places.devices[sorted(grid.odd)].tolist()
            touch(connection, self.family, self.width, devices, [bucket] * len(devices))
        self.until = self.ends
        move_border(connection, self.family, self.width, self.until)
        self._job = None
        self._heard.pop(bucket, None)
        self._partial.discard(bucket)
        return grid

    def _pieces(self, connection: psycopg.Connection, interval_s: FloatArray) -> Iterator[Piece]:
        bucket, whole = self.until, self.is_whole(self.until)
        if whole and self.summing:
            grid = self.grids.get(bucket, Grid(len(self.family.metrics)))
            # An earlier process can have begun to close a bucket that had ended before this one was started.
            return from_memory(self.fresh, grid, self.places, bucket, interval_s, first=self.ends > self._started)
        heard = self._heard[bucket].ids() if bucket in self._heard else []
        # Whoever changed to a profile of another family is only among those heard.
        devices = heard if whole else sorted({*heard, *enrolled(connection, self.family)})
        return from_readings(self.fresh, devices, bucket)
