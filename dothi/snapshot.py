"""What the live view shows, asked as reader: totals every second, devices as often as their number allows."""

import time
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from devices.family import FAMILIES, Family, Metric

STATEMENT_TIMEOUT_MS = 2000
SHARE_OF_TIME = 0.05  # the device part may keep the database busy this much of the time
CLOSE_EVERY = timedelta(hours=1)
HEADLINE = 3  # metrics of a family that are candidates for "newest reading"

LEDGER = """
select coalesce(sum(received), 0)::bigint, coalesce(sum(stored), 0)::bigint, coalesce(sum(duplicate), 0)::bigint,
       coalesce(sum(quarantined), 0)::bigint, coalesce(sum(partial), 0)::bigint
from city.ledger where minute >= %s and minute < %s
"""
WORKERS = """
select count(*), coalesce(sum(in_flight), 0)::bigint, coalesce(max(lag_s), 0), coalesce(sum(rate_per_s), 0)
from city.worker where at > now() - interval '5 seconds'
"""
DEVICES = """
select c.family, c.devices, coalesce(k.online, 0), coalesce(r.per_minute, 0)
from (select family, sum(devices) as devices from city.device_count where state in ('enrolled', 'active')
      group by family) c
left join (select family, sum(online) as online from city.connectivity group by family) k using (family)
left join city.rate r using (family)
"""
AREAS = "select area, name from city.plan order by area"
NOW = "select now(), date_trunc('minute', now()) - interval '10 minutes'"


class Totals(NamedTuple):
    """Readings since the ledger began."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    partial: int = 0


class Flow(NamedTuple):
    """What the workers say of themselves now. `lag_s`: age of the oldest message in hand; `rate_per_s`: messages."""

    workers: int = 0
    in_flight: int = 0
    lag_s: float = 0.0
    rate_per_s: float = 0.0


class FamilyLine(NamedTuple):
    """Devices of a family, those heard within three of their intervals, and readings per minute."""

    family: str
    devices: int
    reporting: int
    per_minute: float


class Newest(NamedTuple):
    """The newest reading of an area. `received`: when the platform had it."""

    area: str
    name: str
    family: str
    metric: str
    value: float | str
    received: datetime


class Snapshot(NamedTuple):
    """All that is shown at one moment. `taken`: the database's clock. `trouble`: why it cannot be asked, or None."""

    taken: datetime | None
    totals: Totals
    flow: Flow
    families: tuple[FamilyLine, ...]
    newest: tuple[Newest, ...]
    trouble: str | None = None


EMPTY = Snapshot(None, Totals(), Flow(), (), ())


class Reader:
    """Asks the database for snapshots, over one connection that is made anew when it breaks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._last = EMPTY
        self._closed: tuple[datetime | None, Totals] = None, Totals()
        self._names: dict[str, str] = {}
        self._next_devices = 0.0

    def snapshot(self) -> Snapshot:
        """The newest snapshot; when the database does not answer, the last one with the trouble named."""
        try:
            self._last = self._ask(self._connected())
        except psycopg.Error as error:
            self.close()
            self._last = self._last._replace(trouble=trouble_of(error))
        return self._last

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=2, application_name="dothi live"
            )
            self._connection.execute(f"set statement_timeout = {STATEMENT_TIMEOUT_MS}")
        return self._connection

    def _ask(self, connection: psycopg.Connection[Any]) -> Snapshot:
        taken, cut = _row(connection, NOW)
        totals = self._totals(connection, cut)
        flow = Flow(*_row(connection, WORKERS))
        families, newest = self._last.families, self._last.newest
        if time.monotonic() >= self._next_devices:
            begun = time.monotonic()
            families, newest = self._families(connection), self._newest(connection)
            self._next_devices = begun + (time.monotonic() - begun) / SHARE_OF_TIME
        return Snapshot(taken, totals, flow, families, newest)

    def _totals(self, connection: psycopg.Connection[Any], cut: datetime) -> Totals:
        """Minutes long past do not change: they are added up once an hour, so a long ledger costs nothing more."""
        since, before = self._closed
        if since is None or cut - since > CLOSE_EVERY:
            before = _add(before, _row(connection, LEDGER, since or "-infinity", cut))
            since = cut
            self._closed = since, before
        return _add(before, _row(connection, LEDGER, since, "infinity"))

    def _families(self, connection: psycopg.Connection[Any]) -> tuple[FamilyLine, ...]:
        order = list(FAMILIES)
        lines = [FamilyLine(*row) for row in connection.execute(DEVICES) if row[0] in order]
        return tuple(sorted(lines, key=lambda line: order.index(line.family)))

    def _newest(self, connection: psycopg.Connection[Any]) -> tuple[Newest, ...]:
        self._names = self._names or dict(connection.execute(AREAS).fetchall())
        found: dict[str, Newest] = {}
        for family in FAMILIES.values():
            for area, received, *values in connection.execute(newest_query(family)):
                shown = headline(family, values)
                if shown and (area not in found or found[area].received < received):
                    found[area] = Newest(
                        area, self._names.get(area, area), family.name, shown[0].name, shown[1], received
                    )
        return tuple(found[area] for area in sorted(found))


def _row(connection: psycopg.Connection[Any], query: LiteralString, *arguments: object) -> tuple[Any, ...]:
    """The only row of a query that always gives one."""
    return connection.execute(query, arguments).fetchone() or ()


def _add(before: Totals, row: tuple[int, ...]) -> Totals:
    return Totals(*(old + new for old, new in zip(before, row, strict=True)))


def newest_query(family: Family) -> sql.Composed:
    """The newest reading of each area in one family, of the last hour."""
    metrics = sql.SQL(", ").join(sql.Identifier(metric.name) for metric in family.metrics[:HEADLINE])
    return sql.SQL(
        "select distinct on (area) area, received, {} from {} "
        "where time > now() - interval '1 hour' order by area, received desc"
    ).format(metrics, sql.Identifier("city", f"latest_{family.name}"))


def headline(family: Family, values: list[Any]) -> tuple[Metric, float | str] | None:
    """The first metric of a reading that has a value."""
    pairs = zip(family.metrics, values, strict=False)
    return next(((metric, value) for metric, value in pairs if value is not None), None)


def trouble_of(error: psycopg.Error) -> str:
    """What to tell of an error, in a few words."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "the database is too busy to answer within 2 s"
    if isinstance(error, psycopg.OperationalError):
        return "database restarting or unreachable; going on when it answers"
    return str(error).partition("\n")[0]
