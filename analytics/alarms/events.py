"""What the platform says of itself → alarms: raised by an event, over when none came for a while."""

from collections.abc import Sequence

import psycopg

from analytics.alarms.matching import code
from analytics.alarms.record import Call, Record
from analytics.alarms.rules import SEVERITIES, FromEvent, Rules, Severity
from analytics.alarms.signs import Event

LAST = """
select key, rule, (extract(epoch from last) * 1000000)::bigint from ops.alarm where cleared is null and rule = any(%s)
"""


def rule_of(rules: Rules, event: Event) -> FromEvent | None:
    """The first rule that names the event's kind; None: nothing is raised."""
    for rule in rules.rules:
        if isinstance(rule, FromEvent) and event.kind in rule.events:
            return None if rule.fold == "none" else rule
    return None


def call_of(rule: FromEvent, event: Event) -> Call:
    """What an event raises. An event of a device that nobody has enrolled has its name in the key."""
    place, device, area = "", None, None
    if rule.fold == "device" and event.name:
        place, device, area = f":{event.name}", event.device, event.area
    elif rule.fold == "area" and event.area is not None:
        place, area = f":{code(event.area)}", event.area
    known: Severity = next((severity for severity in SEVERITIES if severity == event.severity), "minor")
    severity = rule.severity or known
    said = (f"{rule.title.vi}: {event.message_vi or event.message}", f"{rule.title.en}: {event.message}")
    where = (device, area, event.family if device else None)
    return Call(f"{rule.kind}{place}", rule.kind, severity, rule.name, *where, event.at, None, *said, rule.cool_down_s)


def raise_events(record: Record, rules: Rules, events: Sequence[Event]) -> None:
    """Tell the record of events."""
    found = [(rule_of(rules, event), event) for event in events]
    record.call([call_of(rule, event) for rule, event in found if rule is not None])


def clear_events(connection: psycopg.Connection, record: Record, rules: Rules, now: int) -> None:
    """Alarms of which no event came for their quiet time are over. `now`: µs since 1970."""
    quiet = {rule.name: rule.quiet_s * 1e6 for rule in rules.rules if isinstance(rule, FromEvent)}
    lasting = connection.execute(LAST, (list(quiet),)).fetchall()
    record.clear([(key, now) for key, rule, last in lasting if now - last >= quiet[rule]])
