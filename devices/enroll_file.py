"""An enrolment file into the registry, all of it or nothing, with a word on every line and tokens where wanted."""

import csv
from collections.abc import Iterable, Iterator
from typing import IO, Any, BinaryIO, NamedTuple

import psycopg

from devices import credentials
from devices.enroll import NOTHING, Terms, judged_in
from devices.enroll_clean import clean_lines
from devices.enroll_read import Piece, Record, pieces
from devices.enroll_stage import Staged, Told, line_of, nothing, stage_text
from devices.registry import Connection, Enrolled, lock_registry, settle

TOKENS_AT_ONCE = 100_000
MANY = 10_000
"""So many new devices change what the planner should know, and lookups should not wait until it is told by itself."""
REPORT = """
copy (
    select line, device, result, "column", value, detail from finding
    union all
    select e.line, e.device, {result}, null, null, null from enrolling e left join registry.device d using (device)
    where e.wrong is null and not exists (select from finding f where f.line = e.line and f.result = 'mistake')
    order by 1, 3
) to stdout (format csv, header)
"""
SETTLED = """
case when d.changed is distinct from pg_current_xact_id() then 'unchanged' when d.enrolled = now() then 'new'
else 'changed' end
"""
NEWCOMERS = """
select e.device from enrolling e join registry.device d using (device)
where not exists (select from registry.credential c where c.device = d.id and c.revoked is null) order by e.line
"""


class Outcome(NamedTuple):
    """What was found in the file, what was done, how many tokens were written."""

    staged: Staged
    enrolled: Enrolled
    tokens: int


class Outputs(NamedTuple):
    """Where to write line,device,result,column,value,detail, and device,token, as CSV."""

    report: BinaryIO | None = None
    tokens: IO[str] | None = None


def enroll_file(
    connection: Connection, file: BinaryIO, terms: Terms, dry_run: bool, outputs: Outputs, told: Told = nothing
) -> Outcome:
    """Check every line, then enrol all devices of the file unless there is a mistake.

    Dry runs go the same way and stop before anything changes. Reports and tokens are written before the commit: when
    that fails, nothing was enrolled, and running it again is safe.
    """
    with connection.transaction(), connection.cursor() as cursor:
        found = stage_text(cursor, lines_of(pieces(file), terms, told), nothing if dry_run else lock_registry)
        result, tokens, settling = Enrolled(0, 0, 0), 0, not (dry_run or found.wrong)
        if settling:
            result = settle(cursor, found.devices)
        if outputs.report:
            write_report(cursor, outputs.report, settling)
        if settling and outputs.tokens:
            tokens = write_tokens(connection, outputs.tokens)
        if settling:
            cursor.execute("drop table enrolling, finding")
        else:
            raise psycopg.Rollback
    if result.new >= MANY:
        connection.execute("analyze registry.device")
    return Outcome(found, result, tokens)


def lines_of(file: Iterable[Piece | list[Record]], terms: Terms, told: Told) -> Iterator[str]:
    """A file as lines to stage, a piece at a time."""
    empty = True
    for piece in file:
        lines = clean_lines(piece, terms) if isinstance(piece, Piece) else None
        if lines is None:
            lines = [*map(line_of, judged_in(piece, terms))]
        empty = empty and not lines
        yield "".join(lines)
        told(len(lines))
    if empty:
        yield line_of(NOTHING)


def write_report(cursor: psycopg.Cursor[Any], file: BinaryIO, settled: bool) -> None:
    """A line for each device and for each mistake and warning, in the order of the file."""
    with cursor.copy(REPORT.format(result=SETTLED if settled else "'right'").encode()) as copy:
        for piece in copy:
            file.write(piece)
    file.flush()


def write_tokens(connection: Connection, file: IO[str]) -> int:
    """A token for each device of the file that has none; how many."""
    writer, count = csv.writer(file, lineterminator="\n"), 0
    writer.writerow(credentials.Issued._fields)
    for devices in without_token(connection):
        writer.writerows(credentials.issue(connection, devices))
        count += len(devices)
    file.flush()
    return count


def without_token(connection: Connection) -> Iterator[list[str]]:
    """Devices of the file without a valid token, in lists of a handy size."""
    with connection.cursor("without_token") as cursor:
        cursor.execute(NEWCOMERS.encode())
        while rows := cursor.fetchmany(TOKENS_AT_ONCE):
            yield [device for (device,) in rows]
