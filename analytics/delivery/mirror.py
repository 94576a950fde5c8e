"""Every active alarm as a retained message at a broker: the record decides, the broker is brought to it.

Nothing is remembered of what was published: on every connection the broker says what it holds, so that whatever it lost
or kept while nobody looked is put right.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import aiomqtt
import msgspec
import structlog
from paho.mqtt.subscribeoptions import SubscribeOptions
from psycopg.rows import dict_row

from analytics.delivery.meters import Meters
from analytics.delivery.routes import PROVINCE
from analytics.delivery.store import AWAY, Connection, Store
from analytics.delivery.teller import first_of

log = structlog.get_logger("analytics.delivery")

ROOT = "dothi/alarms"
TOPIC = re.compile(rf"{ROOT}/([^/]+)/([^/]+)/([1-9]\d{{0,18}})")
LOOK_EVERY_S = 2.0
QUIET_S = 0.3
LONGEST_GREETING_S = 30.0
PORTION = 200
LONGEST_PAUSE_S = 2.0
ANSWER_S = 10.0
REST = 10.0  # times as long as a look took, so that a hundred thousand active alarms cost a tenth of a core
RESTLESS = frozenset(("last", "occurrences", "value"))
"""Columns that change while nothing happens that anybody acts upon; told once in REFRESH_S."""
REFRESH_S = 60.0

ACTIVE = """
select l.id, l.xmin::text, coalesce(a.code, %s) as area, l.severity
from ops.alarm l left join registry.area a on a.id = l.area where l.cleared is null
"""
WHOLE = "select * from city.alarm where id = any(%s) and cleared is null"


class Active(NamedTuple):
    """An alarm that is not cleared. `version` changes with every change of its row."""

    id: int
    version: str
    area: str
    severity: str

    @property
    def topic(self) -> str:
        """Where it is retained."""
        return f"{ROOT}/{self.area}/{self.severity}/{self.id}"


class Held(NamedTuple):
    """What a broker holds of an alarm. `whole`: a mark of all of it, `mark`: of what matters in it; `version`: of the
    row, empty while only the broker was heard; `at`: when it was told, monotonic s."""

    topic: str
    whole: bytes
    mark: bytes
    version: str
    at: float


class Mirror:
    """Of one broker. `wake` is set when something may have happened to alarms."""

    def __init__(self, url: str, store: Store, meters: Meters, name: str) -> None:
        self.wake = asyncio.Event()
        self._url = url
        self._store = store
        self._meters = meters
        self._name = name
        self._held: dict[int, Held] = {}
        self._strays: set[str] = set()
        self._heard = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. A broker that is away is waited for, then brought to what is active by then."""
        pause_s, said = 0.1, ""
        while not stop.is_set():
            try:
                async with client(self._url) as connected:
                    pause_s, said = 0.1, ""
                    await self._follow(connected, stop)
            except (aiomqtt.MqttError, OSError, TimeoutError) as error:
                self._meters.broker(self._name, connected=False)
                if str(error) != said:
                    said = str(error)
                    log.warning("broker does not take alarms", broker=self._name, reason=said or type(error).__name__)
                await first_of(stop, asyncio.Event(), pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _follow(self, connected: aiomqtt.Client, stop: asyncio.Event) -> None:
        """Hear what the broker holds, bring it to what is active, and go on doing so."""
        self._held, self._strays = {}, set()
        hearing = asyncio.create_task(self._hear(connected))
        try:
            await connected.subscribe(f"{ROOT}/#", options=SubscribeOptions(qos=1, noLocal=True), timeout=ANSWER_S)
            await self._greeted()
            while not stop.is_set() and not hearing.done():
                began = time.monotonic()
                self.wake.clear()
                await self._look(connected)
                rest = REST * (time.monotonic() - began)
                await first_of(stop, asyncio.Event(), min(rest, LOOK_EVERY_S))
                await first_of(stop, self.wake, LOOK_EVERY_S)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
        if hearing.done() and not hearing.cancelled() and (error := hearing.exception()):
            raise error

    async def _hear(self, connected: aiomqtt.Client) -> None:
        async for message in connected.messages:
            self._heard = time.monotonic()
            if message.retain and isinstance(message.payload, bytes):
                self.found(str(message.topic), message.payload)
        raise aiomqtt.MqttError("the broker has closed the connection")

    async def _greeted(self) -> None:
        """Wait until the broker has said what it holds: it does so at once, and then falls silent. What comes later is
        put right all the same."""
        began = self._heard = time.monotonic()
        while (now := time.monotonic()) - self._heard < QUIET_S and now - began < LONGEST_GREETING_S:  # noqa: ASYNC110
            await asyncio.sleep(QUIET_S / 3)  # silence sets no event

    def found(self, topic: str, payload: bytes) -> None:
        """The broker holds this."""
        named = TOPIC.fullmatch(topic)
        number = int(named[3]) if named else 0
        known = self._held.get(number)
        if not named or (known and known.topic != topic):
            self._strays.add(topic)
        elif not known:
            self._held[number] = Held(topic, *marks(decoded(payload)), "", time.monotonic() - REFRESH_S)

    async def _look(self, connected: aiomqtt.Client) -> None:
        """Compare once what is active with what the broker holds."""
        try:
            await self._bring(connected)
        except AWAY:
            return  # what the broker holds stays true as far as anybody knows
        self._meters.broker(self._name, connected=True)
        self._meters.retained[self._name] = len(self._held)

    async def _bring(self, connected: aiomqtt.Client) -> None:
        active = {one.id: one for one in await self._store.run(actives)}
        wanted = [one for one in active.values() if self._stale(one)]
        for first in range(0, len(wanted), PORTION):
            await self._tell(connected, wanted[first : first + PORTION])
        gone = [held.topic for number, held in self._held.items() if number not in active]
        topics = {held.topic for number, held in self._held.items() if number in active}
        await self._empty(connected, [*gone, *(self._strays - topics)])
        self._strays.clear()
        self._held = {number: held for number, held in self._held.items() if number in active}

    def _stale(self, one: Active) -> bool:
        """Whether the broker may hold something else."""
        held = self._held.get(one.id)
        return held is None or (held.topic, held.version) != (one.topic, one.version)

    async def _tell(self, connected: aiomqtt.Client, portion: Sequence[Active]) -> None:
        rows = await self._store.run(lambda connection: whole(connection, [one.id for one in portion]))
        now = time.monotonic()
        sends, old = [], []
        for one in portion:
            row, held = rows.get(one.id), self._held.get(one.id)
            if row is None:
                continue  # cleared just now; the next look finds it gone
            every, mark = marks(row)
            if held and held.topic != one.topic:
                old.append(held.topic)
            elif held and held.whole == every:
                self._held[one.id] = held._replace(version=one.version)
                continue
            elif held and held.mark == mark and now - held.at < REFRESH_S:
                continue  # it was only counted up: told when the time has come, for its version stays the old one
            sends.append((one.topic, msgspec.json.encode(row, enc_hook=str)))
            self._held[one.id] = Held(one.topic, every, mark, one.version, now)
        await self._publish(connected, sends)
        await self._empty(connected, old)

    async def _empty(self, connected: aiomqtt.Client, topics: Iterable[str]) -> None:
        """An empty retained message takes away what is retained."""
        listed = list(topics)
        for first in range(0, len(listed), PORTION):
            await self._publish(connected, [(topic, b"") for topic in listed[first : first + PORTION]])

    async def _publish(self, connected: aiomqtt.Client, messages: Sequence[tuple[str, bytes]]) -> None:
        sends = (connected.publish(topic, payload, qos=1, retain=True, timeout=ANSWER_S) for topic, payload in messages)
        await asyncio.gather(*sends)
        self._meters.published[self._name] += len(messages)


async def actives(connection: Connection) -> list[Active]:
    """All alarms that are not cleared, in a few words each."""
    found = await connection.execute(ACTIVE, (PROVINCE,))
    return [Active(*row) for row in await found.fetchall()]


async def whole(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Rows of city.alarm by their ids, of those that are not cleared."""
    cursor = connection.cursor(row_factory=dict_row)
    rows = await (await cursor.execute(WHOLE, (list(ids),))).fetchall()
    return {row["id"]: row for row in rows}


def decoded(payload: bytes) -> dict[str, Any]:
    """What a retained message says; nothing where it is no document."""
    try:
        found = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def marks(row: dict[str, Any]) -> tuple[bytes, bytes]:
    """A mark of an alarm and one of what matters in it, the same for a row and for what was published of it."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row, enc_hook=str))
    return digest(plain), digest({name: value for name, value in plain.items() if name not in RESTLESS})


def digest(plain: dict[str, Any]) -> bytes:
    """Twelve bytes for a document."""
    return blake2b(msgspec.json.encode(plain, order="sorted"), digest_size=12).digest()


def client(url: str) -> aiomqtt.Client:
    """A connection to a broker of `mqtt://user:password@host:port` or `mqtts://…`, without a session of its own."""
    parts = urlsplit(url)
    secure = parts.scheme == "mqtts"
    return aiomqtt.Client(
        parts.hostname or "127.0.0.1",
        parts.port or (8883 if secure else 1883),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        keepalive=15,
        timeout=ANSWER_S,
        max_inflight_messages=PORTION,
        max_concurrent_outgoing_calls=2 * PORTION,
        tls_context=ssl.create_default_context() if secure else None,
    )
