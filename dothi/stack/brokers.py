"""The brokers of a stack: which areas and routes each serves, who is let in where, and their certificates."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from dothi.runtime import Runtime
from dothi.stack import broker, machine
from dothi.stack.account import Account
from dothi.stack.certificates import Certificates, files_in, machine_names, prepare
from dothi.stack.document import Shard
from dothi.stack.hosts import keep_placement, place, read_placement
from dothi.stack.parts import Part
from dothi.stack.plan import Plan
from dothi.stack.queues import Limits

RATE_TOLD = 20_000  # messages/s at which the broker's queue is expressed in minutes

Routes = Mapping[str, tuple[str, ...]]
"""Topic filters by route."""

log = structlog.get_logger("dothi.stack")


class Brokers:
    """Those of our own, or the one whose address was given. Areas are dealt, foreign routes come in at the first.

    `open`: areas whose inbox stands, `closed`: routes whose inbox does not stand yet; nobody may publish where it does
    not, for the broker would acknowledge and forget.
    """

    def __init__(self, plan: Plan, areas: Sequence[str], routes: Routes, passwords: dict[str, str]) -> None:
        self._plan = plan
        self._passwords = passwords
        self._account: Account | None = None
        self._ports: dict[str, int] = {}
        self.placed = place(areas, plan.shards, read_placement(plan.folder, plan.shards))
        self.open = set(self.placed)
        self.routes = routes
        self.closed: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Names of our own brokers."""
        return [] if self._plan.broker_url else [f"broker {shard}" for shard in range(self._plan.shards)]

    def parts(self, runtime: Runtime, account: Account, chosen: dict[str, int]) -> list[Part]:
        """Our own brokers, ready to be started. `chosen`: ports by name, `broker 0` and `broker 0 tls`."""
        self._ports, self._account = chosen, account
        if not self.names:
            return []
        queue = self.limits().messages
        log.info(
            "broker queue",
            memory_mib=self.memory // 2**20,
            bytes_per_message=broker.BYTES_PER_MESSAGE,
            messages=queue * self._plan.shards,
            outage_minutes=broker.outage_minutes(queue * self._plan.shards, RATE_TOLD),
            at_messages_per_s=RATE_TOLD,
        )
        self.certify()
        return [
            broker.part(
                runtime,
                self._plan.folder,
                account,
                shard,
                chosen[name],
                self.rules(shard),
                self._passwords,
                queue,
                self.open_areas(shard),
                self.listener(shard),
            )
            for shard, name in enumerate(self.names)
        ]

    @property
    def memory(self) -> int:
        """Bytes that our brokers may take together for what they queue."""
        return self._plan.broker_memory or machine.memory() // 4

    def kept(self) -> int:
        """Bytes that our brokers had queued when they were last written down."""
        files = (self._plan.folder / f"broker-{shard}" / "mosquitto.db" for shard in range(len(self.names)))
        return sum(file.stat().st_size for file in files if file.exists())

    def limits(self) -> Limits:
        """What one broker may hold."""
        if not self.names:
            return Limits(0, 0)
        return Limits(broker.queue_length(self.memory, self._plan.shards), self.memory // self._plan.shards)

    @property
    def certificates(self) -> Certificates:
        """Files of our TLS listeners."""
        return files_in(self._plan.folder / "tls")

    def certify(self) -> bool:
        """Make or renew the certificate of the TLS listeners if need be; whether there is a new one."""
        if self._account is None or not self.names:
            return False
        names = machine_names(self._plan.tls_address, self._plan.tls_names)
        new = prepare(self._plan.folder / "tls", names, datetime.now(UTC))
        self._account.give(self.certificates.key)
        return new

    def listener(self, shard: int) -> broker.Tls:
        """Where devices come in at one of our brokers."""
        plan = self._plan
        port = self._ports[f"broker {shard} tls"] if plan.tls_port is None else plan.tls_port + shard
        most = broker.most_connections(machine.open_files())  # of each process, whatever the others have
        return broker.Tls(plan.tls_address, port, self.certificates, most)

    def areas_of(self, shard: int) -> tuple[str, ...]:
        """Areas of one broker."""
        return tuple(area for area, at in self.placed.items() if at == shard)

    def open_areas(self, shard: int) -> list[str]:
        """Areas of one broker whose inbox stands."""
        return [area for area in self.areas_of(shard) if area in self.open]

    def rules(self, shard: int) -> str:
        """Who may publish what at one broker."""
        filters = [topic for topics in self.routes.values() for topic in topics] if shard == 0 else []
        closed = [topic for name in self.closed for topic in self.routes[name]]
        return broker.access_rules(self.open_areas(shard), filters, closed)

    def write_rules(self, shard: int) -> None:
        """Write who may publish what now; a broker of ours reads it on SIGHUP."""
        if self._account is not None and self.names:
            broker.open_to(self._plan.folder, self._account, shard, self.rules(shard), self.open_areas(shard))

    def add_areas(self, added: Sequence[str]) -> None:
        """Deal new areas to the brokers. Ours stay closed to publishers until their inboxes stand."""
        self.placed = place([*self.placed, *added], self._plan.shards, self.placed)
        self.keep()
        if not self.names:
            self.open.update(added)

    def keep(self) -> None:
        """Remember where the areas are, for the next start."""
        keep_placement(self._plan.folder, self._plan.shards, self.placed)

    def addresses(self) -> list[Shard]:
        """Each broker with what it serves."""
        if given := self._plan.broker_url:
            return [Shard(given, given, self.areas_of(0), tuple(self.routes))]
        return [
            Shard(
                gateway=broker.address("gateway", self._passwords["gateway"], self._ports[name]),
                ingest=broker.address("ingest", self._passwords["ingest"], self._ports[name]),
                areas=self.areas_of(shard),
                routes=tuple(self.routes) if shard == 0 else (),
                open=tuple(self.open_areas(shard)),
                tls=broker.device_address(self.listener(shard)),
            )
            for shard, name in enumerate(self.names)
        ]
