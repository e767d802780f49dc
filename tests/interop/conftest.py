"""Installs the npm packages once for every test that talks to JavaScript."""

from __future__ import annotations

import pytest

from tests.interop import node


@pytest.fixture(scope="session")
def node_packages() -> None:
    """Fails the tests that need it when Node or its packages cannot be had."""
    node.install()
