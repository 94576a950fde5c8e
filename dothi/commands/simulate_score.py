"""`dothi simulate score`: the alarms of the record against what truly happened in a run."""

import csv
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import typer

from dothi.commands.options import AsJson, Folder
from dothi.errors import WrongUsage
from dothi.output import print_json, print_line, print_table
from dothi.scoring import Alarm, score, summary
from dothi.settings import stack_at
from dothi.truth import Event, events_of, seconds

ALARMS = """
select id, kind, severity, area, extract(epoch from raised)::float8, extract(epoch from cleared)::float8, device
from city.alarm
where raised <= to_timestamp(%(end)s) and (cleared is null or cleared >= to_timestamp(%(start)s)) and rank >= %(rank)s
order by raised, id
"""
MEMBERS = "select alarm, device, extract(epoch from since)::float8 from city.alarm_member where alarm = any(%s)"
SEVERITIES = ("info", "warning", "minor", "major", "critical")
LONGEST_GRACE_S = 7 * 86_400.0
SHOWN_FALSE = 10
HEADS = (
    "kind",
    "expected",
    "told",
    "recall (0–1)",
    "alarms",
    "false",
    "precision (0–1)",
    "alarms per matter",
    "median s to detect",
    "95 % s to detect",
)


def score_command(
    truth: Annotated[Path, typer.Option("--truth", help="truth.json of the run.")],
    folder: Folder = None,
    grace_s: Annotated[
        float, typer.Option("--grace-s", help="Seconds after an event in which its alarms still count.")
    ] = 3600.0,
    severity: Annotated[str, typer.Option(help="The least severity that counts.")] = "info",
    as_json: AsJson = False,
) -> None:
    """Compare the alarms of the record with a scenario's truth: precision, recall, time to detect, alarms per matter.

    Events of one cause are one matter. An alarm is false when nothing of the truth happened at its place and time.

    Example: dothi simulate score --dir .dothi --truth out/truth.json
    """
    if severity not in SEVERITIES:
        raise WrongUsage(f"--severity {severity}: allowed: {', '.join(SEVERITIES)}")
    if not 0 <= grace_s <= LONGEST_GRACE_S:
        raise WrongUsage(f"--grace-s {grace_s:g}: allowed: 0 to {LONGEST_GRACE_S:g}")
    document, events = read_truth(truth)
    start, end = seconds(document["run"]["start"]), ended(document, events)
    alarms = read_alarms(stack_at(folder).reader, start, end + grace_s, SEVERITIES.index(severity))
    found = summary(score(events, alarms, grace_s, start))
    if as_json:
        print_json({"run": document["run"], **found})
    else:
        show(found)


def read_truth(path: Path) -> tuple[dict[str, Any], list[Event]]:
    """A truth file and its events. Raises WrongUsage."""
    try:
        document = msgspec.json.decode(path.read_bytes())
        names = {one["devices"]["file"] for one in document["events"] if "file" in one["devices"]}
        return document, events_of(document, {name: read_beside(path.with_name(Path(name).name)) for name in names})
    except OSError as error:
        raise WrongUsage(f"--truth {error.filename or path}: {error.strerror}; allowed: truth.json of a run") from None
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"no truth file ({type(error).__name__}: {error})"
        raise WrongUsage(f"--truth {path}: {said}; allowed: truth.json of a run") from None


def read_beside(path: Path) -> list[tuple[str, float]]:
    """The devices of a file beside the truth, with the times at which they were reached. Raises OSError."""
    with gzip.open(path, "rt") as file:
        return [(row["device"], seconds(row["from"])) for row in csv.DictReader(file)]


def ended(document: dict[str, Any], events: Sequence[Event]) -> float:
    """When a run was over, s since 1970; the end of its last event where nobody knows, and not later than now."""
    said = document["run"]["end"]
    return seconds(said) if said else min(max(one.end for one in events), datetime.now(UTC).timestamp())


def read_alarms(reader: str, start: float, end: float, rank: int) -> list[Alarm]:
    """The alarms that lasted in a span, with their devices."""
    with psycopg.connect(reader, connect_timeout=5) as connection:
        rows = connection.execute(ALARMS, {"start": start, "end": end, "rank": rank}).fetchall()
        members: dict[int, dict[str, float]] = {row[0]: {} for row in rows}
        for alarm, device, since in connection.execute(MEMBERS, (list(members),)):
            if device is not None:
                members[alarm][device] = since
    alarms = []
    for number, kind, severity, area, raised, cleared, device in rows:
        if device is not None:
            members[number].setdefault(device, raised)
        alarms.append(Alarm(number, kind, severity, area, raised, cleared, members[number]))
    return alarms


def show(found: dict[str, Any]) -> None:
    """For a person."""
    print_table(HEADS, [[brief(value) for value in row.values()] for row in found["kinds"]])
    print_line(
        f"{found['matters_told']} of {found['matters']} matters told (recall {brief(found['recall'])}); "
        f"{found['alarms']} alarms, {found['alarms_false']} without a cause (precision {brief(found['precision'])}); "
        f"{brief(found['alarms_per_matter'])} alarms per matter; "
        f"told after {brief(found['detect_median_s'])} s (median), {brief(found['detect_p95_s'])} s (95 %)"
    )
    for one in found["false"][:SHOWN_FALSE]:
        when = datetime.fromtimestamp(one["raised"], UTC)
        where = one["area"] or "province"
        print_line(f"without a cause: alarm {one['id']}, {one['kind']}, {where}, {when:%d/%m %H:%M:%S} UTC")


def brief(value: object) -> object:
    """Two digits behind the point are enough."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
