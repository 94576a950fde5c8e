"""What `dothi up` was asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """What a stack is to be. `folder` is absolute; addresses given are used instead of parts of our own."""

    folder: Path
    workers: int = 1
    shards: int = 1
    people: int | None = None
    density: float | None = None
    seconds: float | None = None
    ready_file: Path | None = None
    runtime: str | None = None
    database_url: str | None = None
    broker_url: str | None = None
    broker_memory: int | None = None  # bytes; None: a quarter of the machine's
    tls_address: str = "127.0.0.1"  # where devices come in over TLS
    tls_port: int | None = None  # of the first broker, the others follow; None: any that is free
    tls_names: tuple[str, ...] = ()  # by which devices know this machine beside its own

    @property
    def needs_runtime(self) -> bool:
        """Whether a part of the stores is our own."""
        return not (self.database_url and self.broker_url)
