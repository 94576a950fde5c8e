"""What the outside learns about a running stack: stack.json and the ready file."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dothi.stack.passwords import write_private

CONTRACT = ("broker", "brokers", "database", "reader", "pid", "processes", "tls", "ca")


@dataclass(frozen=True)
class Shard:
    """One broker: addresses as gateway and as ingest, its areas, the names of the foreign routes it serves."""

    gateway: str
    ingest: str
    areas: tuple[str, ...]
    routes: tuple[str, ...]
    open: tuple[str, ...] | None = None  # areas that may be published to already; None: all
    tls: str | None = None  # where devices come in from outside; None: the broker is not ours


@dataclass(frozen=True)
class Database:
    """Addresses of one database for its roles; `owner` migrates."""

    owner: str
    writer: str
    analyst: str
    reader: str
    operator: str


def document(
    shards: Sequence[Shard],
    database: Database,
    brokers: Sequence[int | None],
    postmaster: int | None,
    workers: Sequence[int | None],
    others: Mapping[str, int | None],
    hosts: Mapping[str, int],
    metrics: Mapping[str, str],
    ca: Path | None = None,
) -> dict[str, Any]:
    """DIR/stack.json. Processes that are down just now, or not ours, are left out or null."""
    return {
        "broker": shards[0].gateway,
        "brokers": [
            {
                "url": shard.gateway,
                "areas": list(shard.areas if shard.open is None else shard.open),
                "tls": shard.tls,
            }
            for shard in shards
        ],
        "tls": shards[0].tls,
        "ca": str(ca) if ca else None,
        "database": database.owner,
        "reader": database.reader,
        "pid": os.getpid(),
        "processes": {
            "broker": present(brokers),
            "database": postmaster,
            "workers": present(workers),
            **others,
        },
        "analyst": database.analyst,
        "operator": database.operator,
        "ingest": {
            "database": database.writer,
            "brokers": [
                {"url": shard.ingest, "areas": list(shard.areas), "routes": list(shard.routes)} for shard in shards
            ],
            "workers": len(workers),
            "hosts": dict(hosts),
        },
        "metrics": dict(metrics),
    }


def present(pids: Sequence[int | None]) -> list[int]:
    """The numbers of those that run."""
    return [pid for pid in pids if pid is not None]


def ready_document(whole: dict[str, Any]) -> dict[str, Any]:
    """The part of stack.json that the ready file promises."""
    return {key: whole[key] for key in CONTRACT}


def publish(path: Path, content: dict[str, Any]) -> None:
    """Rename a document into place; it carries passwords, so only its owner reads it."""
    write_private(path, json.dumps(content, indent=2) + "\n")
