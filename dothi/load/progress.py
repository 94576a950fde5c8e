"""How a run goes, while it goes: a line that moves where a terminal is, else one every half minute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.live import Live
from rich.text import Text

from dothi.load.sampler import Sampler
from dothi.output import stderr
from simulators.report_html import milliseconds
from simulators.tally import Tally

EVERY_S, IN_LOG_S = 1.0, 30.0
SLOW_LAG_S = 5.0
OVERDUE = "bold red"


class Progress:
    """Shows a tally on stderr; `sampler`, when there is one, adds how far behind the platform is."""

    def __init__(self, live: Live | None) -> None:
        self.sampler: Sampler | None = None
        self._live = live
        self._before = (0.0, 0)

    @property
    def every_s(self) -> float:
        """How often it wants to be told."""
        return EVERY_S if self._live else IN_LOG_S

    def sending(self, seconds: float, tally: Tally) -> None:
        """Show where a run stands after so many seconds."""
        rate = (tally.sent - self._before[1]) / max(seconds - self._before[0], 0.001)
        self._before = (seconds, tally.sent)
        self._show(
            line(seconds, rate, tally, self.sampler.samples[-1] if self.sampler and self.sampler.samples else {})
        )

    def settling(self, waited: float, in_hand: int) -> None:
        """Show that the platform is being waited for."""
        if self._live:
            self._show(Text(f"waiting for the platform: {in_hand:,} messages in hand, {waited:.0f} s"))

    def counting(self, done: int, all_: int) -> None:
        """Show how much of the account is made."""
        if self._live:
            self._show(Text(f"counting what is stored: {done} of {all_} blocks"))

    def _show(self, text: Text) -> None:
        if self._live:
            self._live.update(text, refresh=True)
        else:
            stderr.print(text, soft_wrap=True, highlight=False)


def line(seconds: float, rate: float, tally: Tally, sample: dict[str, Any]) -> Text:
    """A run in one line."""
    text = Text.assemble(
        f"{seconds:,.0f} s  ",
        (f"{rate:,.0f} messages/s", "bold green" if rate else "bold"),
        f"  sent {tally.sent:,}  acknowledged {tally.acknowledged:,}  in flight {tally.in_flight:,}  ",
        (f"overdue {tally.overdue:,}", OVERDUE if tally.overdue else ""),
        "  ",
        (f"unsent {tally.unsent:,}", OVERDUE if tally.unsent else ""),
    )
    text.append(f"  PUBACK p50 {milliseconds(tally.answers.quantile(0.5))}")
    text.append(f" p99 {milliseconds(tally.answers.quantile(0.99))}  connected {tally.up:,}")
    lag = sample.get("lag_s")
    if lag is not None:
        text.append(f"  lag {lag:.1f} s", style=OVERDUE if lag > SLOW_LAG_S else "")
    return text


@contextmanager
def shown() -> Iterator[Progress]:
    """A progress display while the block runs."""
    if not stderr.is_terminal:
        yield Progress(None)
        return
    with Live(console=stderr, auto_refresh=False, transient=True) as live:
        yield Progress(live)
