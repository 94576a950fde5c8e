"""Sparkplug B (Eclipse Sparkplug 3.0, and 2.2 where it differs): `spBv1.0/{group}/{type}/{node}[/{device}]`.

Births say what a node's metrics are called; data may then come by alias alone. When a birth is missing or messages
were lost, the node is asked for a new one. Foreign ids are `group/node` and `group/node/device`.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from devices.codecs import MAX_PAYLOAD, refuse_size
from devices.codecs.sparkplug import Message, decode_payload, encode_payload
from devices.codecs.sparkplug_json import decode_json_payload
from devices.codecs.sparkplug_values import DataType
from devices.envelopes.packet import Notice, Opened, Packet
from devices.envelopes.sparkplug_metrics import Harvest, bd_seq_of, born, documents, harvest
from devices.envelopes.sparkplug_nodes import MAX_BYTES, MAX_DEVICES, Node, Nodes
from devices.envelopes.sparkplug_state import host_state
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

REBIRTH_EVERY_S = 60.0
"""A node is asked for a birth at most once in this time."""
MAX_REQUESTS = 256
"""Requests that wait to be published; more are not made."""
NODE_TYPES = frozenset(("NBIRTH", "NDEATH", "NDATA", "NCMD"))
DEVICE_TYPES = frozenset(("DBIRTH", "DDEATH", "DDATA", "DCMD"))


class Place(NamedTuple):
    """Where a message belongs. `kind`: the message type, "" for a topic that is none of Sparkplug's."""

    group: str
    kind: str
    node: str
    device: str

    @property
    def foreign_id(self) -> str | None:
        """`group/node` or `group/node/device`."""
        return "/".join(part for part in (self.group, self.node, self.device) if part) or None


class Sparkplug:
    """The opener of a route. `requests`: (topic, payload) of what is to be published, taken out by the caller."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        nodes: Nodes | None = None,
    ) -> None:
        """`clock`: seconds that only grow, for the pace of requests; `now`: seconds since 1970, for their timestamp."""
        self.requests: list[tuple[str, bytes]] = []
        self._clock, self._now = clock, now
        self._nodes = Nodes() if nodes is None else nodes

    def __call__(self, topic: str, payload: bytes) -> Opened:
        state = host_state(topic, payload)
        if state is not None:
            return [state]
        place = place_of(topic)
        if isinstance(place, Rejected):
            return [Packet(None, place, payload)]
        message = read(payload)
        if isinstance(message, Rejected):
            return [Packet(place.foreign_id, message, payload)]
        match place.kind:
            case "NBIRTH" | "DBIRTH":
                return self._birth(place, message, payload)
            case "NDATA" | "DDATA":
                return self._data(place, message, payload)
            case "NDEATH" | "DDEATH":
                return self._death(place, message)
            case "NCMD" | "DCMD":
                return [Notice(place.foreign_id, "other", f"a command ({place.kind}) to {place.foreign_id}")]
        return alone(place, message, payload)

    def _birth(self, place: Place, message: Message, payload: bytes) -> Opened:
        node = self._nodes.at((place.group, place.node))
        if place.kind == "NBIRTH":
            self._nodes.clear(node)
            node.born, node.wanting = True, False
            node.seq, node.bd_seq = message.get("seq", 0), bd_seq_of(message)
        else:
            self._follow(place, node, message)
        speaker = born(message)
        opened: Opened = [Notice(place.foreign_id, "online", f"{place.kind} with {len(speaker.by_name)} metrics")]
        if not self._nodes.set_speaker(node, place.device, speaker):
            opened.append(Packet(place.foreign_id, too_much(place), payload))
        return opened + packets(place, harvest(message, speaker), payload)

    def _data(self, place: Place, message: Message, payload: bytes) -> Opened:
        node = self._nodes.at((place.group, place.node))
        found = harvest(message, node.speakers.get(place.device))
        if found.unknown:
            node.wanting = True
        self._follow(place, node, message)
        return packets(place, found, payload) or [
            Notice(
                place.foreign_id, "other", f"{place.kind} without a metric to store ({found.silent} of the protocol)"
            )
        ]

    def _death(self, place: Place, message: Message) -> Opened:
        node = self._nodes.at((place.group, place.node))
        if place.kind == "DDEATH":
            self._follow(place, node, message)
            self._nodes.drop_speaker(node, place.device)
            return [Notice(place.foreign_id, "offline", "DDEATH")]
        said = bd_seq_of(message)
        if node.born and node.bd_seq is not None and said is not None and said != node.bd_seq:
            detail = f"NDEATH of an earlier session (bdSeq {said}, the birth had {node.bd_seq}); ignored"
            return [Notice(place.foreign_id, "other", detail)]
        dying = [place._replace(device=device) for device in ("", *node.devices())]
        self._nodes.clear(node)
        node.born, node.seq, node.wanting = False, None, False
        return [Notice(dead.foreign_id, "offline", f"NDEATH of {place.group}/{place.node}") for dead in dying]

    def _follow(self, place: Place, node: Node, message: Message) -> None:
        """Count along with the node's messages; ask for a birth when one is missing or a number was left out."""
        seq = message.get("seq")
        if not node.born or (seq is not None and node.seq is not None and seq != (node.seq + 1) % 256):
            node.wanting = True
        if seq is not None:
            node.seq = seq
        if node.wanting:
            self._ask(place, node)

    def _ask(self, place: Place, node: Node) -> None:
        """Request a rebirth, unless that was done within REBIRTH_EVERY_S."""
        now = self._clock()
        if (node.asked is None or now - node.asked >= REBIRTH_EVERY_S) and len(self.requests) < MAX_REQUESTS:
            node.asked = now
            self.requests.append((f"spBv1.0/{place.group}/NCMD/{place.node}", rebirth(round(self._now() * 1000))))


def open_sparkplug(route: Route) -> Sparkplug:
    """An opener with a memory of its own; the route adds nothing to it."""
    return Sparkplug()


def rebirth(timestamp: int) -> bytes:
    """The command by which a host asks an edge node for its births. `timestamp`: ms since 1970."""
    name, datatype = "Node Control/Rebirth", int(DataType.Boolean)
    metric = {"name": name, "timestamp": timestamp, "datatype": datatype, "boolean_value": True}
    return encode_payload({"timestamp": timestamp, "metrics": [metric]})


def place_of(topic: str) -> Place | Rejected:
    """Where a topic's message belongs; Rejected when the topic names another version or lacks a level."""
    levels = [clean(level) for level in topic.split("/")]
    kind = levels[2] if len(levels) > 2 else ""
    if levels[0] == "spAv1.0":
        detail = "a Sparkplug A topic; expected spBv1.0/…; set the edge node to Sparkplug B"
        return Rejected("envelope", Reason.WRONG_SHAPE, "topic", clean(topic[:200]), detail)
    if kind not in NODE_TYPES | DEVICE_TYPES:
        return Place("", "", "", "")
    wanted = 4 if kind in NODE_TYPES else 5
    if len(levels) != wanted or not all(levels):
        form = "spBv1.0/{group}/" + kind + "/{node}" + ("/{device}" if wanted == 5 else "")
        detail = f"{kind} on a topic of {len(levels)} levels; expected {form}"
        return Rejected("envelope", Reason.WRONG_SHAPE, "topic", clean(topic[:200]), detail)
    return Place(levels[1], kind, levels[3], levels[4] if wanted == 5 else "")


def read(payload: bytes) -> Message | Rejected:
    """A payload in protocol buffers, or written as JSON."""
    if not 0 < len(payload) <= MAX_PAYLOAD:
        return refuse_size(payload)._replace(layer="envelope")
    return decode_json_payload(payload) if payload.lstrip()[:1] == b"{" else decode_payload(payload)


def alone(place: Place, message: Message, payload: bytes) -> Opened:
    """A message that no topic places: what it says by itself."""
    return packets(place, harvest(message, None), payload) or [
        Notice(None, "other", "a Sparkplug payload without a metric to store")
    ]


def packets(place: Place, found: Harvest, payload: bytes) -> Opened:
    """A packet per time, and one for what no birth has explained; none when there is nothing to store."""
    opened: Opened = [Packet(place.foreign_id, document, part) for document, part in documents(found)]
    if found.unknown:
        opened.append(Packet(place.foreign_id, before_birth(place, found.unknown), payload))
    elif found.wrong and not opened:
        name, why = next(iter(found.wrong.items()))
        opened.append(Packet(place.foreign_id, Rejected("envelope", Reason.WRONG_TYPE, name, None, why), payload))
    return opened


def too_much(place: Place) -> Rejected:
    """A birth that is not remembered: what comes by alias alone will not be understood."""
    detail = (
        f"the births of {place.group}/{place.node} are larger than is remembered ({MAX_DEVICES} devices, "
        f"{MAX_BYTES // 4} bytes): data is understood by name alone; spread the devices over several edge nodes"
    )
    return Rejected("envelope", Reason.TOO_LARGE, "metrics", None, detail)


def before_birth(place: Place, unknown: list[tuple[int | None, Any]]) -> Rejected:
    """Metrics that came by alias while the birth that explains it is not known."""
    came = ", ".join(
        f"alias {'none' if alias is None else alias} = {shown(value)[:40]}" for alias, value in unknown[:5]
    )
    birth = "DBIRTH" if place.device else "NBIRTH"
    detail = (
        f"{len(unknown)} metrics without a name ({came}): no {birth} of {place.foreign_id} is known; data came before "
        f"the birth, or the platform was started since; ingest asks the node for its births, for which it must accept "
        f"Node Control/Rebirth"
    )
    return Rejected("envelope", Reason.BEFORE_BIRTH, "alias", came[:200], detail)
