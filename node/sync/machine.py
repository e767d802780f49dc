"""Syncing as a pure state machine: what peers say and how imports end go in, requests and imports come out.

One chain is downloaded at a time, that of the peer with the highest best block (the target). First the last common
block is found with it. Then ranges of its chain are asked for, from it and from every other peer that claims to be at
least as high; the answers are put in order, must link by parent hash, and are imported one batch after the other. The
target's word decides: a range of another peer that does not link is asked again from the target.

Time is passed in as seconds of any monotonic clock; nothing here sleeps, sends or reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from node import limits
from node.sync.ancestor import AncestorSearch, NoCommonAncestor
from node.sync.types import (
    Action,
    BlockRef,
    ImportBlocks,
    ImportOutcome,
    LocalChain,
    PeerMisbehaved,
    ReceivedBlock,
    RequestBlocks,
    RequestHash,
    SyncFault,
)


@dataclass(eq=False)
class _Range:
    """Consecutive blocks of the target's chain: not asked for (`peer` None), asked for, or received."""

    start: int
    count: int
    peer: str | None = None
    blocks: tuple[ReceivedBlock, ...] = ()


@dataclass(eq=False)
class _Request:
    deadline: float
    subject: _Range | AncestorSearch


@dataclass(eq=False)
class _Peer:
    best: BlockRef
    parent_hash: bytes | None = None  # of `best`, when it was announced with its header
    requests: dict[int, _Request] = field(default_factory=dict)
    restarts: int = 0
    diverged: bool = False  # gave a range that does not belong to the chain being downloaded


class SyncMachine:
    """Decides what to ask of whom. Every method that takes an event returns the actions to carry out, in order."""

    def __init__(self, local: LocalChain) -> None:
        self._local = local
        self._peers: dict[str, _Peer] = {}
        self._actions: list[Action] = []
        self._next_request = 0
        self._bad_blocks: dict[bytes, None] = {}
        self._importing: deque[tuple[bytes, str]] = deque()  # (hash, supplier) of the batch being imported
        self._clear_download()

    # ---- what callers may ask

    @property
    def best_seen(self) -> int:
        """The highest block number that any peer has, or ours."""
        return max([self._local.best.number, *(peer.best.number for peer in self._peers.values())])

    @property
    def is_major_syncing(self) -> bool:
        """Whether we are more than a few blocks behind the highest peer."""
        return self.best_seen - self._local.best.number > limits.MAJOR_SYNC_BLOCKS

    @property
    def supplier_of_next_import(self) -> str:
        """The peer whose block is imported next, "" when none is waiting."""
        return self._importing[0][1] if self._importing else ""

    # ---- events

    def peer_connected(self, peer_id: str, best: BlockRef, now: float) -> list[Action]:
        """A peer is there and says what its best block is; what an earlier session of it left open is dropped."""
        self._forget(peer_id)
        self._peers[peer_id] = _Peer(best)
        return self._drive(now)

    def peer_announced(self, peer_id: str, best: BlockRef, parent_hash: bytes | None, now: float) -> list[Action]:
        """A peer has a new best block; `parent_hash` from its header when that was sent along."""
        peer = self._peers.get(peer_id)
        if peer is not None:
            peer.best, peer.parent_hash = best, parent_hash
        return self._drive(now)

    def peer_disconnected(self, peer_id: str, now: float) -> list[Action]:
        """A peer is gone; what was asked of it is asked of others."""
        self._forget(peer_id)
        return self._drive(now)

    def hash_received(self, peer_id: str, request: int, block_hash: bytes | None, now: float) -> list[Action]:
        """A peer answered a RequestHash. Answers to questions that are no longer open are ignored."""
        search = self._search
        if search is not None and self._close_request(peer_id, request) is search:
            if block_hash is None:
                self._blame(peer_id, SyncFault.Empty, f"no block {search.probe}")
            else:
                try:
                    common = search.answered(block_hash)
                except NoCommonAncestor as error:
                    self._blame(peer_id, SyncFault.OtherChain, str(error))
                else:
                    self._ask_hash(now) if common is None else self._begin_download(common)
        return self._drive(now)

    def blocks_received(self, peer_id: str, request: int, blocks: Sequence[ReceivedBlock], now: float) -> list[Action]:
        """A peer answered a RequestBlocks. Fewer blocks than asked for are fine, none at all are not."""
        asked = self._close_request(peer_id, request)
        if isinstance(asked, _Range) and asked in self._ranges:
            fault = self._check_answer(asked, blocks)
            if fault is None:
                self._accept(asked, tuple(blocks))
            else:
                asked.peer = None
                self._blame(peer_id, *fault)
        return self._drive(now)

    def answer_received(
        self, peer_id: str, request: int, block_hash: bytes | None, blocks: Sequence[ReceivedBlock], now: float
    ) -> list[Action]:
        """A peer answered a request of either kind; which kind it was, the machine knows."""
        peer = self._peers.get(peer_id)
        opened = None if peer is None else peer.requests.get(request)
        if opened is not None and isinstance(opened.subject, AncestorSearch):
            return self.hash_received(peer_id, request, block_hash, now)
        return self.blocks_received(peer_id, request, blocks, now)

    def imported(self, block_hash: bytes, outcome: ImportOutcome, detail: str, now: float) -> list[Action]:
        """The import of one block ended. After a failure no further block of that batch is reported."""
        if not self._importing or self._importing[0][0] != block_hash:
            raise ValueError("the block reported is not the next one of the batch")
        _, supplier = self._importing.popleft()
        target = self._peers.get(self._target or "")
        if outcome in (ImportOutcome.Imported, ImportOutcome.Known):
            if outcome is ImportOutcome.Imported and target is not None:
                target.restarts = 0
            return self._drive(now)
        self._importing.clear()
        if outcome is ImportOutcome.Invalid:
            self._remember_bad(block_hash)
            self._clear_download(restart_of=self._target)
            self._blame(supplier, SyncFault.InvalidBlock, detail)
        else:
            self._restart("a parent went missing")
        return self._drive(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed: peers that owe an answer for too long are given up."""
        for peer_id in list(self._peers):
            peer = self._peers.get(peer_id)
            if peer is not None and any(request.deadline <= now for request in peer.requests.values()):
                self._blame(peer_id, SyncFault.Stalled, f"{len(peer.requests)} requests open")
        return self._drive(now)

    # ---- the download

    def _clear_download(self, restart_of: str | None = None) -> None:
        self._target: str | None = None
        self._search: AncestorSearch | None = None
        self._ranges: deque[_Range] = deque()
        self._tail = BlockRef(0, b"")  # the last block handed to import
        self._next_number = 0
        self._alone = restart_of is not None  # after a mismatch only the target is asked
        for peer in self._peers.values():
            peer.diverged = False

    def _is_downloading(self) -> bool:
        return self._target is not None and self._search is None

    def _drive(self, now: float) -> list[Action]:
        while True:
            if self._target is None and not self._importing:
                self._choose_target(now)
            if not self._is_downloading():
                break
            self._hand_over()
            if not self._is_downloading():
                continue
            self._request_ranges(now)
            if self._ranges or self._importing:
                break
            self._finish_download()
        actions, self._actions = self._actions, []
        return actions

    def _choose_target(self, now: float) -> None:
        candidates = [
            (peer.best.number, peer_id)
            for peer_id, peer in self._peers.items()
            if peer.best.number > self._local.best.number and not self._local.has(peer.best.hash)
        ]
        if not candidates:
            return
        _, self._target = max(candidates)
        peer = self._peers[self._target]
        if peer.parent_hash is not None and self._local.has(peer.parent_hash):
            self._begin_download(BlockRef(peer.best.number - 1, peer.parent_hash))
        else:
            self._search = AncestorSearch(self._local, peer.best.number)
            self._ask_hash(now)

    def _finish_download(self) -> None:
        """Everything up to the target's best number is imported: its chain is ours, unless it changed meanwhile."""
        assert self._target is not None
        if self._local.has(self._peers[self._target].best.hash):
            self._clear_download()
        else:
            self._restart("its best block was not among the blocks that it sent")

    def _begin_download(self, common: BlockRef) -> None:
        self._search = None
        self._tail = common
        self._next_number = common.number + 1

    def _request_ranges(self, now: float) -> None:
        assert self._target is not None
        end = min(self._peers[self._target].best.number, self._imported_number() + limits.MAX_BLOCKS_AHEAD)
        for wanted in self._ranges:
            if wanted.peer is None and not self._assign(wanted, now):
                return
        while self._next_number <= end:
            wanted = _Range(self._next_number, min(limits.MAX_BLOCKS_PER_REQUEST, end - self._next_number + 1))
            if not self._assign(wanted, now):
                return
            self._ranges.append(wanted)
            self._next_number += wanted.count

    def _imported_number(self) -> int:
        return self._tail.number - len(self._importing)

    def _assign(self, wanted: _Range, now: float) -> bool:
        """Ask the least busy peer that can have the range, the target in case of a tie. False when all are busy."""
        assert self._target is not None
        last = wanted.start + wanted.count - 1
        free = [
            (len(peer.requests), peer_id != self._target, peer_id)
            for peer_id, peer in self._peers.items()
            if len(peer.requests) < limits.MAX_REQUESTS_PER_PEER
            and peer.best.number >= last
            and (peer_id == self._target or not (self._alone or peer.diverged))
        ]
        if not free:
            return False
        wanted.peer = min(free)[2]
        request = self._open_request(wanted.peer, now + limits.BLOCK_REQUEST_TIMEOUT_SECONDS, wanted)
        self._actions.append(RequestBlocks(wanted.peer, request, wanted.start, wanted.count))
        return True

    def _check_answer(self, asked: _Range, blocks: Sequence[ReceivedBlock]) -> tuple[SyncFault, str] | None:
        if not blocks:
            return SyncFault.Empty, f"no blocks from {asked.start}"
        if len(blocks) > asked.count:
            return SyncFault.WrongAnswer, f"{len(blocks)} blocks, {asked.count} were asked for"
        for offset, block in enumerate(blocks):
            if block.summary.number != asked.start + offset:
                return SyncFault.WrongAnswer, f"block {block.summary.number} in place of {asked.start + offset}"
            if offset and block.summary.parent_hash != blocks[offset - 1].summary.hash:
                return SyncFault.Unlinked, f"block {block.summary.number} does not follow its predecessor"
            if block.summary.hash in self._bad_blocks:
                return SyncFault.InvalidBlock, f"block {block.summary.number} is known to be bad"
        return None

    def _accept(self, asked: _Range, blocks: tuple[ReceivedBlock, ...]) -> None:
        rest = asked.count - len(blocks)
        if rest:
            self._ranges.insert(self._ranges.index(asked) + 1, _Range(asked.start + len(blocks), rest))
        asked.blocks, asked.count = blocks, len(blocks)

    def _hand_over(self) -> None:
        """Give the first received range to the importer, once it is done with the last."""
        while self._ranges and self._ranges[0].blocks and not self._importing:
            first = self._ranges[0]
            if first.blocks[0].summary.parent_hash != self._tail.hash:
                self._mismatch(first)
                return
            batch, rest = first.blocks[: limits.MAX_BLOCKS_PER_IMPORT], first.blocks[limits.MAX_BLOCKS_PER_IMPORT :]
            self._ranges.popleft()
            supplier = first.peer or ""
            if rest:
                self._ranges.appendleft(_Range(rest[0].summary.number, len(rest), supplier, rest))
            self._importing.extend((block.summary.hash, supplier) for block in batch)
            self._tail = BlockRef(batch[-1].summary.number, batch[-1].summary.hash)
            self._actions.append(ImportBlocks(batch))

    def _mismatch(self, unlinked: _Range) -> None:
        if unlinked.peer == self._target:
            self._restart(f"block {unlinked.start} does not follow block {self._tail.number}")
            return
        supplier = self._peers.get(unlinked.peer or "")
        if supplier is not None:
            supplier.diverged = True
        unlinked.peer, unlinked.blocks = None, ()

    def _restart(self, why: str) -> None:
        """Search the common ancestor with the target afresh, and then ask nobody else."""
        target = self._target
        self._clear_download(restart_of=target)
        peer = self._peers.get(target or "")
        if target is None or peer is None:
            return
        peer.parent_hash = None
        peer.restarts += 1
        if peer.restarts > limits.MAX_SYNC_RESTARTS:
            self._blame(target, SyncFault.Inconsistent, why)

    # ---- requests and peers

    def _ask_hash(self, now: float) -> None:
        assert self._target is not None
        assert self._search is not None
        request = self._open_request(self._target, now + limits.HASH_REQUEST_TIMEOUT_SECONDS, self._search)
        self._actions.append(RequestHash(self._target, request, self._search.probe))

    def _open_request(self, peer_id: str, deadline: float, subject: _Range | AncestorSearch) -> int:
        self._next_request = (self._next_request + 1) % (1 << 32)
        self._peers[peer_id].requests[self._next_request] = _Request(deadline, subject)
        return self._next_request

    def _close_request(self, peer_id: str, request: int) -> _Range | AncestorSearch | None:
        """Return what an open request was about, None when it is not (or no longer) open."""
        peer = self._peers.get(peer_id)
        closed = None if peer is None else peer.requests.pop(request, None)
        return None if closed is None else closed.subject

    def _blame(self, peer_id: str, fault: SyncFault, detail: str) -> None:
        if self._forget(peer_id):
            self._actions.append(PeerMisbehaved(peer_id, fault, detail))

    def _forget(self, peer_id: str) -> bool:
        peer = self._peers.pop(peer_id, None)
        if peer is None:
            return False
        for request in peer.requests.values():
            if isinstance(request.subject, _Range):
                request.subject.peer = None
        if peer_id == self._target:
            self._clear_download()
        return True

    def _remember_bad(self, block_hash: bytes) -> None:
        if len(self._bad_blocks) >= limits.MAX_BAD_BLOCKS_REMEMBERED:
            del self._bad_blocks[next(iter(self._bad_blocks))]
        self._bad_blocks[block_hash] = None
