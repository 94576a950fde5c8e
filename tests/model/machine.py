"""The model as a state machine: hypothesis draws what happens next, the real code of ingest lives through it.

Real: mqtt.Reader, session.Connection, window.Window, batch.Batch, route.Router and all of pipeline. Played: broker,
network, database and the clock. What must hold is checked where it happens (broker.py, database.py), after every step,
and at the end, when everything has been healed and must come to rest.
"""

import asyncio
import json
import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from devices.route import ROUTES
from ingest.batch import Limits
from ingest.connection import Connection
from ingest.inbox import area_inbox
from ingest.pipeline import pipeline
from ingest.route import Router
from ingest.window import Window
from tests.model.broker import Broker, Message, Violation
from tests.model.clock import START_S, Clock, Loop
from tests.model.database import Database, Writer
from tests.model.link import Link
from tests.told import Change, tell

AREAS = ("213", "214")
DEVICES = 2
WORKERS = 2
SMALL_WINDOW = 6
PATIENCE = 12  # rounds without any progress

NUMBERS = st.integers(0, 1_000)
PIECES = st.sampled_from([1, 7, 40, 100, 1 << 16])


class Worker:
    """A worker process: a window, and the pipeline that empties it."""

    def __init__(self, machine: "Path") -> None:
        self.window = machine.new_window()
        self.task = machine.loop.create_task(machine.new_pipeline(self))
        self.links: dict[str, Link] = {}


class Path(RuleBasedStateMachine):
    """Everything between publishers and the table. Subclasses plant bugs in the methods that begin with new_."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.undo = self.clock.install()
        self.loop = Loop(self.clock)
        self.database = Database()
        self.router = known_devices()
        self.published: list[Message] = []
        self.workers: list[Worker] = []
        self.host: dict[str, Worker] = {}
        self.old_links: list[Link] = []

    # --- what a planted bug replaces

    def new_window(self) -> Window:
        """A small one, so that it is full now and then."""
        return Window(most_messages=SMALL_WINDOW)

    def new_connection(self, area: str, worker: Worker) -> Connection:
        """One connection of an area's inbox."""
        return Connection(area_inbox(area, "mqtt://u:p@127.0.0.1"), worker.window)

    async def new_pipeline(self, worker: Worker) -> None:
        """The pipeline of a worker."""
        await pipeline(worker.window, self.router, Writer(self.database), self.limits)  # type: ignore[arg-type]

    # --- beginning

    @initialize(
        lowest_pids=st.booleans(), rows=st.integers(1, 5), age_s=st.sampled_from([0.0, 0.05]), apart=st.booleans()
    )
    def begin(self, lowest_pids: bool, rows: int, age_s: float, apart: bool) -> None:
        """A broker, two workers, an inbox each or both with the first."""
        self.broker = Broker(self.database.settled, lowest_pids)
        self.limits = Limits(rows=rows, age_s=age_s)
        self.workers = [Worker(self) for _ in range(WORKERS)]
        for number, area in enumerate(AREAS):
            self.connect(area, number if apart else 0)
            self.flow(area)
        self.broker.save()

    # --- publishers

    @rule(
        area=st.sampled_from(AREAS), device=st.integers(0, DEVICES - 1), count=st.integers(1, 4), flowing=st.booleans()
    )
    def publish(self, area: str, device: int, count: int, flowing: bool) -> None:
        """New readings, together or one after the other with time for each to arrive."""
        for _ in range(count):
            number = len(self.published)
            self.send(area, device, reading(number, number))
            if flowing:
                self.flow(area)

    @rule(pick=NUMBERS, other_value=st.booleans())
    def publish_again(self, pick: int, other_value: bool) -> None:
        """A reading once more, as it was or under the same number with another value."""
        readings = [message for message in self.published if b'"seq"' in message.payload]
        if readings:
            old = readings[pick % len(readings)]
            seq = json.loads(old.payload)["seq"]
            payload = reading(seq, len(self.published) + 1_000) if other_value else old.payload
            self.hand_over(old.topic.split(b"/")[2].decode(), old.topic, payload, 1)

    @rule(area=st.sampled_from(AREAS), kind=st.sampled_from(["garbage", "stranger", "status", "qos 0"]))
    def publish_odd(self, area: str, kind: str) -> None:
        """What ends in quarantine, what is no reading, and what nobody acknowledges."""
        number = len(self.published)
        match kind:
            case "garbage":
                self.send(area, 0, b"{%d" % number)
            case "stranger":
                self.hand_over(area, f"dothi/v1/{area}/nobody/up".encode(), reading(number, number), 1)
            case "status":
                self.hand_over(area, f"dothi/v1/{area}/d{area}-0/status".encode(), b"online", 1)
            case "qos 0":
                self.send(area, 1, reading(number, number), qos=0)

    def send(self, area: str, device: int, payload: bytes, qos: int = 1) -> None:
        """From a device of the registry."""
        self.hand_over(area, f"dothi/v1/{area}/d{area}-{device}/up".encode(), payload, qos)

    def hand_over(self, area: str, topic: bytes, payload: bytes, qos: int) -> None:
        """To the broker."""
        message = Message(len(self.published), topic, payload, qos)
        self.published.append(message)
        self.broker.publish(client(area), message)

    # --- the network

    @rule(area=st.sampled_from(AREAS), most=PIECES)
    def carry_in(self, area: str, most: int) -> None:
        """Some bytes from the broker."""
        if area in self.host:
            self.go_in(self.host[area].links[area], most)

    def go_in(self, link: Link, most: int) -> bool:
        """Bytes to the receiver; whether there were any that it wanted."""
        wanted = link.wanted
        if wanted:
            self.inside(lambda: link.carry_in(most))
        return wanted

    @rule(area=st.sampled_from(AREAS), most=PIECES)
    def carry_out(self, area: str, most: int) -> None:
        """Some bytes to the broker."""
        if area in self.host:
            self.host[area].links[area].carry_out(most)

    @rule(area=st.sampled_from(AREAS))
    def flow(self, area: str) -> None:
        """All bytes, both ways."""
        self.tick(0.004)
        for _ in range(8):
            link = self.host[area].links[area] if area in self.host else None
            if link is None or not (link.waiting or self.go_in(link, 1 << 16)):
                break
            link.carry_out(1 << 16)
            self.tick(0.004)

    @rule(area=st.sampled_from(AREAS))
    def cut(self, area: str) -> None:
        """The connection breaks, and only the broker knows."""
        if area in self.host:
            self.host[area].links[area].cut()

    @rule(area=st.sampled_from(AREAS))
    def notice(self, area: str) -> None:
        """The worker learns of a broken connection."""
        if area in self.host and not self.host[area].links[area].up:
            self.forget(area)

    @rule(area=st.sampled_from(AREAS), pick=st.integers(0, WORKERS - 1))
    def connect(self, area: str, pick: int) -> None:
        """An inbox is taken up by a worker: for the first time, again, or while another still has it."""
        old = self.host.get(area)
        if old is not None and old.links[area].over:
            self.forget(area)
            old = None
        worker = self.workers[pick % len(self.workers)]
        if old is not None:
            self.old_links.append(old.links.pop(area))  # it will be told that another took over

        def connecting() -> None:
            worker.links[area] = Link(self.broker, self.new_connection(area, worker))

        self.inside(connecting)
        self.host[area] = worker

    @rule(area=st.sampled_from(AREAS), pick=st.integers(0, WORKERS - 1))
    def move(self, area: str, pick: int) -> None:
        """An inbox goes to another worker: goodbye here, connect there; what is in flight here stays so."""
        if area in self.host:
            link = self.host[area].links[area]
            self.inside(link.connection.stop)
            self.inside(link.connection.leave)
            self.forget(area)
        self.connect(area, pick)

    def forget(self, area: str) -> None:
        """The worker has no connection of this inbox any more."""
        link = self.host.pop(area).links.pop(area)
        self.inside(link.notice)

    @rule(pick=NUMBERS)
    def old_link_ends(self, pick: int) -> None:
        """A connection that was taken over hears of it."""
        if self.old_links:
            link = self.old_links.pop(pick % len(self.old_links))
            self.inside(link.notice)

    # --- the database

    @rule(pick=NUMBERS)
    def commit(self, pick: int) -> None:
        """A transaction is carried out, and the writer hears so if it still listens."""
        self.end(pick, committed=True)

    @rule(pick=NUMBERS)
    def roll_back(self, pick: int) -> None:
        """A transaction fails."""
        self.end(pick, committed=False)

    @rule(pick=NUMBERS)
    def lose_answer(self, pick: int) -> None:
        """The writer cannot know how the transaction ends; it may still end either way."""
        numbers = sorted(self.database.open)
        if numbers:
            self.database.lose_answer(numbers[pick % len(numbers)])
            self.turn()

    @rule()
    def crash_database(self) -> None:
        """kill -9 of the database."""
        self.database.crash()
        self.turn()

    def end(self, pick: int, committed: bool) -> None:
        """One of the open transactions ends."""
        numbers = sorted(self.database.open)
        if numbers:
            self.inside(lambda: self.database.end(numbers[pick % len(numbers)], committed))

    # --- workers, broker, time

    @rule(pick=st.integers(0, WORKERS - 1))
    def crash_worker(self, pick: int) -> None:
        """kill -9: its transactions are the database's to end, its connections the broker's. Another follows."""
        worker = self.workers[pick]
        for area, link in worker.links.items():
            self.broker.dropped(link.line)
            del self.host[area]
        self.old_links = [link for link in self.old_links if link.connection._window is not worker.window]
        self.stop(worker)
        self.workers[pick] = Worker(self)

    @rule()
    def save_broker(self) -> None:
        """The broker writes its sessions to disk."""
        self.broker.save()

    @rule()
    def crash_broker(self) -> None:
        """kill -9 of the broker: it comes back with what it had saved."""
        self.broker.crash()

    @rule(seconds=st.sampled_from([0.003, 0.05, 1.0, 20.0, 61.0]))
    def tick(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds
        self.turn()

    # --- laws

    @invariant()
    def nothing_broke(self) -> None:
        """The pipelines run, the windows count, the ledger balances."""
        for worker in self.workers:
            if worker.task.done():
                worker.task.result()
                raise Violation("a pipeline has ended")
            if worker.window.messages < 0 or worker.window.bytes < 0:
                raise Violation("the window counts fewer than nothing")
        self.database.check()

    def teardown(self) -> None:
        """Heal everything, come to rest, count."""
        try:
            if self.workers and sys.exc_info()[0] is None:
                self.rest()
                self.count()
        finally:
            for worker in self.workers:
                self.stop(worker)
            self.loop.close()
            self.undo()

    def rest(self) -> None:
        """Connections, transactions and time do their work until nothing is left to do, or nothing moves any more."""
        held, patience = len(self.broker.holds()), PATIENCE
        while patience and (held or self.database.open or any(worker.window.messages for worker in self.workers)):
            for area in AREAS:
                if area not in self.host or not self.host[area].links[area].up:
                    self.connect(area, 0)
                self.flow(area)
            for _ in range(len(self.database.open)):
                self.commit(0)
            self.tick(self.limits.longest_s)
            before, held = held, len(self.broker.holds())
            patience = PATIENCE if held < before else patience - 1

    def count(self) -> None:
        """Every message ended in one way, and nothing is held any more."""
        held = self.broker.holds()
        if held:
            raise Violation(f"{len(held)} messages are still at the broker and nobody works on them")
        lost = [m for m in self.published if m.number not in self.broker.gone and not self.database.settled(m)]
        if lost:
            raise Violation(f"{len(lost)} messages are nowhere, such as {lost[0]}")
        for worker in self.workers:
            if (worker.window.messages, worker.window.bytes, worker.window.oldest) != (0, 0, None):
                raise Violation("a window still counts what has been settled")
        self.nothing_broke()

    # --- running

    def inside(self, action: Any) -> None:
        """Do something that needs a running loop, then let everything follow."""

        async def act() -> None:
            action()

        self.loop.run_until_complete(act())
        self.turn()

    def turn(self) -> None:
        """Let everything run that can run now."""
        self.loop.turn()

    def stop(self, worker: Worker) -> None:
        """End a worker's pipeline without a word."""
        worker.task.cancel()

        async def wait() -> None:
            await asyncio.gather(worker.task, return_exceptions=True)

        self.loop.run_until_complete(wait())


def client(area: str) -> str:
    """The client id of an area's inbox."""
    return area_inbox(area, "").client_id


def reading(seq: int, value: int) -> bytes:
    """A reading; the time is the same in all, so that the number alone makes the key."""
    document = {"time": int(START_S * 1000), "seq": seq, "metrics": {"pm25": value % 900}}
    return json.dumps(document).encode()


def known_devices() -> Router:
    """A registry with a few devices per area."""
    router = Router(ROUTES)
    for number, area in enumerate(AREAS):
        for device in range(DEVICES):
            tell(
                router, Change(10 * number + device, f"d{area}-{device}", "native-air-quality", area, int(area), False)
            )
    return router
