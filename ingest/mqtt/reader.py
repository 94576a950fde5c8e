"""Bytes as they come off the wire → packets."""

from ingest.mqtt.packets import Connack, Messages, Packet, read_other, read_publish
from ingest.mqtt.properties import ProtocolError, read_length

QOS_1 = 0x32
"""First byte of a PUBLISH at QoS 1, neither sent again nor retained: nearly all."""
LEAST = 6
"""Bytes after the fixed header of such a PUBLISH: topic's length, a topic, packet id, no properties."""


class Reader:
    """Keeps what is not whole yet, and whether the broker has greeted us."""

    def __init__(self, largest: int = 4 << 20, topic_aliases: int = 0, greeted: bool = False) -> None:
        """`largest`: bytes of the largest packet that is believed; above it the stream is taken for broken.
        `topic_aliases`: how many CONNECT offered; `greeted`: whether CONNACK has come before."""
        self._rest = b""
        self._largest = largest
        self._most_aliases = topic_aliases
        self._aliases: dict[int, bytes] = {}
        self._greeted = greeted

    def feed(self, chunk: bytes) -> tuple[Messages, list[Packet]]:
        """All packets that are whole now: messages apart from the few others. Raises ProtocolError."""
        stream = self._rest + chunk if self._rest else chunk
        messages, others = Messages(), list[Packet]()
        topics, payloads = messages.topics.append, messages.payloads.append
        pids = messages.pids.append
        position, end, largest = 0, len(stream), self._largest
        while end - position >= 2:
            # Fixed header, section 2.1: type and flags, then the remaining length in one to four bytes.
            head, length, body = stream[position], stream[position + 1], position + 2
            if length >= 0x80:
                if body < end and 0 < stream[body] < 0x80:
                    length, body = length & 0x7F | stream[body] << 7, body + 1
                else:
                    length, body = read_length(stream, position + 1)
                    if body == 0:
                        break
            after = body + length
            if after > end:
                if length > largest:
                    raise too_large(length, largest)
                break
            position = after
            if head == QOS_1 and length >= LEAST and self._greeted:
                # Section 3.3; here without a call for each message, which would double what reading costs.
                topic = body + 2
                at = topic + (stream[body] << 8 | stream[body + 1])
                if topic < at and at + 3 <= after and stream[at + 2] == 0 and length <= largest:
                    pid = stream[at] << 8 | stream[at + 1]
                    if pid:
                        topics(stream[topic:at])
                        payloads(stream[at + 3 : after])
                        pids(pid)
                        continue
            self._read(stream, head, (body, after), messages, others)
        self._rest = stream[position:]
        return messages, others

    def _read(
        self, stream: bytes, head: int, bounds: tuple[int, int], messages: Messages, others: list[Packet]
    ) -> None:
        """One packet, whatever it is."""
        if bounds[1] - bounds[0] > self._largest:
            raise too_large(bounds[1] - bounds[0], self._largest)
        if (head == 0x20) == self._greeted:
            raise ProtocolError(
                "a second CONNACK" if self._greeted else f"a packet of type {head >> 4} before the CONNACK"
            )
        if head >> 4 == 3:
            messages.add(read_publish(stream, head, bounds, self._aliases, self._most_aliases))
            return
        others.append(read_other(stream, head, bounds))
        self._greeted = self._greeted or isinstance(others[-1], Connack)


def too_large(length: int, largest: int) -> ProtocolError:
    """A packet that is larger than any that is expected."""
    return ProtocolError(f"a packet of {length} bytes, at most {largest} are believed")
