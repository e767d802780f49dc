"""Fixtures of the pallets' tests."""

from __future__ import annotations

import pytest

from tests.pallets.harness import Chain


@pytest.fixture
def chain() -> Chain:
    """A chain of one authority, //Alice, who is sudo too; six accounts and the treasury own 2^60 planck each."""
    return Chain()
