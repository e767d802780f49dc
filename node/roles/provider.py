"""A provider: encoder, attestor and hoster of one account, driven by the state of the chain.

At each new best block the duties of the account are read from the chain, missing ones are started and those that are
over are cancelled. Nothing is remembered from events, so a restart, a missed block and a reorganisation are all alike.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from node.client.chain import FollowedChain
from node.client.errors import SubmitFailed
from node.net.frames import FrameStream
from node.roles.attestor import Attestor
from node.roles.encoder import Encoder
from node.roles.endpoint import ServiceEndpoint
from node.roles.fetcher import Fetcher
from node.roles.hoster import Hoster
from node.roles.hoster_store import LaneStore
from node.roles.lane_protocol import lane_protocol
from node.roles.lane_server import LaneServer
from node.roles.lane_stream import LaneDialer
from node.roles.market_view import MarketView
from node.roles.registration import RegistrationFailed, WorkOffer, ensure_user
from node.roles.retry import Backoff, BlockClock, Duty, DutyRunner, is_ending
from node.roles.sealer import SealPool
from node.roles.sealing_board import SealingBoard
from pallets.datdot.queries import position_of
from pallets.datdot.types import Role

log = logging.getLogger(__name__)

HOUSEKEEPING_BLOCKS = 16


@dataclass(frozen=True)
class ProviderConfig:
    """What one account offers and where it keeps its lanes."""

    data_dir: Path
    offer: WorkOffer = field(default_factory=WorkOffer)


class ProviderService:
    """One account at work. `user_id` is there once `ready` is set, which needs a chain that makes blocks."""

    def __init__(
        self,
        config: ProviderConfig,
        endpoint: ServiceEndpoint,
        chain: FollowedChain,
        pool: SealPool,
        reading_pool: SealPool,
        board: SealingBoard,
    ) -> None:
        self.ready = trio.Event()
        self.user_id: int | None = None
        self._config = config
        self._endpoint = endpoint
        self._identity = endpoint.identity
        self._market = MarketView(chain)
        self._pool = pool
        self._reading_pool = reading_pool
        self._board = board
        self._clock = BlockClock(chain.best_number)

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        config: ProviderConfig,
        endpoint: ServiceEndpoint,
        chain: FollowedChain,
        pool: SealPool,
        reading_pool: SealPool,
        board: SealingBoard | None = None,
    ) -> AsyncIterator[ProviderService]:
        """Run the service while the block of code runs. What fails is logged and tried again, never raised.

        `pool` works for setups and `reading_pool` for readers, so that neither waits for the other.
        """
        service = cls(config, endpoint, chain, pool, reading_pool, board or SealingBoard())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service._keep_running)
            yield service
            nursery.cancel_scope.cancel()

    async def _keep_running(self) -> None:
        """Begin anew after a failure, a directory that cannot be read say: one account must not stop the node."""
        backoff = Backoff()
        while True:
            try:
                await self._run()
            except Exception:
                if is_ending():
                    return
                account = self._identity.account.account_id.hex()
                pause = backoff.next_pause()
                log.exception("the services of account 0x%s failed, next attempt in %g s", account, pause)
                await trio.sleep(pause)
            else:
                return

    async def _run(self) -> None:
        user_id = await self._register()
        store = LaneStore.open(self._config.data_dir / "lanes", self._config.offer.storage_bytes)
        feeds_dir = self._config.data_dir / "feeds"
        hoster = Hoster(self._identity, user_id, self._market, self._pool, self._reading_pool, store, feeds_dir)
        try:
            await self._work(user_id, hoster)
        finally:
            hoster.close()

    async def _register(self) -> int:
        backoff = Backoff()
        while True:
            try:
                return await ensure_user(self._market, self._identity, self._config.offer)
            except (RegistrationFailed, SubmitFailed) as error:
                known = self._market.user_id(self._identity.account.account_id)
                log.warning("%s", error)
                if known is not None and isinstance(error, RegistrationFailed):
                    return known  # the old offer stands; running jobs may not let it shrink
            await trio.sleep(backoff.next_pause())

    async def _work(self, user_id: int, hoster: Hoster) -> None:
        market, directory = self._market, self._endpoint.network.address_book
        dialer = LaneDialer(self._endpoint.host, market, user_id, directory)
        fetcher = Fetcher(market, directory)
        attestor = Attestor(self._identity, market, self._pool, dialer, self._clock)
        encoder = Encoder(self._identity, market, self._pool, dialer, fetcher, self._board)
        server = LaneServer(market, user_id, attestor, hoster)

        async def serve(frames: FrameStream, peer_id: str) -> None:
            await server.handle(frames, peer_id)

        self._endpoint.host.handle(lane_protocol(market.genesis_hash), serve)
        self._endpoint.serve(hoster.resolve)
        self.user_id = user_id
        self.ready.set()
        async with trio.open_nursery() as nursery:
            runner = DutyRunner(nursery, f"user {user_id}")
            nursery.start_soon(hoster.open_for_readers)
            nursery.start_soon(self._restore, hoster)
            self._reconcile(user_id, runner, encoder, attestor, hoster)
            async with market.blocks() as blocks:
                async for block in blocks:
                    self._clock.advance(block.number)
                    self._reconcile(user_id, runner, encoder, attestor, hoster)
            nursery.cancel_scope.cancel()

    async def _restore(self, hoster: Hoster) -> None:
        try:
            await hoster.restore()
        except Exception:
            log.exception("not every lane on disk could be taken up again")

    def _reconcile(
        self, user_id: int, runner: DutyRunner, encoder: Encoder, attestor: Attestor, hoster: Hoster
    ) -> None:
        try:
            runner.reconcile(self._duties(user_id, encoder, attestor, hoster))
            self._endpoint.announce(hoster.discovery_keys)
            if self._clock.number % HOUSEKEEPING_BLOCKS == 0:
                hoster.erase_unwanted(self._endpoint.replication)
        except Exception:
            # The next block brings another chance; a provider that fails must not take the node with it.
            log.exception("the duties of user %d could not be brought up to date", user_id)

    def _duties(self, user_id: int, encoder: Encoder, attestor: Attestor, hoster: Hoster) -> dict[Hashable, Duty]:
        duties: dict[Hashable, Duty] = {}
        for amendment_id, amendment in self._market.running(user_id, Role.ENCODER):
            position = position_of(amendment, Role.ENCODER, user_id)
            if position is not None:
                duties["encode", amendment_id, position] = partial(encoder.run, amendment_id, position)
        for amendment_id, _ in self._market.running(user_id, Role.ATTESTOR):
            duties["attest", amendment_id] = partial(attestor.run, amendment_id)
        for challenge_id, _ in self._market.open_challenges(user_id):
            duties["prove", challenge_id] = partial(hoster.prove, challenge_id)
        return duties
