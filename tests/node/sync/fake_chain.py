"""Fake chains for syncing: real headers and envelopes, no state behind them."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.sync.envelope import HeaderSummary, decode_envelope, encode_envelope, summarize_block
from node.sync.types import BlockRef, ImportOutcome, ReceivedBlock


def compact(number: int) -> bytes:
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return ((number << 2) | 1).to_bytes(2, "little")
    return ((number << 2) | 2).to_bytes(4, "little")


def make_envelope(parent_hash: bytes, number: int, salt: str = "") -> bytes:
    header = parent_hash + compact(number) + bytes(64) + salt.encode()
    return encode_envelope(header, [b"extrinsic of " + header[:8]])


def received(envelope: bytes) -> ReceivedBlock:
    return ReceivedBlock(summarize_block(envelope), envelope)


GENESIS = make_envelope(bytes(32), 0)


@dataclass
class FakeChain:
    """A chain of envelopes with the longest-chain rule; everything it holds is reachable from genesis."""

    blocks: dict[bytes, ReceivedBlock] = field(default_factory=dict)
    canonical: list[bytes] = field(default_factory=list)
    finalized_number: int = 0
    invalid: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not self.canonical:
            genesis = received(GENESIS)
            self.blocks[genesis.summary.hash] = genesis
            self.canonical.append(genesis.summary.hash)

    def copy(self) -> FakeChain:
        return FakeChain(dict(self.blocks), list(self.canonical), self.finalized_number, set(self.invalid))

    def grow(self, count: int, salt: str = "") -> FakeChain:
        for _ in range(count):
            self.import_envelope(make_envelope(self.canonical[-1], len(self.canonical), salt))
        return self

    def forked_at(self, number: int, count: int, salt: str) -> FakeChain:
        fork = FakeChain(dict(self.blocks), self.canonical[: number + 1], self.finalized_number)
        return fork.grow(count, salt)

    def import_envelope(self, envelope: bytes) -> ImportOutcome:
        block = received(envelope)
        if block.summary.hash in self.blocks:
            return ImportOutcome.Known
        if block.summary.parent_hash not in self.blocks:
            return ImportOutcome.UnknownParent
        if block.summary.hash in self.invalid:
            return ImportOutcome.Invalid
        self.blocks[block.summary.hash] = block
        if block.summary.number >= len(self.canonical):
            self._make_best(block.summary)
        return ImportOutcome.Imported

    def _make_best(self, summary: HeaderSummary) -> None:
        path = [summary.hash]
        while (parent := self.blocks[path[-1]].summary.parent_hash) != bytes(32):
            path.append(parent)
        self.canonical = path[::-1]

    # LocalChain
    @property
    def best(self) -> BlockRef:
        return BlockRef(len(self.canonical) - 1, self.canonical[-1])

    @property
    def finalized(self) -> BlockRef:
        return BlockRef(self.finalized_number, self.canonical[self.finalized_number])

    def hash_at(self, number: int) -> bytes | None:
        return self.canonical[number] if number < len(self.canonical) else None

    def has(self, block_hash: bytes) -> bool:
        return block_hash in self.blocks

    # BlockProvider
    def header(self, block_hash: bytes) -> bytes | None:
        block = self.blocks.get(block_hash)
        return None if block is None else decode_envelope(block.envelope).header

    def block(self, block_hash: bytes) -> bytes | None:
        block = self.blocks.get(block_hash)
        return None if block is None else block.envelope
