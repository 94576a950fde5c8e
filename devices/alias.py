"""Names that foreign systems give devices: one is taken away, and what comes under it is unknown again."""

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


class NoSuchAlias(ValueError):
    """Nobody is called so. The message says what is like it."""


def remove_alias(connection: Connection, route: str, foreign_id: str, reason: str | None) -> str:
    """Take a foreign name away from the device that it leads to; that device. Raises NoSuchAlias.

    It stands in the history of the device. A LoRaWAN name is the EUI, so that goes, too. Ingest is told by the change
    of the device: a name that is gone cannot say so itself.
    """
    with connection.transaction():
        connection.execute("select registry.lock_counts()")
        row = connection.execute(GONE, (route, foreign_id)).fetchone()
        if row is None:
            raise NoSuchAlias(f"no device is called {route}:{foreign_id}{near(connection, route, foreign_id)}")
        number, device, state = row
        connection.execute(TOUCHED, (route, foreign_id, number))
        said = f"alias {route}:{foreign_id} removed" + (f": {reason}" if reason else "")
        connection.execute(NOTED, (number, state, state, said))
    return str(device)


def near(connection: Connection, route: str, foreign_id: str) -> str:
    """What the route calls devices in almost the same way, as the end of a sentence."""
    rows = connection.execute(LIKE, (route, foreign_id)).fetchall()
    return f"; is it {' or '.join(f'{route}:{name}' for (name,) in rows)}?" if rows else "; see: dothi devices show"


GONE = """
delete from registry.alias l using registry.device d
where d.id = l.device and l.route = %s and l.foreign_id = %s returning d.id, d.device, d.state
"""
TOUCHED = """
update registry.device set changed = pg_current_xact_id(),
    eui = case when %s = 'lorawan' and eui = %s then null else eui end
where id = %s
"""
NOTED = "insert into registry.history (device, was, state, reason) values (%s, %s, %s, %s)"
LIKE = """
select foreign_id from registry.alias where route = %s and registry.fold(foreign_id) = registry.fold(%s) limit 3
"""
