"""What the database did beside storing while a run went on: chunks that began, checkpoints, write-ahead log."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg

# A chunk is called by its number, and numbers are given as chunks begin.
CHUNKS = r"""
select hypertable_name::text, range_start, substring(chunk_name from '_(\d+)_chunk$')::bigint
from timescaledb_information.chunks where hypertable_schema = 'reading'
"""
CHECKPOINTS = "select num_timed, num_requested, (write_time + sync_time) / 1000 from pg_stat_checkpointer"
CHECKPOINTS_BEFORE_17 = """
select checkpoints_timed, checkpoints_req, (checkpoint_write_time + checkpoint_sync_time) / 1000 from pg_stat_bgwriter
"""
WAL = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"


class Upkeep(NamedTuple):
    """What was counted up to a moment. `chunks`: of each (family, beginning) its number."""

    chunks: Mapping[tuple[str, Any], int]
    checkpoints: tuple[int, int, float]
    wal: int

    def since(self, before: "Upkeep") -> dict[str, Any]:
        """What came since, for the report."""
        begun = self.chunks.keys() - before.chunks.keys()
        rolled = [family for family, start in roll_overs(self.chunks) if (family, start) in begun]
        # After a crash the server counts from nothing again.
        passed = [max(now - then, 0) for now, then in zip(self.checkpoints, before.checkpoints, strict=True)]
        return {
            "chunks_begun": len(begun),
            "chunk_roll_overs": len(rolled),
            "families_rolled_over": len(set(rolled)),
            "checkpoints_timed": passed[0],
            "checkpoints_requested": passed[1],
            "checkpoints_s": round(passed[2], 1),
            "wal_bytes": self.wal - before.wal,
        }


def roll_overs(chunks: Mapping[tuple[str, Any], int]) -> list[tuple[str, Any]]:
    """Those in which a family went on that had only earlier ones until then."""
    newest: dict[str, Any] = {}
    found = []
    for family, start in sorted(chunks, key=chunks.__getitem__):
        if start > newest.setdefault(family, start):
            newest[family] = start
            found.append((family, start))
    return found


def upkeep(connection: psycopg.Connection[Any]) -> Upkeep:
    """As it is now."""
    chunks = {(family, start): number for family, start, number in connection.execute(CHUNKS)}
    statement = CHECKPOINTS if connection.info.server_version >= 170_000 else CHECKPOINTS_BEFORE_17
    timed, requested, spent = connection.execute(statement.encode()).fetchone() or (0, 0, 0.0)
    wal = connection.execute(WAL).fetchone() or (0,)
    return Upkeep(chunks, (timed, requested, float(spent)), wal[0])
