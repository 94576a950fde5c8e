"""How a reading travels. Start here.

    MQTT PUBLISH
     → session    one persistent session per inbox hands on what it reads; the window bounds what is unacknowledged
     → route      topic → device → profile, or Rejected(reason)
     → codecs     payload → values in the device's own words               (devices, pure)
     → profile    → metrics of the family, in its units, checked           (devices, pure)
     → batch      columns per family, bounded; closed by age (gather says when)
     → writer     one transaction: readings + quarantine + ledger + batch; COMMIT; only then the acknowledgement

Bad data is a returned value and ends in quarantine. Broken infrastructure is an exception: nothing is acknowledged, and
the broker sends everything again.
"""

import asyncio
import time
from collections.abc import Callable

from ingest.batch import Batch, Limits
from ingest.gather import Gathering
from ingest.intake import Intake
from ingest.points import reached
from ingest.route import Router
from ingest.window import Window
from ingest.writer import Writer


def unheard(_: Batch) -> None:
    """Nobody wants to know."""


async def pipeline(
    window: Window, router: Router, writer: Writer, limits: Limits, hear: Callable[[Batch], None] = unheard
) -> None:
    """Carry readings until cancelled. One batch is being filled while the one before it is being committed; `hear` is
    given every batch that is."""
    gathering = gather(window, router, limits)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(gathering.fill())
        tasks.create_task(settle(gathering, writer, window, hear))


def gather(window: Window, router: Router, limits: Limits) -> Gathering:
    """Arrivals → batches."""
    return Gathering(window, limits, Intake(router))


async def settle(gathering: Gathering, writer: Writer, window: Window, hear: Callable[[Batch], None] = unheard) -> None:
    """Batches → committed → acknowledged."""
    while True:
        batch = await gathering.get()
        began = time.monotonic()
        await writer.store(batch)
        gathering.took(time.monotonic() - began)
        reached("after_commit_before_puback")
        batch.acknowledge()
        window.release(batch.arrivals)
        hear(batch)
        reached("between_batches")
