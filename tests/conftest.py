"""The real stack that tests share: one `dothi up` per test process, on free ports, in a temporary folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A running stack without a simulated city. Tests enrol devices of their own, so they do not meet each other."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data that nobody here made, beside the project; tests that use it are skipped, visibly, where it is absent."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared is not here")
    return folder
