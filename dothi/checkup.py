"""What a device's doctor looks at: registry, broker's door, readings, quarantine, clock and heartbeat, each in words.

A finding that is wrong says the way out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from devices import pending
from devices.gate.table import Seen
from devices.profile import PROFILES, Profile
from devices.route import routes_of
from dothi.at_door import at_the_door
from dothi.findings import Finding, shown_at
from dothi.heard import MEND_CLOCK, accepted, clock, contents, heartbeat, last_readings

Connection = psycopg.Connection[Any]

ALIKE = 0.8
AN_HOUR = timedelta(hours=1)


class Known(NamedTuple):
    """A device as the registry has it."""

    device: str
    number: int
    profile: str
    area: str
    state: str
    aliases: list[str]
    tokens: int
    revoked: int
    online: bool | None
    online_since: datetime | None


KNOWN = """
select d.device, d.id, p.profile, a.code, d.state,
       array(select l.route || ':' || l.foreign_id from registry.alias l where l.device = d.id order by 1),
       (select count(*) from registry.credential c where c.device = d.id and c.revoked is null),
       (select count(*) from registry.credential c where c.device = d.id and c.revoked is not null),
       o.online, o.since
from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area
left join ops.presence o on o.device = d.id
where d.device = %s
"""
REJECTED = """
select received, topic, layer, reason, field, value, detail,
       (select count(*) from ops.quarantine n where n.device = %(device)s and n.received > now() - interval '1 day'
        and n.replayed is null and n.reason <> 'unknown_device') as day
from ops.quarantine
where device = %(device)s and replayed is null and reason <> 'unknown_device' order by received desc limit 1
"""
REFUSED_AT_DOOR = """
select message from ops.event where device = %s and kind = 'refused' and time > now() - interval '7 days'
order by time desc limit 1
"""
RESEMBLING = "select device from registry.device where device like %s order by device limit 200"


def examine(connection: Connection, device: str, seen: Seen | None, has_gate: bool) -> Iterator[Finding]:
    """Everything that can be said of a device. `seen`: at the broker's door; `has_gate`: whether it could be asked."""
    row = connection.execute(KNOWN, (device,)).fetchone()
    if row is None:
        yield stranger(connection, device)
        return
    known = Known(*row)
    profile = PROFILES.get(known.profile)
    yield enrolled(known)
    if profile is None:
        yield Finding("profile", f"{known.profile} is not known to this code", False, "update dothi, or enrol it anew")
        return
    yield topic(known, profile)
    readings = last_readings(connection, device, profile.family)
    if profile.route is None:
        yield token(known, bool(readings))
        reason = connection.execute(REFUSED_AT_DOOR, (device,)).fetchone()
        yield from at_the_door(known.device, known.area, seen, has_gate, reason[0] if reason else None)
    yield accepted(profile, readings)
    yield rejected(connection, known)
    if readings:
        yield from contents(profile, readings)
        yield clock(readings)
        yield heartbeat(profile, known.state, known.online, readings[0]["received"])
    else:
        yield from resembling(connection, known, profile)


def stranger(connection: Connection, device: str) -> Finding:
    """Nobody enrolled it: whether it speaks, and which ids are like it."""
    since = datetime.now(UTC) - timedelta(days=7)
    speaking = [one for one in pending.strangers(connection, since) if device in (one.name, one.foreign_id)]
    if speaking:
        one = speaking[0]
        said = f"{device} is not enrolled, but it speaks: {one.messages} messages kept, the last {shown_at(one.last)}"
        return Finding("enrolled", said, False, f"dothi devices pending, then: dothi devices accept {one.name}")
    rows = connection.execute(RESEMBLING, (device[:3].replace("_", "").replace("%", "") + "%",)).fetchall()
    near = sorted((name for (name,) in rows if alike(name, device) >= ALIKE), key=lambda name: -alike(name, device))
    mean = f"did you mean {', '.join(near[:3])}? else " if near else ""
    mend = f"{mean}dothi devices enroll FILE.csv"
    return Finding(
        "enrolled", f"no device {device} is enrolled, and none of this name has spoken in 7 days", False, mend
    )


def alike(one: str, other: str) -> float:
    """How much two ids have in common, 0 to 1."""
    return SequenceMatcher(None, one, other).ratio()


def enrolled(known: Known) -> Finding:
    """In the registry, and in which state."""
    said = f"profile {known.profile}, area {known.area}, state {known.state}"
    if known.state == "retired":
        return Finding("enrolled", said, False, "its messages are refused; enrol it again, or silence it")
    return Finding("enrolled", said)


def topic(known: Known, profile: Profile) -> Finding:
    """Where it must publish."""
    if profile.route is None:
        return Finding("topic", f"it must publish to dothi/v1/{known.area}/{known.device}/up")
    own = [alias for alias in known.aliases if alias.startswith(profile.route + ":")]
    filters = ", ".join(pattern for route in routes_of(profile.route) for pattern in route.topics[:3])
    if own:
        return Finding("topic", f"known as {', '.join(own)}; its messages come by {filters}")
    mend = f"enrol it with alias {profile.route}:NAME, the name that {profile.route} gives it"
    return Finding("topic", f"no name on route {profile.route} leads to it", False, mend)


def token(known: Known, heard: bool) -> Finding:
    """Whether it can come in by itself."""
    issue = f"dothi devices credentials issue {known.device}"
    if known.tokens:
        return Finding("token", "two are valid until the new one is used" if known.tokens > 1 else "one is valid")
    if known.revoked:
        return Finding("token", "all were revoked: the device is not let in", False, issue)
    return Finding("token", "none was issued: only a gateway can speak for it", None if heard else False, issue)


def rejected(connection: Connection, known: Known) -> Finding:
    """Its newest message that was quarantined; wrong when that is not long ago."""
    row = connection.cursor(row_factory=dict_row).execute(REJECTED, {"device": known.device}).fetchone()
    if row is None:
        return Finding("last rejected", "nothing of it is in quarantine")
    said = f"{shown_at(row['received'])} on {row['topic']}: {row['reason']}: {row['detail']}; {row['day']} in a day"
    if datetime.now(UTC) - row["received"] > AN_HOUR:
        return Finding("last rejected", said)
    return Finding("last rejected", said, False, MEND.get(row["reason"], MEND_CONTENT).format(device=known.device))


MEND_CONTENT = (
    "mend the device; if it is right and the profile wrong (another firmware?): dothi devices check FILE, then "
    "dothi ingest replay --device {device}"
)
MEND = {
    "wrong_area": "have it publish under its own area, or move it: dothi devices enroll FILE.csv with the new area",
    "retired_device": "enrol it again, or silence it",
    "unknown_route": "its profile is of another route; enrol it with one of this route",
    "conflict": "two readings with one time and seq: let seq grow, and boot change with each start; or two devices "
    "share the id",
    **dict.fromkeys(("bad_time", "time_unit", "clock_not_set", "in_future", "too_late"), MEND_CLOCK),
}


def resembling(connection: Connection, known: Known, profile: Profile) -> Iterator[Finding]:
    """Of a device that was never heard: unknown ones that are called almost the same."""
    since = datetime.now(UTC) - timedelta(days=7)
    own = [known.device, *(alias.partition(":")[2] for alias in known.aliases)]
    kind = profile.route or pending.NATIVE
    for one in pending.strangers(connection, since):
        if one.kind == kind and max(alike(one.foreign_id, name) for name in own) >= ALIKE:
            said = f"{one.name}, which is not enrolled, spoke {shown_at(one.last)}: the same device with another id?"
            yield Finding("id", said, False, f"set its id to {own[-1]}, or: dothi devices accept {one.name}")
            return
