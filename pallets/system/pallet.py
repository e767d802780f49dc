"""The pallet System: its storage, calls and what the framework asks of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pallets.system.events import (
    CodeUpdated,
    ExtrinsicFailed,
    ExtrinsicSuccess,
    KilledAccount,
    NewAccount,
    Remarked,
    SystemErrors,
    SystemEvent,
)
from pallets.system.storage_calls import RawStorageCalls
from pallets.weights import DATABASE, block
from pallets.weights import system as weights
from runtime.account import AccountData, AccountInfo
from runtime.call import DispatchResult
from runtime.crypto import SS58_PREFIX_GENERIC, blake2_256
from runtime.errors import (
    ConsumerRemaining,
    InvalidTransaction,
    InvariantBroken,
    ModuleError,
    NoProviders,
    SimpleFault,
    TooManyConsumers,
    Validity,
    ensure,
)
from runtime.events import ApplyExtrinsic, EventRecord, Finalization, Initialization, Phase
from runtime.events import Event as AnyEvent
from runtime.genesis_fields import GenesisPath, read_mapping
from runtime.header import Digest, DigestItem, RuntimeEnvironmentUpdated
from runtime.limits import BLOCK_LENGTH_BYTES
from runtime.origin import Origin, ensure_root, ensure_signed
from runtime.pallet import ConstantSpec, Pallet, call, constant
from runtime.storage import TWOX_64_CONCAT, StorageMap, StorageValue
from runtime.types import H256, U16, U32, AccountId, CompactU32, MaxLength, Text, type_path
from runtime.version import CODE_BYTES, CODE_KEY, RuntimeVersion, split_code
from runtime.weights import (
    MANDATORY,
    OPERATIONAL,
    BlockLength,
    BlockWeights,
    DispatchClass,
    DispatchInfo,
    PerDispatchClass,
    RuntimeDbWeight,
    Weight,
    default_block_length,
    default_block_weights,
)

ACCOUNT_CONSUMERS_MAXIMUM = 16
NO_WEIGHT = PerDispatchClass(Weight(), Weight(), Weight())
Remark = Annotated[bytes, MaxLength(BLOCK_LENGTH_BYTES)]
Code = Annotated[bytes, MaxLength(CODE_BYTES)]
MEASURED_LIMITS = default_block_weights(base_extrinsic=block.BASE_EXTRINSIC, base_block=block.BASE_BLOCK)


@dataclass(frozen=True)
class SystemConfig:
    """Limits of a block and the chain's address format."""

    block_weights: BlockWeights = constant(MEASURED_LIMITS, "Block & extrinsics weights, in picoseconds.")
    block_length: BlockLength = constant(default_block_length(), "The maximum length of a block, in bytes.")
    block_hash_count: U32 = constant(2_400, "How many block hashes the state keeps, in blocks.")
    db_weight: RuntimeDbWeight = constant(DATABASE, "The weight of one storage read and of one write, in picoseconds.")
    ss58_prefix: U16 = constant(SS58_PREFIX_GENERIC, "The network prefix of SS58 addresses.", name="SS58Prefix")


@dataclass(frozen=True)
class LastRuntimeUpgradeInfo:
    """Which runtime wrote the state last."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_system::LastRuntimeUpgradeInfo")
    spec_version: CompactU32
    spec_name: Text


def _remark_weight(pallet: Pallet, remark: bytes) -> Weight:
    return weights.REMARK + weights.REMARK_PER_BYTE * len(remark)


def _remark_with_event_weight(pallet: Pallet, remark: bytes) -> Weight:
    return weights.REMARK_WITH_EVENT + weights.REMARK_WITH_EVENT_PER_BYTE * len(remark)


class System(RawStorageCalls):
    """The block's context, accounts, events and limits."""

    name = "System"
    index = 0
    crate = "frame_system"
    Config = SystemConfig
    Event = SystemEvent
    Error = SystemErrors
    config: SystemConfig

    account = StorageMap(
        AccountId, AccountInfo, default=AccountInfo(), docs="The full account information for a particular account ID."
    )
    extrinsic_count = StorageValue(U32, docs="Total extrinsics count for the current block.")
    block_weight = StorageValue(PerDispatchClass[Weight], default=NO_WEIGHT, docs="The current weight for the block.")
    all_extrinsics_len = StorageValue(U32, docs="Total length (in bytes) for all extrinsics of the current block.")
    block_hashes = StorageMap(
        U32,
        H256,
        default=bytes(32),
        hasher=TWOX_64_CONCAT,
        name="BlockHash",
        docs="Map of block numbers to block hashes.",
    )
    number = StorageValue(U32, default=0, docs="The current block number being processed.")
    parent = StorageValue(H256, default=bytes(32), name="ParentHash", docs="Hash of the previous block.")
    digest_items = StorageValue(Digest, default=Digest(), name="Digest", docs="Digest of the current block.")
    events = StorageValue(tuple[EventRecord, ...], default=(), docs="Events deposited for the current block.")
    event_count = StorageValue(U32, default=0, docs="The number of events in the `Events` list.")
    last_runtime_upgrade = StorageValue(
        LastRuntimeUpgradeInfo,
        docs="Stores the `spec_version` and `spec_name` of when the last runtime upgrade happened.",
    )
    execution_phase = StorageValue(Phase, docs="The execution phase of the block.")

    @call(weight=_remark_weight, index=0)
    def remark(self, origin: Origin, remark: Remark) -> None:
        """Make some on-chain remark. Every origin may."""

    @call(weight=weights.SET_CODE, dispatch_class=OPERATIONAL, index=2)
    def set_code(self, origin: Origin, code: Code) -> None:
        """Upgrade the runtime, as root: from the next block on, the one with this source and version is in force.

        `code` is what stands under `:code`: the 32-byte digest of the runtime's source and its spec version, which must
        rise. Every node must have that runtime at hand.
        """
        ensure_root(origin)
        try:
            _, spec_version = split_code(code)
        except ValueError:
            raise ModuleError(SystemErrors.FailedToExtractRuntimeVersion) from None
        ensure(spec_version > self.runtime.version.spec_version, SystemErrors.SpecVersionNeedsToIncrease)
        self.runtime.host.overlay.write(CODE_KEY, code, bytes)
        self.deposit_log(RuntimeEnvironmentUpdated())
        self.deposit_event(CodeUpdated())

    @call(weight=_remark_with_event_weight, index=7)
    def remark_with_event(self, origin: Origin, remark: Remark) -> None:
        """Make some on-chain remark and emit event."""
        self.deposit_event(Remarked(ensure_signed(origin), blake2_256(remark)))

    def call_filtered(self) -> ModuleError:
        """Return the error of a call that a filter of its origin stopped."""
        return ModuleError(SystemErrors.CallFiltered)

    # Context of the block

    def block_number(self) -> int:
        """Return the number of the current block."""
        return self.number.get()

    def parent_hash(self) -> bytes:
        """Return the hash of the block before."""
        return self.parent.get()

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a recent block or of the genesis block, None for others."""
        return self.block_hashes.get(number) if self.block_hashes.contains(number) else None

    def digest(self) -> Digest:
        """Return the digest of the current block, without seal."""
        return self.digest_items.get()

    def deposit_log(self, item: DigestItem) -> None:
        """Add an item to the digest of the current block."""
        self.digest_items.put(Digest((*self.digest_items.get().logs, item)))

    def extrinsic_index(self) -> int | None:
        """Return the index of the extrinsic that is applied now, None in hooks."""
        return phase.index if isinstance(phase := self.execution_phase.get(), ApplyExtrinsic) else None

    def initialize(self, number: int, parent_hash: bytes, digest: Digest) -> None:
        """Begin block `number`."""
        self.execution_phase.put(Initialization())
        self.extrinsic_count.remove()
        self.all_extrinsics_len.remove()
        self.block_weight.put(NO_WEIGHT)
        self.events.put(())
        self.event_count.remove()
        self.number.put(number)
        self.parent.put(parent_hash)
        self.digest_items.put(digest)
        self.block_hashes.put(number - 1, parent_hash)
        self._note_version()
        self.register_weight(self.config.block_weights.base_block, MANDATORY)

    def note_initialized(self) -> None:
        """Go from the initialization phase to extrinsic 0."""
        self.execution_phase.put(ApplyExtrinsic(0))

    def note_finished_extrinsics(self) -> None:
        """Go to the finalization phase."""
        self.execution_phase.put(Finalization())

    def finalize(self) -> Digest:
        """End the block: forget what only lives during it and the hash that became too old (never the genesis hash)."""
        self.execution_phase.remove()
        self.extrinsic_count.remove()
        self.all_extrinsics_len.remove()
        too_old = self.number.get() - self.config.block_hash_count - 1
        if too_old > 0:
            self.block_hashes.remove(too_old)
        self.event_count.put(len(self.events.get()))
        return self.digest_items.get()

    # Events

    def deposit_event(self, event: AnyEvent) -> None:
        """Add an event in the current phase; the genesis block has none."""
        phase = self.execution_phase.get()
        if phase is not None:
            self.events.append(EventRecord(phase, event))

    def event_records(self) -> tuple[EventRecord, ...]:
        """Return the events of the block so far."""
        return self.events.get()

    def note_applied(self, result: DispatchResult, info: DispatchInfo) -> None:
        """Deposit the extrinsic's outcome, give unused weight back, go to the next extrinsic."""
        actual = DispatchInfo(result.actual_weight, info.class_, result.pays_fee)
        error = result.error
        self.deposit_event(ExtrinsicSuccess(actual) if error is None else ExtrinsicFailed(error.to_scale(), actual))
        unused = info.weight - result.actual_weight
        if unused != Weight():
            used = self.block_weight.get()
            self.block_weight.put(used.replace(info.class_, used.of(info.class_) - unused))
        following = (self.extrinsic_count.get() or 0) + 1
        self.extrinsic_count.put(following)
        self.execution_phase.put(ApplyExtrinsic(following))

    # Limits of the block

    def check_limits(self, info: DispatchInfo, length_bytes: int) -> None:
        """Raise InvalidTransaction(EXHAUSTS_RESOURCES) when the block has no room for such an extrinsic."""
        kind, weights = info.class_, self.config.block_weights
        length_limit = self.config.block_length.max.of(kind)
        if (self.all_extrinsics_len.get() or 0) + length_bytes > length_limit:
            raise exhausted(f"all extrinsics of a block may have {length_limit} bytes")
        bounds = weights.per_class.of(kind)
        if bounds.max_extrinsic is not None and info.weight.exceeds(bounds.max_extrinsic):
            raise exhausted(f"weight {info.weight.ref_time} ps, an extrinsic may have {bounds.max_extrinsic.ref_time}")
        used = self.block_weight.get()
        of_class = used.of(kind) + info.weight + bounds.base_extrinsic
        if bounds.max_total is not None and of_class.exceeds(bounds.max_total):
            raise exhausted("no weight is left in the block for this class")
        total = used.normal + used.operational + used.mandatory + info.weight + bounds.base_extrinsic
        if total.exceeds(weights.max_block) and bounds.reserved is not None and of_class.exceeds(bounds.reserved):
            raise exhausted("no weight is left in the block")

    def register_extrinsic(self, info: DispatchInfo, length_bytes: int) -> None:
        """Count weight and length of an extrinsic."""
        base = self.config.block_weights.per_class.of(info.class_).base_extrinsic
        self.register_weight(info.weight + base, info.class_)
        self.all_extrinsics_len.put((self.all_extrinsics_len.get() or 0) + length_bytes)

    def register_weight(self, weight: Weight, kind: DispatchClass) -> None:
        """Count weight used by hooks."""
        used = self.block_weight.get()
        self.block_weight.put(used.replace(kind, used.of(kind) + weight))

    def remaining_weight(self) -> Weight:
        """Return the weight that is left in the block."""
        used = self.block_weight.get()
        return self.config.block_weights.max_block - (used.normal + used.operational + used.mandatory)

    # Accounts

    def nonce(self, account: bytes) -> int:
        """Return the nonce that the account's next transaction must have."""
        return self.account.get(account).nonce

    def increment_nonce(self, account: bytes) -> None:
        """Count a transaction of the account."""
        old = self.account.get(account)
        self.account.put(account, AccountInfo(old.nonce + 1, old.consumers, old.providers, old.sufficients, old.data))

    def is_referenced(self, account: bytes) -> bool:
        """Tell whether the account exists: has a provider or is self-sufficient."""
        info = self.account.get(account)
        return info.providers > 0 or info.sufficients > 0

    def account_data(self, account: bytes) -> AccountData:
        """Return the balances of an account; they are zero for one that does not exist."""
        return self.account.get(account).data

    def put_account_data(self, account: bytes, data: AccountData) -> None:
        """Store the balances of an account; references are the caller's duty."""
        info = self.account.get(account)
        self.account.put(account, AccountInfo(info.nonce, info.consumers, info.providers, info.sufficients, data))

    def mutate_account_data(self, account: bytes, change: Callable[[AccountData], AccountData]) -> AccountData:
        """Store what `change` makes of an account's balances and return it."""
        data = change(self.account_data(account))
        self.put_account_data(account, data)
        return data

    def increment_providers(self, account: bytes) -> bool:
        """Add a reason for the account to exist; tell whether it was created by that."""
        info = self.account.get(account)
        created = info.providers == 0 and info.sufficients == 0
        changed = AccountInfo(info.nonce, info.consumers, info.providers + 1, info.sufficients, info.data)
        self.account.put(account, changed)
        if created:
            self.deposit_event(NewAccount(account))
        return created

    def decrement_providers(self, account: bytes) -> bool:
        """Take a reason to exist away; tell whether the account was reaped. Raises ConsumerRemaining."""
        info = self.account.get(account)
        if info.providers == 0:
            raise InvariantBroken(f"account {account.hex()} has no provider to take away")
        if info.providers == 1 and info.consumers > 0:
            raise SimpleFault(ConsumerRemaining())
        if info.providers == 1 and info.sufficients == 0:
            self.account.remove(account)
            self.deposit_event(KilledAccount(account))
            return True
        changed = AccountInfo(info.nonce, info.consumers, info.providers - 1, info.sufficients, info.data)
        self.account.put(account, changed)
        return False

    def increment_consumers(self, account: bytes) -> None:
        """Add a user of the account, which then cannot be reaped. Raises NoProviders or TooManyConsumers."""
        info = self.account.get(account)
        if info.providers == 0:
            raise SimpleFault(NoProviders())
        if info.consumers >= ACCOUNT_CONSUMERS_MAXIMUM:
            raise SimpleFault(TooManyConsumers())
        changed = AccountInfo(info.nonce, info.consumers + 1, info.providers, info.sufficients, info.data)
        self.account.put(account, changed)

    def decrement_consumers(self, account: bytes) -> None:
        """Take a user of the account away."""
        info = self.account.get(account)
        if info.consumers == 0:
            raise InvariantBroken(f"account {account.hex()} has no consumer to take away")
        changed = AccountInfo(info.nonce, info.consumers - 1, info.providers, info.sufficients, info.data)
        self.account.put(account, changed)

    # Declarations

    def constants(self) -> tuple[ConstantSpec, ...]:
        """Return the Config's constants and the runtime's version."""
        docs = ("Get the chain's in-code version.",)
        return (*super().constants(), ConstantSpec("Version", RuntimeVersion, self.runtime.version, docs))

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Write which runtime made the state; the section must be empty."""
        read_mapping(genesis, at, required=())
        self._note_version()

    def _note_version(self) -> None:
        """Remember which runtime wrote the state last."""
        version = self.runtime.version
        now = LastRuntimeUpgradeInfo(version.spec_version, version.spec_name)
        if self.last_runtime_upgrade.get() != now:
            self.last_runtime_upgrade.put(now)

    def try_state(self) -> None:
        """An account is stored only while something provides for it, and it has consumers only then."""
        for account, info in self.account.items():
            if info.providers == 0 and info.sufficients == 0:
                raise InvariantBroken(f"account {account.hex()} is stored without a provider")


def exhausted(detail: str) -> InvalidTransaction:
    """Return the error of an extrinsic for which the block has no room."""
    return InvalidTransaction(Validity.EXHAUSTS_RESOURCES, detail)
