"""Bringing a core onto the chain: its signed head as a feed, and orders to host all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from hypercore.io.core import Core
from hypercore.proof import create_range_proof, encode_block_sizes_proof
from node.client.chain import ChainConnection, FollowedChain, Receipt
from node.roles import limits
from node.roles.market_view import PALLET, MarketView
from node.roles.shared_core import ShareRefused
from pallets.datdot.components import Components, DatasetInput, PlanInput, ProgramInput
from pallets.datdot.config import DatDotConfig
from pallets.datdot.contracts import Range, count_chunks, cut
from pallets.datdot.events import NewPlan
from pallets.datdot.rewards import Escrow, default_prices, required_escrow
from runtime.call import RuntimeCall
from runtime.extrinsic import Signer
from runtime.types import camel_case


def market_config(chain: FollowedChain | ChainConnection) -> DatDotConfig:
    """The market's constants on this chain."""
    names = [field.name for field in dataclasses.fields(DatDotConfig)]
    return DatDotConfig(**{name: chain.constant(PALLET, camel_case(name)) for name in names})


def quote(config: DatDotConfig, chunks: Range, duration_blocks: int) -> Escrow:
    """What hosting these chunks (first, last) for so many blocks costs at most, at the default prices."""
    sets = cut([chunks], config.contract_set_size)
    return required_escrow(default_prices(config), [count_chunks(one) for one in sets], duration_blocks, config)


class Publisher:
    """Publishes on behalf of one account. Raises ShareRefused when the chain refuses, SubmitFailed when it stands."""

    def __init__(self, market: MarketView, signer: Signer) -> None:
        self._market = market
        self._signer = signer

    async def publish_feed(self, core: Core) -> int:
        """The feed's id, after making it known with the present head."""
        feed_id = self._market.feed_id(core.key)
        if feed_id is None:
            arguments = {"key": core.key, "head_proof": core.head_proof()}
            await self._submit("publish_feed", arguments, "the core")
            feed_id = self._market.feed_id(core.key)
        feed = self._market.feed(feed_id) if feed_id is not None else None
        if feed is None or feed_id is None:
            raise ShareRefused("the block in which the core was published was replaced: try again")
        if (feed.head.length, feed.fork, feed.head.tree_hash) != (core.length, core.fork, core.tree_hash()):
            raise ShareRefused(
                f"the chain knows this core with {feed.head.length} blocks and this copy has {core.length}: "
                "a core that grows after it was published is not hosted yet"
            )
        return feed_id

    async def publish_plans(
        self, core: Core, feed_id: int, duration_blocks: int, plans_before: int = 0
    ) -> AsyncIterator[int]:
        """Order the hosting of every block; a plan has a largest size, so a large core takes several.

        `plans_before` is how many of them were published earlier. Yields the ids of the others.
        """
        config = market_config(self._market.chain)
        plan_chunks = config.max_contracts_per_plan * config.contract_set_size
        for first in range(plans_before * plan_chunks, core.length, plan_chunks):
            chunks = (first, min(first + plan_chunks, core.length) - 1)
            sizes = tuple(_sizes_proofs(core, chunks))
            plan = PlanInput(
                from_=None,
                until=self._market.chain.best_number + 1 + duration_blocks,
                program=(ProgramInput(datasets=(-1,), regions=(), performances=()),),
                prices=None,
            )
            components = Components(datasets=(DatasetInput(feed_id, (chunks,), sizes),))
            deposit = quote(config, chunks, duration_blocks).total
            arguments = {"plan": plan, "components": components, "deposit": deposit}
            receipt = await self._submit("publish_plan", arguments, "the plan")
            for event in receipt.events:
                if isinstance(event, NewPlan):
                    yield event.plan

    async def _submit(self, function: str, arguments: Mapping[str, Any], what: str) -> Receipt:
        receipt = await self._market.chain.submit(RuntimeCall(PALLET, function, arguments), self._signer)
        if receipt.error is not None:
            raise ShareRefused(f"the chain refused {what}: {receipt.error}")
        return receipt


def _sizes_proofs(core: Core, chunks: Range) -> Iterator[bytes]:
    first, last = chunks
    step = limits.SHARE_SIZES_PROOF_BLOCKS
    for start in range(first, last + 1, step):
        proof = create_range_proof(core.view(), start, min(start + step - 1, last))
        yield encode_block_sizes_proof(proof)
