"""The chain as the network reads and feeds it: opaque bytes on the wire side, typed blocks on ours."""

from __future__ import annotations

from node.chain.chain import Chain
from node.chain.events import ImportStatus
from node.net.sync_protocol import ImportResult
from node.sync.envelope import InvalidEnvelope, decode_envelope
from node.sync.types import BlockRef, ImportOutcome
from runtime.errors import CodecError
from runtime.header import Block, Header

OUTCOMES = {
    ImportStatus.IMPORTED: ImportOutcome.Imported,
    ImportStatus.KNOWN: ImportOutcome.Known,
    ImportStatus.UNKNOWN_PARENT: ImportOutcome.UnknownParent,
    ImportStatus.TOO_EARLY: ImportOutcome.UnknownParent,  # not the peer's fault: it is asked again later
    ImportStatus.TOO_OLD: ImportOutcome.Invalid,
    ImportStatus.INVALID: ImportOutcome.Invalid,
}


class ChainForPeers:
    """Answers block requests and imports what peers send."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._store = chain.store

    @property
    def best(self) -> BlockRef:
        """The tip of the best chain."""
        return _reference(self._store.best)

    @property
    def finalized(self) -> BlockRef:
        """The oldest block that a fork may start from: finality is for display, so it is the folded one."""
        return _reference(self._store.folded)

    def hash_at(self, number: int) -> bytes | None:
        """The hash of a block of the best chain."""
        return self._store.hash_at(number)

    def header(self, block_hash: bytes) -> bytes | None:
        """The SCALE header of an imported block."""
        header = self._store.header(block_hash)
        return None if header is None else header.encode()

    def block(self, block_hash: bytes) -> bytes | None:
        """The RLP envelope of a block."""
        return self._store.envelope(block_hash)

    async def import_block(self, envelope: bytes, origin: str) -> ImportResult:
        """Decode, check, execute and store a block."""
        try:
            opened = decode_envelope(envelope)
            block = Block(Header.decode(opened.header), opened.extrinsics)
        except (InvalidEnvelope, CodecError) as error:
            return ImportResult(ImportOutcome.Invalid, str(error))
        result = await self._chain.import_block(block, origin)
        return ImportResult(OUTCOMES[result.status], result.reason)


def _reference(header: Header) -> BlockRef:
    return BlockRef(header.number, header.hash)
