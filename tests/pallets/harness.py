"""A whole chain in memory for the pallets' tests: the real runtime, real blocks, real signatures, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from node.keys.keypair import Keypair
from pallets.aura import AURA_ENGINE, Aura
from pallets.balances import TREASURY, Balances
from pallets.chain import runtime_for
from pallets.chain_file import new_genesis
from pallets.randomness import OnionLayers, Randomness, onion_item, onion_seed
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.errors import DispatchErrorValue
from runtime.events import Event
from runtime.extrinsic import sign_extrinsic
from runtime.genesis import build_genesis
from runtime.header import Block, Digest, DigestItem, Header, PreRuntime
from runtime.state import DictState
from runtime.transition import BlockExecution, ExecutedBlock, execute_block
from tests.pallets.chainfiles import DEVELOPERS, ENDOWMENT, account, authority, sr25519_secret

FIRST_SLOT = 1_000


@cache
def onion_layers(name: str, epoch: int, layers: int) -> OnionLayers:
    """Return the layers of //name, hashed once per test run."""
    return OnionLayers(onion_seed(sr25519_secret(name)[1]), epoch, layers)


def name_of(author: bytes) -> str:
    """Return the development name of an account."""
    return next(name for name in DEVELOPERS if account(name) == author)


@dataclass(frozen=True)
class Outcome:
    """One extrinsic in a block of its own: its error, its events without those of fees and of success."""

    error: DispatchErrorValue | None
    events: tuple[Event, ...]
    all_events: tuple[Event, ...]


class Chain:
    """A chain that grows block by block; after each one the invariants of every pallet are checked."""

    def __init__(
        self,
        authorities: Sequence[str] = ("Alice",),
        *,
        committed: Sequence[str] | None = None,
        balances: Sequence[tuple[bytes, int]] | None = None,
        constants: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        epochs = {} if constants is None else constants.get("Randomness", {})
        self.epoch_slots = epochs.get("EpochSlots", 600)
        spec = new_genesis(
            name="Test",
            id="test",
            chain_type="Development",
            slot_duration_ms=1_000,
            authorities=[authority(name, self.epoch_slots) for name in authorities],
            balances=default_balances() if balances is None else balances,
            sudo=account("Alice"),
            constants=constants,
        )
        if committed is not None:
            kept = {authority(name, self.epoch_slots).onion_tip.hex() for name in committed}
            spec.genesis["Randomness"]["onions"] = [
                entry for entry in spec.genesis["Randomness"]["onions"] if entry[1][2:] in kept
            ]
        self.runtime = runtime_for(spec)
        genesis = build_genesis(self.runtime, spec)
        self.genesis_hash = genesis.header.hash
        self.header: Header = genesis.header
        self.state = DictState()
        self.state.apply(genesis.changes)
        self.nodes: dict[bytes, bytes] = dict(genesis.trie.new)
        self.slot = FIRST_SLOT - 1

    @property
    def balances(self) -> Balances:
        """The balances pallet."""
        pallet = self.runtime.pallet("Balances")
        assert isinstance(pallet, Balances)
        return pallet

    @property
    def randomness(self) -> Randomness:
        """The randomness pallet."""
        pallet = self.runtime.pallet("Randomness")
        assert isinstance(pallet, Randomness)
        return pallet

    @property
    def aura(self) -> Aura:
        """The Aura pallet."""
        pallet = self.runtime.pallet("Aura")
        assert isinstance(pallet, Aura)
        return pallet

    # Blocks

    def digest(self, slot: int, reveal: bytes | None = None) -> tuple[DigestItem, ...]:
        """Return an honest author's digest for a slot, or one with another reveal."""
        if reveal is None:
            with self.runtime.at(self.state):
                author = self.aura.author_of(slot)
                name = name_of(author)
                reveal = self.randomness.prepare(
                    author, slot, lambda epoch: onion_layers(name, epoch, self.epoch_slots)
                )
        return (PreRuntime(AURA_ENGINE, slot.to_bytes(8, "little")), onion_item(reveal))

    def begin(self, slot: int | None = None, digest: tuple[DigestItem, ...] | None = None) -> BlockExecution:
        """Start a block in the next slot, or a later one, without its inherent."""
        chosen = self.slot + 1 if slot is None else slot
        items = self.digest(chosen) if digest is None else digest
        execution = BlockExecution(self.runtime, self.header, self.state, items, self.nodes.__getitem__)
        execution.initialize()
        return execution

    def block(self, *extrinsics: bytes, slot: int | None = None, reveal: bytes | None = None) -> ExecutedBlock:
        """Make a block with these extrinsics on top of the chain."""
        chosen = self.slot + 1 if slot is None else slot
        execution = self.begin(chosen, self.digest(chosen, reveal))
        execution.apply(self.inherent(chosen * 1_000))
        for extrinsic in extrinsics:
            execution.apply(extrinsic)
        return self.adopt(execution.finalize(), chosen)

    def blocks(self, count: int) -> ExecutedBlock:
        """Make empty blocks in consecutive slots and return the last one."""
        for _ in range(count):
            last = self.block()
        return last

    def adopt(self, executed: ExecutedBlock, slot: int) -> ExecutedBlock:
        """Make an executed block the head, and check the invariants of every pallet."""
        self.state.apply(executed.changes)
        self.nodes.update(executed.trie.new)
        self.header, self.slot = executed.header, slot
        with self.runtime.at(self.state):
            for pallet in self.runtime.pallets:
                pallet.try_state()
        return executed

    def verify(self, executed: ExecutedBlock, parent: Header, state: DictState) -> None:
        """Execute a block again as somebody else would."""
        block = Block(executed.header, executed.extrinsics)
        execute_block(self.runtime, parent, state, block, self.nodes.__getitem__)

    # Extrinsics

    def inherent(self, now_ms: int) -> bytes:
        """Return timestamp.set."""
        return self.runtime.extrinsic_codec.encode_bare(RuntimeCall("Timestamp", "set", {"now": now_ms}))

    def nonce(self, who: bytes) -> int:
        """Return the nonce that the account's next extrinsic must have."""
        with self.runtime.at(self.state):
            return self.runtime.system.nonce(who)

    def sign(self, name: str, call: RuntimeCall, *, nonce: int | None = None, tip: int = 0) -> bytes:
        """Return a call signed by //name."""
        public, secret = sr25519_secret(name)
        signer = Keypair("sr25519", public, secret)
        chosen = self.nonce(public) if nonce is None else nonce
        return sign_extrinsic(
            self.runtime.extrinsic_codec,
            self.runtime.version,
            call,
            signer,
            nonce=chosen,
            genesis_hash=self.genesis_hash,
            tip=tip,
        )

    def block_with(self, name: str, call: RuntimeCall, *, tip: int = 0) -> Outcome:
        """Make a block with one call signed by //name and say what it did."""
        return outcome_of(self.runtime, self.block(self.sign(name, call, tip=tip)))

    def submit(self, name: str, pallet: str, function: str, *, tip: int = 0, **arguments: Any) -> Outcome:
        """Make a block with one call signed by //name and say what it did."""
        return self.block_with(name, RuntimeCall(pallet, function, arguments), tip=tip)

    def sudo(self, call: RuntimeCall) -> Outcome:
        """Make a block in which //Alice dispatches a call as root."""
        return self.submit("Alice", "Sudo", "sudo", call=call)

    # State

    @contextmanager
    def inside(self, slot: int | None = None) -> Iterator[Chain]:
        """Bind a block in progress on top of the chain, for calling pallets directly; nothing of it is kept."""
        chosen = self.slot + 1 if slot is None else slot
        with self.runtime.at(self.state):
            self.runtime.system.initialize(self.header.number + 1, self.header.hash, Digest(self.digest(chosen)))
            self.aura.slot.put(chosen)
            yield self

    def free(self, who: bytes) -> int:
        """Return a free balance at the head."""
        with self.runtime.at(self.state):
            return self.balances.free(who)

    def events(self) -> tuple[Event, ...]:
        """Return the events of the bound block."""
        return tuple(record.event for record in self.runtime.system.event_records())


def outcome_of(runtime: Any, executed: ExecutedBlock) -> Outcome:
    """Read the outcome of a block's last extrinsic."""
    last = len(executed.extrinsics) - 1
    events = tuple(record.event for record in executed.events if getattr(record.phase, "index", None) == last)
    ending = events[-1]
    error = getattr(ending, "dispatch_error", None)
    return Outcome(error, calls_own(events), events)


def calls_own(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Drop what the extrinsic's envelope adds: the fee's withdrawal before, refund, deposit and outcome after."""
    names = [type(event).__name__ for event in events]
    start = 1 if names[0] == "Withdraw" else 0
    end = names.index("TransactionFeePaid")
    while end > start and names[end - 1] == "Deposit":
        end -= 1
    return events[start:end]


def default_balances() -> list[tuple[bytes, int]]:
    """Return an endowment of the six sr25519 development accounts and of the treasury."""
    return [*((account(name), ENDOWMENT) for name in DEVELOPERS), (TREASURY, ENDOWMENT)]


def address(name: str) -> Id:
    """Return the address of //name."""
    return Id(account(name))


def transfer(dest: bytes, value: int) -> RuntimeCall:
    """Return a transfer that keeps the sender alive."""
    return RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(dest), "value": value})
