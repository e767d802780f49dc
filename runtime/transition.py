"""A block, top to bottom: initialize, apply each extrinsic, finalize; and the check of somebody else's block.

`InvalidBlock` and `InvalidTransaction` say what is invalid; a `DispatchError` only makes an extrinsic fail; any other
exception is a bug of the runtime and must stop the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime import limits
from runtime.call import DispatchResult
from runtime.construct import Runtime
from runtime.errors import DispatchError, InvalidBlock, InvalidTransaction, Validity
from runtime.events import EventRecord
from runtime.extrinsic import Extrinsic
from runtime.genesis import GenesisBlock, build_genesis
from runtime.header import Block, Digest, DigestItem, Header
from runtime.origin import NoneOrigin, Signed
from runtime.state import Overlay, StateView
from runtime.trie import TrieUpdate, root_of_list, update
from runtime.validity import (
    CheckedTransaction,
    TransactionValidity,
    check_signed,
    check_unsigned,
    decode_extrinsic,
    validate_transaction,
)
from runtime.weights import MANDATORY

GetNode = Callable[[bytes], bytes]


@dataclass(frozen=True)
class ApplyOutcome:
    """What became of an included extrinsic: its index in the block, and the error when its call failed."""

    index: int
    hash: bytes
    error: DispatchError | None


@dataclass(frozen=True)
class ExecutedBlock:
    """A block after execution: its header without seal, its body, and everything the store must write."""

    header: Header
    extrinsics: tuple[bytes, ...]
    changes: dict[bytes, bytes | None]
    trie: TrieUpdate
    events: tuple[EventRecord, ...]


class BlockExecution:
    """One block on top of `parent`, whose state is `view` and whose trie nodes `get_node` returns.

    Call `initialize`, then `apply` for every extrinsic, then `finalize`. `digest` holds the author's items.
    """

    def __init__(
        self, runtime: Runtime, parent: Header, view: StateView, digest: tuple[DigestItem, ...], get_node: GetNode
    ) -> None:
        self.runtime = runtime
        self.parent = parent
        self.number = parent.number + 1
        self.digest = digest
        self.get_node = get_node
        self.overlay = Overlay(view)
        self.extrinsics: list[bytes] = []

    def initialize(self) -> None:
        """Set the block's context and run `on_initialize` of every pallet; a hook may raise InvalidBlock."""
        system = self.runtime.system
        with self.runtime.bind(self.overlay):
            system.initialize(self.number, self.parent.hash, Digest(self.digest))
            for on_initialize in self.runtime.initializers:
                system.register_weight(on_initialize(self.number), MANDATORY)
            system.note_initialized()

    def apply(self, data: bytes) -> ApplyOutcome:
        """Include one extrinsic. If it must not be included, raise InvalidTransaction and leave the block as it was."""
        if len(self.extrinsics) >= limits.EXTRINSICS_PER_BLOCK:
            raise InvalidTransaction(Validity.EXHAUSTS_RESOURCES, "the block is full")
        extrinsic = decode_extrinsic(self.runtime, data)
        with self.runtime.bind(self.overlay):
            if len(self.extrinsics) < len(self.runtime.inherents):
                result = self._apply_inherent(extrinsic)
            elif extrinsic.signed is None:
                result = self._apply_unsigned(extrinsic)
            else:
                result = self._apply_signed(check_signed(self.runtime, extrinsic))
        self.extrinsics.append(data)
        return ApplyOutcome(len(self.extrinsics) - 1, extrinsic.hash, result.error)

    def _apply_inherent(self, extrinsic: Extrinsic) -> DispatchResult:
        position = len(self.extrinsics)
        pallet, function = self.runtime.inherents[position]
        call = extrinsic.call
        if extrinsic.signed is not None or (call.pallet, call.function) != (pallet, function):
            raise InvalidTransaction(Validity.CALL, f"extrinsic {position} must be the inherent {pallet}.{function}")
        info = self.runtime.dispatch_info(call)
        with self.overlay.transaction():
            self.runtime.system.register_extrinsic(info, len(extrinsic.encoded))
            result = self.runtime.dispatch(call, NoneOrigin())
            if result.error is not None:
                raise InvalidTransaction(Validity.BAD_MANDATORY, str(result.error))
            self.runtime.system.note_applied(result, info)
        return result

    def _apply_unsigned(self, extrinsic: Extrinsic) -> DispatchResult:
        """Run a call that its pallet validates unsigned; nobody pays for it."""
        info, _ = check_unsigned(self.runtime, extrinsic)
        with self.overlay.transaction():
            self.runtime.system.register_extrinsic(info, len(extrinsic.encoded))
            result = self.runtime.dispatch(extrinsic.call, NoneOrigin())
            self.runtime.system.note_applied(result, info)
        return result

    def _apply_signed(self, checked: CheckedTransaction) -> DispatchResult:
        """Count the nonce, take the fee, run the call, refund: only the call's own changes are undone when it fails."""
        system, fees, info = self.runtime.system, self.runtime.fees, checked.info
        sender, extra, length = checked.sender, checked.signed.extra, checked.length_bytes
        expected = system.nonce(sender)
        if extra.nonce != expected:
            kind = Validity.STALE if extra.nonce < expected else Validity.FUTURE
            raise InvalidTransaction(kind, f"nonce {extra.nonce}, the account's next is {expected}")
        system.check_limits(info, length)
        with self.overlay.transaction():
            system.increment_nonce(sender)
            system.register_extrinsic(info, length)
            charged = None if fees is None else fees.charge(sender, info, length, extra.tip)
            result = self.runtime.dispatch(checked.extrinsic.call, Signed(sender))
            if fees is not None:
                fees.correct(charged, sender, info, result, length, extra.tip)
            system.note_applied(result, info)
        return result

    def finalize(self) -> ExecutedBlock:
        """Run `on_idle` and `on_finalize`, encode what changed, compute the roots."""
        system = self.runtime.system
        if len(self.extrinsics) < len(self.runtime.inherents):
            pallet, function = self.runtime.inherents[len(self.extrinsics)]
            raise InvalidBlock(f"the inherent {pallet}.{function} is missing")
        with self.runtime.bind(self.overlay):
            system.note_finished_extrinsics()
            for on_idle in self.runtime.idlers:
                system.register_weight(on_idle(self.number, system.remaining_weight()), MANDATORY)
            for on_finalize in self.runtime.finalizers:
                on_finalize(self.number)
            digest = system.finalize()
            events = system.event_records()
        changes = self.overlay.changes()
        trie = update(self.get_node, self.parent.state_root, changes)
        root = extrinsics_root(self.extrinsics)
        header = Header(self.parent.hash, self.number, trie.root, root, digest.logs)
        return ExecutedBlock(header, tuple(self.extrinsics), changes, trie, events)


def execute_block(
    runtime: Runtime, parent: Header, view: StateView, block: Block, get_node: GetNode
) -> ExecutedBlock:
    """Execute somebody else's block and check every claim of its header but the seal; raises InvalidBlock."""
    header = block.header
    if header.parent_hash != parent.hash:
        raise InvalidBlock("the header names another parent")
    if header.number != parent.number + 1:
        raise InvalidBlock(f"block number {header.number} does not follow {parent.number}")
    if sum(map(len, block.extrinsics)) > limits.BLOCK_LENGTH_BYTES:
        raise InvalidBlock(f"the extrinsics have more than {limits.BLOCK_LENGTH_BYTES} bytes")
    if len(block.extrinsics) > limits.EXTRINSICS_PER_BLOCK:
        raise InvalidBlock(f"the block has more than {limits.EXTRINSICS_PER_BLOCK} extrinsics")
    if extrinsics_root(block.extrinsics) != header.extrinsics_root:
        raise InvalidBlock("the extrinsics root does not match the body")
    claimed = header.without_seal().digest
    execution = BlockExecution(runtime, parent, view, runtime.authored_items(claimed), get_node)
    execution.initialize()
    for index, extrinsic in enumerate(block.extrinsics):
        try:
            execution.apply(extrinsic)
        except InvalidTransaction as error:
            raise InvalidBlock(f"extrinsic {index}: {error}") from error
    executed = execution.finalize()
    if executed.header.digest != claimed:
        raise InvalidBlock("the digest does not match what the block did")
    if executed.header.state_root != header.state_root:
        raise InvalidBlock("the state root does not match")
    return executed


def extrinsics_root(extrinsics: Sequence[bytes]) -> bytes:
    """Return the root of the trie RLP(index) -> extrinsic."""
    return root_of_list(extrinsics)


__all__ = [
    "ApplyOutcome",
    "Block",
    "BlockExecution",
    "ExecutedBlock",
    "GenesisBlock",
    "Header",
    "TransactionValidity",
    "build_genesis",
    "execute_block",
    "extrinsics_root",
    "validate_transaction",
]
