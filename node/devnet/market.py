"""What `dev` and `localnet` share: waiting for the market, sharing things, and telling what happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Final

import trio

from node.client.chain import FollowedChain
from node.config import StartRefused
from node.devnet.progress import MarketBlock, Reporter
from node.exceptions import leaves_of
from node.keys.derivation import keypair_from_uri
from node.node import Node, account_directory, open_endpoint
from node.roles.shared_core import ShareRefused
from node.roles.sponsor import Sponsor
from pallets.datdot.events import NewPlan, Paid, ProofOfStorageConfirmed
from pallets.datdot.types import Plan

SPONSOR_URI: Final = "//Ferdie"
"""Who pays for what `--share` names; not a provider, and not //Alice, whom people use by hand."""

READY_SECONDS: Final = 120.0


async def wait_for_users(chain: FollowedChain, accounts: Sequence[bytes]) -> bool:
    """Waits until every account is registered for work; False when that takes too long."""
    with trio.move_on_after(READY_SECONDS):
        if _all_registered(chain, accounts):
            return True
        async with aclosing(chain.blocks()) as blocks:
            async for _ in blocks:
                if _all_registered(chain, accounts):
                    return True
    return False


def _all_registered(chain: FollowedChain, accounts: Sequence[bytes]) -> bool:
    for account in accounts:
        user_id = chain.query("DatDot", "GetUserIDByAccount", account)
        if user_id is None or chain.query("DatDot", "GetUserByID", user_id).form is None:
            return False
    return True


async def share_all(
    node: Node, shares: Sequence[str], timeout_seconds: float | None, reporter: Reporter, stack: AsyncExitStack
) -> bool:
    """Hosts everything that was asked for; True when all of it became available in time."""
    if not shares:
        return True
    account = keypair_from_uri(SPONSOR_URI)
    endpoint = await open_endpoint(node, account, stack)
    directory = account_directory(node.config.base_path, account.account_id)
    sponsor = await stack.enter_async_context(Sponsor.start(directory, endpoint, node.api, node.sealing))
    available: set[int] = set()

    async def follow(number: int, what: str) -> None:
        async for event in sponsor.share(what):
            reporter.event(event.name, **event.values())
        available.add(number)

    try:
        with trio.move_on_after(float("inf") if timeout_seconds is None else timeout_seconds):
            async with trio.open_nursery() as nursery:
                for number, what in enumerate(shares):
                    nursery.start_soon(follow, number, what)
    except* ShareRefused as refusals:
        raise StartRefused("; ".join(str(refusal) for refusal in leaves_of(refusals))) from None
    return len(available) == len(shares)


async def show_blocks(chain: FollowedChain, reporter: Reporter) -> None:
    """Tells the reporter of every block and of the contracts of the newest plans."""
    plans: list[int] = []
    async for block in chain.blocks():
        plans += [event.plan for event in block.events if isinstance(event, NewPlan)]
        states: Counter[str] = Counter()
        for plan_id in plans[-4:]:
            plan: Plan = chain.query("DatDot", "GetPlanByID", plan_id)
            for contract_id in plan.contracts[:256]:
                contract = chain.query("DatDot", "GetContractByID", contract_id)
                if contract is not None:
                    states[contract.state.name.replace("_", " ").capitalize()] += 1
        proofs = sum(isinstance(event, ProofOfStorageConfirmed) for event in block.events)
        paid_planck = sum(event.amount for event in block.events if isinstance(event, Paid))
        reporter.block(MarketBlock(block.number, states, proofs, paid_planck))
