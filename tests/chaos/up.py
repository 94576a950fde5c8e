"""`dothi up` whose workers reach broker and database through the proxies, and whose parts can be given an environment.

The folder of DOTHI_CHAOS holds `proxies.json` (ports, read), `upstream.json` (the real ports, written),
`environment.json` (part → variables, read at every start of a part) and `crash` (DOTHI_CRASH_AT of the next worker).
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dothi.cli import main
from dothi.stack import embedded, parts

FOLDER = Path(os.environ["DOTHI_CHAOS"])
real_document = embedded.Embedded.document
real_start = parts.Running.start


def through(url: str, port: int) -> str:
    """The address with another port."""
    split = urlsplit(url)
    return urlunsplit(split._replace(netloc=f"{split.netloc.rpartition(':')[0]}:{port}"))


def document(stack: embedded.Embedded) -> dict[str, Any]:
    """stack.json with the proxies' ports in what the workers read."""
    whole = real_document(stack)
    ingest, proxies = whole["ingest"], json.loads((FOLDER / "proxies.json").read_text())
    real = {"broker": urlsplit(ingest["brokers"][0]["url"]).port, "database": urlsplit(ingest["database"]).port}
    (FOLDER / "upstream.new").write_text(json.dumps(real))
    (FOLDER / "upstream.new").replace(FOLDER / "upstream.json")
    ingest["database"] = through(ingest["database"], proxies["database"])
    for broker in ingest["brokers"]:
        broker["url"] = through(broker["url"], proxies["broker"])
    return whole


def start(running: parts.Running) -> None:
    """Start a part with the variables that are due."""
    kind = running.part.name.split()[0]
    more = variables(kind)
    if kind == "worker" and (FOLDER / "crash").exists():
        more |= {"DOTHI_CRASH_AT": (FOLDER / "crash").read_text()}
        (FOLDER / "crash").unlink()
    plain = running.part
    at = plain.command.index("--") + 1  # behind the change of user: libfaketime's semaphores belong to who starts it
    command = [*plain.command[:at], "/usr/bin/env", *(f"{name}={value}" for name, value in more.items())]
    running.part = dataclasses.replace(plain, command=[*command, *plain.command[at:]])
    try:
        real_start(running)
    finally:
        running.part = plain


def variables(kind: str) -> dict[str, str]:
    """Variables for parts of this kind."""
    try:
        return dict(json.loads((FOLDER / "environment.json").read_text()).get(kind, {}))
    except FileNotFoundError:
        return {}


if __name__ == "__main__":
    embedded.Embedded.document = document  # type: ignore[assignment,method-assign]
    parts.Running.start = start  # type: ignore[assignment,method-assign]
    main()
