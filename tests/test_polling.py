"""What is loaded before the broker changes how often the kernel is asked, and nothing of what it says."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dothi.runtime import find_runtime
from dothi.stack.gate import compile_polling
from tests.polling_child import PAIRS

WHAT = ("register", "modify", "modify", "unregister", "send", "read", "close", "hang up", "wait", "wait")
EVENTS = (0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT)

Step = tuple[str, int, int]
Ask = Callable[[list[Step]], Any]
steps = st.tuples(st.sampled_from(WHAT), st.integers(0, PAIRS - 1), st.sampled_from(EVENTS))


@contextmanager
def child(environment: dict[str, str]) -> Iterator[Ask]:
    """A process that carries out steps."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.polling_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stdin
    assert process.stdout
    asked, said = process.stdin, process.stdout

    def ask(some: list[Step]) -> Any:
        asked.write(json.dumps(some).encode() + b"\n")
        asked.flush()
        return json.loads(said.readline())

    try:
        yield ask
    finally:
        asked.close()
        process.wait(60)
        said.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ask, Ask]]:
    """Without it, and with it."""
    library: Path = tmp_path_factory.mktemp("polling") / "polling.so"
    compile_polling(find_runtime(), library)
    with ExitStack() as held:
        yield held.enter_context(child({})), held.enter_context(child({"LD_PRELOAD": str(library)}))


@settings(deadline=None)
@given(some=st.lists(steps, min_size=1, max_size=60))
def test_the_kernel_says_the_same(both: tuple[Ask, Ask], some: list[Step]) -> None:
    plain, loaded = both
    assert loaded(some) == plain(some)


def test_what_mosquitto_does_for_each_packet(both: tuple[Ask, Ask]) -> None:
    """Adds what is there, changes it, and takes that back before it waits."""
    reading, writing = select.EPOLLIN, select.EPOLLIN | select.EPOLLOUT
    packet: list[Step] = [
        ("register", 0, writing),
        ("modify", 0, writing),
        ("register", 0, reading),
        ("modify", 0, reading),
        ("wait", 0, 0),
    ]
    some: list[Step] = [("register", 0, reading), *packet, *packet[:2], ("wait", 0, 0), ("send", 0, 0), ("wait", 0, 0)]
    plain, loaded = both
    seen = loaded(some)
    assert seen == plain(some)
    assert seen[-1] == [[0, writing]]


def test_a_file_that_was_closed_is_another_when_it_is_opened_again(both: tuple[Ask, Ask]) -> None:
    both_ways = select.EPOLLIN | select.EPOLLOUT
    some: list[Step] = [
        ("register", 1, select.EPOLLIN),
        ("modify", 1, both_ways),
        ("close", 1, 0),
        ("wait", 1, 0),
        ("modify", 1, both_ways),
        ("register", 1, select.EPOLLIN),
        ("send", 1, 0),
        ("wait", 1, 0),
    ]
    plain, loaded = both
    seen = loaded(some)
    assert seen == plain(some)
    assert seen[-1] == [[1, select.EPOLLIN]]
