"""One run of a city against a stack, from the first message to the report."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from dothi.errors import Refused
from dothi.load import conservation, place, report
from dothi.load.acks import Acks, asking
from dothi.load.probe import Probe, chosen
from dothi.load.sampler import Sampler, memory_slopes, over_time
from dothi.load.settling import Ledger, held, ledger, settled
from dothi.load.stored import cut_lines
from dothi.load.upkeep import Upkeep, upkeep
from dothi.settings import Stack
from simulators.blocks import BLOCK
from simulators.city import City
from simulators.curves import Curves
from simulators.spool import slices

SETTLE_S = 120.0
AFTER_S = 5.0
"""Curves go on so long after the last message."""

Send = Callable[[Path, Sampler], tuple[dict[str, Any], Sequence[Path]]]
"""Let the city speak and write its record into a folder; returns the summary and the files of the record."""


@dataclass(frozen=True)
class Told:
    """Where a run says how far it is. `settling`: seconds waited, messages in hand. `counting`: blocks done and all."""

    settling: Callable[[float, int], None] = lambda waited, in_hand: None
    counting: Callable[[int, int], None] = lambda done, all_: None


@dataclass(frozen=True)
class Before:
    """What the platform had counted when the run began."""

    ledger: Ledger
    cut: dict[str, int]
    held: int
    upkeep: Upkeep


@dataclass(frozen=True)
class Run:
    """What is to be run. `speed`: of the city. `asked`: what the report says of it besides. `warm_s`: as in `Curves`.
    `most`: messages that are set against the tables at once."""

    stack: Stack
    city: City
    speed: float
    asked: dict[str, Any]
    settle_s: float = SETTLE_S
    warm_s: float = 0.0
    most: int = BLOCK


def rehearse(run: Run, send: Send, folder: Path | None, told: Told = Told()) -> dict[str, Any]:
    """Send, wait until the platform has dealt with it, set what was sent against what is there: the report's document.

    `folder`: where the record is kept meanwhile and the report afterwards; None: there is only the document. Raises
    Refused when the database cannot be asked.
    """
    try:
        with recording_in(folder or run.stack.folder) as record:
            before = state(run.stack)
            with Sampler(run.stack, run.city.start) as sampler, probing(run) as probe, listening(run) as acks:
                summary, spools = send(record, sampler)
                waited = settled(
                    run.stack.database,
                    run.settle_s,
                    told.settling,
                    lambda: max(held(up_page(run.stack)) - before.held, 0),
                    before.ledger.received + summary["acknowledged"],
                )
            with psycopg.connect(run.stack.database, autocommit=True, connect_timeout=10) as connection:
                meanwhile = upkeep(connection).since(before.upkeep)
            curves = sender_curves(run, spools, sampler)
            sent = conservation.Sent(run.city.fleet, spools, run.city.payloads, run.city.start, before.cut)
            total = conservation.account(run.stack.database, sent, curves, told.counting, run.most)
            queryable, asked = probe.delays(spools), acks.sample(spools)
    except psycopg.Error as error:
        raise Refused(f"the run cannot be accounted for: {str(error).strip().splitlines()[0]}") from None
    own = ledger(run.stack.database).since(before.ledger)
    account = conservation.document(total, run.city.fleet) | {
        "settled": waited,
        "ledger": own,
        "platform": acks.document(asked),
    }
    delays = curves.delays_document()
    delays["whole_s"]["told"] = report.seen_quantiles(acks.delays(asked))
    delays["whole_s"]["queryable"] = report.seen_quantiles(queryable) | {"family": probe.family}
    document = report.assemble(
        {
            "run": run_document(run, summary),
            "sending": summary,
            "conservation": account,
            "rates": curves.rates_document(),
            "delays": delays,
            "processes": process_document(sampler, summary),
            "machine": place.machine_document(run.stack.folder or Path()),
            "platform": place.platform_document(run.stack) | {"meanwhile": meanwhile},
            "versions": place.versions(),
        }
    )
    if folder:
        report.write(folder, document)
    return document


def state(stack: Stack) -> Before:
    """What the platform has counted so far."""
    with psycopg.connect(stack.database, autocommit=True, connect_timeout=10) as connection:
        return Before(ledger(stack.database), cut_lines(connection), held(up_page(stack)), upkeep(connection))


def probing(run: Run) -> Probe:
    """The probe of a run."""
    family, devices = chosen(run.city.fleet, run.city.members.astype(np.int64), run.speed)
    return Probe(run.stack.reader, run.city.fleet, family, devices)


def listening(run: Run) -> Acks:
    """Who hears what the platform acknowledges."""
    return Acks(run.stack, run.city.fleet, asking(run.city.fleet, run.city.members.astype(np.int64)))


@contextlib.contextmanager
def recording_in(folder: Path | None) -> Iterator[Path]:
    """A folder for the record that goes when the block ends; on the disk of `folder` where that can be written."""
    there = folder if folder and os.access(folder, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sent-", dir=there) as made:
        yield Path(made)


def sender_curves(run: Run, spools: Sequence[Path], sampler: Sampler) -> Curves:
    """Rates and delays as the sender knows them."""
    took = sampler.samples[-1]["at"] if sampler.samples else AFTER_S
    curves = Curves(run.city.start, took, run.warm_s)
    for rows in slices(spools):
        curves.add(rows)
    return curves


def up_page(stack: Stack) -> str | None:
    """The page that tells what the brokers hold."""
    pages: dict[str, str] = stack.document.get("metrics", {})
    return pages.get("up")


def run_document(run: Run, summary: dict[str, Any]) -> dict[str, Any]:
    """What was run."""
    fleet = run.city.fleet
    return {
        "start": datetime.fromtimestamp(run.city.start, UTC).isoformat(timespec="milliseconds"),
        "seconds": summary["seconds"],
        "devices": len(run.city.members),
        "families": len(fleet.families),
        "districts": len(fleet.areas),
        "seed": fleet.seed,
        "boot": run.city.boot,
        "speed": round(run.speed, 4),
        "rate_per_s": round(run.city.rate_per_s, 1),
        "shard": list(run.city.shard),
        **run.asked,
    }


def process_document(sampler: Sampler, summary: dict[str, Any]) -> dict[str, Any]:
    """What each part cost."""
    spent = sampler.cpu_s()
    return {
        "cpu_s": spent,
        "cpu_s_per_100k": report.per_100k(spent, summary["sent"]),
        "memory_second_half": memory_slopes(sampler.samples, summary["seconds"]),
        **over_time(sampler.samples),
    }
