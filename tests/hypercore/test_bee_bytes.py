"""Splits, borrowing, merging and what batches leave out, held against hashes of the blocks that hyperbee 2.27.3 wrote.

tests/interop/hypercore/test_bee.py compares the same changes with the npm package itself.
"""

from __future__ import annotations

import pytest

from tests.hypercore.bee_operations import core_after, digest_of_blocks, random_operations

WRITTEN_BY_JAVASCRIPT = {
    (0, False): (282, "a7bbbce8e720cb2c6d18471cdab3328cb677f200ec91071c8939e116eb3e01b2"),
    (0, True): (3149, "8548bc56aa20238ab426564354ad9d1a832c9f5d326dea853aa259c3f3f1c70b"),
    (1, False): (299, "8e48a69a4c1e1d496f7ab817ab0a84b7448a408b4024527842f4e17a0792991c"),
    (1, True): (3607, "43bf8574fc6e9b4542de1eac0b3dc4f3d081454f8b2f027bb9174bf3d768ac95"),
    (2, False): (285, "bf0cb9d94a38685cbadc90b5802e451fc8d5ff2cab462b1c8fe46ec2c2a5ec60"),
    (2, True): (2966, "931d6cf67716e0dee7e509a783653c9f5272518e1943961c5c4f08ad8814e1ac"),
}


@pytest.mark.parametrize(("seed", "batched"), list(WRITTEN_BY_JAVASCRIPT))
async def test_random_changes_give_the_blocks_of_javascript(seed: int, batched: bool) -> None:
    core = await core_after(random_operations(seed, 400, batched))
    found = digest_of_blocks(core)
    assert (found["count"], found["sha256"]) == WRITTEN_BY_JAVASCRIPT[seed, batched]
