"""One contract whose providers are drawn, none of whom has begun: a test plays some of them and runs others.

Blocks are made only for calls and when a test asks, so deadlines do not pass by themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from hypercore.io.core import Core
from hypercore.proof import create_block_proof, encode_block_proof
from node.net.frames import FrameStream
from node.roles.attestor import Attestor
from node.roles.encoder import SealedCopy
from node.roles.endpoint import ServiceEndpoint
from node.roles.fetcher import FetchedChunk, FetchedLane
from node.roles.hoster import Hoster
from node.roles.hoster_store import LaneStore
from node.roles.identity import ProviderIdentity
from node.roles.lane_protocol import Bye, Chunk, Offer, Sealed, lane_protocol
from node.roles.lane_protocol import Stored as StoredFrame
from node.roles.lane_server import LaneServer
from node.roles.lane_stream import LaneDialer, LaneStream
from node.roles.limits import REPORT_MARGIN_BLOCKS
from node.roles.market_view import LaneTerms
from node.roles.registration import WorkOffer, ensure_user
from node.roles.retry import BlockClock
from node.roles.sealer import SealKey, SealPool
from node.roles.sealing_board import SealingBoard
from pallets.datdot.components import Stored
from pallets.datdot.types import Amendment, AmendmentState
from runtime.call import RuntimeCall

from .world import MIB, PROVIDERS, LiveChain, LoopbackNetwork, Market, small_core

DEADLINE_BLOCKS = 30
CONSTANTS = {
    "DatDot": {"AmendmentFollowupDelay": DEADLINE_BLOCKS, "ResponseWindow": 20, "ChallengeDelay": 2},
    "Randomness": {"EpochSlots": 4_096},
}
SEAL_KEY = SealKey.generate(1_024)


@dataclass
class Actor:
    """A provider of the amendment: its endpoint, and the services that run behind it."""

    name: str
    user_id: int
    endpoint: ServiceEndpoint
    dialer: LaneDialer
    attestor: Attestor
    hoster: Hoster
    store: LaneStore


@dataclass
class Stage:
    """The running amendment and the core it is about."""

    market: Market
    core: Core
    amendment_id: int
    directory: Path
    clock: BlockClock = field(default_factory=BlockClock)

    @property
    def chain(self) -> LiveChain:
        return self.market.chain

    @property
    def amendment(self) -> Amendment:
        found = self.market.view.amendment(self.amendment_id)
        assert found is not None
        return found

    def terms(self, position: int = 0) -> LaneTerms:
        found = self.market.view.lane_terms(self.amendment_id, position)
        assert found is not None
        return found

    def name_of(self, user_id: int) -> str:
        return next(name for name in (*PROVIDERS, "Sponsor") if self.market.user_id(name) == user_id)

    def identity(self, user_id: int) -> ProviderIdentity:
        return self.market.identity(self.name_of(user_id))

    def pass_blocks(self, count: int) -> None:
        for _ in range(count):
            self.chain.make_block()
        self.clock.advance(self.chain.best_number)

    def pass_to_the_report(self, blocks_before: int = 0) -> None:
        """Let blocks pass until an attestor has to report, or so many less."""
        deadline = self.amendment.deadline
        assert deadline is not None
        self.pass_blocks(deadline - REPORT_MARGIN_BLOCKS - blocks_before - self.chain.best_number)

    @asynccontextmanager
    async def actor(self, user_id: int, *, storage_bytes: int = 8 * MIB) -> AsyncIterator[Actor]:
        """A provider that answers lane streams as attestor and hoster; duties are started by the test."""
        name, market = self.name_of(user_id), self.market
        home = self.directory / name
        store = LaneStore.open(home / "lanes", storage_bytes)
        hoster = Hoster(
            self.identity(user_id), user_id, market.view, market.pool, market.pool, store, home / "feeds"
        )
        async with market.endpoint(name) as endpoint:
            dialer = LaneDialer(endpoint.host, market.view, user_id, market.network.address_book)
            attestor = Attestor(endpoint.identity, market.view, market.pool, dialer, self.clock)
            server = LaneServer(market.view, user_id, attestor, hoster)

            async def serve(frames: FrameStream, peer_id: str) -> None:
                await server.handle(frames, peer_id)

            endpoint.host.handle(lane_protocol(self.chain.genesis_hash), serve)
            endpoint.serve(hoster.resolve)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(hoster.open_for_readers)
                    yield Actor(name, user_id, endpoint, dialer, attestor, hoster, store)
                    nursery.cancel_scope.cancel()
            finally:
                hoster.close()

    async def deliver(self, script: Script, attestor: Actor, hoster: Actor) -> StoredFrame:
        """Bring a lane to its hoster as its attestor does; returns the hoster's signature."""
        async with attestor.dialer.open(hoster.user_id) as stream:
            await script.send(stream)
            stored = await stream.receive(StoredFrame)
            await stream.end(Bye())
        return stored

    async def start_hosting(self, script: Script, stored: StoredFrame) -> None:
        """Report one lane as stored, and nothing about the others."""
        sealed, (attestor,) = script.sealed, self.terms().attestors
        numbers = (sealed.leaf_count, sealed.total_bytes)
        signatures = (sealed.encoder_signature, stored.hoster_signature)
        result = Stored(script.offer.position, sealed.root, *numbers, sealed.key_hash, *signatures)
        arguments = {"amendment": self.amendment_id, "results": (result,)}
        call = RuntimeCall("DatDot", "amendment_report", arguments)
        receipt = await self.chain.submit(call, self.identity(attestor).account)
        assert receipt.error is None, receipt.error

    def open_challenge(self, hoster: int) -> int:
        """Let blocks pass until the hoster is challenged."""
        for _ in range(100):
            for challenge_id, _challenge in self.market.view.open_challenges(hoster):
                return challenge_id
            self.pass_blocks(1)
        raise AssertionError("the hoster is never challenged")

    async def script(self, position: int = 0, key: SealKey = SEAL_KEY) -> Script:
        """What an honest encoder of a lane would send."""
        terms = self.terms(position)
        view = self.core.view()
        chunks = tuple(
            FetchedChunk(self.core.get(index), encode_block_proof(create_block_proof(view, index)))
            for index in terms.chunks
        )
        copy = SealedCopy(terms, FetchedLane(chunks, self.core.head_proof()), key, SealingBoard())
        await copy.seal(self.market.pool)
        frames = [await copy.chunk(number) for number in range(len(terms.chunks))]
        return Script(copy.offer(), frames, copy.sealed(self.identity(terms.encoder)))


@dataclass
class Script:
    """The frames of one lane, to be changed by a test before they are sent."""

    offer: Offer
    chunks: list[Chunk]
    sealed: Sealed

    async def send(self, stream: LaneStream) -> None:
        await stream.send(self.offer)
        for chunk in self.chunks:
            await stream.send(chunk)
        await stream.send(self.sealed)


@asynccontextmanager
async def open_stage(directory: Path, chunks: int = 2) -> AsyncIterator[Stage]:
    """Seven registered providers, and a contract of a few small chunks whose amendment has just begun."""
    chain = LiveChain(*PROVIDERS, "Sponsor", constants=CONSTANTS)
    offer = WorkOffer(storage_bytes=8 * MIB, hosting_slots=8)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(SealPool(workers=1))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        market = Market(chain, pool, directory, LoopbackNetwork(chain.genesis_hash))
        nursery.start_soon(chain.run_on_demand)
        async with trio.open_nursery() as joining:
            for name in PROVIDERS:
                joining.start_soon(ensure_user, market.view, market.identity(name), offer)
        core = small_core(chunks)
        await ensure_user(market.view, market.identity("Sponsor"))
        contract_id = await market.order(market.identity("Sponsor"), core)
        stage = Stage(market, core, 0, directory)
        while not stage.amendment_id:
            stage.pass_blocks(1)
            contract = market.view.contract(contract_id)
            assert contract is not None
            for amendment_id in contract.amendments:
                amendment = market.view.amendment(amendment_id)
                if amendment is not None and amendment.state is AmendmentState.RUNNING:
                    stage.amendment_id = amendment_id
        yield stage

