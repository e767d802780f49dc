"""A block's work follows what is due in it, not the size of the market."""

from collections.abc import Callable
from typing import Any

import pytest

from pallets.datdot import lifecycle
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import HostingStarted
from runtime.header import Digest
from runtime.state import Overlay
from tests.pallets.datdot.world import World


class CountingOverlay(Overlay):
    """Counts which keys are read."""

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self.seen: set[bytes] = set()

    def read(self, key: bytes, decode: Callable[[bytes], Any]) -> Any:
        self.seen.add(key)
        return super().read(key, decode)


def _world(contracts: int, providers: int) -> World:
    world = World(DatDotConfig(contract_set_size=1, challenge_delay=50), check=False)
    world.join(1)
    world.staff(*range(2, 2 + providers), capacity=100)
    world.publish(world.people[1], [(0, contracts - 1)], 2_000)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 3 * contracts, limit=30)
    return world


@pytest.mark.parametrize(("contracts", "providers"), [(1, 7), (10, 14), (40, 38)])
def test_a_block_in_which_nothing_is_due_reads_the_same_few_items_in_any_market(contracts: int, providers: int) -> None:
    world = _world(contracts, providers)
    world.blocks(5)
    overlay = CountingOverlay(world.state)
    with world.runtime.bind(overlay):
        work = lifecycle.run_block(world.market)
    assert (work.tasks, work.draws, work.challenges) == (0, 0, 0)
    assert len(overlay.seen) <= 17


def test_a_draw_in_a_large_pool_looks_at_no_more_entries_than_allowed() -> None:
    world = World(DatDotConfig(max_selected_per_role=10), check=False)
    world.join(1)
    world.staff(*range(2, 41))
    world.publish(world.people[1], [(0, 9)], 300)
    world.block()
    prefix = world.market.pool.prefix
    overlay = CountingOverlay(world.state)
    with world.runtime.bind(overlay):
        world.runtime.system.initialize(world.number + 1, world.header.hash, Digest(world.digest()))
        for on_initialize in world.runtime.initializers:
            on_initialize(world.number + 1)
    looked_at = [key for key in overlay.seen if key.startswith(prefix)]
    assert 7 <= len(looked_at) <= 30

