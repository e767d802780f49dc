"""Markets to test in."""

import pytest

from tests.pallets.datdot.world import World


@pytest.fixture
def world() -> World:
    """A market without anybody in it."""
    return World()


@pytest.fixture
def market() -> World:
    """A market with a sponsor (person 1) and nine providers (persons 2 to 10) in all roles."""
    made = World()
    made.join(1)
    made.staff(*range(2, 11))
    return made
