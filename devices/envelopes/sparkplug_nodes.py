"""What Sparkplug's edge nodes said in their births: names, aliases, types and units, in bounded memory.

A node that has been quiet longest is forgotten first; it is asked for a new birth when it speaks again.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_NODES = 10_000
MAX_DEVICES = 1_000
"""Of one edge node."""
MAX_BYTES = 64 * 1024 * 1024
"""Of all births together, by estimate: what a definition costs beside its name is CELL bytes."""
CELL = 250


class Definition(NamedTuple):
    """What a birth says of a metric."""

    name: str
    datatype: int | None
    unit: str | None


@dataclass(slots=True)
class Speaker:
    """An edge node or one of its devices: its metrics by name and, where it uses them, by alias."""

    by_name: dict[str, Definition] = field(default_factory=dict)
    by_alias: dict[int, Definition] = field(default_factory=dict)
    weight: int = 0

    def define(self, name: str, alias: int | None, datatype: int | None, unit: str | None) -> None:
        """Take in one metric of a birth."""
        definition = Definition(name, datatype, unit)
        self.by_name[name] = definition
        self.weight += CELL + len(name)
        if alias is not None:
            self.by_alias[alias] = definition


@dataclass(slots=True)
class Node:
    """An edge node. `born`: its birth is known and it has not died since; `seq`: of its last message; `bd_seq`: of its
    birth; `asked`: when a rebirth was last requested; `wanting`: a birth is missing; `speakers`: itself under ""."""

    born: bool = False
    seq: int | None = None
    bd_seq: int | None = None
    asked: float | None = None
    wanting: bool = False
    speakers: dict[str, Speaker] = field(default_factory=dict)

    def weight(self) -> int:
        """Bytes of its births, by estimate."""
        return sum(speaker.weight for speaker in self.speakers.values())

    def devices(self) -> list[str]:
        """The devices that were born."""
        return [name for name in self.speakers if name]


class Nodes:
    """Edge nodes by (group, node), the one that spoke last at the end."""

    def __init__(self, max_nodes: int = MAX_NODES, max_bytes: int = MAX_BYTES) -> None:
        self._nodes: OrderedDict[tuple[str, str], Node] = OrderedDict()
        self._max_nodes, self._max_bytes = max_nodes, max_bytes
        self.weight = 0

    def __len__(self) -> int:
        """Nodes remembered."""
        return len(self._nodes)

    def at(self, key: tuple[str, str]) -> Node:
        """The node, made when it is new."""
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node()
            self.weight += CELL
        self._nodes.move_to_end(key)
        self._forget()
        return node

    def set_speaker(self, node: Node, name: str, speaker: Speaker) -> bool:
        """Keep what a birth said in the place of what an earlier one did; False when the node has too much to say: more
        than MAX_DEVICES devices, or a quarter of all memory."""
        self.drop_speaker(node, name)
        if len(node.speakers) > MAX_DEVICES or node.weight() + speaker.weight > self._max_bytes // 4:
            return False
        node.speakers[name] = speaker
        self.weight += speaker.weight
        self._forget()
        return True

    def drop_speaker(self, node: Node, name: str) -> None:
        """Forget a node's own metrics ("") or those of one device."""
        old = node.speakers.pop(name, None)
        self.weight -= old.weight if old else 0

    def clear(self, node: Node) -> None:
        """Forget all births of a node."""
        for name in [*node.speakers]:
            self.drop_speaker(node, name)

    def _forget(self) -> None:
        while len(self._nodes) > 1 and (len(self._nodes) > self._max_nodes or self.weight > self._max_bytes):
            _, oldest = self._nodes.popitem(last=False)
            self.clear(oldest)
            self.weight -= CELL
