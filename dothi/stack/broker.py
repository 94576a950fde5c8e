"""The private mosquitto: configuration, who may publish what, and the queue that bridges an outage of the database."""

import ipaddress
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from devices.gate.table import Table, create
from dothi.runtime import Runtime
from dothi.stack.account import Account, starter
from dothi.stack.certificates import Certificates
from dothi.stack.cluster import ENVIRONMENT
from dothi.stack.gate import compile_gate, compile_polling
from dothi.stack.parts import Part
from dothi.stack.passwords import password_line, write_private
from dothi.stack.ports import answers

# Resident memory of mosquitto 2.0.21 per queued message: 513 with a payload of 120 bytes, a topic of 38 and a user name
# (a million messages, measured); 253 on disk when it saves.
BYTES_PER_MESSAGE = 520
LARGEST_PACKET = 2_000_000
DEVICE_LIMIT = 100  # messages per second of one device, beyond which the gate refuses them


def address(user: str, password: str, port: int) -> str:
    """URL of a broker for one user."""
    return f"mqtt://{user}:{password}@127.0.0.1:{port}"


def deal(areas: Sequence[str], shards: int) -> list[list[str]]:
    """Areas of each shard, dealt round robin.

    >>> deal(["213", "214", "215"], 2)
    [['213', '215'], ['214']]
    """
    return [list(areas[shard::shards]) for shard in range(shards)]


def queue_length(memory: int, shards: int) -> int:
    """Messages that one broker may hold for ingest when all of them together may take `memory` bytes.

    >>> queue_length(8 * 2**30, 1)
    16519104
    """
    return max(10_000, memory // shards // BYTES_PER_MESSAGE)


def outage_minutes(length: int, per_second: float) -> float:
    """How long the database may be away: bytes of memory / bytes per message = messages; messages / rate = minutes.

    >>> outage_minutes(queue_length(8 * 2**30, 1), 20_000)
    13.8
    """
    return round(length / per_second / 60, 1)


class Tls(NamedTuple):
    """The listener for devices: where, with which certificates, and how many connections it takes."""

    address: str
    port: int
    certificates: Certificates
    most: int


def device_address(tls: Tls) -> str:
    """URL of a TLS listener for devices; on a network under the machine's name."""
    import socket

    local = ipaddress.ip_address(tls.address).is_loopback
    host = tls.address if local else socket.gethostname()
    return f"mqtts://{f'[{host}]' if ':' in host else host}:{tls.port}"


def most_connections(open_files: int) -> int:
    """How many devices may be connected: the rest of the files is for ingest, gateway and the broker itself.

    >>> [most_connections(n) for n in (1024, 1_048_576)]
    [768, 1047552]
    """
    return open_files - min(1024, open_files // 4)


def configuration(port: int, folder: Path, queue: int, tls: Tls) -> str:
    """mosquitto.conf of one shard whose files lie in `folder`."""
    return f"""\
# Written by dothi up at every start.
listener {port} 127.0.0.1
allow_anonymous false
# Devices are let in by the gate, ingest and gateway by passwords; what is denied to gateways is told by the gate.
plugin {folder}/gate.so
plugin_opt_table {folder}/gate.table
plugin_opt_rules {folder}/acl
password_file {folder}/passwords
acl_file {folder}/acl
persistence true
persistence_location {folder}/
autosave_interval 60
# No persistent_client_expiration: sessions never expire.
# Ingest acknowledges after its COMMIT and bounds what it has in flight itself (Receive Maximum).
max_inflight_messages 0
# 0, without a limit, is broken in mosquitto 2.0.21.
max_queued_messages {queue}
max_packet_size {LARGEST_PACKET}
set_tcp_nodelay false
sys_interval 5
log_dest stderr
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
# Lines for every connection would let anybody fill the disk; the gate tells what matters.
connection_messages false
listener {tls.port} {tls.address}
certfile {tls.certificates.chain}
keyfile {tls.certificates.key}
tls_version tlsv1.3
max_connections {tls.most}
"""


def access_rules(areas: Sequence[str], routes: Sequence[str], closed: Sequence[str] = ()) -> str:
    """mosquitto's acl file for ingest and gateway; what devices may do the gate knows.

    `routes` are topic filters; nobody may publish to those that are `closed` yet.
    """
    ingest = ["read dothi/v1/+/+/up", "read dothi/v1/+/+/status", *(f"read {route}" for route in routes)]
    ingest += ["read $SYS/#", "write dothi/v1/+/+/ack", "write dothi/v1/+/+/down"]
    ingest += ["readwrite dothi/alarms/#"]  # read: what is retained there is compared with the record
    ingest += ["write spBv1.0/+/NCMD/+"]  # to ask a Sparkplug node for its birth
    gateway = [f"write dothi/v1/{area}/+/{end}" for area in areas for end in ("up", "status")]
    gateway += [f"write {route}" for route in routes if route not in closed]
    gateway += ["read dothi/v1/+/+/ack", "read dothi/v1/+/+/down", "read dothi/alarms/#"]
    gateway += ["read spBv1.0/+/NCMD/+"]  # where an edge node hears that it is asked
    lines = ["user ingest", *(f"topic {rule}" for rule in ingest)]
    lines += ["", "user gateway", *(f"topic {rule}" for rule in gateway)]
    return "\n".join(lines) + "\n"


def open_to(folder: Path, account: Account, shard: int, rules: str, areas: Sequence[str]) -> None:
    """Write another acl file, which the broker reads on SIGHUP, and tell the gate the open areas."""
    path = folder / f"broker-{shard}" / "acl"
    write_private(path, rules)
    account.give(path)
    set_areas(table_path(folder, shard), areas)


def table_path(folder: Path, shard: int) -> Path:
    """Where a broker's table of credentials lies."""
    return folder / f"broker-{shard}" / "gate.table"


def set_areas(path: Path, areas: Sequence[str]) -> None:
    """The areas under which devices may publish, from now on."""
    table = Table(path)
    table.set_areas(areas)
    table.close()


def lay_table(path: Path, account: Account, areas: Sequence[str]) -> None:
    """A table for the gate to start with: the one that is there, or an empty one, which the registry fills."""
    try:
        table = Table(path)
    except (OSError, ValueError):
        table = create(path, {})
    table.set_areas(areas)
    table.set_limit(DEVICE_LIMIT)
    table.close()
    path.chmod(0o600)
    account.give(path)


def reached(address: str) -> str:
    """Where a listener on `address` answers this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 -- asked for, not bound


def part(
    runtime: Runtime,
    folder: Path,
    account: Account,
    shard: int,
    port: int,
    rules: str,
    passwords: dict[str, str],
    queue: int,
    areas: Sequence[str],
    tls: Tls,
) -> Part:
    """One shard as a part of the stack; its files are written anew, what it persisted stays."""
    own = folder / f"broker-{shard}"
    own.mkdir(mode=0o700, exist_ok=True)
    account.give(own)
    texts = {
        "mosquitto.conf": configuration(port, own, queue, tls),
        "passwords": "\n".join(password_line(user, passwords[user]) for user in ("ingest", "gateway")) + "\n",
        "acl": rules,
    }
    for name, text in texts.items():
        write_private(own / name, text)
        account.give(own / name)
    compile_gate(runtime, own / "gate.so")
    account.give(own / "gate.so")
    compile_polling(runtime, own / "polling.so")
    account.give(own / "polling.so")
    lay_table(table_path(folder, shard), account, areas)
    return Part(
        name=f"broker {shard}",
        command=[
            *starter(account, [own, runtime.mosquitto.parent], signal.SIGTERM),
            str(runtime.mosquitto),
            "-c",
            str(own / "mosquitto.conf"),
        ],
        log=folder / f"log/broker-{shard}.log",
        folder=folder,
        ready=lambda: answers(port) and answers(tls.port, reached(tls.address)),
        environment={**ENVIRONMENT, "LD_PRELOAD": str(own / "polling.so")},
    )
