"""What each statement costs the database in CPU: a process's CPU since the last look goes to what it was at last.

A sample, forty times a second: a statement that is over within a millisecond is seen as often as its share of the time
says, not each time. COPY cannot be had otherwise, for TimescaleDB hides it from pg_stat_statements.
"""

import contextlib
import re
from collections import defaultdict
from pathlib import Path

import psycopg

from devices.family import FAMILIES
from tests.bench.spending import Sampler

LOOK_S = 0.025
AT = """
select pid, coalesce(usename::text, backend_type), query
from pg_stat_activity where pid <> pg_backend_pid()
"""
Costs = dict[tuple[str, str], float]
FAMILY = re.compile(
    r"\b(staging_|newest_|next_)?(" + "|".join(sorted(FAMILIES, key=len, reverse=True)) + r")(_area)?(_1[mhd])?\b"
)
NAMES = re.compile(r"\((?:\s*(?:\w+\.)?\w+\s*,)+\s*(?:\w+\.)?\w+\s*\)")
LONGEST = 90


class Statements(Sampler):
    """CPU seconds by (role, kind of statement)."""

    def __init__(self, url: str) -> None:
        self.costs: Costs = defaultdict(float)
        self._seen: dict[int, float] = {}
        self._url = url
        super().__init__()

    def _run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._stop.wait(LOOK_S):
                for pid, role, at in connection.execute(AT):
                    with contextlib.suppress(OSError):
                        self._count(pid, role, at or "")

    def _count(self, pid: int, role: str, at: str) -> None:
        now = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        more = now - self._seen.get(pid, now)
        self._seen[pid] = now
        if more:
            self.costs[role, kind_of(at)] += more


def kind_of(query: str) -> str:
    """A statement without its columns' names and family, short.

    >>> kind_of('copy "reading"."air_quality" ("device", "time") from stdin; copy "reading"."weather" ("device") …')
    'copy reading.<family> (…) from stdin; …'
    """
    first, *others = query.replace('"', "").split("; copy")
    text = FAMILY.sub(lambda found: f"{found[1] or ''}<family>{found[3] or ''}{found[4] or ''}", first)
    text = re.sub(r"\s+", " ", NAMES.sub("(…)", text)).strip()[:LONGEST]
    return text + "; …" if others else text
