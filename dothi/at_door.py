"""What the gate at the broker saw of a device, in words: session, failures, takeovers, denials, floods."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from devices.gate.table import Seen, Table
from dothi.findings import Finding, shown_at

RECENT_S = 3600
FIGHTS = 2
"""Takeovers; a single one is a connection that broke and came back."""


def seen_at(folder: Path | None, device: str) -> tuple[Seen | None, bool]:
    """What the gates of a stack saw of a device, and whether they could be asked; of several, the last that did."""
    found: list[Seen] = []
    asked = False
    for path in sorted(folder.glob("broker-*/gate.table")) if folder else ():
        try:
            table = Table(path)
        except (OSError, ValueError):
            continue
        asked, seen = True, table.seen(device)
        table.close()
        found += [seen] if seen else []
    return max(found, key=last_seen, default=None), asked


def last_seen(seen: Seen) -> int:
    """When anything happened, seconds since 1970."""
    return max(*seen.used_at, seen.left_at, seen.failed_at, seen.denied_at)


def at_the_door(device: str, area: str, seen: Seen | None, has_gate: bool, reason: str | None) -> Iterator[Finding]:
    """Everything that the gate can tell. `reason`: in words, why it was not let in the last time."""
    if not has_gate:
        yield Finding("session", "unknown: no gate of ours is at this broker, or its folder is closed to you", None)
        return
    if seen is None or not last_seen(seen):
        yield Finding("session", "it never came to the broker by itself", None)
        return
    yield session(seen)
    yield failure(seen, reason)
    yield fights(seen)
    yield denial(device, area, seen)
    yield flood(seen)


def session(seen: Seen) -> Finding:
    """Connected now, or when last."""
    used = max(seen.used_at)
    if seen.connected:
        return Finding("session", f"connected now, since {moment(used)}")
    if not used:
        return Finding("session", "it was never let in", None)
    return Finding("session", f"not connected; came in {moment(used)}, left {moment(seen.left_at)}", None)


def failure(seen: Seen, reason: str | None) -> Finding:
    """The last connection that was refused; wrong unless it came in since."""
    if not seen.failed:
        return Finding("refused connections", "none")
    said = f"{seen.failed}, the last {moment(seen.failed_at)}: {reason or 'see dothi devices tail'}"
    if max(seen.used_at) > seen.failed_at:
        return Finding("refused connections", f"{said}; it came in since")
    mend = "user name and client id are the device's id, the password is its token; a new one: "
    return Finding("refused connections", said, False, mend + "dothi devices credentials issue")


def fights(seen: Seen) -> Finding:
    """Whether two devices drive each other out."""
    if not seen.taken:
        return Finding("id fights", "none")
    said = f"{seen.taken} times a second connection took over, the last {moment(seen.taken_at)}"
    if seen.taken < FIGHTS or not recent(seen.taken_at):
        return Finding("id fights", f"{said}; a connection that broke and came back", None)
    mend = "two devices with one id, or a device that connects twice: give each its own id and token"
    return Finding("id fights", said, False, mend)


def denial(device: str, area: str, seen: Seen) -> Finding:
    """The last topic that was closed to it."""
    if not seen.denied:
        return Finding("denied topics", "none")
    said = f"{seen.denied}, the last {moment(seen.denied_at)}: {seen.topic}"
    if not recent(seen.denied_at):
        return Finding("denied topics", said)
    return Finding("denied topics", said, False, difference(device, area, seen.topic))


def difference(device: str, area: str, topic: str) -> str:
    """What is wrong with a topic, and the right one.

    >>> difference("aq-1", "213", "dothi/v1/213/aq-2/up")
    'the topic names aq-2, the device is aq-1; publish to dothi/v1/213/aq-1/up'
    >>> difference("aq-1", "213", "/dothi/v1/213/aq-1/up")
    'no slash at its beginning; publish to dothi/v1/213/aq-1/up'
    """
    own, levels = f"dothi/v1/{area}/{device}/up", topic.split("/")
    wrong = f"it must begin with dothi/v1/{area}/"
    if topic.startswith("/"):
        wrong = "no slash at its beginning"
    elif levels[:2] == ["dothi", "v1"] and len(levels) == 5:
        if levels[3] != device:
            wrong = f"the topic names {levels[3]}, the device is {device}"
        elif levels[2] != area:
            wrong = f"{levels[2]} is no area of the plan, the device is in {area}"
        else:
            wrong = f"a device does not publish to …/{levels[4]}"
    elif topic.lower() == own:
        wrong = "topics are in small letters"
    return f"{wrong}; publish to {own}"


def flood(seen: Seen) -> Finding:
    """Whether it sent more than one device may."""
    if not seen.flooded:
        return Finding("floods", "none")
    said = f"{seen.flooded} messages refused for sending too fast, the last {moment(seen.flooded_at)}"
    if not recent(seen.flooded_at):
        return Finding("floods", said)
    return Finding("floods", said, False, "slow it down, or send several readings in one message as a list")


def moment(seconds: int) -> str:
    """A time of the gate for people."""
    return shown_at(datetime.fromtimestamp(seconds, UTC)) if seconds else "never"


def recent(seconds: int) -> bool:
    """Within the last hour."""
    return datetime.now(UTC).timestamp() - seconds < RECENT_S
