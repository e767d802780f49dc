"""Syncing over the network: answers the requests of peers, and carries out what the pure sync machine decides.

Each host opens one request stream to each peer and may have several requests open on it; the peer answers them in the
order in which they came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import trio

from node import limits
from node.net.cbor import InvalidMessage, decode, encode
from node.net.frames import FrameStream, FrameTooLarge, PeerGone
from node.net.host import Host
from node.net.messages import SyncRequest, SyncResponse, chain_protocol
from node.net.peers import Offence
from node.net.session import Session, Sessions
from node.sync.envelope import InvalidEnvelope, summarize_block
from node.sync.machine import SyncMachine
from node.sync.types import (
    Action,
    BlockRef,
    ImportBlocks,
    ImportOutcome,
    PeerMisbehaved,
    ReceivedBlock,
    RequestBlocks,
    RequestHash,
    SyncFault,
)

log = logging.getLogger(__name__)

PROTOCOL_NAME = "sync"
_OFFENCE_OF = {
    SyncFault.Stalled: Offence.SlowAnswer,
    SyncFault.Empty: Offence.WrongAnswer,
    SyncFault.WrongAnswer: Offence.WrongAnswer,
    SyncFault.Unlinked: Offence.WrongAnswer,
    SyncFault.InvalidBlock: Offence.InvalidBlock,
    SyncFault.OtherChain: Offence.OtherChain,
    SyncFault.Inconsistent: Offence.OtherChain,
}


class BlockProvider(Protocol):
    """Our chain, as the network reads it. Nothing here may block for long or keep a database transaction open."""

    @property
    def best(self) -> BlockRef: ...

    @property
    def finalized(self) -> BlockRef:
        """The oldest block that a fork may start from."""

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of that block of the best chain."""

    def header(self, block_hash: bytes) -> bytes | None:
        """Return the SCALE header of an imported block of any fork."""

    def block(self, block_hash: bytes) -> bytes | None:
        """Return the RLP envelope of a block, None when its body is not here."""


@dataclass(frozen=True)
class ImportResult:
    """What became of a block, and for an invalid one why."""

    outcome: ImportOutcome
    reason: str = ""


class BlockImporter(Protocol):
    """Takes blocks in; the only way in which the network changes our chain."""

    async def import_block(self, envelope: bytes, origin: str) -> ImportResult:
        """Check, execute and store a block; `origin` is the peer id of its sender."""


class _LocalChain:
    """The provider as the sync machine sees it."""

    def __init__(self, provider: BlockProvider) -> None:
        self._provider = provider

    @property
    def best(self) -> BlockRef:
        return self._provider.best

    @property
    def finalized(self) -> BlockRef:
        return self._provider.finalized

    def hash_at(self, number: int) -> bytes | None:
        return self._provider.hash_at(number)

    def has(self, block_hash: bytes) -> bool:
        return self._provider.header(block_hash) is not None


class SyncProtocol:
    """The sync machine's hands: request streams, the import task and the clock."""

    def __init__(
        self,
        host: Host,
        genesis_hash: bytes,
        provider: BlockProvider,
        importer: BlockImporter,
        sessions: Sessions,
        offend: Callable[[str, Offence, str], None],
    ) -> None:
        self._host = host
        self._protocol = chain_protocol(genesis_hash, PROTOCOL_NAME)
        self._provider = provider
        self._importer = importer
        self._sessions = sessions
        self._offend = offend
        self.machine = SyncMachine(_LocalChain(provider))
        self._requests: dict[str, trio.MemorySendChannel[SyncRequest]] = {}
        # The machine has one import under way at a time, so a place for the next one is enough.
        self._send_import, self._receive_import = trio.open_memory_channel[ImportBlocks](1)
        host.handle(self._protocol, self._answer_requests, max_frame_bytes=limits.MAX_SYNC_FRAME_BYTES)

    async def run(self) -> None:
        """Import what was downloaded and let time pass, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._import_batches)
            while True:
                await trio.sleep(limits.SYNC_TICK_SECONDS)
                self._carry_out(self.machine.tick(trio.current_time()))

    async def serve(self, session: Session) -> None:
        """Ask a peer what the machine wants to know of it, until the stream breaks (PeerGone)."""
        stream = await self._host.open_stream(
            session.peer_id, self._protocol, max_frame_bytes=limits.MAX_SYNC_FRAME_BYTES
        )
        # Open requests per peer are bounded by the machine; the factor covers those it gave up waiting for.
        send, receive = trio.open_memory_channel[SyncRequest](4 * limits.MAX_REQUESTS_PER_PEER)
        self._requests[session.peer_id] = send
        try:
            best = BlockRef(session.best_number, session.best_hash)
            self._carry_out(self.machine.peer_connected(session.peer_id, best, trio.current_time()))
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._write_requests, stream, receive)
                await self._read_responses(stream, session)
        finally:
            if self._requests.get(session.peer_id) is send:
                del self._requests[session.peer_id]
                self._carry_out(self.machine.peer_disconnected(session.peer_id, trio.current_time()))

    def announced(self, session: Session, best: BlockRef, parent_hash: bytes) -> None:
        """A peer announced a new best block."""
        session.best_number, session.best_hash = best.number, best.hash
        self._carry_out(self.machine.peer_announced(session.peer_id, best, parent_hash, trio.current_time()))

    # ---- our requests

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case RequestHash(peer, request, number):
                    self._queue_request(peer, SyncRequest(request, "hash", number, 1))
                case RequestBlocks(peer, request, start, count):
                    self._queue_request(peer, SyncRequest(request, "blocks", start, count))
                case ImportBlocks():
                    self._send_import.send_nowait(action)
                case PeerMisbehaved(peer, fault, detail):
                    self._offend(peer, _OFFENCE_OF[fault], f"{fault.value} {detail}")
                    self._sessions.end(peer)

    def _queue_request(self, peer_id: str, request: SyncRequest) -> None:
        channel = self._requests.get(peer_id)
        if channel is None:
            return
        try:
            channel.send_nowait(request)
        except trio.WouldBlock:
            self._sessions.end(peer_id)

    async def _write_requests(self, stream: FrameStream, requests: trio.MemoryReceiveChannel[SyncRequest]) -> None:
        async for request in requests:
            await stream.send(encode(request))

    async def _read_responses(self, stream: FrameStream, session: Session) -> None:
        while True:
            frame = await stream.receive()
            try:
                response = decode(SyncResponse, frame, limits.MAX_SYNC_FRAME_BYTES)
                blocks = [ReceivedBlock(summarize_block(envelope), envelope) for envelope in response.blocks]
            except (InvalidMessage, InvalidEnvelope) as error:
                self._offend(session.peer_id, Offence.Undecodable, f"sync: {error}")
                raise PeerGone(f"{session.peer_id} sent an answer that cannot be read") from error
            now = trio.current_time()
            self._carry_out(self.machine.answer_received(session.peer_id, response.request, response.hash, blocks, now))

    async def _import_batches(self) -> None:
        async for batch in self._receive_import:
            for block in batch.blocks:
                origin = self.machine.supplier_of_next_import
                result = await self._importer.import_block(block.envelope, origin)
                now = trio.current_time()
                self._carry_out(self.machine.imported(block.summary.hash, result.outcome, result.reason, now))
                if result.outcome not in (ImportOutcome.Imported, ImportOutcome.Known):
                    break

    # ---- the requests of others

    async def _answer_requests(self, stream: FrameStream, peer_id: str) -> None:
        if await self._sessions.wait_for(peer_id) is None:
            return
        while True:
            try:
                frame = await stream.receive()
                request = decode(SyncRequest, frame, limits.MAX_REQUEST_FRAME_BYTES)
            except FrameTooLarge as error:
                self._offend(peer_id, Offence.FrameTooLarge, str(error))
                raise
            except InvalidMessage as error:
                self._offend(peer_id, Offence.Undecodable, f"sync: {error}")
                raise PeerGone(f"{peer_id} sent a request that cannot be read") from error
            await stream.send(encode(await self._answer(request)))

    async def _answer(self, request: SyncRequest) -> SyncResponse:
        if request.kind == "hash":
            return SyncResponse(request.request, self._provider.hash_at(request.start), ())
        blocks: list[bytes] = []
        size = 0
        for number in range(request.start, request.start + min(request.count, limits.MAX_BLOCKS_PER_REQUEST)):
            block_hash = self._provider.hash_at(number)
            envelope = None if block_hash is None else self._provider.block(block_hash)
            if envelope is None or (blocks and size + len(envelope) > limits.MAX_RESPONSE_BYTES):
                break
            blocks.append(envelope)
            size += len(envelope)
            await trio.lowlevel.checkpoint()
        return SyncResponse(request.request, None, tuple(blocks))
