"""What every test of the whole product needs."""

from __future__ import annotations

import pytest

from tests.interop import node


@pytest.fixture(scope="session")
def node_packages() -> None:
    """Installs the npm packages once; fails the tests that need them when they cannot be had."""
    node.install(node.FOLDER)
