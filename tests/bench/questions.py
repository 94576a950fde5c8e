"""What dashboards ask while readings come in: how long answers take, and how fresh they are."""

import asyncio
import random
import threading
import time
from collections import defaultdict
from typing import Any

import numpy as np
import psycopg

from dothi.stack.embedded import Embedded
from ingest.writer import Writer
from tests.bench.clocks import ahead
from tests.bench.feeder import Ints, filled

ASK_S = 1.0
QUESTIONS = {
    "first 1,000 of a district": "select * from city.latest_air_quality where area = '213' limit 1000",
    "first 1,000 in order": "select * from city.latest_air_quality where area = '213' order by device limit 1000",
    "district in order": "select * from city.device where area = '213' order by device limit 1000",
    "district and family": "select * from city.device where area = '213' and family = 'air_quality' "
    "order by device limit 1000",
    "open hour of areas": "select * from city.air_quality_area_1h where bucket > now() - interval '1 hour'",
    "open day of areas": "select * from city.air_quality_area_1d where bucket > now() - interval '1 day'",
    "ages": "select family, max(time) from city.newest_time group by family",
    "counts": "select * from city.device_count",
    "connectivity": "select * from city.connectivity",
    "plan": "select * from city.plan",
    "one device, 24 hours": "select * from city.air_quality_1h where device = 'bench-0000007' and "
    "bucket > now() - interval '24 hours'",
    "map": "select * from city.map_cells({west}, {south}, {east}, {north}, {zoom}, 'air_quality', 'pm25')",
}
PROVINCE = (105.88, 21.12, 107.05, 21.62)


class Reader(threading.Thread):
    """Asks what dashboards ask, about once a second, until `stop`; and how long a stored reading takes to be seen."""

    def __init__(self, stack: Embedded, areas: Ints) -> None:
        """The last of `areas` is that of a device that nobody else feeds."""
        super().__init__(daemon=True)
        assert stack.database is not None
        self.took_ms: dict[str, list[float]] = defaultdict(list)
        self.as_of_s: list[float] = []
        self.seen_after_s: list[float] = []
        self.refused: dict[str, str] = {}
        self._urls = stack.database
        self._ahead_s = ahead(stack)
        self._areas = areas
        self._pending: tuple[int, float] | None = None
        self._number = time.time_ns() // 1_000_000
        self._ended = threading.Event()

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """The thread."""
        with psycopg.connect(self._urls.reader, autocommit=True) as connection:
            while not self._ended.wait(ASK_S):
                self._look_for_reading(connection)
                for name, question in QUESTIONS.items():
                    if name not in self.refused:
                        self._ask(connection, name, question)

    def _ask(self, connection: psycopg.Connection, name: str, question: str) -> None:
        began = time.perf_counter()
        try:
            connection.execute(question.format(**some_extent()).encode()).fetchall()
        except psycopg.Error as error:
            self.refused[name] = str(error).splitlines()[0]
        self.took_ms[name].append((time.perf_counter() - began) * 1000)

    def _look_for_reading(self, connection: psycopg.Connection) -> None:
        if self._pending is None:
            self._number += 1
            asyncio.run(self._store())
            self._pending = self._number, time.monotonic()
        row = connection.execute(
            "select seq, extract(epoch from now() - as_of)::float8 from city.latest_air_quality where device = 'lone'"
        ).fetchone()
        if row and row[0] >= self._pending[0]:
            self.as_of_s.append(row[1])
            self.seen_after_s.append(time.monotonic() - self._pending[1])
            self._pending = None

    async def _store(self) -> None:
        async def connect() -> psycopg.AsyncConnection[Any]:
            return await psycopg.AsyncConnection.connect(self._urls.writer, autocommit=True)

        writer = Writer(connect, 49)
        alone = filled(np.array([len(self._areas) - 1]), self._areas, np.array([self._number]), self._ahead_s)
        await writer.store(alone)
        await writer.close()


def some_extent() -> dict[str, float]:
    """A map's view somewhere in the province."""
    zoom = random.randint(9, 15)  # noqa: S311 - a place on the map, no secret
    west = random.uniform(PROVINCE[0], PROVINCE[2])  # noqa: S311
    south = random.uniform(PROVINCE[1], PROVINCE[3])  # noqa: S311
    width = 1280 / 256 * 360 / 2**zoom
    return {"west": west, "south": south, "east": west + width, "north": south + width / 2, "zoom": zoom}
