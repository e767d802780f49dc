"""Runs a SyncMachine against scripted peers, without time passing except where a test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

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
)

from .fake_chain import FakeChain

MAX_STEPS = 20_000


@dataclass
class Peer:
    """An honest peer with a chain; tests override `blocks` or `hash_of` to lie, or set `silent` to stall."""

    chain: FakeChain
    silent: bool = False
    max_blocks: int = 128
    blocks: Callable[[int, int], list[ReceivedBlock]] | None = None
    hash_of: Callable[[int], bytes | None] | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def answer_blocks(self, start: int, count: int) -> list[ReceivedBlock]:
        self.asked.append((start, count))
        if self.blocks is not None:
            return self.blocks(start, count)
        hashes = self.chain.canonical[start : start + min(count, self.max_blocks)]
        return [self.chain.blocks[block_hash] for block_hash in hashes]


@dataclass
class Simulation:
    local: FakeChain
    peers: dict[str, Peer]
    now: float = 0.0
    faults: list[PeerMisbehaved] = field(default_factory=list)
    largest_ahead: int = 0

    def __post_init__(self) -> None:
        self.machine = SyncMachine(self.local)
        self.queue: deque[Action] = deque()

    def connect_all(self) -> Simulation:
        for name in self.peers:
            self.connect(name)
        return self

    def connect(self, name: str) -> None:
        self.queue.extend(self.machine.peer_connected(name, self.peers[name].chain.best, self.now))

    def announce(self, name: str, parent_hash: bytes | None = None) -> None:
        best: BlockRef = self.peers[name].chain.best
        self.queue.extend(self.machine.peer_announced(name, best, parent_hash, self.now))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.queue.extend(self.machine.tick(self.now))

    def run(self) -> Simulation:
        for _ in range(MAX_STEPS):
            if not self.queue:
                return self
            self._carry_out(self.queue.popleft())
        raise AssertionError("the machine never comes to rest")

    def _carry_out(self, action: Action) -> None:
        match action:
            case RequestHash(peer, request, number):
                scripted = self.peers[peer]
                if not scripted.silent:
                    found = (scripted.hash_of or scripted.chain.hash_at)(number)
                    self.queue.extend(self.machine.hash_received(peer, request, found, self.now))
            case RequestBlocks(peer, request, start, count):
                self.largest_ahead = max(self.largest_ahead, start + count - 1 - self.local.best.number)
                scripted = self.peers[peer]
                if not scripted.silent:
                    blocks = scripted.answer_blocks(start, count)
                    self.queue.extend(self.machine.blocks_received(peer, request, blocks, self.now))
            case ImportBlocks(blocks):
                for block in blocks:
                    outcome = self.local.import_envelope(block.envelope)
                    self.queue.extend(self.machine.imported(block.summary.hash, outcome, "scripted", self.now))
                    if outcome not in (ImportOutcome.Imported, ImportOutcome.Known):
                        return
            case PeerMisbehaved():
                self.faults.append(action)
