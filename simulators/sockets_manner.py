"""How devices behave on connections of their own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manner:
    """How devices behave on their connections; all in s.

    `at_once`: connections of a process that may be under way at the same time; a broker's backlog holds about 100.
    `first_s`, `longest_s`: full jitter: the wait before attempt n is drawn evenly from 0 to first × 2^n or longest.
    `listen`: subscribe to acknowledgements and commands. `session_s`: how long the broker keeps what it has for one.
    `ca`: file with the certificate of the authority, for TLS.
    """

    keepalive_s: int = 60
    session_s: int = 3600
    answer_within_s: float = 15.0
    first_s: float = 2.0
    longest_s: float = 120.0
    at_once: int = 48
    listen: bool = False
    ca: str | None = None


USUAL_MANNER = Manner()
"""How devices behave when nothing else is said."""
