"""Messages of our own devices, read together when a batch closes: arrays for those that are as they should be.

Everything else is read alone, as a message of a foreign route is. What comes out is the same either way.
"""

from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.codecs import encode
from devices.family import FAMILIES, Family
from devices.native_many import ABSENT, Many, Rows, whole_messages
from ingest.columns import Block, Origin, Sender, Table
from ingest.known import Device, Known, Standings
from ingest.window import Arrival

Ints = NDArray[np.int64]

FEW = 12
"""Messages of a family that are sooner read one by one (measured)."""
NAMES = list(FAMILIES)
NOT_OURS = -1


class Believed(NamedTuple):
    """Which times are believed: how long before receipt, by family, and after it; microseconds."""

    late_us: dict[str, int]
    future_us: int


class Waiting:
    """Messages of native topics, in the order in which they came."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.starts: list[int] = []  # place of an arrival's first message within the batch
        self.messages = 0
        self.bytes = 0

    def __len__(self) -> int:
        """Messages."""
        return self.messages

    def add(self, arrival: Arrival, start: int) -> None:
        """Take in what one read brought."""
        self.arrivals.append(arrival)
        self.starts.append(start)
        self.messages += len(arrival.messages)
        self.bytes += arrival.size


class Come(NamedTuple):
    """Messages that wait, side by side. `arrival`: which of the arrivals; `order`: place within the batch."""

    topics: list[bytes]
    payloads: list[bytes]
    arrivals: list[Arrival]
    arrival: Ints
    received: Ints
    order: Ints


def come(waiting: Waiting) -> Come:
    """What waits, as columns."""
    arrivals = waiting.arrivals
    sizes = np.array([len(arrival.messages) for arrival in arrivals])
    which = np.repeat(np.arange(len(arrivals)), sizes)
    firsts = np.cumsum(sizes) - sizes
    return Come(
        topics=list(chain.from_iterable(arrival.messages.topics for arrival in arrivals)),
        payloads=list(chain.from_iterable(arrival.messages.payloads for arrival in arrivals)),
        arrivals=arrivals,
        arrival=which,
        received=np.array([arrival.received for arrival in arrivals], dtype=np.int64)[which],
        order=np.arange(len(which)) + (np.array(waiting.starts) - firsts)[which],
    )


class Readings(Block):
    """Rows that were read together; devices and origins are looked up only where somebody asks."""

    def __init__(self, messages: Come, known: Known, rows: Rows, numbers: Ints, standings: Standings) -> None:
        """`rows`: with places among all messages, and a time for every row; `numbers`, `standings`: of each row."""
        place = rows.message
        table = Table(
            rows.time,
            rows.seq,
            rows.boot,
            messages.received[place],
            standings.ids,
            standings.areas,
            rows.values,
            None,
        )
        super().__init__(messages.order[place], table)
        self._messages = messages
        self._known = known
        self._rows = rows
        self._numbers = numbers
        self._kinds = standings.kinds

    @property
    def arrival(self) -> Ints:
        """Which of the arrivals brought each row."""
        return self._messages.arrival[self._rows.message]

    def device(self, row: int) -> Device:
        """Whose reading it is; as the registry knew it when it was read."""
        return self._known.as_it_was(int(self._numbers[row]), int(self.table.device[row]), int(self._kinds[row]))

    def origin(self, row: int) -> Origin:
        """Where it came from; of a list its own element alone."""
        place, element = int(self._rows.message[row]), int(self._rows.element[row])
        payload = self._messages.payloads[place]
        if element >= 0:
            document = self.device(row).profile.decode(payload)
            assert isinstance(document, list)  # it was read as one
            payload = encode(document[element], payload)
        return Origin(self._messages.arrivals[self._messages.arrival[place]], self._messages.topics[place], payload)

    def senders(self, rows: Ints) -> list[Sender]:
        """How some rows came."""
        messages = self._rows.message[rows]
        sources = [arrival.source for arrival in self._messages.arrivals]
        which, topics = self._messages.arrival[messages].tolist(), self._messages.topics
        return [(sources[one], topics[place]) for one, place in zip(which, messages.tolist(), strict=True)]

    def asks(self) -> NDArray[np.bool_]:
        """Which rows are of devices that ask to be told what is settled."""
        return self._known.asking(self._kinds)


class Together:
    """Reads what waits, family by family."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._many: dict[int, Many] = {}
        self._families = np.zeros(0, dtype=np.int64)  # by kind: which of NAMES, NOT_OURS for other formats

    def read(self, messages: Come, numbers: Ints, believed: Believed) -> tuple[list[tuple[Family, Readings]], Ints]:
        """Readings by family, and the places of the messages that must be read alone, ascending. `numbers`: of the
        devices that speak, NOBODY where the message must be read alone."""
        alone = np.ones(len(numbers), dtype=np.bool_)
        ours = np.flatnonzero(numbers >= 0)
        family = self._family_of(self._known.standings(numbers[ours]).kinds)
        found = []
        for number in np.unique(family[family >= 0]).tolist():
            places = ours[family == number]
            if len(places) >= FEW:
                rows = self._rows(number, messages, places, believed)
                alone[rows.message] = False
                mine = numbers[rows.message]
                found.append(
                    (FAMILIES[NAMES[number]], Readings(messages, self._known, rows, mine, self._known.standings(mine)))
                )
        return found, np.flatnonzero(alone)

    def _rows(self, number: int, messages: Come, places: Ints, believed: Believed) -> Rows:
        """The rows of some messages of one family, with places among all messages and times that are believed."""
        if number not in self._many:
            self._many[number] = Many(FAMILIES[NAMES[number]])
        whole = len(places) == len(messages.payloads)
        payloads = messages.payloads if whole else [messages.payloads[place] for place in places.tolist()]
        rows = self._many[number].read(payloads)
        rows = rows._replace(message=places[rows.message])
        received = messages.received[rows.message]
        time = np.where(rows.time == ABSENT, received, rows.time)
        early, late = received - believed.late_us[NAMES[number]], received + believed.future_us
        fine = (time == received) | ((time >= early) & (time <= late))
        return rows._replace(time=time).only(whole_messages(fine, rows.message, len(messages.payloads)))

    def _family_of(self, kinds: NDArray[np.integer]) -> Ints:
        """By kind, the family whose messages are in our own format; NOT_OURS for others."""
        known = self._known.kinds()
        if len(known) > len(self._families):
            self._families = np.array(
                [NAMES.index(k.profile.family.name) if k.profile.table is None else NOT_OURS for k in known]
            )
        found: Ints = self._families[kinds] if len(kinds) else np.zeros(0, dtype=np.int64)
        return found
