"""What holds for every test of the suite."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Fails a test that leaves logs off or at another level: later tests would miss what they ask for."""
    root = logging.getLogger()
    before = (root.manager.disable, root.level)
    yield
    assert (root.manager.disable, root.level) == before, "the test leaves the process's logs changed"
