"""The highest rate that an installation sustains: which rate to try next, and whether a try was sustained.

Pure: what has been tried goes in, the next rate comes out. The rate is doubled until a step fails, then the gap between
the highest that was sustained and the lowest that was not is halved, on a scale of ratios. A failure counts once it
happened twice: something else may have kept the machine busy for a moment.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

TIMES = 2
"""A rate is given up when it failed so often."""
LEAST = 1.0
"""Messages per second below which there is nothing to find."""
SHORT = 0.98
"""Share of the messages due that must have been sent."""
GROWS = 1.5
"""The delay to the platform at the end of a step may be so many times that at its beginning, or stay below GROWS_S."""
GROWS_S = 0.5


class Slo(NamedTuple):
    """What sustained means; the 99 % quantiles. `late_ms`: due → sent. `lag_s`: sent → received by the platform.
    `p99_ms`: sent → PUBACK."""

    late_ms: float = 100.0
    lag_s: float = 5.0
    p99_ms: float = 1000.0


class Figures(NamedTuple):
    """What a step showed. Delays in s, None where nothing came. `begin`, `end`: half of the delays from sent to
    received were below this in the first and in the last third of the step. `settled`: the platform caught up."""

    due: int
    sent: int
    missing: int
    settled: bool
    late: float | None
    answer: float | None
    received: float | None
    begin: float | None
    end: float | None


class Step(NamedTuple):
    """A rate that was tried, messages per second, and why it was not sustained; no reason: it was."""

    rate: float
    failure: str | None


class Range(NamedTuple):
    """Where to look, in messages per second, and to what ratio the answer is wanted."""

    first: float = 1000.0
    most: float = 1_000_000.0
    precision: float = 1.05


def next_rate(steps: Sequence[Step], within: Range) -> float | None:
    """The rate to try next; None when the answer is known as well as it is wanted."""
    if not steps:
        return within.first
    last, known = steps[-1].rate, sustained(steps)
    if steps[-1].failure and (known is None or known < last) and tried(steps, last) < TIMES:
        return last
    failed = min((step.rate for step in steps if step.failure and (known is None or step.rate > known)), default=None)
    if known is None:
        return last / 2 if last / 2 >= LEAST else None
    if failed is None:
        return None if known >= within.most else min(2 * known, within.most)
    return None if failed <= known * within.precision else float((known * failed) ** 0.5)


def tried(steps: Sequence[Step], rate: float) -> int:
    """How often a rate failed."""
    return sum(step.rate == rate and step.failure is not None for step in steps)


def sustained(steps: Sequence[Step]) -> float | None:
    """The highest rate that was sustained."""
    return max((step.rate for step in steps if not step.failure), default=None)


def failure(found: Figures, slo: Slo) -> str | None:
    """Why a step was not sustained, in a few words with the figure and the limit; None: it was."""
    limits = (
        ("sent late, 99 %", found.late, slo.late_ms / 1000),
        ("PUBACK, 99 %", found.answer, slo.p99_ms / 1000),
        ("lag of the platform, 99 %", found.received, slo.lag_s),
    )
    if found.missing:
        return f"{found.missing:,} acknowledged messages are missing"
    if found.sent < SHORT * found.due:
        return f"{found.sent:,} of {found.due:,} messages could be sent"
    for name, value, limit in limits:
        if value is None:
            return f"{name}: nothing came"
        if value > limit:
            return f"{name}: {value:,.3g} s, allowed {limit:,.3g} s"
    if found.begin is not None and found.end is not None and found.end > max(GROWS * found.begin, GROWS_S):
        return f"the lag grows: {found.begin:,.3g} s at the beginning, {found.end:,.3g} s at the end of the step"
    return None if found.settled else "the platform did not catch up afterwards"


def figures_of(document: dict[str, Any]) -> Figures:
    """What the report of a step shows. Delays before the end of its warm-up are not in it."""
    account, delays = document["conservation"], document["delays"]
    times = [value for value in delays["over_time_s"]["received"]["p50"] if value is not None]
    third = max(1, len(times) // 3)
    return Figures(
        due=account["due"],
        sent=account["sent"],
        missing=account["missing"],
        settled=account["settled"],
        late=delays["whole_s"]["late"]["p99"],
        answer=delays["whole_s"]["answer"]["p99"],
        received=delays["whole_s"]["received"]["p99"],
        begin=sum(times[:third]) / third if times else None,
        end=sum(times[-third:]) / third if times else None,
    )
