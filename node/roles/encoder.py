"""The encoder: for each lane that the chain gives it, fetch the chunks, seal them with a fresh key, and send them to
the attestor until that one has the hoster's signature.

A lane is sealed once per run of the duty and kept in memory, at most 255 chunks; a broken stream only sends it again.
After a restart of the process the key is gone, and the lane is sealed anew with another one.
"""

from __future__ import annotations

import logging

import trio

from node.roles.fetcher import FetchedLane, Fetcher
from node.roles.identity import ProviderIdentity
from node.roles.lane_protocol import SCHEME, Bye, Chunk, FaultCode, LaneFault, Offer, RemoteFault, Sealed
from node.roles.lane_stream import LaneDialer, LaneStream, PeerUnreachable
from node.roles.limits import FRAME_SECONDS
from node.roles.market_view import LaneTerms, MarketView
from node.roles.retry import Backoff
from node.roles.sealer import SealKey, SealPool
from node.roles.sealing_board import SealingBoard
from pallets.datdot.sealing import Lane, LaneTreeBuilder

log = logging.getLogger(__name__)


class SealedCopy:
    """One lane being sealed: `seal` works through the chunks, `chunk` hands them out as they become ready."""

    def __init__(self, terms: LaneTerms, fetched: FetchedLane, key: SealKey, board: SealingBoard) -> None:
        self.terms = terms
        self.head_proof = fetched.head_proof
        self.lane = Lane(terms.genesis, terms.amendment, terms.position, key.public)
        self._fetched = fetched
        self._key = key
        self._board = board
        self._sealed: list[Chunk] = []
        self._builder = LaneTreeBuilder(terms.amendment, terms.position)
        self._changed = trio.Event()

    async def seal(self, pool: SealPool) -> None:
        """Seal all chunks, one after another."""
        for number, (index, chunk) in enumerate(zip(self.terms.chunks, self._fetched.chunks, strict=True)):
            sealed = await pool.seal(self.lane, self._key, index, chunk.content)
            self._builder.update(sealed)
            self._sealed.append(Chunk(number, sealed, chunk.proof))
            self._board.note(self.terms.amendment, self.terms.position, number + 1)
            self._changed.set()
            self._changed = trio.Event()

    async def chunk(self, number: int) -> Chunk:
        """The frame of chunk `number` (from 0), as soon as it is sealed."""
        while number >= len(self._sealed):
            await self._changed.wait()
        return self._sealed[number]

    def offer(self) -> Offer:
        """The frame that announces the lane."""
        terms = self.terms
        modulus = self.lane.key.to_bytes()
        return Offer(terms.amendment, terms.position, len(terms.chunks), SCHEME, modulus, self.head_proof)

    def sealed(self, identity: ProviderIdentity) -> Sealed:
        """The frame that ends the lane; to be called when all chunks are sealed."""
        terms = self.terms
        commitment = self._builder.finish().commitment(self.lane.key)
        place = (terms.genesis, terms.contract, terms.amendment, terms.position)
        return Sealed.of(commitment, identity.sign_commitment(*place, commitment))


class Encoder:
    """The encoder role of one account."""

    def __init__(
        self,
        identity: ProviderIdentity,
        market: MarketView,
        pool: SealPool,
        dialer: LaneDialer,
        fetcher: Fetcher,
        board: SealingBoard,
    ) -> None:
        self._identity = identity
        self._market = market
        self._pool = pool
        self._dialer = dialer
        self._fetcher = fetcher
        self._board = board

    async def run(self, amendment_id: int, position: int) -> None:
        """Do one lane; returns when the attestor has said that it is stored, or the setup is over.

        Raises FetchFailed when no source has the chunks. The caller cancels it when the chain no longer wants the lane.
        """
        terms = self._market.lane_terms(amendment_id, position)
        if terms is None:
            return
        fetched = await self._fetcher.fetch(terms)
        key = await trio.to_thread.run_sync(SealKey.generate, terms.seal_key_bits)
        copy = SealedCopy(terms, fetched, key, self._board)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(copy.seal, self._pool)
            await self._deliver(copy)
            nursery.cancel_scope.cancel()

    async def _deliver(self, copy: SealedCopy) -> None:
        backoff = Backoff()
        while True:
            for attestor in copy.terms.attestors:
                try:
                    async with self._dialer.open(attestor) as stream:
                        await self._send(stream, copy)
                    return
                except RemoteFault as fault:
                    if fault.code is FaultCode.OVER:
                        return
                    log.info("%s: attestor %d ended the stream: %s", copy.terms, attestor, fault.code.value)
                except (PeerUnreachable, LaneFault) as error:
                    log.info("%s: attestor %d: %s", copy.terms, attestor, error)
            await trio.sleep(backoff.next_pause())

    async def _send(self, stream: LaneStream, copy: SealedCopy) -> None:
        """Send the whole lane and wait until it is stored. Chunks go out as they are sealed."""
        try:
            await stream.send(copy.offer())
            for number in range(len(copy.terms.chunks)):
                await stream.send(await copy.chunk(number))
            await stream.send(copy.sealed(self._identity))
        except PeerUnreachable:
            # A peer that gave up has usually said why before it closed.
            await stream.receive(Bye, within_seconds=1.0)
            return
        await stream.receive(Bye, within_seconds=2 * FRAME_SECONDS)
