"""What the database did beside storing while a run went on: chunks that began, checkpoints, write-ahead log."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg

CHUNKS = """
select hypertable_name::text, range_start from timescaledb_information.chunks where hypertable_schema = 'reading'
"""
CHECKPOINTS = "select num_timed, num_requested, (write_time + sync_time) / 1000 from pg_stat_checkpointer"
CHECKPOINTS_BEFORE_17 = """
select checkpoints_timed, checkpoints_req, (checkpoint_write_time + checkpoint_sync_time) / 1000 from pg_stat_bgwriter
"""
WAL = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"


class Upkeep(NamedTuple):
    """What was counted up to a moment. `newest`: beginning of the newest chunk of each family."""

    newest: Mapping[str, Any]
    chunks: frozenset[tuple[str, Any]]
    checkpoints: tuple[int, int, float]
    wal: int

    def since(self, before: "Upkeep") -> dict[str, Any]:
        """What came since, for the report. A roll-over: a family went on in a chunk later than all it had before."""
        begun = self.chunks - before.chunks
        rolled = [family for family, start in begun if family in before.newest and start > before.newest[family]]
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


def upkeep(connection: psycopg.Connection[Any]) -> Upkeep:
    """As it is now."""
    chunks = frozenset(connection.execute(CHUNKS).fetchall())
    newest: dict[str, Any] = {}
    for family, start in chunks:
        newest[family] = max(start, newest.get(family, start))
    statement = CHECKPOINTS if connection.info.server_version >= 170_000 else CHECKPOINTS_BEFORE_17
    timed, requested, spent = connection.execute(statement.encode()).fetchone() or (0, 0, 0.0)
    wal = connection.execute(WAL).fetchone() or (0,)
    return Upkeep(newest, chunks, (timed, requested, float(spent)), wal[0])
