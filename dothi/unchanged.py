"""Whether a database is still as this very code left it: then nothing has to be made, and the start is quick.

Two digests are kept as the comment of schema `rollup`: of all that decides what is made (families, the files of the
rooms, the versions of the server), and of what the catalogues of the database and of the registry hold. A table that
someone drops, a column that someone adds, another version of the code: each changes one of them, and everything is gone
through again. Profiles are not even read then.
"""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg
from psycopg import sql

from devices.family import FAMILIES

ROOMS = ("devices", "ingest", "analytics")
ENDINGS = (".py", ".yaml", ".sql", ".csv")

SERVER = "select version(), (select extversion from pg_extension where extname = 'timescaledb')"
# Relations with their columns, indexes with their validity, and the texts that views were made from.
MADE = """
with ours as (
    select c.oid, n.nspname, c.relname, c.relkind, c.relowner, c.relacl
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('reading', 'rollup', 'city', 'ops', 'registry'))
select md5(string_agg(part, chr(10) order by part)) from (
    select concat_ws(' ', o.nspname, o.relname, o.relkind, o.relowner, o.relacl::text, string_agg(
        concat_ws(' ', a.attname, a.atttypid, a.attnotnull), ',' order by a.attnum)) as part
    from ours o join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
    group by o.oid, o.nspname, o.relname, o.relkind, o.relowner, o.relacl::text
    union all
    select concat_ws(' ', 'comment', o.nspname, o.relname, md5(d.description))
    from ours o join pg_description d on d.objoid = o.oid and d.classoid = 'pg_class'::regclass and d.objsubid = 0
    union all
    select concat_ws(' ', 'index', o.nspname, o.relname, i.indisvalid, i.indisready, i.indkey)
    from ours o join pg_index i on i.indexrelid = o.oid
    union all select concat('area ', one) from registry.area one
    union all select concat('unit ', one) from registry.unit one
    union all select concat('target ', one) from registry.target one
    union all select concat('profile ', one) from registry.profile one
) parts
"""


def as_left(connection: psycopg.Connection) -> bool:
    """Whether nothing that decides or shows what is made has changed since `leave`."""
    kept = connection.execute("select obj_description(to_regnamespace('rollup'), 'pg_namespace')").fetchone()
    return kept == (digests(connection),)


def leave(connection: psycopg.Connection) -> None:
    """Note that the database is as this code wants it."""
    comment = sql.SQL("comment on schema rollup is {}").format(sql.Literal(digests(connection)))
    connection.execute(comment)


def digests(connection: psycopg.Connection) -> str:
    """What decides and what is there, each as hexadecimal digits."""
    server, made = (connection.execute(query).fetchone() for query in (SERVER, MADE))
    return f"{code_digest()} {hashlib.sha256(repr(server).encode()).hexdigest()[:16]} {made[0] if made else None}"


def code_digest() -> str:
    """Of the families and intervals as they are in memory, and of every file of the rooms that could matter."""
    digest = hashlib.sha256(repr(FAMILIES).encode())
    for room in ROOMS:
        for file in texts(files(room)):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def texts(folder: Traversable) -> Iterator[Traversable]:
    """Files of a package that are code or data, in a fixed order."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from texts(entry)
        elif entry.name.endswith(ENDINGS):
            yield entry
