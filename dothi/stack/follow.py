"""What may change while a stack runs: workers and what they host, zones of the registry, foreign routes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from dothi.stack import broker
from dothi.stack.hosts import asked, keep_placement, place

if TYPE_CHECKING:
    from dothi.stack.embedded import Embedded

LOOK_EVERY = 0.5

Routes = Mapping[str, tuple[str, ...]]

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
        stack.supervisor.add(stack.worker_part(number))
    for name in before[stack.worker_count :]:
        stack.supervisor.retire(name)


def take_up(stack: "Embedded", areas: Sequence[str]) -> None:
    """Give zones that are new in the registry an inbox; publishers are let in when it has its session."""
    added = [area for area in areas if area not in stack.placed]
    if not added:
        return
    log.info("new areas", areas=added)
    stack.placed = place([*stack.placed, *added], stack.plan.shards, stack.placed)
    keep_placement(stack.plan.folder, stack.plan.shards, stack.placed)
    if stack.plan.broker_url:
        stack.open.update(added)
    stack.shards = stack.addresses()
    stack.publish()


def take_up_routes(stack: "Embedded", routes: Routes) -> None:
    """New foreign routes: another process proves that they can be loaded, then the workers start anew with them."""
    command = [sys.executable, "-m", "dothi", "migrate", "--dir", str(stack.plan.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        log.error("routes not taken up", reason=(done.stderr.strip().splitlines() or ["no reason given"])[-1])
        return
    added = [name for name in routes if name not in stack.routes]
    log.info("routes taken up", routes=list(routes), new=added)
    stack.routes = routes
    stack.closed = {name for name in stack.closed | set(added) if name in routes} if stack.brokers else set()
    write_rules(stack, {0})
    stack.shards = stack.addresses()
    stack.publish()
    for pid in filter(None, map(stack.supervisor.pid, stack.workers)):
        os.kill(pid, signal.SIGTERM)


def write_rules(stack: "Embedded", shards: set[int]) -> None:
    """Let our own brokers know who may publish what now."""
    for shard in shards if stack.account and stack.brokers else ():
        assert stack.account is not None
        broker.open_to(stack.plan.folder, stack.account, shard, stack.rules(shard), stack.open_areas(shard))
        if pid := stack.supervisor.pid(f"broker {shard}"):
            os.kill(pid, signal.SIGHUP)


def open_to_publishers(stack: "Embedded", inboxes: frozenset[str]) -> None:
    """Let publishers in where the inbox stands by now: earlier, the broker would acknowledge and forget."""
    opened = [area for area in stack.placed if area not in stack.open and area in inboxes]
    routes = stack.closed & inboxes
    if not opened and not routes:
        return
    stack.open.update(opened)
    stack.closed -= routes
    write_rules(stack, {0} | {stack.placed[area] for area in opened})
    log.info("open to publishers", areas=opened, routes=sorted(routes))
    stack.shards = stack.addresses()
    stack.save_sessions()
    stack.publish()
