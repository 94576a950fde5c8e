"""How fast a file is enrolled: parse, checks, COPY, and the registry with all that hangs on it.

    python -m tests.bench.enroll --dir DIR --devices 1000000 [--tokens] [--full]
    python -m tests.bench.enroll --dir DIR --devices 3700000 --columns

Enrols a new file dry, for good, and again; or as many devices by columns, and again. DIR is a running stack, whose
registry keeps the devices: by columns it is quickest when there is none yet.
"""

import argparse
import io
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import psycopg

from devices.area import ZONES
from devices.credentials import issue_tokens
from devices.enroll import Terms
from devices.enroll_columns import Columns, enroll_columns
from devices.enroll_file import Outputs, enroll_file, lines_of
from devices.enroll_read import pieces
from devices.enroll_stage import nothing
from devices.lookup import find
from devices.profile import PROFILES
from dothi.settings import stack_at

PLACES = ("Đồng Mỏ", "Cầu Bố Hạ", "Ngã tư Quán Thành", "Trường Xuân Lương", "Chợ Thương", "Đập Cầu Sơn")
KINDS = ("native-weather", "native-meter", "native-air-quality", "native-street-light")
HEAD = "device,profile,area,name,lat,lon"
REST = ",owner,serial,installed,tags"


def write_file(path: Path, devices: int, mark: str, full: bool) -> None:
    """Devices all over the zones, one in ten with an area left to its position."""
    chance = random.Random(6)  # noqa: S311 - a repeatable file, no secret
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD + (REST if full else "") + "\n")
        for number in range(devices):
            zone = chance.choice(ZONES)
            lat, lon = zone.lat + chance.gauss(0, 0.01), zone.lon + chance.gauss(0, 0.01)
            area = "" if number % 10 == 0 else zone.code
            name = f"{chance.choice(PLACES)} {number % 1000}"
            rest = f",UBND {zone.name_vi},SN{mark}{number:08d},2026-01-31,trạm;đợt 1" if full else ""
            file.write(f"{mark}-{number:07d},{chance.choice(KINDS)},{area},{name},{lat:.6f},{lon:.6f}{rest}\n")


class Clock:
    """Wall clock and CPU seconds, ours and those of the connection's process in the database."""

    def __init__(self, backend: int) -> None:
        self._backend = psutil.Process(backend)
        self.start()

    def start(self) -> None:
        """From now on."""
        self._began, self._ours, self._theirs = time.monotonic(), time.process_time(), self._cpu()

    def _cpu(self) -> float:
        times = self._backend.cpu_times()
        return float(times.user + times.system)

    def tell(self, what: str, count: int) -> None:
        """Seconds and rate of a step, and begin the next."""
        took = time.monotonic() - self._began
        ours, theirs = (
            (now - began) / count * 100_000
            for now, began in ((time.process_time(), self._ours), (self._cpu(), self._theirs))
        )
        sys.stdout.write(f"{what}: {took:.1f} s, {count / took:,.0f} devices/s; CPU s per 100,000: {ours:.2f} here, ")
        sys.stdout.write(f"{theirs:.2f} in the database\n")
        self.start()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--devices", type=int, default=1_000_000)
    parser.add_argument("--mark", default=f"b{int(time.time()) % 1_000_000}")
    parser.add_argument("--tokens", action="store_true")
    parser.add_argument("--full", action="store_true", help="owner, serial, day and tags as well")
    parser.add_argument("--columns", action="store_true", help="no file, but columns")
    arguments = parser.parse_args()
    if arguments.columns:
        measure_columns(arguments)
        return
    terms = Terms({p.name: p.route for p in PROFILES.values()}, frozenset(zone.code for zone in ZONES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "devices.csv"
        write_file(path, arguments.devices, arguments.mark, arguments.full)
        measure(path, terms, arguments)


def measure(path: Path, terms: Terms, arguments: argparse.Namespace) -> None:
    """The parts, then the whole three times, then lookups."""
    with psycopg.connect(stack_at(arguments.dir).database, autocommit=True) as connection:
        clock = Clock(connection.info.backend_pid)
        with path.open("rb") as file:
            size = sum(map(len, lines_of(pieces(file), terms, nothing)))
        clock.tell(f"parse and check alone ({size} letters)", arguments.devices)
        for what, dry in (("dry run", True), ("enrol", False), ("again", False)):
            with path.open("rb") as file:
                tokens = io.StringIO() if arguments.tokens else None
                outcome = enroll_file(connection, file, terms, dry, Outputs(tokens=tokens))
            clock.tell(f"{what} {outcome.enrolled} {outcome.tokens} tokens", arguments.devices)
        for text in ("dong mo 77", "cau bo ha", f"{arguments.mark}-0000123", f"sn{arguments.mark}00000042", "ubnd"):
            began = time.monotonic()
            found = find(connection, text, 100)
            sys.stdout.write(f"find {text!r}: {len(found)} in {1000 * (time.monotonic() - began):.1f} ms\n")
    tell_memory()


def measure_columns(arguments: argparse.Namespace) -> None:
    """By columns, twice; then tokens for 45,000 of them."""
    devices = arguments.devices
    with psycopg.connect(stack_at(arguments.dir).database, autocommit=True) as connection:
        clock = Clock(connection.info.backend_pid)
        for what in ("enrol", "again"):
            done = enroll_columns(connection, lambda: columns(devices, arguments.mark))
            clock.tell(f"{what} by columns {done}", devices)
        some = next(columns(min(devices, 45_000), arguments.mark, 45_000)).device
        clock.start()
        issue_tokens(connection, some)
        clock.tell("tokens", len(some))
    tell_memory()


def columns(devices: int, mark: str, size: int = 50_000) -> Iterator[Columns]:
    """Devices around the middle of the zones in turn, the same each time."""
    zones, kinds = len(ZONES), len(KINDS)
    for start in range(0, devices, size):
        numbers = range(start, min(start + size, devices))
        chance = np.random.default_rng(start)
        lat = chance.normal([ZONES[number % zones].lat for number in numbers], 0.01).round(5)
        lon = chance.normal([ZONES[number % zones].lon for number in numbers], 0.01).round(5)
        yield Columns(
            [f"{mark}-{number:07d}" for number in numbers],
            [KINDS[number // zones % kinds] for number in numbers],
            [ZONES[number % zones].code for number in numbers],
            [f"{PLACES[number % len(PLACES)]} {number}" for number in numbers],
            lat.tolist(),
            lon.tolist(),
        )


def tell_memory() -> None:
    """The most that this process had."""
    sys.stdout.write(f"memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB\n")


if __name__ == "__main__":
    main()
