"""Installs the npm packages once for every test that talks to JavaScript."""

from __future__ import annotations

import pytest

from tests.interop import node


@pytest.fixture(scope="session")
def node_packages() -> None:
    """Fails the tests that need it when Node or its packages cannot be had."""
    node.install(node.FOLDER)


@pytest.fixture(scope="session")
def hyperswarm_packages() -> None:
    """The same for the packages of Hyperswarm and of the bridge to it."""
    node.install(node.HYPERSWARM, node.BRIDGE)
