"""What the gates say at the door: lines of the brokers' logs → events, each thing of each device once a minute."""

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ingest.watch import Event

# From the beginning: what clients choose themselves stands further on in lines of mosquitto.
# A topic comes last, and may hold anything.
LINE = re.compile(r"\S*: gate: (?P<kind>refused|denied|flood|taken) device=(?P<device>\S+) ?(?P<rest>.*)")
WORD = re.compile(r"topic=.*|\S+=\S*")
GATEWAY = "gateway"
AGAIN_S = 60.0
REMEMBERED = 10_000
MOST_OF_ONE = 5  # of one device, in so many seconds
MOST = 300  # of all: somebody who tries any names must not fill the database
MOST_READ = 1 << 20

SEVERITY = {"refused": "warning", "denied": "warning", "flood": "minor", "taken": "info", "spoof": "major"}
WHY = {
    "bad_id": "the user name is no device id; expected 3 to 63 of a-z, 0-9 and -",
    "unknown": "no such device has a token; enrol it, then: dothi devices credentials issue",
    "sessions": "four clients stand under its id already; end one",
    "reserved": "client ids that begin with dothi-inbox- are those of ingest",
    "network": "ingest and gateway are let in from this machine only; devices come in with their own tokens",
    "client_id": "the client id is another than the device's id; use the same for both",
    "no_token": "no password was given; it is the device's token",
    "token": "the token is not the one that was issued; dothi devices credentials issue makes a new one",
    "revoked": "its tokens were revoked; dothi devices credentials issue makes a new one",
}


class Said(NamedTuple):
    """One line of a gate."""

    kind: str
    device: str
    words: dict[str, str]


def heard(line: str) -> Said | None:
    """What a line of the log says; None when it is not the gate's."""
    found = LINE.match(line)
    if not found:
        return None
    pairs = (word.partition("=") for word in WORD.findall(found["rest"]))
    return Said(found["kind"], found["device"], {name: value for name, _, value in pairs})


def message(said: Said) -> str:
    """One sentence with the way out."""
    if said.kind == "refused":
        return f"{said.device} was not let in: {WHY.get(said.words.get('reason', ''), 'see detail')}"
    if said.kind == "denied" and said.device == GATEWAY:
        return f"a gateway may not publish to {said.words.get('topic', '?')}: {astray(said.words.get('topic', ''))}"
    if said.kind == "denied":
        verb = "publish to" if said.words.get("access") == "publish" else "read"
        topic = said.words.get("topic", "?")
        return f"{said.device} may not {verb} {topic}; its own is dothi/v1/{{area}}/{said.device}/up"
    if said.kind == "flood":
        limit = said.words.get("limit", "?")
        return f"{said.device} sends more than {limit} messages a second; the rest is refused"
    return f"{said.device} came in while it stood already; two devices with one id, or a broken connection"


def under_another_name(said: Said) -> bool:
    """Whether a device published under the id of another.

    >>> said = {"access": "publish", "topic": "dothi/v1/213/aq-2/up"}
    >>> under_another_name(Said("denied", "aq-1", said)), under_another_name(Said("denied", "aq-2", said))
    (True, False)
    """
    levels = said.words.get("topic", "").split("/")
    publishes = said.kind == "denied" and said.device != GATEWAY and said.words.get("access") == "publish"
    return publishes and len(levels) == 5 and levels[:2] == ["dothi", "v1"] and levels[3] != said.device


def spoof_vi(said: Said) -> str:
    """What the alarm of it says in Vietnamese."""
    return f"{said.device} gửi vào {said.words['topic']} của thiết bị khác và bị từ chối"


def astray(topic: str) -> str:
    """Why a message of a gateway finds nobody, and the way out.

    >>> astray("dothi/v1/999/aq-1/up")
    'no area 999 at this broker; a gateway publishes to dothi/v1/{area}/{device}/up'
    """
    levels = topic.split("/")
    if levels[:2] != ["dothi", "v1"]:
        return "no route takes it; routes and their topics: docs/reference/profiles.md"
    ends = len(levels) == 5 and levels[4] in ("up", "status")
    why = f"no area {levels[2]} at this broker" if ends else "what it publishes ends in /up or /status"
    return f"{why}; a gateway publishes to dothi/v1/{{area}}/{{device}}/up"


class Door:
    """Follows the logs from where they end now."""

    def __init__(self, logs: Sequence[Path]) -> None:
        """`logs`: one per broker; a file may not be there yet."""
        self._at = {log: log.stat().st_size if log.exists() else 0 for log in logs}
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._minute = float("-inf")
        self._in_minute: Counter[str] = Counter()

    def events(self, now: float) -> Iterator[Event]:
        """What is new; `now`: seconds since 1970."""
        for log in self._at:
            for line in self._lines(log):
                said = heard(line)
                if said and self._is_new(said, now):
                    detail = {"from": said.words.get("from")} | said.words
                    kind = said.kind
                    if under_another_name(said):
                        kind, detail = "spoof", detail | {"message_vi": spoof_vi(said)}
                    yield Event(now, kind, SEVERITY[kind], None, message(said), detail, said.device)

    def _lines(self, log: Path) -> list[str]:
        """Whole lines since the last time; a log that was begun anew is read from its start."""
        try:
            size = log.stat().st_size
            start = self._at[log] if size >= self._at[log] else 0
            with log.open("rb") as file:
                file.seek(max(start, size - MOST_READ))
                chunk = file.read(MOST_READ)
                end = chunk.rfind(b"\n") + 1
                self._at[log] = file.tell() - len(chunk) + end
        except FileNotFoundError:
            return []
        return chunk[:end].decode(errors="replace").splitlines()

    def _is_new(self, said: Said, now: float) -> bool:
        key = (said.kind, said.device, said.words.get("reason") or said.words.get("topic", ""))
        if now - self._told.get(key, float("-inf")) < AGAIN_S:
            return False
        if now - self._minute >= AGAIN_S:
            self._minute, self._in_minute = now, Counter()
        if self._in_minute[said.device] >= MOST_OF_ONE or self._in_minute.total() >= MOST:
            return False
        self._in_minute[said.device] += 1
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return True
