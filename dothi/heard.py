"""What a device's newest readings say of it: values, fields, clock and heartbeat, in words."""

from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from devices.family import Family
from devices.laws import mapped_metrics, payload_of
from devices.native import RESERVED
from devices.outcome import refused_of
from devices.profile import Profile
from devices.reading import Reading
from devices.vocabulary import word_of
from dothi.findings import Finding, long, shown_at

Connection = psycopg.Connection[Any]

LAST = 20
"""Readings that are looked at."""
AHEAD_S = 30.0
BEHIND_S = 600.0
HOUR_S = 3600.0
ALIKE = 0.8
BESIDE = RESERVED | {"port"}
"""Names in extra that say how a message came and what was refused of it."""
MEND_CLOCK = "set the device's clock (NTP), send UTC, or send no time at all: then the time of receipt counts"


def last_readings(connection: Connection, device: str, family: Family) -> list[dict[str, Any]]:
    """Its newest readings, the newest first."""
    statement = sql.SQL("select * from {} where device = %s order by time desc limit %s")
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(statement.format(sql.Identifier("city", family.name)), (device, LAST)).fetchall()


def accepted(profile: Profile, readings: list[dict[str, Any]]) -> Finding:
    """Its newest reading."""
    if not readings:
        return Finding("last accepted", "no reading was ever stored", False, "see what is wrong above and below")
    row = readings[0]
    values = [f"{name} {row[name]:.6g}" for name in profile.family.index if isinstance(row.get(name), float)]
    said = f"{shown_at(row['time'])}, received {shown_at(row['received'])}: {', '.join(values[:6])}"
    return Finding("last accepted", said)


def contents(profile: Profile, readings: list[dict[str, Any]]) -> Iterator[Finding]:
    """What was refused of its readings, what never comes, and what nobody asked for."""
    extras = [row["extra"] or {} for row in readings]
    refused: dict[str, str] = {}
    for extra in reversed(extras):
        refused |= refused_of(profile.family, profile, Reading(None, 0, None, [], extra, b""))
    if refused:
        raws = {name: raw for extra in reversed(extras) for name, raw in extra.get("rejected", {}).items()}
        said = "; ".join(f"{why} (sent: {raws[name]!r})" for name, why in refused.items())
        mend = "mend the unit or scale in the device, or in its profile, then: dothi devices check FILE"
        yield Finding("values", f"of its last {len(readings)} readings parts were not taken: {said}", False, mend)
    yield from fields(profile, readings, sorted({name for extra in extras for name in extra.keys() - BESIDE}))


def fields(profile: Profile, readings: list[dict[str, Any]], strange: list[str]) -> Iterator[Finding]:
    """Whether its messages are those that the profile describes. `strange`: fields that it does not know."""
    missing = [name for name in mapped_metrics(profile) if all(row.get(name) is None for row in readings)]
    doubtful = sorted({*strange} - usual(profile)) if strange else []
    pairs = [f"{field} ({name}?)" for field in doubtful if (name := meant(last_word(field), missing))]
    if pairs:
        said = f"it sends {', '.join(pairs[:6])}, which profile {profile.name} does not know by that name"
        mend = f"another firmware, or names written otherwise; compare: dothi devices check {profile.name}"
        yield Finding("fields", said, False, mend)
    elif strange:
        yield Finding("fields", f"kept in extra, for the profile does not know them: {', '.join(strange[:6])}", None)


def usual(profile: Profile) -> frozenset[str]:
    """Fields that the profile leaves aside in its own examples: healthy devices send them, too."""
    results = [one for e in profile.examples for one in profile.read(payload_of(e), e.get("topic", ""))]
    return frozenset(name for one in results if isinstance(one, Reading) for name in one.extra or ())


def meant(word: str, missing: list[str]) -> str | None:
    """The metric that never comes and is most likely meant by a field's name."""
    known = [meaning.metric for meaning in word_of(word).meanings[:1] if meaning.metric in missing]
    return next(iter(known or get_close_matches(word, missing, 1, ALIKE)), None)


def last_word(field: str) -> str:
    """The name at the end of a path, in small letters."""
    return field.rpartition(".")[2].lower()


def clock(readings: list[dict[str, Any]]) -> Finding:
    """Its clock against the time of receipt."""
    late = sorted((row["received"] - row["time"]).total_seconds() for row in readings if row["time"] != row["received"])
    if not late:
        return Finding("clock", "it sends no time; the time of receipt counts")
    middle = late[len(late) // 2]
    hours = round(middle / HOUR_S)
    if middle < -AHEAD_S:
        return Finding("clock", f"{long(-middle)} ahead (median of {len(late)})", False, MEND_CLOCK)
    if middle > BEHIND_S and late[-1] - late[0] < BEHIND_S:
        zone = (
            f", which is {hours} hours: a local time sent as UTC?"
            if hours and abs(middle - hours * HOUR_S) < 120
            else ""
        )
        return Finding("clock", f"{long(middle)} behind (median of {len(late)}){zone}", False, MEND_CLOCK)
    if middle > BEHIND_S:
        return Finding("clock", f"readings come {long(middle)} late in the middle: it sends what it had stored", None)
    return Finding("clock", f"right within {max(abs(middle), 1):.0f} s (median of {len(late)})")


def heartbeat(profile: Profile, state: str, online: bool | None, received: datetime) -> Finding:
    """Whether it speaks as often as its profile says."""
    silent = (datetime.now(UTC) - received).total_seconds()
    limit = profile.interval_s * profile.offline_after
    said = f"silent for {long(silent)}; expected every {long(profile.interval_s)}"
    status = f", and says itself that it is {'online' if online else 'offline'}" if online is not None else ""
    if silent > limit and state != "maintenance":
        mend = "power, network, or an interval set otherwise; if that is meant, its profile needs another interval_s"
        return Finding("heartbeat", said + status, False, mend)
    return Finding("heartbeat", said + status)
