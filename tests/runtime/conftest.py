"""A runtime of two pallets, System and Counter, on which the framework's rules are tried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from node.keys.keypair import Keypair
from pallets.system import System, SystemConfig
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.errors import PalletError, ensure
from runtime.events import ApplyExtrinsic, Event
from runtime.extrinsic import sign_extrinsic
from runtime.genesis import ChainSpec, GenesisBlock, build_genesis
from runtime.genesis_fields import GenesisPath, read_account, read_list, read_mapping
from runtime.origin import Origin, ensure_none, ensure_root, ensure_signed
from runtime.pallet import Pallet, call, constant
from runtime.state import DictState
from runtime.storage import TWOX_64_CONCAT, StorageDoubleMap, StorageMap, StorageValue
from runtime.transition import BlockExecution, ExecutedBlock
from runtime.types import U32, U64, AccountId, CompactU64, MaxLength
from runtime.version import RuntimeVersion, api_id, source_digest
from runtime.weights import MANDATORY, OPERATIONAL, PICOSECONDS_PER_MILLISECOND, PostDispatchInfo, Weight

MILLISECOND = Weight(PICOSECONDS_PER_MILLISECOND)


@dataclass(frozen=True)
class CounterConfig:
    """The bound of the counter."""

    most: U64 = constant(1_000, "The highest value of the counter.")


class CounterError(PalletError):
    """What the counter refuses."""

    TooHigh = "The counter would pass its bound."
    Odd = "The amount is odd."


class CounterEvent(Event):
    """What the counter tells."""


@dataclass(frozen=True)
class Counted(CounterEvent):
    """The counter rose."""

    who: AccountId
    total: U64


@dataclass(frozen=True)
class Wrapped(CounterEvent):
    """A call inside a call was made."""

    failed: bool


class Counter(Pallet):
    """Counts, and wraps calls in calls."""

    name = "Counter"
    index = 7
    Config = CounterConfig
    Event = CounterEvent
    Error = CounterError
    config: CounterConfig

    total = StorageValue(U64, default=0, docs="The counter.")
    moment = StorageValue(U64, docs="The inherent's value.")
    by_account = StorageMap(AccountId, U64, docs="What each account counted.")
    notes = StorageDoubleMap((AccountId, TWOX_64_CONCAT), (U32, TWOX_64_CONCAT), bytes, docs="Notes per account.")
    trail = StorageValue(tuple[U32, ...], default=(), docs="What the hooks did.")

    def on_initialize(self, number: int) -> Weight:
        """Note the block."""
        self.trail.append(number)
        return MILLISECOND

    @call(weight=MILLISECOND, inherent=True, dispatch_class=MANDATORY)
    def set_moment(self, origin: Origin, now: CompactU64) -> None:
        """Set the moment."""
        ensure_none(origin)
        ensure(now % 2 == 0, CounterError.Odd)
        self.moment.put(now)

    @call(weight=MILLISECOND)
    def count(self, origin: Origin, amount: U64) -> None:
        """Count `amount` more."""
        who = ensure_signed(origin)
        total = self.total.get() + amount
        self.total.put(total)
        self.by_account.put(who, (self.by_account.get(who) or 0) + amount)
        self.deposit_event(Counted(who, total))
        ensure(total <= self.config.most, CounterError.TooHigh)

    @call(weight=Weight(1_600 * PICOSECONDS_PER_MILLISECOND))
    def heavy(self, origin: Origin) -> None:
        """Be heavier than a block's normal share."""
        ensure_signed(origin)

    @call(weight=Weight(600 * PICOSECONDS_PER_MILLISECOND))
    def large(self, origin: Origin) -> PostDispatchInfo:
        """Declare much, use little."""
        ensure_signed(origin)
        return PostDispatchInfo(MILLISECOND)

    @call(weight=lambda pallet, inner: pallet.runtime.dispatch_info(inner).weight, dispatch_class=OPERATIONAL)
    def wrap(self, origin: Origin, inner: RuntimeCall) -> None:
        """Make a call in a storage transaction of its own."""
        result = self.runtime.dispatch(inner, origin)
        self.deposit_event(Wrapped(result.error is not None))

    @call(weight=MILLISECOND, dispatch_class=MANDATORY)
    def forbidden(self, origin: Origin) -> None:
        """Be mandatory, which nobody may sign."""

    @call(weight=MILLISECOND)
    def root_only(self, origin: Origin, note: Annotated[bytes, MaxLength(8)]) -> None:
        """Want the root origin."""
        ensure_root(origin)

    @call(weight=MILLISECOND)
    def crash(self, origin: Origin) -> None:
        """Have a bug."""
        raise ZeroDivisionError

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Give the listed accounts a provider, so that they may sign."""
        section = read_mapping(genesis, at, required=(), optional=("accounts",))
        system = self.runtime.pallet("System")
        assert isinstance(system, System)
        for position, value in enumerate(read_list(section.get("accounts", ()), at["accounts"])):
            system.increment_providers(read_account(value, at["accounts"][position]))


VERSION = RuntimeVersion("tiny", "tiny-python", 1, 100, 1, ((api_id("Core"), 5),), 1, 1)


def make_runtime() -> Runtime:
    """Return a fresh tiny runtime."""
    return Runtime(
        pallets=(Counter(CounterConfig()), System(SystemConfig())),
        version=VERSION,
        source_digest=source_digest({"tiny.py": b""}),
    )


def make_signer(name: str) -> Keypair:
    """Return an ed25519 account derived from a name."""
    return Keypair.from_seed(name.encode().ljust(32, b"-"), "ed25519")


@dataclass
class TinyChain:
    """A chain of the tiny runtime kept in dictionaries."""

    runtime: Runtime
    genesis: GenesisBlock
    state: DictState
    nodes: dict[bytes, bytes]

    def __post_init__(self) -> None:
        self.head = self.genesis.header

    def begin(self) -> BlockExecution:
        """Return an initialized execution on top of the head, with its inherent applied."""
        execution = BlockExecution(self.runtime, self.head, self.state, (), self.nodes.__getitem__)
        execution.initialize()
        execution.apply(self.inherent(2 * execution.number))
        return execution

    def inherent(self, now: int) -> bytes:
        """Return the bare inherent."""
        return self.runtime.extrinsic_codec.encode_bare(RuntimeCall("Counter", "set_moment", {"now": now}))

    def signed(self, signer: Keypair, function: str, nonce: int = 0, **options: Any) -> bytes:
        """Return a signed extrinsic of a Counter call; options of `sign_extrinsic` are split off by name."""
        names = ("era", "era_block_hash", "tip", "genesis_hash")
        signing = {name: options.pop(name) for name in names if name in options}
        signing.setdefault("genesis_hash", self.genesis.header.hash)
        inner = RuntimeCall("Counter", function, options)
        return sign_extrinsic(self.runtime.extrinsic_codec, self.runtime.version, inner, signer, nonce=nonce, **signing)

    def commit(self, executed: ExecutedBlock) -> None:
        """Make an executed block the head."""
        self.state.apply(executed.changes)
        self.nodes.update(executed.trie.new)
        self.head = executed.header


@pytest.fixture
def alice() -> Keypair:
    """An account of the genesis."""
    return make_signer("alice")


@pytest.fixture
def bob() -> Keypair:
    """An account of the genesis."""
    return make_signer("bob")


@pytest.fixture
def chain(alice: Keypair, bob: Keypair) -> TinyChain:
    """A chain of one block, the genesis."""
    runtime = make_runtime()
    accounts = ["0x" + signer.account_id.hex() for signer in (alice, bob)]
    spec = ChainSpec("Tiny", "tiny", "Development", {}, 1_000, {"Counter": {"accounts": accounts}})
    genesis = build_genesis(runtime, spec)
    state = DictState()
    state.apply(genesis.changes)
    return TinyChain(runtime, genesis, state, dict(genesis.trie.new))


def counter_of(chain: TinyChain) -> Counter:
    """Return the chain's Counter."""
    counter = chain.runtime.pallet("Counter")
    assert isinstance(counter, Counter)
    return counter


def system_of(chain: TinyChain) -> System:
    """Return the chain's System."""
    system = chain.runtime.pallet("System")
    assert isinstance(system, System)
    return system


def events_of(executed: ExecutedBlock, index: int) -> list[Event]:
    """Return the events of one extrinsic."""
    return [record.event for record in executed.events if record.phase == ApplyExtrinsic(index)]
