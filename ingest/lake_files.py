"""Files of the history lake: written beside their name, read back, and only then renamed to it.

LAKE/family=<family>/day=<YYYY-MM-DD>/part-<n>.parquet and _manifest.json; what begins with a dot or an underscore is
left aside by engines that read whole folders.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from devices.family import Family
from ingest.durable import sync_path
from ingest.lake_blocks import schema

MANIFEST = "_manifest.json"
ZSTD_LEVEL = 9
PART = re.compile(r"part-(\d+)\.parquet")


class LakeRefused(Exception):
    """The lake cannot be written or is not what it was; the message names the file and says what was left alone."""


class Part(NamedTuple):
    """One file of a day, whole."""

    number: int
    path: Path
    rows: int
    bytes: int
    sha256: str


@contextmanager
def one_line(folder: Path) -> Iterator[None]:
    """A disk that is full, read-only or closed to us, and a file that is no Parquet, in one line."""
    try:
        yield
    except pa.ArrowInvalid as error:
        raise LakeRefused(f"lake {folder}: a file cannot be read ({first_line(error)}); nothing was dropped") from None
    except OSError as error:
        where = error.filename or folder
        raise LakeRefused(f"lake {where}: {error.strerror or first_line(error)}; nothing was dropped") from None


def first_line(error: Exception) -> str:
    """The first line of what a library says."""
    return str(error).strip().partition("\n")[0]


def require_lake(lake: Path) -> None:
    """Refuse a folder that is not there: a disk that is not mounted must not be mistaken for an empty lake."""
    if not lake.is_dir():
        raise LakeRefused(f"lake {lake}: no such folder; mount or create it, nothing was dropped")
    if not os.access(lake, os.W_OK | os.X_OK):
        raise LakeRefused(f"lake {lake}: not writable; nothing was dropped")


def day_folder(lake: Path, family: str, day: date) -> Path:
    """Where a day of a family lies."""
    return lake / f"family={family}" / f"day={day.isoformat()}"


def writing_options(family: Family) -> dict[str, Any]:
    """How columns are packed; measured on a day of 10,000 devices, see docs/storage.md."""
    deltas = ("time", "seq", "received", "batch", "boot")
    words = [field.name for field in schema(family) if field.name not in deltas]
    return {
        "compression": "zstd",
        "compression_level": ZSTD_LEVEL,
        "use_dictionary": words,
        "column_encoding": dict.fromkeys(deltas, "DELTA_BINARY_PACKED"),
        "write_statistics": ["device", "area", "time", "seq", "received", "batch"],
        "data_page_version": "2.0",
    }


class Writer:
    """One part that grows block by block under a hidden name, until `finish` gives it its own."""

    def __init__(self, folder: Path, family: Family, number: int) -> None:
        self.folder = folder
        self.number = number
        self.partial = folder / f".part-{number}.parquet.partial"
        self.rows = 0
        self._file = self.partial.open("xb")
        self._parquet = pq.ParquetWriter(self._file, schema(family), **writing_options(family))

    def write(self, table: pa.Table) -> None:
        """One row group."""
        if table.num_rows:
            self._parquet.write_table(table, row_group_size=table.num_rows)
            self.rows += table.num_rows

    def close(self) -> None:
        """End the file and wait until the disk has it; it still bears its hidden name."""
        self._parquet.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def finish(self) -> Path:
        """Give the file, which was read back and found right, its name."""
        path = self.folder / f"part-{self.number}.parquet"
        self.partial.rename(path)
        sync_path(self.folder)
        return path

    def discard(self) -> None:
        """Leave nothing behind; on a disk that is full or gone, as far as it lets us."""
        with suppress(Exception):
            self._parquet.close()
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.partial.unlink(missing_ok=True)


def prepare_folder(lake: Path, folder: Path) -> None:
    """Make a day's folder, durably, and clear away what an export that died has left half written."""
    folder.mkdir(parents=True, exist_ok=True)
    for made in (folder.parent, lake):
        sync_path(made)
    for left in folder.glob(".*.partial"):
        left.unlink()


def existing(folder: Path) -> list[Path]:
    """The parts of a day, oldest first. A file that has its name is whole: it was read back before it got it."""
    found = {int(match[1]): path for path in folder.glob("part-*.parquet") if (match := PART.fullmatch(path.name))}
    return [found[number] for number in sorted(found)]


def part(path: Path) -> Part:
    """What a part holds, as it lies on the disk now."""
    match = PART.fullmatch(path.name)
    assert match is not None  # `existing` chose it
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
    return Part(int(match[1]), path, rows, path.stat().st_size, sha256(path))


def sha256(path: Path) -> str:
    """Digest of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, family: Family, day: date, parts: list[Part], version: str) -> None:
    """What the day consists of, for people and for other systems; replaced in one step."""
    document = {
        "family": family.name,
        "day": day.isoformat(),
        "time_zone": "Asia/Ho_Chi_Minh",
        "rows": sum(one.rows for one in parts),
        "bytes": sum(one.bytes for one in parts),
        "sorted_by": ["device", "time", "seq"],
        "columns": {field.name: column_name(field.type) for field in schema(family)},
        "units": {metric.name: metric.unit for metric in family.metrics if metric.kind != "state"},
        "parts": [{"file": one.path.name, "rows": one.rows, "bytes": one.bytes, "sha256": one.sha256} for one in parts],
        "dothi": version,
    }
    partial = folder / f".{MANIFEST}.partial"
    with partial.open("w") as file:
        file.write(json.dumps(document, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / MANIFEST)
    sync_path(folder)


def column_name(kind: pa.DataType) -> str:
    """The type of a column as a reader of the file sees it."""
    return "string" if pa.types.is_dictionary(kind) else str(kind)


class Reader:
    """The parts of a day, read back where they overlap a block."""

    def __init__(self, paths: list[Path], family: Family) -> None:
        self._schema = schema(family)
        self._files = [pq.ParquetFile(path, read_dictionary=["device", "area"]) for path in paths]
        self.rows = sum(file.metadata.num_rows for file in self._files)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()

    def around(self, table: pa.Table) -> pa.Table | None:
        """What the parts hold between the first and the last (device, time) of a sorted block; None: nothing."""
        first, last = table["device"][0].as_py(), table["device"][-1].as_py()
        times = pc.min_max(table["time"])
        found = []
        for file in self._files:
            groups = [n for n in range(file.metadata.num_row_groups) if overlaps(file, n, 0, first, last)]
            if first == last:  # one device may fill many row groups
                ends = times["min"].as_py(), times["max"].as_py()
                groups = [n for n in groups if overlaps(file, n, 2, *ends)]
            if groups:
                rows = self._shaped(file.read_row_groups(groups))
                names = rows["device"].cast(pa.string())
                here = pc.and_(pc.greater_equal(names, first), pc.less_equal(names, last))
                then = pc.and_(pc.greater_equal(rows["time"], times["min"]), pc.less_equal(rows["time"], times["max"]))
                found.append(rows.filter(pc.and_(here, then)))
        return pa.concat_tables(found) if found else None

    def _shaped(self, table: pa.Table) -> pa.Table:
        """Rows of a file that was written before a metric was added have it as NULL."""
        arrays = [
            table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
            for field in self._schema
        ]
        return pa.Table.from_arrays(arrays, schema=self._schema)


def overlaps(file: pq.ParquetFile, group: int, column: int, first: Any, last: Any) -> bool:
    """Whether a column of a row group may hold values from `first` to `last`."""
    found = file.metadata.row_group(group).column(column).statistics
    if found is None or not found.has_min_max:
        return True
    return bool(found.min <= last and found.max >= first)
