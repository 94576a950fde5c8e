"""A province of 2.8 million devices with a hundred million readings in its last day, and what is asked of it.

python -m tests.bench.day load --folder DIR [--readings 100000000]      fills a stack of its own; goes on where it was
"""

import argparse
import contextlib
import sys
from pathlib import Path

from tests.bench.day_fill import load
from tests.bench.storage import database_in

READINGS = 100_000_000


def main() -> None:
    """Load, or ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("load")
    one.add_argument("--folder", type=Path, required=True)
    one.add_argument("--readings", type=int, default=READINGS)
    one.add_argument("--ahead-s", type=float, default=3600.0, help="the day ends so long after the loading began")
    one.add_argument("--pause", type=Path, help="wait while this file exists")
    one.add_argument("--keep-free", type=float, default=8.0, help="GB that are left on the disk")
    arguments = parser.parse_args()
    if arguments.command == "load":
        sys.exit(0 if loaded(arguments) else 1)


def loaded(arguments: argparse.Namespace) -> bool:
    """Whether the whole day is there now."""
    folder = arguments.folder.absolute()
    folder.mkdir(exist_ok=True)
    with database_in(folder) as stack:
        assert stack.database is not None
        urls = stack.database.owner, stack.database.writer
        return load(
            urls, folder, arguments.readings, arguments.ahead_s, arguments.pause, int(arguments.keep_free * 1e9)
        )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
