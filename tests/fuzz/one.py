"""One target under the fuzzer, in a process of its own: python -m tests.fuzz.one TARGET [options of libFuzzer]."""

import random
import sys

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

with atheris.instrument_imports(include=["devices", "ingest", "simulators", "dothi.stack"]):
    from tests.fuzz.mutate import mutate_document
    from tests.fuzz.targets import TARGETS


def mutate(raw: bytes, most: int, seed: int) -> bytes:
    """Half of the time as a document, otherwise as bytes."""
    chance = random.Random(seed)  # noqa: S311 - the fuzzer's own seed, so that a run can be repeated
    found = mutate_document(raw, chance) if chance.random() < 0.6 else None
    if found is not None and len(found) <= most:
        return found
    return bytes(atheris.Mutate(raw, most))


def main() -> None:
    """Fuzz until libFuzzer's own limits end it."""
    target = TARGETS[sys.argv[1]]
    options = [sys.argv[0], f"-max_len={target.largest}", *sys.argv[2:]]
    mutators = {"custom_mutator": mutate} if target.structured else {}
    atheris.Setup(options, target.check, **mutators)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
