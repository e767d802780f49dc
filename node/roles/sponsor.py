"""The sponsor: make a file or a core known, order its hosting, serve it until others do, and tell how far that is.

Progress is read from the state of the chain block by block, so nothing is missed when blocks are; only single payments
and confirmed proofs, which leave no trace in the state, are taken from events.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import trio

from hypercore.crypto import z32_encode
from node.client.chain import FollowedChain
from node.client.errors import SubmitFailed
from node.roles.endpoint import ServiceEndpoint
from node.roles.fetcher import Endpoint, Fetcher, FetchFailed
from node.roles.market_view import PALLET, MarketView
from node.roles.plan_progress import PlanOver, PlanProgress
from node.roles.progress import SealingBoard
from node.roles.publishing import Publisher
from node.roles.read_back import read_back
from node.roles.registration import RegistrationFailed, ensure_user
from node.roles.retry import Backoff
from node.roles.share_events import Available, FeedPublished, Peer, PlanPublished, ShareEvent
from node.roles.share_source import SharedCore, ShareRefused, open_source, parse_source
from pallets.datdot.types import PlanState

log = logging.getLogger(__name__)

DEFAULT_DURATION_BLOCKS = 14_400
PLANS_FILE = "plans.json"
GOING_ON = (PlanState.SCHEDULED, PlanState.RUNNING)


class Sponsor:
    """Shares things on behalf of one account; made by `Sponsor.start`, which closes the shared cores at the end."""

    def __init__(self, directory: Path, endpoint: ServiceEndpoint, chain: FollowedChain, board: SealingBoard) -> None:
        self._endpoint = endpoint
        self._market = MarketView(chain)
        self._directory = directory / "shares"
        self._board = board
        self._fetcher = Fetcher(self._market, endpoint.network.address_book)
        self._shared: list[SharedCore] = []
        self._joining = trio.Lock()

    @classmethod
    @asynccontextmanager
    async def start(
        cls, directory: Path, endpoint: ServiceEndpoint, chain: FollowedChain, board: SealingBoard | None = None
    ) -> AsyncIterator[Sponsor]:
        """A sponsor that keeps what it shares below `directory`; `board` shows what encoders of this process do."""
        sponsor = cls(directory, endpoint, chain, board or SealingBoard())
        try:
            yield sponsor
        finally:
            for shared in sponsor._shared:
                endpoint.replication.remove(shared.core)
                shared.core.close()

    async def share(
        self, source: str, *, duration_blocks: int = DEFAULT_DURATION_BLOCKS
    ) -> AsyncIterator[ShareEvent]:
        """Have PATH or KEY@HOST:PORT hosted; yields what happens and ends after `Available`. Raises ShareRefused.

        A source that is shared again from the same directory goes on with its plans as long as they run.
        """
        shared = await open_source(parse_source(source), self._directory, self._endpoint.identity.account)
        self._shared.append(shared)
        self._endpoint.replication.add(shared.core)
        publisher = Publisher(self._market, self._endpoint.identity.account)
        try:
            async with self._joining:  # several shares begin at once, and an account joins only once
                sponsor_id = await ensure_user(self._market, self._endpoint.identity)
            feed_id = await publisher.publish_feed(shared.core)
            yield FeedPublished(feed_id, shared.core.key.hex(), shared.core.length)
            plans = _remembered_plans(shared, self._market, sponsor_id)
            async for plan_id in publisher.publish_plans(shared.core, feed_id, duration_blocks, len(plans)):
                plans.append(plan_id)
                _remember_plans(shared, self._market, plans)
        except (RegistrationFailed, SubmitFailed) as error:
            raise ShareRefused(str(error)) from error
        for plan_id in plans:
            yield self._plan_published(plan_id)
        progress = PlanProgress(self._market, self._board, plans)
        try:
            async with aclosing(self._follow(progress)) as events:
                async for event in events:
                    yield event
        except PlanOver as error:
            raise ShareRefused(str(error)) from error
        yield await self._read_back(shared, progress)

    def _plan_published(self, plan_id: int) -> PlanPublished:
        plan = self._market.plan(plan_id)
        funds = self._market.chain.query(PALLET, "GetPlanFundsByID", plan_id)
        contracts = len(plan.contracts) if plan is not None else 0
        return PlanPublished(plan_id, contracts, funds.escrow if funds is not None else 0)

    async def _follow(self, progress: PlanProgress) -> AsyncGenerator[ShareEvent, None]:
        for event in progress.look():
            yield event
        async with self._market.blocks() as blocks:
            while not progress.is_proven:
                block = await anext(blocks)
                for event in (*progress.look(), *progress.hear(block.events)):
                    yield event

    async def _read_back(self, shared: SharedCore, progress: PlanProgress) -> Available:
        """Read everything from the hosters; tried again, for they may be restarting, until it agrees."""
        core, backoff = shared.core, Backoff()
        while True:
            endpoints = self._fetcher.endpoints_of(progress.hosters())
            try:
                digest = await read_back(core.key, core.signed_head(), endpoints)
                break
            except FetchFailed as error:
                log.warning("the hosters do not serve all of %s yet: %s", core.public_id, error)
                await trio.sleep(backoff.next_pause())
        if digest != shared.sha256:
            raise ShareRefused(f"the hosters serve other bytes than were shared: SHA-256 {digest.hex()}")
        return _available(shared, endpoints)


def _available(shared: SharedCore, endpoints: Sequence[Endpoint]) -> Available:
    core = shared.core
    peers = tuple(Peer(host, port) for host, port in endpoints)
    hashes = (core.key.hex(), z32_encode(core.key))
    return Available(*hashes, core.length, core.byte_length, shared.sha256.hex(), peers)


def _remembered_plans(shared: SharedCore, market: MarketView, sponsor_id: int) -> list[int]:
    """The plans of an earlier run, if all of them are on this chain and still run."""
    try:
        remembered = json.loads((shared.directory / PLANS_FILE).read_bytes())
        if remembered["genesis"] != market.genesis_hash.hex():
            return []
        plan_ids = [int(plan_id) for plan_id in remembered["plans"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    plans = [market.plan(plan_id) for plan_id in plan_ids]
    still_run = all(plan and plan.sponsor == sponsor_id and plan.state in GOING_ON for plan in plans)
    return plan_ids if still_run else []


def _remember_plans(shared: SharedCore, market: MarketView, plans: Sequence[int]) -> None:
    content = json.dumps({"genesis": market.genesis_hash.hex(), "plans": list(plans)})
    temporary = shared.directory / f"{PLANS_FILE}.new"
    temporary.write_text(content)
    temporary.replace(shared.directory / PLANS_FILE)
