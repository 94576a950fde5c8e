"""A database in memory and a writer: transactions whose end the model decides, answers that get lost."""

import asyncio
import copy
from dataclasses import dataclass, field

from ingest.batch import Batch, Count, ledger_key
from tests.model.broker import Message, Violation

Key = tuple[int, int, int]


@dataclass
class Transaction:
    """One attempt to store a batch. `answer` is for the writer: committed, or None when the connection was lost."""

    batch: Batch
    answer: "asyncio.Future[bool | None]"
    ended: "asyncio.Future[bool]"


@dataclass
class Database:
    """What is committed, and what is under way. `open` by transaction number."""

    rows: dict[Key, list[float]] = field(default_factory=dict)
    payloads: set[bytes] = field(default_factory=set)  # of readings that are stored, or were stored before
    quarantine: list[bytes] = field(default_factory=list)
    spoken: set[bytes] = field(default_factory=set)  # topics of status messages that have been taken note of
    ledger: dict[tuple[int, str], Count] = field(default_factory=dict)
    duplicates: int = 0
    open: dict[int, Transaction] = field(default_factory=dict)
    begun: int = 0

    def begin(self, batch: Batch) -> Transaction:
        """A transaction with a batch in it; the model decides how it ends."""
        loop = asyncio.get_running_loop()
        self.begun += 1
        self.open[self.begun] = Transaction(batch, loop.create_future(), loop.create_future())
        return self.open[self.begun]

    def end(self, number: int, committed: bool) -> None:
        """Commit or roll back; the writer hears of it if it still listens."""
        transaction = self.open.pop(number)
        if committed:
            self._apply(transaction.batch)
        for future, word in ((transaction.ended, committed), (transaction.answer, committed)):
            if not future.done():
                future.set_result(word)

    def lose_answer(self, number: int) -> None:
        """The writer's connection breaks while the transaction is still being ended by the server."""
        answer = self.open[number].answer
        if not answer.done():
            answer.set_result(None)

    def crash(self) -> None:
        """kill -9: what is not committed is not there."""
        for number in list(self.open):
            self.end(number, committed=False)

    def settled(self, message: Message) -> bool:
        """Whether the message's fate is committed: stored, duplicate, quarantined, or a word on a device."""
        return (
            message.payload in self.payloads
            or message.payload in self.quarantine
            or (message.topic.endswith(b"/status") and message.topic in self.spoken)
        )

    def check(self) -> None:
        """The ledger and the tables say the same."""
        lines = self.ledger.values()
        if sum(line.stored for line in lines) != len(self.rows):
            raise Violation("the ledger's stored are not the rows of the table")
        if sum(line.quarantined for line in lines) != len(self.quarantine):
            raise Violation("the ledger's quarantined are not the rows of quarantine")
        if sum(line.duplicate for line in lines) != self.duplicates:
            raise Violation("the ledger's duplicates are not those that were found")

    def _apply(self, batch: Batch) -> None:
        """All of a batch at once: rows under free keys, duplicates, conflicts, quarantine, ledger."""
        ledger = copy.deepcopy(batch.ledger)
        self.quarantine += [entry.origin.payload for entry in batch.quarantine]
        for columns in batch.columns.values():
            table = columns.table
            for row in range(len(columns)):
                origin = columns.origin(row)
                key = (int(table.device[row]), int(table.time[row]), int(table.seq[row]))
                values, count = table.values[row].tolist(), ledger[ledger_key(origin.arrival)]
                stored = self.rows.setdefault(key, values)
                if stored is values:
                    self.payloads.add(origin.payload)
                elif repr(stored) == repr(values):
                    self.duplicates += 1
                    count.duplicate += 1
                else:
                    self.quarantine.append(origin.payload)
                    count.quarantined += 1
        self.spoken |= {m.topic for arrival in batch.arrivals for m in arrival.messages if m.topic.endswith(b"/status")}
        for line, count in ledger.items():
            total = self.ledger.setdefault(line, Count())
            total.received += count.received
            total.duplicate += count.duplicate
            total.quarantined += count.quarantined


class Writer:
    """As ingest.writer.Writer: returns when the batch is committed, once, whatever happens on the way."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, batch: Batch) -> None:
        """Try until committed; after a lost answer ask first how the attempt ended."""
        while True:
            transaction = self._database.begin(batch)
            answer = await transaction.answer
            if answer is None:
                answer = await asyncio.shield(transaction.ended)
            if answer:
                return
