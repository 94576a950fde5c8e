"""What may change while a stack runs: workers and what they host, zones of the registry, foreign routes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from dothi.stack import own
from dothi.stack.brokers import Routes
from dothi.stack.hosts import asked

if TYPE_CHECKING:
    from dothi.stack.embedded import Embedded

LOOK_EVERY = 0.5

log = structlog.get_logger("dothi.stack")


def follow(stack: "Embedded") -> None:
    """Take up what has changed since the last look: workers asked for, zones of the registry."""
    if time.monotonic() - stack.looked < LOOK_EVERY:
        return
    stack.looked = time.monotonic()
    follow_wanted(stack, stack.plan.folder / "run/wanted.json")
    if (routes := stack.reread()) is not None:
        take_up_routes(stack, routes)
    if stack.lookout:
        take_up(stack, stack.lookout.known.areas)
        open_to_publishers(stack, stack.lookout.known.inboxes)


def follow_wanted(stack: "Embedded", note: Path) -> None:
    """Other workers, or other hosts: first the new assignment, by which inboxes move; then the processes."""
    try:
        written = note.stat().st_mtime_ns
    except OSError:
        return
    wanted = asked(note) if written != stack.wanted_at else None
    stack.wanted_at = written
    if wanted is None:
        return
    before = stack.workers
    stack.worker_count, stack.wanted = wanted
    log.info("workers and inboxes change", workers=stack.worker_count, before=len(before))
    added = [number for number, name in enumerate(stack.workers) if name not in before]
    for number in added:
        stack.metrics_port(f"worker {number}")
    for name in before[stack.worker_count :]:
        stack.metrics.pop(name, None)
    stack.publish()
    for number in added:
        stack.supervisor.add(own.worker(stack.plan.folder, number))
    for name in before[stack.worker_count :]:
        stack.supervisor.retire(name)


def take_up(stack: "Embedded", areas: Sequence[str]) -> None:
    """Give zones that are new in the registry an inbox; publishers are let in when it has its session."""
    added = [area for area in areas if area not in stack.brokers.placed]
    if not added:
        return
    log.info("new areas", areas=added)
    stack.brokers.add_areas(added)
    tell(stack)


def take_up_routes(stack: "Embedded", routes: Routes) -> None:
    """New foreign routes: another process proves that they can be loaded, then the workers start anew with them."""
    command = [sys.executable, "-m", "dothi", "migrate", "--dir", str(stack.plan.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        log.error("routes not taken up", reason=(done.stderr.strip().splitlines() or ["no reason given"])[-1])
        return
    brokers = stack.brokers
    added = [name for name in routes if name not in brokers.routes]
    log.info("routes taken up", routes=list(routes), new=added)
    brokers.routes = routes
    brokers.closed = {name for name in brokers.closed | set(added) if name in routes} if brokers.names else set()
    write_rules(stack, {0})
    tell(stack)
    for pid in filter(None, map(stack.supervisor.pid, stack.workers)):
        os.kill(pid, signal.SIGTERM)


def write_rules(stack: "Embedded", shards: set[int]) -> None:
    """Let our own brokers know who may publish what now."""
    for shard in shards:
        stack.brokers.write_rules(shard)
        if pid := stack.supervisor.pid(f"broker {shard}"):
            os.kill(pid, signal.SIGHUP)


def open_to_publishers(stack: "Embedded", inboxes: frozenset[str]) -> None:
    """Let publishers in where the inbox stands by now: earlier, the broker would acknowledge and forget."""
    brokers = stack.brokers
    opened = [area for area in brokers.placed if area not in brokers.open and area in inboxes]
    routes = brokers.closed & inboxes
    if not opened and not routes:
        return
    brokers.open.update(opened)
    brokers.closed -= routes
    write_rules(stack, {0} | {brokers.placed[area] for area in opened})
    log.info("open to publishers", areas=opened, routes=sorted(routes))
    stack.save_sessions()
    tell(stack)


def tell(stack: "Embedded") -> None:
    """Let everybody know what the brokers serve now."""
    stack.shards = stack.brokers.addresses()
    stack.publish()
