"""The sponsor: make a file or a core known, order its hosting, serve it until others do, and tell how far that is.

Progress is read from the state of the chain block by block, so nothing is missed when blocks are; only single payments
and confirmed proofs, which leave no trace in the state, are taken from events.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from hypercore.io.core import Core
from node.client.chain import FollowedChain
from node.client.errors import SubmitFailed
from node.roles.endpoint import ServiceEndpoint
from node.roles.fetcher import Fetcher, FetchFailed
from node.roles.market_view import PALLET, MarketView
from node.roles.plan_progress import PlanOver, PlanProgress
from node.roles.publishing import Publisher
from node.roles.read_back import read_back
from node.roles.registration import RegistrationFailed, ensure_user
from node.roles.retry import Backoff
from node.roles.sealing_board import SealingBoard
from node.roles.share_events import (
    Available,
    DriveAvailable,
    DriveId,
    FeedPublished,
    NothingToHost,
    Peer,
    PlanPublished,
    ShareEvent,
)
from node.roles.share_source import open_source, parse_source
from node.roles.shared_core import Share, SharedCore, ShareRefused
from pallets.datdot.types import PlanState

log = logging.getLogger(__name__)

DEFAULT_DURATION_BLOCKS = 14_400
PLANS_FILE = "plans.json"
GOING_ON = (PlanState.SCHEDULED, PlanState.RUNNING)


@dataclass(frozen=True)
class _Order:
    """A core and the plans that host it."""

    shared: SharedCore
    plans: list[int]


class Sponsor:
    """Shares things on behalf of one account; made by `Sponsor.start`, which closes the shared cores at the end."""

    def __init__(self, directory: Path, endpoint: ServiceEndpoint, chain: FollowedChain, board: SealingBoard) -> None:
        self._endpoint = endpoint
        self._market = MarketView(chain)
        self._directory = directory / "shares"
        self._board = board
        self._fetcher = Fetcher(self._market, endpoint.network.address_book)
        self._shares: list[Share] = []
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
            for share in sponsor._shares:
                for shared in share.cores:
                    endpoint.replication.remove(shared.core)
                share.close()

    async def share(
        self, source: str, *, duration_blocks: int = DEFAULT_DURATION_BLOCKS
    ) -> AsyncIterator[ShareEvent]:
        """Have PATH or KEY@HOST:PORT hosted; yields what happens and ends once all is available. Raises ShareRefused.

        A source that is shared again from the same directory goes on with its plans as long as they run.
        """
        account = self._endpoint.identity.account
        share = await open_source(parse_source(source), self._directory, account, self._is_published)
        self._shares.append(share)
        for event in share.news:
            yield event
        for shared in share.cores:
            self._endpoint.replication.add(shared.core)
        orders: list[_Order] = []
        try:
            async with self._joining:  # several shares begin at once, and an account joins only once
                sponsor_id = await ensure_user(self._market, self._endpoint.identity)
            for shared in share.cores:
                if shared.core.length == 0:
                    yield NothingToHost(*_names(shared.core), share.drive)
                    continue
                orders.append(_Order(shared, _remembered_plans(shared, self._market, sponsor_id)))
                async with aclosing(self._publish(orders[-1], share.drive, duration_blocks)) as events:
                    async for event in events:
                        yield event
        except (RegistrationFailed, SubmitFailed) as error:
            raise ShareRefused(str(error)) from error
        progress = PlanProgress(self._market, self._board, [plan_id for order in orders for plan_id in order.plans])
        try:
            async with aclosing(self._follow(progress)) as events:
                async for event in events:
                    yield event
        except PlanOver as error:
            raise ShareRefused(str(error)) from error
        async with aclosing(self._read_all_back(share, orders, progress)) as events:
            async for event in events:
                yield event

    def _is_published(self, key: bytes) -> bool:
        return self._market.feed_id(key) is not None

    async def _publish(
        self, order: _Order, drive: DriveId | None, duration_blocks: int
    ) -> AsyncGenerator[ShareEvent, None]:
        """Makes a core known and orders its hosting, as far as that was not done earlier."""
        publisher = Publisher(self._market, self._endpoint.identity.account)
        core = order.shared.core
        feed_id = await publisher.publish_feed(core)
        yield FeedPublished(feed_id, core.key.hex(), core.length, drive)
        async for plan_id in publisher.publish_plans(core, feed_id, duration_blocks, len(order.plans)):
            order.plans.append(plan_id)
            _remember_plans(order.shared, self._market, order.plans)
        for plan_id in order.plans:
            plan = self._market.plan(plan_id)
            funds = self._market.chain.query(PALLET, "GetPlanFundsByID", plan_id)
            contracts = len(plan.contracts) if plan is not None else 0
            yield PlanPublished(plan_id, contracts, funds.escrow if funds is not None else 0, drive)

    async def _follow(self, progress: PlanProgress) -> AsyncGenerator[ShareEvent, None]:
        for event in progress.look():
            yield event
        async with self._market.blocks() as blocks:
            while not progress.is_proven:
                block = await anext(blocks)
                for event in (*progress.look(), *progress.hear(block.events)):
                    yield event

    async def _read_all_back(
        self, share: Share, orders: Sequence[_Order], progress: PlanProgress
    ) -> AsyncGenerator[ShareEvent, None]:
        peers: dict[Peer, None] = {}
        for order in orders:
            available = await self._read_back(order, progress, share.drive)
            peers |= dict.fromkeys(available.peers)
            yield available
        if share.drive is not None:
            entries = share.cores[-1].core
            yield DriveAvailable(share.drive.key, share.drive.z32, entries.length, tuple(peers))

    async def _read_back(self, order: _Order, progress: PlanProgress, drive: DriveId | None) -> Available:
        """Read everything from the hosters; tried again, for they may be restarting, until it agrees."""
        shared, backoff = order.shared, Backoff()
        core = shared.core
        while True:
            endpoints = self._fetcher.endpoints_of(progress.hosters(order.plans))
            try:
                digest = await read_back(core.key, core.signed_head(), endpoints)
                break
            except FetchFailed as error:
                log.warning("the hosters do not serve all of %s yet: %s", core.public_id, error)
                await trio.sleep(backoff.next_pause())
        if digest != shared.sha256:
            raise ShareRefused(f"the hosters serve other bytes than were shared: SHA-256 {digest.hex()}")
        peers = tuple(Peer(host, port) for host, port in endpoints)
        return Available(*_names(core), core.length, core.byte_length, digest.hex(), peers, drive)


def _names(core: Core) -> tuple[str, str]:
    return core.key.hex(), core.public_id


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
