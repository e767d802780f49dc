"""What holds for every test of the suite."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine, however slow it is at the moment: `make fuzz` is where new ones are looked for.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Undoes what a test sets of the process's logs, as commands do, so that later tests see the lines they ask for."""
    root = logging.getLogger()
    disabled, level, handlers = root.manager.disable, root.level, root.handlers[:]
    yield
    root.manager.disable, root.handlers[:] = disabled, handlers
    root.setLevel(level)
