"""The real stack that tests share: one `dothi up` per test process, on free ports, in a temporary folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.stack import RunningStack, prepare, running_stack

settings.register_profile("untimed", deadline=None)  # a busy machine must not fail a law
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack that was up once and is down, for `running_stack` to begin with; one for all test processes."""
    folder = tmp_path_factory.getbasetemp()
    return prepare((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "prepared")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """A running stack without a simulated city. Tests enrol devices of their own, so they do not meet each other."""
    with running_stack(tmp_path_factory.mktemp("stack"), prepared=prepared) as running:
        yield running


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data that nobody here made, beside the project; tests that use it are skipped, visibly, where it is absent."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared is not here")
    return folder
