"""The fuzzer's corpora and all it ever found, replayed without it; and its mutations stay documents."""

import json
import random
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutate_document
from tests.fuzz.targets import FOLDER, TARGETS, kept

INPUTS = [pytest.param(name, path, id=f"{name}-{path.name}") for name in TARGETS for path in kept(name)]


@pytest.mark.parametrize(("target", "path"), INPUTS)
def test_no_law_is_broken(target: str, path: Path) -> None:
    TARGETS[target].check(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_and_takes_anything(target: str) -> None:
    assert any((FOLDER / "corpus" / target).iterdir())
    chance = random.Random(1)  # noqa: S311 - the same bytes in every run
    for size in range(100):
        TARGETS[target].check(chance.randbytes(size))


def test_no_folder_without_a_target() -> None:
    assert {path.name for kind in ("corpus", "findings") for path in (FOLDER / kind).iterdir()} <= TARGETS.keys()


def test_mutations_are_documents_and_keep_the_first_line() -> None:
    chance = random.Random(2)  # noqa: S311
    found = {mutate_document(b'topic/a\n{"metrics": {"pm25": 1}, "seq": 5}', chance) for _ in range(200)}
    assert len(found) > 50
    for raw in found:
        assert raw is not None
        head, _, body = raw.partition(b"\n")
        assert head == b"topic/a"
        json.loads(body)
    assert mutate_document(b"no document", chance) is None
