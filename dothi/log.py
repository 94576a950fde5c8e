"""Structured logs on stderr: coloured lines for a terminal, JSON lines for everything else."""

import logging
import sys
from typing import TextIO, cast

import structlog


class CurrentStderr:
    """sys.stderr as it is when a line is written: a live picture on the terminal puts itself in its place."""

    def write(self, text: str) -> int:
        """Hand the text on."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Hand the flush on."""
        sys.stderr.flush()


def configure() -> None:
    """Set structlog up for this process."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, CurrentStderr())),
        cache_logger_on_first_use=True,
    )
