"""Restarts of a running stack while its devices go on: the alarms that each raises."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.stack import RunningStack, running_stack

WATCHED_S = 240.0
"""Longer than warm-up, and than the silence of most devices."""
DOWN_S = 60.0

RAISED = """
select a.id, a.kind, a.severity, a.area, a.members_now, h.what, a.message_en
from city.alarm_history h join city.alarm a on a.id = h.alarm
where h.recorded > %s and h.what in ('raised', 'reopened') order by h.recorded
"""


def broker_restart(stack: RunningStack) -> None:
    """The broker is killed and comes back."""
    begun = stack.query("select clock_timestamp()")[0][0]
    os.kill(json.loads((stack.folder / "stack.json").read_text())["processes"]["broker"][0], signal.SIGKILL)
    time.sleep(WATCHED_S)
    say_alarms(stack, "broker restart", begun)


def platform_restart(folder: Path, then: Callable[[], None]) -> None:
    """The stack, which has ended, comes back after a minute; `then`: what is left to do while it is there."""
    time.sleep(DOWN_S)
    (folder / "ready.json").unlink(missing_ok=True)
    with running_stack(folder) as stack:
        begun = stack.query("select pg_postmaster_start_time()")[0][0]
        time.sleep(WATCHED_S)
        say_alarms(stack, "platform restart", begun)
        then()


def say_alarms(stack: RunningStack, what: str, begun: object) -> None:
    """What the record noted since."""
    rows = stack.query(RAISED, begun)
    heard = stack.query("select count(*) from ops.batch where committed > %s", begun)
    sys.stdout.write(f"{what}: {len(rows)} alarms, {heard[0][0]} batches since\n")
    for row in rows:
        sys.stdout.write(f"  {row}\n")
    sys.stdout.flush()
