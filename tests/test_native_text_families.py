"""Of every family: what one pass over the bytes takes is what reading with care gives, whatever the bytes."""

import json
from random import Random
from typing import Any

import msgspec
import pytest

from devices.family import FAMILIES, Family, Metric
from devices.native import native_reader
from devices.native_scan import NO
from devices.native_text import Text
from devices.reading import Reading

PAYLOADS = 1500
BLANKS = ("", "", "", " ", "\n", "\t\r")
ODD = ("0", "-0", "-0.0", "01", "1.", "1e5", "null", "true", '"x"', "-", "9" * 18, "9" * 19, "0." + "0" * 17 + "1")
COUNTS = ("0", "1", "1763690400000", "253402300799999", "253402300800000", "9223372036854775807", "9223372036854775808")
BYTES = b'{}[]":,.-e0159 \0\\\xffat\n'


def value_of(metric: Metric, chance: Random) -> str:
    """As a device may write it, or as it must not."""
    if metric.states and chance.random() < 0.95:
        return json.dumps(chance.choice(metric.states))
    value = chance.uniform(max(metric.low, -1e3), min(metric.high, 1e3))
    ways = repr(value), f"{value:.{chance.randint(0, 20)}f}", f"{value:e}", repr(metric.low), repr(metric.high)
    return chance.choice((*ways, f"{value:.2f}", f"{value:.1f}", str(int(value)), chance.choice(ODD)))


def reading(family: Family, chance: Random) -> str:
    """Fields in any order, with blanks anywhere; at times a metric for the second time."""
    metrics = chance.sample(family.metrics, chance.randint(1, min(5, len(family.metrics))))
    sent = [*metrics, metrics[0]] if chance.random() < 0.03 else metrics
    values = ",".join(f'{chance.choice(BLANKS)}"{metric.name}":{value_of(metric, chance)}' for metric in sent)
    fields = [f'"metrics":{chance.choice(BLANKS)}{{{values}}}']
    fields += [f'"{name}" :{chance.choice(COUNTS[:5])}' for name in ("time", "seq", "boot") if chance.random() < 0.8]
    fields += [f'"seq":{chance.choice(COUNTS)}'] if chance.random() < 0.05 else []
    chance.shuffle(fields)
    return "{" + f"{chance.choice(BLANKS)},".join(fields) + "}"


def payload(family: Family, chance: Random) -> bytes:
    """A message or a list of some, half of them with bytes changed."""
    several = ",".join(reading(family, chance) for _ in range(chance.randint(0, 4)))
    made = (reading(family, chance) if chance.random() < 0.5 else f"[{several}]").encode()
    for _ in range(chance.choice((0, 0, 1, 3))):
        at, cut = chance.randrange(len(made) + 1), chance.choice((0, 1, 5))
        made = made[:at] + bytes([chance.choice(BYTES)]) + made[at + cut :]
    return made


def with_care(family: Family, bytes_: bytes) -> list[tuple[Any, ...]]:
    """Its readings one by one. Fails when it is none that may be stored as it is."""
    document = msgspec.json.decode(bytes_)
    read, found = native_reader(family), []
    for place, item in enumerate(document if type(document) is list else [document]):
        one = read(item, bytes_)
        assert isinstance(one, Reading)
        assert one.extra is None
        time, boot = (NO if number is None else number for number in (one.time, one.boot))
        seq = one.seq if "seq" in item else NO
        found.append((place if type(document) is list else NO, time, seq, boot, repr(one.values)))
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_taken_is_what_care_gives(name: str) -> None:
    family, chance = FAMILIES[name], Random(name)  # noqa: S311  no secret
    payloads = [payload(family, chance) for _ in range(PAYLOADS)]
    rows, left = Text(family).read(payloads)
    found: list[list[tuple[Any, ...]]] = [[] for _ in payloads]
    for place, *fields, values in zip(*(column.tolist() for column in rows), strict=True):
        found[place].append((*fields, repr(values)))
    taken = set(range(PAYLOADS)) - set(left.tolist())
    assert len(taken) > PAYLOADS / 20
    for place in taken:
        assert found[place] == with_care(family, payloads[place]), payloads[place]
